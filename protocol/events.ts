// The events of a chat's log. Each has a position; a client's state is a pure function of the events up to it (P2).
//
// Every kind is idempotent: by replacement (chat, queue, message by number, turn, step, retry, compaction, usage) or by
// offset (block, progress of a tool). That is what allows an event to cover a span of more than one position (SPEC.md §6).

import type {
  Action,
  BlockType,
  CallName,
  Chat,
  Message,
  QueuedMessage,
  ToolStatus,
  TurnOutcome,
  Usage,
} from './content.ts';
import type { ErrorBody } from './errors.ts';
import type { TurnId } from './ids.ts';
import type { Position } from './position.ts';

/** Kind → its number on the wire. Append only; `compaction` and `agent` are kept for what they name. */
export const EVENT_KINDS = {
  epoch: 1,
  chat: 2,
  message: 3,
  rewind: 4,
  queue: 5,
  turn: 6,
  step: 7,
  retry: 8,
  block: 9,
  tool: 10,
  action: 11,
  compaction: 12,
  usage: 13,
  agent: 14,
  fork: 15,
} as const;

export type EventKind = keyof typeof EVENT_KINDS;

/** First of its epoch. `after` is the last position of the epoch before when that ended in order, null after a crash. */
export type EpochEvent = { readonly kind: 'epoch'; readonly after: Position | null };
export type ChatMetaEvent = { readonly kind: 'chat'; readonly chat: Chat };
/** A committed message; it replaces the live blocks of its turn and step. */
export type MessageEvent = { readonly kind: 'message'; readonly message: Message };
/** The messages `from` to `to` (both included) left the chat. */
export type RewindEvent = { readonly kind: 'rewind'; readonly from: number; readonly to: number };
export type QueueEvent = { readonly kind: 'queue'; readonly queue: readonly QueuedMessage[] };
export type TurnEvent =
  | { readonly kind: 'turn'; readonly type: 'started'; readonly turn: TurnId; readonly model: string }
  | {
      readonly kind: 'turn';
      readonly type: 'ended';
      readonly turn: TurnId;
      readonly outcome: TurnOutcome;
      readonly error: ErrorBody | null;
    };
/** `started`: an attempt of the step begins, its blocks are empty. `reset`: drop the blocks that the step has shown. */
export type StepEvent = {
  readonly kind: 'step';
  readonly type: 'started' | 'reset';
  readonly turn: TurnId;
  /** From 1 in each turn. */
  readonly step: number;
  /** From 1 in each step; 0: a reset of one that has had none yet. */
  readonly attempt: number;
};
/** The attempt failed; the next one begins at `at` (server clock, Unix ms). The next `step` or `turn` ends the wait. */
export type RetryEvent = {
  readonly kind: 'retry';
  readonly turn: TurnId;
  readonly step: number;
  readonly attempt: number;
  readonly delay_ms: number;
  readonly at: number;
  readonly error: ErrorBody;
};
export type BlockEvent =
  | {
      readonly kind: 'block';
      readonly type: 'start';
      readonly step: number;
      readonly index: number;
      readonly block: BlockType;
      /** Of a `tool_call`. */
      readonly call?: CallName;
    }
  | {
      readonly kind: 'block';
      readonly type: 'delta';
      readonly step: number;
      readonly index: number;
      /** Where the text begins in its block, in bytes of UTF-8; never inside a code point. */
      readonly offset: number;
      readonly text: string;
    }
  | {
      readonly kind: 'block';
      readonly type: 'end';
      readonly step: number;
      readonly index: number;
      readonly bytes: number;
    };
/** A call of the running turn's current step. */
export type ToolEvent =
  | ({ readonly kind: 'tool'; readonly type: 'started'; readonly step: number } & CallName)
  | {
      readonly kind: 'tool';
      readonly type: 'progress';
      readonly step: number;
      readonly call: string;
      /** Where the text begins in what the tool has given so far, in bytes of UTF-8; never inside a code point. */
      readonly offset: number;
      readonly text: string;
    }
  | {
      readonly kind: 'tool';
      readonly type: 'settled';
      readonly step: number;
      readonly call: string;
      readonly status: ToolStatus;
    };
