// The frames of the wire as values: an op number and fields by position (SPEC.md §4 and §5).

import type { Chat, ChatSummary, Message, QueuedMessage } from './content.ts';
import type { ErrorBody } from './errors.ts';
import type { LiveTurn, PositionedEvent } from './events.ts';
import type { ChatId, CommandId } from './ids.ts';
import type { Position } from './position.ts';

export const PROTOCOL_VERSION = 1;
export const SUBPROTOCOL = 'parley.v1';

/** Op → its number. Client ops lie below 32, server ops from 32 on. Append only. */
export const OPS = {
  hello: 1,
  auth: 2,
  attach: 3,
  more: 4,
  detach: 5,
  command: 6,
  query: 7,
  ping: 8,
  watch: 9,
  unwatch: 10,
  welcome: 33,
  reply: 34,
  attached: 35,
  event: 36,
  feed: 37,
  heartbeat: 38,
  drain: 39,
  bye: 40,
  refused: 41,
} as const;

/** Arguments and results of commands and queries: a map with string keys. */
export type Args = Readonly<Record<string, unknown>>;

export type ClientFrame =
  | { readonly op: 'hello'; readonly version: number; readonly credential: string; readonly client: string }
  | { readonly op: 'auth'; readonly request: number; readonly credential: string }
  | { readonly op: 'attach'; readonly chat: ChatId; readonly cursor: Position | null }
  | { readonly op: 'more'; readonly chat: ChatId }
  | { readonly op: 'detach'; readonly chat: ChatId }
  | {
      readonly op: 'command';
      readonly request: number;
      readonly id: CommandId;
      readonly name: string;
      readonly args: Args;
      /** The bytes of `args` as they came: their hash says whether a retry is the same command. */
      readonly rawArgs: Uint8Array;
      /** The place in the client's trace, a W3C `traceparent`; what is none is ignored (SPEC.md §3.4). */
      readonly trace?: string;
    }
  | { readonly op: 'query'; readonly request: number; readonly name: string; readonly args: Args }
  | { readonly op: 'ping' }
  /** Follow the feed of one's own chats; null: nothing of it is known. */
  | { readonly op: 'watch'; readonly request: number; readonly cursor: number | null }
  | { readonly op: 'unwatch' };

/** One piece of a snapshot; `head` comes with the first, the state holds once `last` was applied. */
export type SnapshotPiece = {
  readonly last: boolean;
  readonly head: SnapshotHead | null;
  /** Ascending by number; parts above the inline limit are references. */
  readonly messages: readonly Message[];
  /** Text of the live blocks, in order: `[index, offset, text]`. The blocks in `head` come with empty text. */
  readonly live: readonly (readonly [number, number, string])[];
  /** As `live`, what the live calls have given: `[place among the calls, offset, text]`. */
  readonly calls: readonly (readonly [number, number, string])[];
};

export type SnapshotHead = {
  /** Drop all messages of this chat that were kept from before; else only those in `removed`. */
  readonly drop_older: boolean;
  /** The cursor named a place that this chat never had (its storage was set back): take this position all the same. */
  readonly disowned: boolean;
  /** Events of that epoch after that seq were lost in a crash: text that they showed is no more. */
  readonly retracted: Position | null;
  /** Closed ranges of message numbers that left the chat since the cursor. */
  readonly removed: readonly (readonly [number, number])[];
  /** There are messages older than those that the client has after this snapshot. */
  readonly has_older: boolean;
  readonly chat: Chat;
  readonly queue: readonly QueuedMessage[];
  readonly live: LiveTurn | null;
};

/** What the server takes from one connection; more is refused as SPEC.md §11 says. */
export type SessionLimits = {
  readonly messageBytes: number;
  /** Chats followed at once. */
  readonly attachments: number;
  /** Commands and queries without a reply. */
  readonly requests: number;
};

/** The chats of (from, cursor], each whole and once. */
export type FeedFrame = {
  readonly op: 'feed';
  /** Null: the cursor was of a feed that never was (the database was set back); the list begins anew from nothing. */
  readonly from: number | null;
  readonly cursor: number;
  /** Another frame follows by itself. */
  readonly more: boolean;
  readonly chats: readonly ChatSummary[];
};

export type ServerFrame =
  | {
      readonly op: 'welcome';
      readonly version: number;
      readonly session: string;
      readonly node: string;
      readonly owner: string;
      readonly heartbeatMs: number;
      /** When the credential ends, Unix ms. */
      readonly expiresAtMs: number;
      readonly limits: SessionLimits;
    }
  | { readonly op: 'reply'; readonly request: number; readonly result: unknown; readonly error: null }
  | { readonly op: 'reply'; readonly request: number; readonly result: null; readonly error: ErrorBody }
  | {
      readonly op: 'attached';
      readonly chat: ChatId;
      readonly outcome: 'resumed';
      /** Reached when catching up ends. */
      readonly position: Position;
    }
  | {
      readonly op: 'attached';
      readonly chat: ChatId;
      readonly outcome: 'snapshot';
      /** The state is as of this position. */
      readonly position: Position;
      readonly piece: SnapshotPiece;
    }
  | { readonly op: 'attached'; readonly chat: ChatId; readonly outcome: 'gone'; readonly position: null }
  | ({ readonly op: 'event'; readonly chat: ChatId } & PositionedEvent)
  /** An event of a kind that this client does not know: it moves the position and changes nothing else. */
  | { readonly op: 'skipped'; readonly chat: ChatId; readonly position: Position; readonly span: number }
  | FeedFrame
  | {
      readonly op: 'heartbeat';
      readonly nowMs: number;
      readonly positions: readonly (readonly [ChatId, Position])[];
      /** Where a client that watches its feed must stand; absent while more is on its way to it. */
      readonly feed?: number;
    }
  | { readonly op: 'drain'; readonly afterMs: number }
  | { readonly op: 'bye'; readonly code: number; readonly reason: string }
  /** The attach was not done, nothing is known of the chat; try again as the error says. */
  | { readonly op: 'refused'; readonly chat: ChatId; readonly error: ErrorBody };
