// What a client knows of one chat. Immutable: every change makes a new value that shares what did not change, so that a
// screen can compare parts by identity.
//
// Invariants: `messages` ascend by number without repetition. With the positions up to `position` applied, it holds
// every message of the chat numbered `oldest` or above. `staging` is invisible until its snapshot is complete.

import type { Chat, Message, QueuedMessage, TurnEnd } from '../content.ts';
import type { LiveBlock, LiveCall, LiveTurn } from '../events.ts';
import type { SnapshotHead } from '../frames.ts';
import type { Position } from '../position.ts';

export type ChatState = {
  /** The cursor: everything up to here was applied. Null before the first snapshot. */
  readonly position: Position | null;
  readonly chat: Chat | null;
  readonly messages: readonly Message[];
  /** There are messages older than `messages`; a page of them is asked for with `before: oldest`. */
  readonly hasOlder: boolean;
  /** The lowest message number from which on this state is complete; null while nothing is known. */
  readonly oldest: number | null;
  /** Counts the times that messages left the chat: a page that was asked for under another count is out of date. */
  readonly history: number;
  readonly queue: readonly QueuedMessage[];
  readonly turn: LiveTurn | null;
  /** How the latest turn that is over has ended; null before the first one. */
  readonly lastTurn: TurnEnd | null;
  /** Text shown after this position was lost in a crash of the server. Stays until a turn starts or it is dismissed. */
  readonly retracted: Position | null;
  readonly staging: Staging | null;
};

/** The pieces of a snapshot that is not complete yet. */
export type Staging = {
  readonly position: Position;
  readonly head: SnapshotHead;
  readonly messages: readonly Message[];
  /** The live blocks with the text that the pieces brought so far. */
  readonly blocks: readonly LiveBlock[];
  /** And the live calls, likewise. */
  readonly calls: readonly LiveCall[];
};

/** Older messages leave a state above this, from the oldest on; they can be paged in again. */
export const STATE_MESSAGES_MAX = 10_000;

export const EMPTY_CHAT_STATE: ChatState = {
  position: null,
  chat: null,
  messages: [],
  hasOlder: false,
  oldest: null,
  history: 0,
  queue: [],
  turn: null,
  lastTurn: null,
  retracted: null,
  staging: null,
};
