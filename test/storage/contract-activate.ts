// Contract: taking chats over, giving them up, and finding those that nobody has.

import { expect, test } from 'vitest';

import type { Principal } from '../../actors/ports.ts';
import type { ChatId, CommandId, NodeId, OwnerId } from '../../protocol/ids.ts';
import {
  activatedRecord,
  at,
  commandOf,
  createChat,
  createTaken,
  epochOf,
  giveToOtherNode,
  intentOf,
  newId,
  newOwner,
  NOW_MS,
  takeChat,
  valueOf,
  type DatabaseHandle,
} from './fixture.ts';

function member(owner: OwnerId): Principal {
  return { owner, role: 'member', groups: [] };
}

export function activationContract(handle: () => DatabaseHandle): void {
  test('[P1] every activation takes the next epoch', async () => {
    const { store } = handle().opened;
    const { chat } = await createChat(store);
    expect((await takeChat(store, chat)).epoch).toBe(1);
    expect((await takeChat(store, chat)).epoch).toBe(2);
  });

  test('[P4] the seal of an epoch is given to the next activation, and to that one only', async () => {
    const { store } = handle().opened;
    const { chat } = await createTaken(store);
    expect(await store.release(chat, epochOf(1), at(1, 17))).toBe(true);
    expect((await takeChat(store, chat)).sealed).toEqual(at(1, 17));
    const { epoch, sealed } = await takeChat(store, chat);
    expect(sealed).toBeNull();
    // It ended in mid-turn: free, and nothing is sealed.
    expect(await store.release(chat, epoch, null)).toBe(true);
    expect((await takeChat(store, chat)).sealed).toBeNull();
  });

  test('[P1] release is fenced: an epoch that is over, or released already, releases nothing', async () => {
    const { opened, raw } = handle();
    const { chat } = await createTaken(opened.store);
    await takeChat(opened.store, chat);
    expect(await opened.store.release(chat, epochOf(1), at(1, 5))).toBe(false);
    const [row] = await raw`select owner_node, sealed_epoch from chats where id = ${chat}`;
    expect(row).toEqual({ owner_node: handle().node, sealed_epoch: null });
    expect(await opened.store.release(chat, epochOf(2), at(2, 5))).toBe(true);
    expect(await opened.store.release(chat, epochOf(2), at(2, 6))).toBe(false);
  });

  test('[P1] a chat of a live node is not taken; marked dead, it is', async () => {
    const { opened, raw } = handle();
    const { chat } = await createTaken(opened.store);
    const other = await giveToOtherNode(raw, chat);
    expect(await opened.store.activate([{ chat, viewer: null }], 5)).toEqual([{ outcome: 'owned', node: other }]);
    await raw`update nodes set expires_at = now() - interval '1 second' where id = ${other}`;
    // Late is not dead: only the mark is.
    expect(await opened.store.activate([{ chat, viewer: null }], 5)).toEqual([{ outcome: 'owned', node: other }]);
    expect(valueOf(await opened.nodes.markDead([other]))).toEqual([other]);
    expect((await takeChat(opened.store, chat)).epoch).toBe(2);
  });

  test('[nodes] one that renewed in time is not marked dead; one that was marked finds nothing to renew', async () => {
    const { opened, raw } = handle();
    const { chat } = await createTaken(opened.store);
    const other = await giveToOtherNode(raw, chat);
    expect(valueOf(await opened.nodes.markDead([other]))).toEqual([]);
    expect(valueOf(await opened.nodes.otherLiveNodes())).toContain(other);
    expect(valueOf(await opened.nodes.beat(false)).renewed).toBe(true);
    await raw`update nodes set dead_at = now() where id in (${other}, ${handle().node})`;
    expect(valueOf(await opened.nodes.otherLiveNodes())).not.toContain(other);
    expect(valueOf(await opened.nodes.beat(false)).renewed).toBe(false);
    expect(await opened.store.activate([{ chat, viewer: null }], 5)).toEqual([
      { outcome: 'unavailable', detail: 'this node was marked dead' },
    ]);
    await raw`update nodes set dead_at = null where id = ${handle().node}`;
  });

  test('[storage] a foreign chat looks like one that is not there, and its epoch is not taken', async () => {
    const { store } = handle().opened;
    const { chat, owner } = await createTaken(store);
    const auditor: Principal = { owner: newOwner(), role: 'auditor', groups: [] };
    const results = await store.activate(
      [
        { chat, viewer: member(newOwner()) },
        { chat: newId<ChatId>(), viewer: null },
      ],
      5,
    );
    expect(results).toEqual([{ outcome: 'gone' }, { outcome: 'gone' }]);
    expect(await store.commit(intentOf(chat, 1))).toEqual({ outcome: 'committed' });
    const [own, audited, stranger] = await store.activate(
      [
        { chat, viewer: member(owner) },
        { chat, viewer: auditor },
        { chat, viewer: member(newOwner()) },
      ],
      5,
    );
    expect(activatedRecord(own).epoch).toBe(2);
    expect(activatedRecord(audited).epoch).toBe(2);
    expect(stranger).toEqual({ outcome: 'gone' });
  });

  test('[storage] many are activated at once, each with its own rows', async () => {
    const { store } = handle().opened;
    const chats = await Promise.all(Array.from({ length: 250 }, () => createTaken(store)));
    await Promise.all(
      chats.map(({ chat, owner }, index) =>
        store.commit(
          intentOf(chat, 1, { patch: { title: `t${index}` }, commands: [commandOf(owner, { name: `n${index}` })] }),
        ),
      ),
    );
    const results = await store.activate(
      chats.map(({ chat }) => ({ chat, viewer: null })),
      5,
    );
    results.forEach((result, index) => {
      const record = activatedRecord(result);
      expect(record).toMatchObject({ epoch: 2, chat: { title: `t${index}` }, commands: [{ name: `n${index}` }] });
    });
  });

  test('[P3] commands come newest first, and it is said whether these are all', async () => {
    const { store } = handle().opened;
    const { chat, owner } = await createTaken(store);
    const commands = [1, 2, 3].map((n) => commandOf(owner, { createdAtMs: NOW_MS + n, name: `c${n}` }));
    await store.commit(intentOf(chat, 1, { commands }));
    const part = await takeChat(store, chat, 2);
    expect(part.commands.map((command) => command.name)).toEqual(['c3', 'c2']);
    expect(part.commandsComplete).toBe(false);
    expect((await takeChat(store, chat, 3)).commandsComplete).toBe(true);
  });

  test('[storage] one chat that cannot be read leaves the others of the round alone', async () => {
    const { opened, raw } = handle();
    const good = await createTaken(opened.store);
    const bad = await createTaken(opened.store);
    await opened.store.commit(
      intentOf(bad.chat, 1, {
        enqueue: [{ id: newId<CommandId>(), parts: [], created_by: bad.owner, created_at: NOW_MS }],
      }),
    );
    await raw`update queued_messages set content_version = 77 where chat = ${bad.chat}`;
    const [first, second] = await opened.store.activate(
      [
        { chat: bad.chat, viewer: null },
        { chat: good.chat, viewer: null },
      ],
      5,
    );
    expect(first).toMatchObject({ outcome: 'unavailable' });
    expect(activatedRecord(second).epoch).toBe(2);
  });

  test('[P12] due: chats that run or whose time has come, and that no live node has', async () => {
    const { opened, raw } = handle();
    const { store } = opened;
    const owner = newOwner();
    const make = async (patch: Parameters<typeof intentOf>[2]): Promise<ChatId> => {
      const { chat } = await createTaken(store, { owner });
      await store.commit(intentOf(chat, 1, patch));
      await store.release(chat, epochOf(1), at(1, 1));
      return chat;
    };
    const running = await make({ patch: { status: 'running' } });
    const stopping = await make({ patch: { status: 'stopping' } });
    const awake = await make({ patch: { status: 'requires_action', wakeAtMs: NOW_MS - 1 } });
    const later = await make({ patch: { wakeAtMs: NOW_MS + 1_000 } });
    const quiet = await make({ patch: { status: 'waiting' } });
    const owned = await make({ patch: { status: 'running' } });
    const holder = await giveToOtherNode(raw, owned);
    const found = async (): Promise<ReadonlySet<ChatId>> => new Set(valueOf(await store.due(NOW_MS, 1_000)).chats);
    const first = await found();
    for (const chat of [running, stopping, awake]) expect(first.has(chat)).toBe(true);
    for (const chat of [later, quiet, owned]) expect(first.has(chat)).toBe(false);
    await raw`update nodes set dead_at = now() where id = ${holder}`;
    expect((await found()).has(owned)).toBe(true);
    await raw`delete from nodes where id = ${holder}`;
    expect((await found()).has(owned)).toBe(true);
    await raw`update chats set status = 'waiting', wake_at = null`;
  });

  test('[P12] due: owners take turns', async () => {
    const { opened, raw } = handle();
    const { store } = opened;
    const [many, one] = [newOwner(), newOwner()];
    const chats = await Promise.all([
      ...Array.from({ length: 20 }, () => createTaken(store, { owner: many })),
      createTaken(store, { owner: one }),
    ]);
    await raw`update chats set status = 'running', owner_node = null where id in ${raw(chats.map(({ chat }) => chat))}`;
    const next = valueOf(await store.due(NOW_MS, 2)).chats;
    const owners = await raw`select distinct owner from chats where id in ${raw([...next])}`;
    expect(new Set(owners.map((row) => row['owner'] as OwnerId))).toEqual(new Set([many, one]));
    await raw`update chats set status = 'waiting' where id in ${raw(chats.map(({ chat }) => chat))}`;
  });

  test('[nodes] registering anew makes another incarnation', async () => {
    const { opened, node } = handle();
    const { chat } = await createTaken(opened.store);
    const next = newId<NodeId>();
    expect((await opened.nodes.register(next)).outcome).toBe('read');
    try {
      const result = await opened.store.activate([{ chat, viewer: null }], 5);
      // On the embedded database whoever was before is dead: this process alone has the folder.
      if (handle().kind === 'embedded') expect(result[0]?.outcome).toBe('activated');
      else expect(result).toEqual([{ outcome: 'owned', node }]);
    } finally {
      await handle().raw`delete from nodes where id = ${node}`;
      await opened.nodes.register(node);
      await handle().raw`update nodes set expires_at = now() + interval '1 hour' where id = ${node}`;
    }
  });
}
