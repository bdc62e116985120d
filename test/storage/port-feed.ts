// The contract of the port `ChatStore` about the feed and what is unread: on both databases and on the store in memory.

import type { FeedPage } from '../../actors/history-ports.ts';
import { expect, test } from 'vitest';
import type { ChatStore, Principal } from '../../actors/ports.ts';
import type { ChatSummary } from '../../protocol/content.ts';
import type { ChatId, OwnerId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import {
  at,
  commandOf,
  createChat,
  createTaken,
  epochOf,
  intentOf,
  messageOf,
  newOwner,
  NOW_MS,
  valueOf,
} from './fixture.ts';

function member(owner: OwnerId): Principal {
  return { owner, role: 'member', groups: [] };
}

type Look = {
  readonly feed: (owner: OwnerId, after: number, limit?: number) => Promise<FeedPage>;
  readonly get: (owner: OwnerId, chat: ChatId) => Promise<ChatSummary | null>;
};

function ids(page: FeedPage): readonly ChatId[] {
  return page.entries.map(({ chat }) => chat.id);
}

/** `store` is called inside tests only. */
export function feedPort(store: () => ChatStore): void {
  const look: Look = {
    feed: async (owner, after, limit = 100) => valueOf(await store().feed(owner, after, limit)),
    get: async (owner, chat) => valueOf(await store().get(member(owner), chat)),
  };
  places(store, look);
  trees(store, look);
  unread(store, look);
}

function places(store: () => ChatStore, { feed, get }: Look): void {
  test('[feed] it has each chat once, where it changed last, as it is now', async () => {
    const owner = newOwner();
    const [a, b, c] = [
      await createTaken(store(), { owner }),
      await createTaken(store(), { owner }),
      await createTaken(store(), { owner }),
    ];
    await createTaken(store());
    expect(ids(await feed(owner, 0))).toEqual([a.chat, b.chat, c.chat]);
    const { cursor } = await feed(owner, 0);
    expect(await feed(owner, cursor)).toEqual({ entries: [], cursor, top: cursor });
    await store().commit(intentOf(b.chat, 1, { listed: true, patch: { title: 'first' } }));
    await store().commit(intentOf(b.chat, 1, { listed: true, patch: { title: 'last' } }));
    await store().commit(intentOf(a.chat, 1, { patch: { nextNumber: 1 } }));
    const news = await feed(owner, cursor);
    expect(news.entries).toEqual([{ seq: news.cursor, chat: await get(owner, b.chat) }]);
    expect(news.entries[0]?.chat.title).toBe('last');
    expect(ids(await feed(owner, 0))).toEqual([a.chat, c.chat, b.chat]);
  });

  test('[feed] every chat has a place of its own: a page may end anywhere, and none is lost', async () => {
    const owner = newOwner();
    const made: ChatId[] = [];
    for (let i = 0; i < 7; i++) made.push((await createTaken(store(), { owner })).chat);
    const { cursor } = await feed(owner, 0);
    // Those that arrive together share a transaction.
    await Promise.all(made.map((chat) => store().commit(intentOf(chat, 1, { listed: true }))));
    const seen: ChatId[] = [];
    let after = cursor;
    for (let top = cursor + 1; after < top;) {
      const page = await feed(owner, after, 2);
      seen.push(...ids(page));
      expect(page.entries.map(({ seq }) => seq)).toEqual(page.entries.map((_, i) => after + 1 + i));
      ({ top, cursor: after } = page);
    }
    expect(seen.toSorted()).toEqual(made.toSorted());
    expect(after).toBe(cursor + made.length);
  });

  test('[feed] a cursor that was never given is told by the top', async () => {
    const owner = newOwner();
    await createChat(store(), { owner });
    expect(await feed(owner, 2)).toEqual({ entries: [], cursor: 1, top: 1 });
    expect(await feed(owner, 1)).toEqual({ entries: [], cursor: 1, top: 1 });
    expect(await feed(newOwner(), 0)).toEqual({ entries: [], cursor: 0, top: 0 });
  });

  test('[feed] the tops of many owners come at once', async () => {
    const [one, other, none] = [newOwner(), newOwner(), newOwner()];
    await createChat(store(), { owner: one });
    await createChat(store(), { owner: other });
    await createChat(store(), { owner: other });
    const tops = valueOf(await store().feedTops([one, other, none]));
    expect([tops.get(one), tops.get(other), tops.get(none), tops.size]).toEqual([1, 2, undefined, 2]);
  });
}

function trees(store: () => ChatStore, { feed, get }: Look): void {
  test('[feed] of an archived tree every chat is in it, and the named one alone moves in the list', async () => {
    const { chat: root, owner } = await createTaken(store());
    const { chat: child } = await createTaken(store(), { owner, parent: root });
    const { chat: other } = await createTaken(store(), { owner, parent: root });
    const request = { epoch: epochOf(1), atMs: NOW_MS + 9 };
    const archive = async (chat: ChatId, archived: boolean): Promise<FeedPage> => {
      const { cursor } = await feed(owner, 0);
      await store().archiveTree({ ...request, chat, archived, command: commandOf(owner) });
      return feed(owner, cursor);
    };
    expect(ids(await archive(child, true))).toEqual([child]);
    const both = await archive(root, true);
    expect(ids(both).toSorted()).toEqual([root, other].toSorted());
    expect(new Set(both.entries.map(({ chat }) => chat.archived))).toEqual(new Set([true]));
    expect((await get(owner, other))?.updated_at).toBe(NOW_MS);
    expect(ids(await archive(root, true))).toEqual([]);
    expect(ids(await archive(root, false))).toEqual([root]);
  });
}

function unread(store: () => ChatStore, { feed, get }: Look): void {
  test('[feed] unread is what users see behind the read position, but what a user has sent or done', async () => {
    const { chat, owner } = await createTaken(store());
    const reply = { role: 'assistant' } as const;
    const messages = [
      messageOf(1, at(1, 1)),
      messageOf(2, at(1, 2), reply),
      messageOf(3, at(1, 3), { ...reply, visibility: 'model' }),
      messageOf(4, at(1, 4), { ...reply, visibility: 'user' }),
      messageOf(5, at(1, 5), { role: 'tool' }),
      messageOf(6, at(1, 6)),
      messageOf(7, at(1, 7), { role: 'system', visibility: 'user' }),
    ];
    const { cursor } = await feed(owner, 0);
    await store().commit(intentOf(chat, 1, { fed: true, messages, patch: { nextNumber: 8 } }));
    const news = await feed(owner, cursor);
    expect(news.entries[0]?.chat).toMatchObject({ id: chat, read: 0, unread: 3, updated_at: NOW_MS });
    const reading = async (readNumber: number): Promise<FeedPage['entries'][number] | undefined> => {
      const before = (await feed(owner, 0)).cursor;
      await store().commit(intentOf(chat, 1, { fed: true, atMs: NOW_MS + 5, patch: { readNumber } }));
      return (await feed(owner, before)).entries[0];
    };
    expect((await reading(3))?.chat).toMatchObject({ read: 3, unread: 2, updated_at: NOW_MS });
    expect((await reading(5))?.chat).toMatchObject({ read: 5, unread: 0 });
    // Two devices may tell in any order.
    expect((await reading(4))?.chat).toMatchObject({ read: 5, unread: 0 });
    const [listed] = valueOf(
      await store().list({ viewer: member(owner), owner: null, archived: null, limit: 1, after: null }),
    ).chats;
    expect(listed).toEqual(await get(owner, chat));
    expect(listed).toMatchObject({ read: 5, unread: 0 });
  });

  test('[feed] unread is counted up to a limit, and how far a chat was read is its owner’s affair', async () => {
    const { chat, owner } = await createTaken(store());
    const messages = Array.from({ length: LIMITS.unreadMessages + 5 }, (_, i) =>
      messageOf(i + 1, at(1, i + 1), { role: 'assistant' }),
    );
    await store().commit(intentOf(chat, 1, { fed: true, messages, patch: { nextNumber: messages.length + 1 } }));
    expect(await get(owner, chat)).toMatchObject({ read: 0, unread: LIMITS.unreadMessages });
    await store().commit(intentOf(chat, 1, { fed: true, patch: { readNumber: 10 } }));
    expect(await get(owner, chat)).toMatchObject({ read: 10, unread: messages.length - 10 });
    const auditor: Principal = { owner: newOwner(), role: 'auditor', groups: [] };
    expect(valueOf(await store().get(auditor, chat))).toMatchObject({ id: chat, read: null, unread: null });
    const page = valueOf(await store().list({ viewer: auditor, owner, archived: null, limit: 5, after: null }));
    expect(page.chats).toMatchObject([{ id: chat, read: null, unread: null }]);
  });
}
