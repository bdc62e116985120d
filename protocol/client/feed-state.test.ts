import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ChatSummary } from '../content.ts';
import type { FeedFrame } from '../frames.ts';
import type { ChatId } from '../ids.ts';
import { EXAMPLE_CHAT } from '../vectors/example.ts';
import type { ChatPage } from './calls.ts';
import { applyChatPage, applyFeed, EMPTY_FEED_STATE, sortedChats, type FeedState } from './feed-state.ts';

function chat(n: number, change: Partial<ChatSummary> = {}): ChatSummary {
  const id = `00000000-0000-7000-8000-${n.toString(16).padStart(12, '0')}` as ChatId;
  return { ...EXAMPLE_CHAT, id, root: id, updated_at: n, read: 0, unread: 0, ...change };
}

function frame(from: number | null, cursor: number, ...chats: readonly ChatSummary[]): FeedFrame {
  return { op: 'feed', from, cursor, more: false, chats };
}

function applied(state: FeedState, next: FeedFrame): FeedState {
  const result = applyFeed(state, next);
  return result.outcome === 'applied' ? result.state : state;
}

const FIRST = applyChatPage(EMPTY_FEED_STATE, { chats: [chat(2), chat(1)], next: null, feed: 7 });

describe('list state', () => {
  test('[feed] a frame is applied, dropped or a gap by its cursor alone', () => {
    expect(applyFeed(FIRST, frame(7, 9, chat(3))).outcome).toBe('applied');
    expect(applyFeed(FIRST, frame(5, 8, chat(3))).outcome).toBe('applied');
    expect(applyFeed(FIRST, frame(5, 7, chat(3))).outcome).toBe('duplicate');
    expect(applyFeed(FIRST, frame(7, 7)).outcome).toBe('duplicate');
    expect(applyFeed(FIRST, frame(8, 9, chat(3))).outcome).toBe('gap');
    expect(applyFeed(EMPTY_FEED_STATE, frame(0, 1, chat(3))).outcome).toBe('applied');
    expect(applyFeed(EMPTY_FEED_STATE, frame(1, 2, chat(3))).outcome).toBe('gap');
  });

  test('[feed] the feed replaces what is there, a page only adds; lists begin with the latest change', () => {
    const fed = applied(FIRST, frame(7, 8, chat(1, { title: 'fed', updated_at: 50 })));
    const page: ChatPage = { chats: [chat(1, { title: 'paged' }), chat(9, { updated_at: 0 })], next: null, feed: 99 };
    const both = applyChatPage(fed, page);
    expect(both.cursor).toBe(8);
    expect(sortedChats(both).map(({ title, updated_at: at }) => [title, at])).toEqual([
      ['fed', 50],
      [null, 2],
      [null, 0],
    ]);
  });

  test('[feed] a feed that begins anew forgets what was there', () => {
    const anew = applied(FIRST, frame(null, 3, chat(4)));
    expect([anew.cursor, anew.next, sortedChats(anew).map(({ updated_at: at }) => at)]).toEqual([3, null, [4]]);
  });

  test('[feed] however frames are cut, repeated and mixed with pages, the list ends as the chats are', () => {
    const changes = fc.array(fc.record({ n: fc.integer({ min: 1, max: 8 }), pages: fc.boolean() }), { maxLength: 40 });
    const cuts = fc.array(fc.record({ back: fc.nat(5), ahead: fc.nat(5) }), { maxLength: 60 });
    fc.assert(
      fc.property(changes, cuts, (history, reads) => {
        // The server: each chat at the place of its last change.
        const at = (seq: number): Map<number, ChatSummary & { readonly seq: number }> =>
          new Map(history.slice(0, seq).map(({ n }, i) => [n, { ...chat(n, { title: `${i + 1}` }), seq: i + 1 }]));
        const between = (from: number, to: number, now: number): FeedFrame => {
          const chats = [...at(now).values()].filter(({ seq }) => seq > from && seq <= to);
          return frame(from, to, ...chats);
        };
        const start = Math.floor(history.length / 3);
        const page = (now: number): ChatPage => ({ chats: [...at(now).values()], next: null, feed: start });
        let state = applyChatPage(EMPTY_FEED_STATE, { ...page(start), chats: [] });
        for (const { back, ahead } of reads) {
          const last = state.cursor ?? 0;
          const to = Math.min(history.length, last + ahead);
          state = applied(state, between(Math.max(0, last - back), to, history.length));
          if (history[to]?.pages === true) state = applyChatPage(state, page(to));
        }
        state = applyChatPage(state, page(start));
        state = applied(state, between(state.cursor ?? 0, history.length, history.length));
        const titles = (chats: Iterable<ChatSummary>): readonly string[] =>
          Array.from(chats, ({ title }) => `${title}`);
        expect(titles(state.chats.values()).toSorted()).toEqual(titles(at(history.length).values()).toSorted());
      }),
    );
  });
});
