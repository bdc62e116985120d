// What survives of a turn: the row of the turn itself, its attempts, and the journal of what it streams.

import type { BlockType, CallName, Usage } from '../protocol/content.ts';
import type { ErrorBody } from '../protocol/errors.ts';
import type { AttemptId, TurnId } from '../protocol/ids.ts';
import type { Position } from '../protocol/position.ts';
import type { TraceParent } from '../protocol/trace-parent.ts';
import type { CompactionRecord } from './chat/compaction/record.ts';

/**
 * When streamed text is saved. `batched`: it is shown at once and saved now and then, a crash takes back what was not.
 * `shown`: it is shown once it is saved, a crash takes nothing back.
 */
export type JournalMode = 'batched' | 'shown';

/** What has to survive of the turn that runs. */
export type TurnRecord = {
  readonly id: TurnId;
  readonly model: string;
  readonly step: number;
  /** Attempts of the step so far; the open one included. */
  readonly attempt: number;
  /** Somebody asked to stop: no attempt may follow. */
  readonly stopping: 'stopped' | 'interrupted' | null;
  /** While waiting for the next attempt. */
  readonly retry: { readonly error: ErrorBody; readonly atMs: number; readonly delayMs: number } | null;
  /** Where the latest attempt was opened (its `step started`); absent before the first one. */
  readonly openedAt?: Position;
  /**
   * `openedAt` of the latest attempt whose text is shown once it is saved: of another one when this differs, since a node of
   * a version before knows nothing of it.
   */
  readonly shownFrom?: Position;
  /** Recoveries of this turn so far: bounded, with the reason `chat_crashed` at its end. */
  readonly recoveries: number;
  /** The limit of steps is reached: this one may call no tool, and is the last. */
  readonly limited?: true;
  /** Of the command that started it; absent when that was not traced. */
  readonly trace?: TraceParent;
  /** The number of its first message, from which on none of the user's has an answer; absent: it has none. */
  readonly from?: number;
  /** Absent: nothing was to be compacted. */
  readonly compaction?: CompactionRecord;
};

export type AttemptOpening = {
  readonly id: AttemptId;
  readonly turn: TurnId;
  readonly step: number;
  readonly attempt: number;
  /** Absent: a step of the turn. */
  readonly purpose?: Exclude<AttemptPurpose, 'turn'>;
  readonly provider: string;
  readonly model: string;
  readonly startedAtMs: number;
  /** What the provider runs for it in the background; absent as long as it runs nothing. */
  readonly providerRef?: string;
};

/** From here on the attempt can be taken up at its provider. */
export type AttemptReference = { readonly id: AttemptId; readonly providerRef: string };

export type AttemptOutcome = 'completed' | 'failed' | 'aborted' | 'lost';

export type AttemptSettlement = {
  readonly id: AttemptId;
  readonly outcome: AttemptOutcome;
  readonly errorCode: string | null;
  readonly requestId: string | null;
  readonly settledAtMs: number;
  /** Null when nothing was ever heard of it. */
  readonly usage: Usage | null;
  /** Micro-dollars; null is unpriced, 0 is free (P10). */
  readonly costMicros: bigint | null;
};

/** Streamed blocks of the open attempt since the pack before. */
export type JournalPack = {
  readonly turn: TurnId;
  readonly step: number;
  readonly attempt: number;
  /** From 1 within the attempt. */
  readonly pack: number;
  /** The last position that the pack covers. */
  readonly position: Position;
  readonly entries: readonly JournalEntry[];
  /** Where the provider's stream was then; absent where it cannot be resumed. */
  readonly cursor?: string;
};

/** Text appended to a block, and whether the block had ended by then. `offset` in bytes of UTF-8. */
export type JournalEntry = {
  readonly index: number;
  readonly type: BlockType;
  readonly call?: CallName;
  readonly offset: number;
  readonly text: string;
  readonly ended: boolean;
};

/** What an attempt is for, as the ledger has it. */
export type AttemptPurpose = 'turn' | 'compaction' | 'title';
