// Chats as wholes: how they are created, listed and archived.

import type { ChatSummary } from '../protocol/content.ts';
import type { ChatId, Epoch, OwnerId } from '../protocol/ids.ts';
import type { CommandReply, CommandRow, Principal, Unavailable } from './ports.ts';

export type NewChat = {
  readonly id: ChatId;
  readonly owner: OwnerId;
  readonly parent: ChatId | null;
  readonly title: string | null;
  readonly model: string;
  readonly systemPrompt: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly background: boolean;
  readonly createdAtMs: number;
};

export type ListRequest = {
  readonly viewer: Principal;
  /** Null: every chat that the viewer may see. */
  readonly owner: OwnerId | null;
  /** Null: both. */
  readonly archived: boolean | null;
  readonly limit: number;
  /** Chats behind this one in (updated_at, id) descending. */
  readonly after: { readonly updatedAtMs: number; readonly id: ChatId } | null;
};

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

export type CreateResult =
  | { readonly outcome: 'created'; readonly reply: CommandReply }
  /** The command was applied before; `argsHash` says whether it was the same one. */
  | { readonly outcome: 'repeated'; readonly row: CommandRow }
  | { readonly outcome: 'no_parent' }
  | { readonly outcome: 'parent_archived' }
  | { readonly outcome: 'already_applied' }
  /** The answer to the commit was lost; the same command, sent again, learns what became of it. */
  | { readonly outcome: 'unknown'; readonly detail: string }
  | Unavailable;

export type ArchiveRequest = {
  readonly chat: ChatId;
  readonly epoch: Epoch;
  readonly archived: boolean;
  readonly atMs: number;
  readonly command: CommandRow;
};

export type ArchiveResult =
  /** `changed`: the chats of the tree that it changed, the named one included. */
  | { readonly outcome: 'archived'; readonly changed: readonly ChatId[] }
  | { readonly outcome: 'running'; readonly chats: readonly ChatId[] }
  | { readonly outcome: 'parent_archived' }
  | { readonly outcome: 'stale' }
  | { readonly outcome: 'unknown'; readonly detail: string }
  | Unavailable;
