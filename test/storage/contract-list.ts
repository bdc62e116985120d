// Contract: who sees which chats, pages of a list, and the feed's cursor.

import type { ChatList } from '../../actors/history-ports.ts';
import { expect, test } from 'vitest';

import type { ListRequest, Principal } from '../../actors/ports.ts';
import type { ChatId, OwnerId } from '../../protocol/ids.ts';
import { createChat, createTaken, intentOf, newOwner, NOW_MS, valueOf, type DatabaseHandle } from './fixture.ts';

function principal(owner: OwnerId, role: Principal['role'] = 'member'): Principal {
  return { owner, role, groups: [] };
}

export function feedContract(handle: () => DatabaseHandle): void {
  const list = async (viewer: Principal, request: Partial<ListRequest> = {}): Promise<ChatList> =>
    valueOf(
      await handle().opened.store.list({ viewer, owner: null, archived: null, limit: 25, after: null, ...request }),
    );
  const ids = (page: ChatList): readonly ChatId[] => page.chats.map((chat) => chat.id);

  test('[list] a limit of 25 gives 25 while 25 visible ones exist, with foreign ones in between', async () => {
    const { store } = handle().opened;
    const [mine, theirs] = [newOwner(), newOwner()];
    const own: ChatId[] = [];
    for (let i = 0; i < 60; i += 1) {
      const { chat } = await createChat(store, { owner: i % 2 === 0 ? mine : theirs, atMs: NOW_MS + i });
      if (i % 2 === 0) own.unshift(chat);
    }
    const first = await list(principal(mine));
    expect(ids(first)).toEqual(own.slice(0, 25));
    const second = await list(principal(mine), { after: first.next });
    expect(ids(second)).toEqual(own.slice(25));
    expect(second.next).toBeNull();
  });

  test('[list] pages on (updated_at, id): chats of the same moment are neither lost nor doubled', async () => {
    const { store } = handle().opened;
    const owner = newOwner();
    const made = await Promise.all(Array.from({ length: 9 }, () => createChat(store, { owner, atMs: NOW_MS })));
    const seen: ChatId[] = [];
    let after: ListRequest['after'] = null;
    do {
      const page: ChatList = await list(principal(owner), { limit: 2, after });
      seen.push(...ids(page));
      after = page.next;
    } while (after !== null);
    expect(seen).toEqual(
      made
        .map(({ chat }) => chat)
        .toSorted()
        .toReversed(),
    );
  });

  test('[list] a page that ends with the last chat says so', async () => {
    const { store } = handle().opened;
    const owner = newOwner();
    await Promise.all([createChat(store, { owner }), createChat(store, { owner })]);
    expect((await list(principal(owner), { limit: 2 })).next).toBeNull();
    expect((await list(principal(owner), { limit: 1 })).next).not.toBeNull();
  });

  test('[list] members see their own, auditors and admins everybody, or the owner they name', async () => {
    const { store } = handle().opened;
    const [mine, theirs] = [newOwner(), newOwner()];
    const own = await createChat(store, { owner: mine, atMs: NOW_MS + 1_000_000 });
    const foreign = await createChat(store, { owner: theirs, atMs: NOW_MS + 1_000_001 });
    expect(ids(await list(principal(mine)))).toEqual([own.chat]);
    expect(ids(await list(principal(mine), { owner: mine }))).toEqual([own.chat]);
    expect(ids(await list(principal(mine), { owner: theirs }))).toEqual([]);
    for (const role of ['auditor', 'admin'] as const) {
      const viewer = principal(newOwner(), role);
      expect(ids(await list(viewer, { limit: 2 }))).toEqual([foreign.chat, own.chat]);
      expect(ids(await list(viewer, { owner: mine }))).toEqual([own.chat]);
      expect(valueOf(await store.get(viewer, own.chat))?.id).toBe(own.chat);
    }
    expect(valueOf(await store.get(principal(mine), foreign.chat))).toBeNull();
    expect(valueOf(await store.get(principal(theirs), foreign.chat))?.owner).toBe(theirs);
  });

  test('[list] archived: absent gives both, true and false one kind', async () => {
    const { store } = handle().opened;
    const owner = newOwner();
    const archived = await createTaken(store, { owner, atMs: NOW_MS });
    const open = await createTaken(store, { owner, atMs: NOW_MS + 1 });
    await store.commit(intentOf(archived.chat, 1, { patch: { archived: true } }));
    const both = await list(principal(owner));
    expect(both.chats.map((chat) => chat.archived)).toEqual([false, true]);
    expect(ids(await list(principal(owner), { archived: true }))).toEqual([archived.chat]);
    expect(ids(await list(principal(owner), { archived: false }))).toEqual([open.chat]);
  });

  test('[feed] pages and feed together give every chat, whatever changes in between', async () => {
    const { opened, raw } = handle();
    const { store } = opened;
    const owner = newOwner();
    const made = [];
    for (let i = 0; i < 6; i += 1) made.push(await createTaken(store, { owner, atMs: NOW_MS + i }));
    const first = await list(principal(owner), { limit: 3 });
    // One that the next page would have held moves to the front, and a new one appears.
    const moved = made[0]?.chat ?? ('' as ChatId);
    await store.commit(intentOf(moved, 1, { atMs: NOW_MS + 50, listed: true }));
    const fresh = await createChat(store, { owner, atMs: NOW_MS + 60 });
    const second = await list(principal(owner), { limit: 9, after: first.next });
    const feed = await raw<{ id: ChatId }[]>`select id from chats where owner = ${owner} and feed_seq > ${first.feed}`;
    const known = new Set([...ids(first), ...ids(second), ...feed.map((row) => row.id)]);
    expect(known).toEqual(new Set([...made.map(({ chat }) => chat), fresh.chat]));
    expect(feed.map((row) => row.id).toSorted()).toEqual([moved, fresh.chat].toSorted());
  });

  test('[feed] the cursor is the viewer’s own, also of one without chats', async () => {
    const { store } = handle().opened;
    const owner = newOwner();
    await createChat(store, { owner });
    await createChat(store, { owner });
    expect((await list(principal(owner))).feed).toBe(2);
    expect((await list(principal(newOwner(), 'admin'))).feed).toBe(0);
  });

  test('[storage] last_error is in the list while it is set', async () => {
    const { store } = handle().opened;
    const { chat, owner } = await createTaken(store);
    const lastError = { code: 'model_silent', message: 'Silence.', retry: 'later' } as const;
    await store.commit(intentOf(chat, 1, { listed: true, patch: { status: 'error', lastError } }));
    expect((await list(principal(owner))).chats[0]).toMatchObject({ status: 'error', last_error: lastError });
    await store.commit(intentOf(chat, 1, { listed: true, patch: { status: 'waiting', lastError: null } }));
    expect((await list(principal(owner))).chats[0]).toMatchObject({ status: 'waiting', last_error: null });
  });
}
