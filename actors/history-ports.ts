// What is read of the messages of a chat and of the chats of an owner, and how messages leave it.

import type { ChatSummary, Message, Role } from '../protocol/content.ts';
import type { ChatId } from '../protocol/ids.ts';
import type { Position } from '../protocol/position.ts';

export type ChatChanges = {
  /** The client drops what it had: `messages` are the newest ones. */
  readonly dropOlder: boolean;
  readonly messages: readonly Message[];
  readonly removed: readonly (readonly [number, number])[];
  readonly hasOlder: boolean;
  readonly retracted: Position | null;
};

export type PageRange = { readonly before: number | null; readonly after: number | null; readonly limit: number };

export type MessagePage = { readonly messages: readonly Message[]; readonly hasMore: boolean };

/** A message that its user sees. */
export type FoundMessage = {
  readonly number: number;
  readonly role: Role;
};

/** Every message numbered `from` or above leaves the chat at `position`, that of its event. None is deleted. */
export type Rewind = { readonly from: number; readonly position: Position };

export type FeedPage = {
  /** Ascending; each place is one chat's, so that whoever has applied a part of them stands at the last `seq` of that. */
  readonly entries: readonly { readonly seq: number; readonly chat: ChatSummary }[];
  /** Where the reader stands with all of them; there are more when it is below `top`. */
  readonly cursor: number;
  /** The newest place that was given. An `after` above it never was: the database was set back. */
  readonly top: number;
};

export type ChatList = {
  readonly chats: readonly ChatSummary[];
  readonly next: { readonly updatedAtMs: number; readonly id: ChatId } | null;
  /** The feed's cursor of the viewer's own chats, read before the page: pages and feed give every chat. */
  readonly feed: number;
};
