// What is read of the messages of a chat, and how they leave it.

import type { Message, Role } from '../protocol/content.ts';
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
