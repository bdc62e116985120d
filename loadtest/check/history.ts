// A history: what clients sent, what was answered and everything that they saw, in the order in which it happened to them.
//
// It is an append-only list of records, in memory or one JSON value a line in a file. Records of one client are in its own
// order; between clients the order is that of the recorder, close enough to measure time by, and no rule needs more.
// Ids are text, times Unix milliseconds of the recorder's clock.

import type { ChatFrame } from '../../protocol/client/attachment.ts';
import type { ChatState } from '../../protocol/client/chat-state.ts';
import type { Message, QueuedMessage } from '../../protocol/content.ts';
import type { ErrorCode } from '../../protocol/errors.ts';
import type { ChatId, CommandId, TurnId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';

/** Two clients that stand at one position agree on this. How the last turn ended stands in `chat` too. */
export type ComparedState = Pick<ChatState, 'position' | 'chat' | 'queue' | 'turn' | 'messages' | 'oldest'>;

type ByClient = { readonly at: number; readonly client: string; readonly chat: ChatId };

/** A command left its client for the first time, or again under the same id. */
export type SentRecord = ByClient & {
  readonly type: 'sent';
  readonly id: CommandId;
  readonly name: string;
  /** What `chat.rename` asks for. */
  readonly title?: string;
  /** What `chat.stop` names. */
  readonly turn?: TurnId;
};

export type AckedRecord = ByClient & {
  readonly type: 'acked';
  readonly id: CommandId;
  /** Of the reply: `started`, `queued`, `stopping`, …; null where it has none. */
  readonly outcome: string | null;
  /** A digest of the whole result: a repeated command hears the same. */
  readonly digest: string;
};

export type HistoryRecord =
  | SentRecord
  | AckedRecord
  /** The command took no effect, and the server said so for good. */
  | (ByClient & { readonly type: 'refused'; readonly id: CommandId; readonly code: ErrorCode })
  /** Nobody can tell the client any more. */
  | (ByClient & { readonly type: 'unknown'; readonly id: CommandId })
  /** What the client attaches with. */
  | (ByClient & { readonly type: 'attach'; readonly cursor: Position | null })
  /** The client does not want the chat any more, until it attaches again. */
  | (ByClient & { readonly type: 'detached' })
  /** Before the client handles it. */
  | (ByClient & { readonly type: 'frame'; readonly frame: ChatFrame })
  /** The connection is over; the client keeps its cursors. */
  | { readonly type: 'lost'; readonly at: number; readonly client: string }
  /** What the client itself shows in the end. */
  | (ByClient & { readonly type: 'ended'; readonly state: ComparedState })
  /** What somebody sees who attaches without a cursor when everything is at rest. */
  | { readonly type: 'fresh'; readonly at: number; readonly chat: ChatId; readonly state: ComparedState }
  /** What the model says to that turn when nobody stops it: the provider's own record. Comes before `page`. */
  | { readonly type: 'said'; readonly chat: ChatId; readonly turn: TurnId; readonly text: string }
  /** All messages that the chat holds in the end, ascending, over one record or more. */
  | {
      readonly type: 'page';
      readonly chat: ChatId;
      readonly messages: readonly Message[];
      readonly last: boolean;
      readonly queue: readonly QueuedMessage[];
    }
  /** Who holds the chat, as storage says at one moment; null: nobody. */
  | {
      readonly type: 'owner';
      readonly at: number;
      readonly chat: ChatId;
      readonly epoch: number;
      readonly node: string | null;
    }
  /** Under which epoch and by which node an attempt was opened: a write that storage has accepted. */
  | { readonly type: 'attempt'; readonly chat: ChatId; readonly epoch: number; readonly node: string | null }
  /** Where storage holds the chat's messages: `[number, epoch, seq]`, ascending by number. */
  | { readonly type: 'rows'; readonly chat: ChatId; readonly places: readonly (readonly [number, number, number])[] }
  /** The attempt's text was taken back in order, whether or not anybody was there to see it. */
  | {
      readonly type: 'reset';
      readonly chat: ChatId;
      readonly turn: string;
      readonly step: number;
      readonly attempt: number;
    }
  | { readonly type: 'fault'; readonly at: number; readonly kind: string; readonly node: string | null }
  /** The faults have stopped: from here on every chat answers in time. */
  | { readonly type: 'calm'; readonly at: number };

export type RecordType = HistoryRecord['type'];

const TYPES: Readonly<Record<RecordType, readonly string[]>> = {
  sent: ['at', 'client', 'chat', 'id', 'name'],
  acked: ['at', 'client', 'chat', 'id', 'digest'],
  refused: ['at', 'client', 'chat', 'id', 'code'],
  unknown: ['at', 'client', 'chat', 'id'],
  attach: ['at', 'client', 'chat', 'cursor'],
  detached: ['at', 'client', 'chat'],
  frame: ['at', 'client', 'chat', 'frame'],
  lost: ['at', 'client'],
  ended: ['at', 'client', 'chat', 'state'],
  fresh: ['at', 'chat', 'state'],
  said: ['chat', 'turn', 'text'],
  page: ['chat', 'messages', 'last', 'queue'],
  owner: ['at', 'chat', 'epoch', 'node'],
  attempt: ['chat', 'epoch', 'node'],
  rows: ['chat', 'places'],
  reset: ['chat', 'turn', 'step', 'attempt'],
  fault: ['at', 'kind', 'node'],
  calm: ['at'],
};

export function formatRecord(record: HistoryRecord): string {
  return `${JSON.stringify(record)}\n`;
}

/** A record from its line; what is wrong with it otherwise. What stands inside frames and states is taken as it is. */
export function parseRecord(line: string): HistoryRecord | { readonly fault: string } {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { fault: 'it is no JSON' };
  }
  if (typeof value !== 'object' || value === null) return { fault: 'it is no object' };
  const record = value as Readonly<Record<string, unknown>>;
  const type = record['type'];
  if (typeof type !== 'string' || !Object.hasOwn(TYPES, type)) return { fault: `there is no type ${String(type)}` };
  const missing = TYPES[type as RecordType].filter((field) => record[field] === undefined);
  if (missing.length > 0) return { fault: `a record of type ${type} lacks ${missing.join(', ')}` };
  return value as HistoryRecord;
}
