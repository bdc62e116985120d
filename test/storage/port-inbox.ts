// The contract of what chats tell each other: on both databases and on the store in memory.

import { expect, test } from 'vitest';
import type { Told } from '../../actors/inbox-ports.ts';
import type { ChatStore } from '../../actors/ports.ts';
import type { TurnRecord } from '../../actors/turn-ports.ts';
import type { ChatId, OwnerId, TurnId } from '../../protocol/ids.ts';
import { at, createTaken, epochOf, intentOf, newId, NOW_MS, valueOf } from './fixture.ts';

const COMMITTED = { outcome: 'committed' };

/** `store` is called inside tests only. */
export function inboxPort(store: () => ChatStore): void {
  const toldTo = (chats: readonly ChatId[]): Promise<readonly Told[]> => toldIn(store(), chats);
  const running = (owner: OwnerId, parent: ChatId): Promise<Running> => createRunning(store(), { owner, parent });

  test('[inbox] what runs anywhere below is told, with its turn; what rests, what is beside or above is not', async () => {
    const { chat: top, owner } = await createTaken(store());
    const { chat: named } = await createTaken(store(), { owner, parent: top });
    const child = await running(owner, named);
    const { chat: resting } = await createTaken(store(), { owner, parent: named });
    const grandchild = await running(owner, resting);
    const beside = await running(owner, top);
    const tree = [top, named, child.chat, resting, grandchild.chat, beside.chat];

    const tellBelow = { kind: 'stop', position: at(1, 7) } as const;
    expect(await store().commit(intentOf(named, 1, { tellBelow }))).toEqual(COMMITTED);
    // The same again, from the same place: it is there once.
    expect(await store().commit(intentOf(named, 1, { tellBelow }))).toEqual(COMMITTED);
    const told = await toldTo(tree);
    const rowOf = ({ chat, turn }: Running): Told => ({
      chat,
      source: named,
      position: at(1, 7),
      kind: 'stop',
      turn,
    });
    expect(told.toSorted(byChat)).toEqual([rowOf(child), rowOf(grandchild)].toSorted(byChat));

    // It goes in a commit of the one that was told, under its epoch.
    const [first, second] = told as [Told, Told];
    expect(await store().commit(intentOf(first.chat, 9, { heard: [first] }))).toEqual({ outcome: 'stale' });
    expect(await toldTo(tree)).toHaveLength(2);
    expect(await store().commit(intentOf(first.chat, 1, { heard: [first] }))).toEqual(COMMITTED);
    expect(await toldTo(tree)).toEqual([second]);

    // Given up, its chat waits for whoever comes, and the row with it.
    await store().release(second.chat, epochOf(1), null);
    await store().commit(intentOf(first.chat, 1, { patch: { status: 'waiting', turn: null } }));
    expect(await toldTo(tree)).toEqual([]);
    expect(valueOf(await store().due(NOW_MS, 1_000)).chats).toContain(second.chat);
    await store().activate([{ chat: second.chat, viewer: null }], 1);
    expect(await toldTo(tree)).toEqual([second]);
    const done = intentOf(second.chat, 2, { heard: [second], patch: { status: 'waiting', turn: null } });
    expect(await store().commit(done)).toEqual(COMMITTED);
    expect(await toldTo(tree)).toEqual([]);
  });

  test('[inbox] a chat at rest that was told something is due, once nobody has it', async () => {
    const { chat: top, owner } = await createTaken(store());
    const child = await running(owner, top);
    await store().commit(intentOf(top, 1, { tellBelow: { kind: 'stop', position: at(1, 1) } }));
    await store().commit(intentOf(child.chat, 1, { patch: { status: 'requires_action' } }));
    const isDue = async (): Promise<boolean> => valueOf(await store().due(NOW_MS, 1_000)).chats.includes(child.chat);
    expect(await isDue()).toBe(false);
    await store().release(child.chat, epochOf(1), at(1, 3));
    expect(await isDue()).toBe(true);
    await store().activate([{ chat: child.chat, viewer: null }], 1);
    const [told] = await toldTo([child.chat]);
    expect(told?.turn).toBe(child.turn);
    await store().commit(intentOf(child.chat, 2, { heard: told === undefined ? [] : [told] }));
    await store().release(child.chat, epochOf(2), at(2, 1));
    expect(await isDue()).toBe(false);
  });

  test('[P1] an epoch that is over tells nobody anything', async () => {
    const { chat: top, owner } = await createTaken(store());
    const child = await running(owner, top);
    const tellBelow = { kind: 'stop', position: at(1, 1) } as const;
    expect(await store().commit(intentOf(top, 5, { tellBelow }))).toEqual({ outcome: 'stale' });
    expect(await toldTo([child.chat])).toEqual([]);
  });
}

async function toldIn(store: ChatStore, chats: readonly ChatId[]): Promise<readonly Told[]> {
  return valueOf(await store.due(NOW_MS, 1_000)).told.filter(({ chat }) => chats.includes(chat));
}

/** A chat whose turn runs. */
type Running = { readonly chat: ChatId; readonly turn: TurnId };

async function createRunning(
  store: ChatStore,
  below: { readonly owner: OwnerId; readonly parent: ChatId },
): Promise<Running> {
  const { chat } = await createTaken(store, below);
  const turn = newId<TurnId>();
  // As text of a model may be: quotes, escapes, what jsonb would refuse.
  const error = { code: 'internal', message: '"\\u0000\u0001', retry: 'never' } as const;
  const retry = { error, atMs: 1, delayMs: 1 };
  const record: TurnRecord = { id: turn, model: 'm', step: 1, attempt: 1, stopping: null, retry, recoveries: 0 };
  expect(await store.commit(intentOf(chat, 1, { patch: { status: 'running', turn: record } }))).toEqual(COMMITTED);
  return { chat, turn };
}

function byChat(a: Told, b: Told): number {
  return a.chat < b.chat ? -1 : 1;
}