/** All calls that wait for somebody now. */
export type ActionEvent = { readonly kind: 'action'; readonly actions: readonly Action[] };
/**
 * The chat is made smaller, so that it fits into the window of the model; in tokens, null where nobody knows. `ended`: the
 * next request holds `left_tokens` of it, by estimate.
 */
export type CompactionEvent =
  | {
      readonly kind: 'compaction';
      readonly type: 'started';
      readonly turn: TurnId;
      readonly source: CompactionSource;
      readonly context_tokens: number | null;
      readonly context_limit_tokens: number | null;
    }
  | {
      readonly kind: 'compaction';
      readonly type: 'ended';
      readonly turn: TurnId;
      readonly outcome: CompactionOutcome;
      readonly context_tokens: number | null;
      readonly left_tokens: number | null;
    };
/** Who asked: the threshold, a command, or a request that the provider refused as too long. */
export type CompactionSource = 'automatic' | 'manual' | 'overflow';
/** `compacted` to a summary, `cut` without one; `failed`: the chat is as it was. */
export type CompactionOutcome = 'compacted' | 'cut' | 'failed';
/** What an attempt has used, as far as its provider has said. */
export type UsageEvent = {
  readonly kind: 'usage';
  readonly turn: TurnId;
  readonly step: number;
  readonly attempt: number;
  readonly usage: Usage;
};

/** The next request does not go on where the one before it ended: what a provider has cached is of no use (P8). */
export type ForkEvent = { readonly kind: 'fork'; readonly reason: ForkReason };
export type ForkReason = 'compaction' | 'edit' | 'model' | 'tools' | 'clear' | 'reasoning';

export type ChatEvent =
  | EpochEvent
  | ChatMetaEvent
  | MessageEvent
  | RewindEvent
  | QueueEvent
  | TurnEvent
  | StepEvent
  | RetryEvent
  | BlockEvent
  | ToolEvent
  | ActionEvent
  | CompactionEvent
  | UsageEvent
  | ForkEvent;

/** An event in its place: it covers the positions (seq − span, seq] of `epoch`. */
export type PositionedEvent = {
  readonly position: Position;
  /** 1 when live; more when deltas were merged into it or it made earlier events needless. */
  readonly span: number;
  readonly event: ChatEvent;
};

/** The turn that runs, as a snapshot carries it and as the reducer keeps it. */
export type LiveTurn = {
  readonly turn: TurnId;
  readonly model: string;
  /** 0 before the first step. */
  readonly step: number;
  readonly attempt: number;
  readonly blocks: readonly LiveBlock[];
  readonly retry: Omit<RetryEvent, 'kind' | 'turn' | 'step'> | null;
  readonly usage: Usage | null;
  /** Of the current step, in the order in which they were opened. */
  readonly calls: readonly LiveCall[];
  /** Those of them that wait for somebody. */
  readonly actions: readonly Action[];
  /** While the chat is made smaller; null: it is not. */
  readonly compaction: LiveCompaction | null;
};

export type LiveCompaction = Omit<Extract<CompactionEvent, { type: 'started' }>, 'kind' | 'type' | 'turn'>;

export type LiveCall = CallName & {
  /** What the tool has given so far; empty once it is settled: then its message says it. */
  readonly text: string;
  readonly bytes: number;
  readonly status: ToolStatus | null;
};

export type LiveBlock = {
  readonly index: number;
  readonly type: BlockType;
  readonly text: string;
  /** Length of `text` in bytes of UTF-8: the offset at which the next delta begins. */
  readonly bytes: number;
  readonly ended: boolean;
  /** Of a `tool_call`. */
  readonly call?: CallName;
};
