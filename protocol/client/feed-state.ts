// The list of one's chats as a pure function of the pages and the frames of the feed that came in (SPEC.md, "Feed").

import type { ChatSummary } from '../content.ts';
import type { FeedFrame } from '../frames.ts';
import type { ChatId } from '../ids.ts';
import type { ChatPage, ListCursor } from './calls.ts';

export type FeedState = {
  /** Up to where the feed was applied; null before the first page. */
  readonly cursor: number | null;
  /** What is known, in no order: everything that has changed since the first page, and what was paged to. */
  readonly chats: ReadonlyMap<ChatId, ChatSummary>;
  /** Where the next page begins; null when there is none, or the first one has not come. */
  readonly next: ListCursor | null;
};

export const EMPTY_FEED_STATE: FeedState = { cursor: null, chats: new Map(), next: null };

/**
 * Adds what a page shows and the list does not have. What it has is never older for good: whatever has changed since the
 * first page comes by the feed, and a page may have been read before that.
 */
export function applyChatPage(state: FeedState, { chats, next, feed }: ChatPage): FeedState {
  const fresh = chats.filter(({ id }) => !state.chats.has(id));
  return { cursor: state.cursor ?? feed, chats: withChats(state.chats, fresh), next };
}

export type FeedApplied =
  | { readonly outcome: 'applied'; readonly state: FeedState }
  | { readonly outcome: 'duplicate' | 'gap' };

export function applyFeed(state: FeedState, { from, cursor, chats }: FeedFrame): FeedApplied {
  // The server was set back: what it has now comes whole, by the feed alone.
  if (from === null) {
    return { outcome: 'applied', state: { cursor, chats: withChats(new Map(), chats), next: null } };
  }
  const last = state.cursor ?? 0;
  if (from > last) return { outcome: 'gap' };
  if (cursor <= last) return { outcome: 'duplicate' };
  return { outcome: 'applied', state: { ...state, cursor, chats: withChats(state.chats, chats) } };
}

/** The chats as lists show them: the latest change first. */
export function sortedChats({ chats }: FeedState): readonly ChatSummary[] {
  return [...chats.values()].sort((a, b) => b.updated_at - a.updated_at || (a.id < b.id ? 1 : -1));
}

function withChats(
  chats: ReadonlyMap<ChatId, ChatSummary>,
  fresh: readonly ChatSummary[],
): ReadonlyMap<ChatId, ChatSummary> {
  if (fresh.length === 0) return chats;
  const all = new Map(chats);
  for (const chat of fresh) all.set(chat.id, chat);
  return all;
}
