// What a chat consists of, as clients see it. The names are those of the wire (SPEC.md §7), so that nothing is renamed
// between the bytes and the screen; ids are in text form here and 16 bytes on the wire.

import type { ChatId, CommandId, TurnId } from './ids.ts';
import type { ErrorBody } from './errors.ts';

export type ChatStatus = 'waiting' | 'running' | 'requires_action' | 'stopping' | 'error';
export type Role = 'user' | 'assistant' | 'tool' | 'system';
export type Visibility = 'user' | 'model' | 'both';
/** How a turn ended; only `error` carries an error beside it. */
export type TurnOutcome =
  | 'completed'
  | 'stopped'
  | 'refused'
  | 'max_tokens'
  | 'step_limit'
  | 'budget'
  | 'error'
  | 'interrupted';
/** What a `chat.send` does while a turn runs. */
export type Busy = 'queue' | 'interrupt' | 'steer' | 'reject';

export type TextPart = { readonly type: 'text'; readonly text: string };
/** What the model thought on its way; `text` may be empty where the provider keeps it to itself. */
export type ReasoningPart = { readonly type: 'reasoning'; readonly text: string };
/** Which call it is, by the provider's id, and of which tool. */
export type CallName = { readonly call: string; readonly name: string };
/** The model asks for a tool; `text` are the arguments, raw JSON exactly as the model wrote it. */
export type ToolCallPart = { readonly type: 'tool_call'; readonly text: string } & CallName;
/** What became of a call: `unknown` may have run. */
export type ToolStatus = 'ok' | 'error' | 'denied' | 'timeout' | 'interrupted' | 'unknown';
/** The only part of a message of role `tool`; `text` is what the tool gave. */
export type ToolResultPart = {
  readonly type: 'tool_result';
  readonly text: string;
  readonly call: string;
  readonly status: ToolStatus;
};
export type Part = TextPart | ReasoningPart | ToolCallPart | ToolResultPart;
/** What a block of a live step becomes when its message is committed. */
export type BlockType = Exclude<Part['type'], 'tool_result'>;
/** A part over `LIMITS.inlinePartBytes` in a snapshot or a page: its text is fetched by the query `messages.part`. */
export type PartReference = Unread<Part>;
type Unread<P extends Part> = P extends Part ? Omit<P, 'text'> & { readonly bytes: number } : never;
export type PartOrReference = Part | PartReference;

export type Message = {
  /** Per chat, from 1, never reused. */
  readonly number: number;
  /** The id of the command that created it; of a reply: an id of the server's. */
  readonly id: string;
  readonly role: Role;
  readonly parts: readonly PartOrReference[];
  readonly created_at: number;
  /** Only on what a user sent. */
  readonly created_by?: string;
  /** Only on what a model wrote, like `turn`, `step`, `interrupted` and `usage`. */
  readonly model?: string;
  readonly turn?: TurnId;
  readonly step?: number;
  /** The text ends where the turn was stopped, interrupted or lost with its node. */
  readonly interrupted?: boolean;
  readonly usage?: Usage;
};

export type Usage = {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cache_read_tokens: number;
  readonly cache_write_tokens: number;
  /** True when the provider never said the final figures (an aborted or lost attempt). */
  readonly estimated: boolean;
};

export type QueuedMessage = {
  readonly id: CommandId;
  readonly parts: readonly TextPart[];
  readonly created_by: string;
  readonly created_at: number;
  /** It goes into the running turn, at its next step. */
  readonly steer?: true;
  /** Somebody edits it: until then it is not taken, nor is anything behind it. */
  readonly held_until?: number;
};

/** A call that waits for somebody: for the result of a tool that clients run, or for the approval of one of the server's. */
export type Action = CallName & {
  readonly type: 'result' | 'approval';
  /** Raw JSON. */
  readonly args: string;
  /** Unix ms; then the call times out. */
  readonly deadline_at: number;
  /** Of the arguments and the tool: an approval names it, so that it is never one of something else. */
  readonly hash: string;
};

export type TurnEnd = { readonly turn: TurnId; readonly outcome: TurnOutcome; readonly error: ErrorBody | null };

/** A chat in a list, in a snapshot and in the event `chat`: always whole, the last one wins. */
export type Chat = {
  readonly id: ChatId;
  readonly owner: string;
  readonly parent: ChatId | null;
  readonly root: ChatId;
  readonly title: string | null;
  readonly status: ChatStatus;
  readonly archived: boolean;
  readonly model: string;
  /** Turns go on at the provider while their node is gone, where the provider can do that. */
  readonly background?: true;
  /** Set on entering the status `error`, null in every other. */
  readonly last_error: ErrorBody | null;
  /** How the latest turn that is over has ended; null before the first one. */
  readonly last_turn: TurnEnd | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly created_at: number;
  readonly updated_at: number;
};

/** A chat in a list or in the feed. */
export type ChatSummary = Chat & {
  /** The number of the last message that the owner has read; null on the chats of others, like `unread`. */
  readonly read: number | null;
  /** Messages behind it that no user has sent, at most `LIMITS.unreadMessages`: that many stand for more. */
  readonly unread: number | null;
};
