// What one chat tells others: a row for each of them, written in the commit of the one that tells, and taken away in the
// commit in which the other has done what it asks for.

import type { ChatId, TurnId } from '../protocol/ids.ts';
import type { Position } from '../protocol/position.ts';

/** To every chat below whose turn runs: that turn stops. `position`: where the one that tells stands then. */
export type TellBelow = { readonly kind: 'stop'; readonly position: Position };

/** The chat, and the source at its position, are the key: what was told twice is there once. */
export type Told = {
  readonly chat: ChatId;
  readonly source: ChatId;
  readonly position: Position;
  readonly kind: 'stop';
  /** The turn that ran when it was told; a later one is nobody's business. */
  readonly turn: TurnId;
};

/** What waits for a node. */
export type Due = {
  /** Chats that run on, are due, or were told something, and that no live incarnation owns. */
  readonly chats: readonly ChatId[];
  /** To chats that this node owns. */
  readonly told: readonly Told[];
};
