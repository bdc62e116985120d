// Contract: commands take effect once.

import { randomBytes } from 'node:crypto';

import { expect, test } from 'vitest';

import type { CommandRow, CreateResult, NewChat } from '../../actors/ports.ts';
import type { Chat } from '../../protocol/content.ts';
import type { ChatId, CommandId, OwnerId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import {
  at,
  commandOf,
  createChat,
  createTaken,
  intentOf,
  messageOf,
  newId,
  newOwner,
  NOW_MS,
  valueOf,
  type DatabaseHandle,
} from './fixture.ts';

type Creation = { readonly chat: NewChat; readonly command: Omit<CommandRow, 'reply'> };

function creationOf(owner: OwnerId, parent: ChatId | null = null): Creation {
  return {
    chat: {
      id: newId<ChatId>(),
      owner,
      parent,
      title: 'named',
      model: 'scripted',
      systemPrompt: 'be brief',
      labels: { a: 'b' },
      background: false,
      createdAtMs: NOW_MS,
    },
    command: {
      principal: owner,
      id: newId<CommandId>(),
      name: 'chats.create',
      argsHash: randomBytes(32),
      createdAtMs: NOW_MS,
    },
  };
}

export function commandContract(handle: () => DatabaseHandle): void {
  const create = (creation: Creation, body = randomBytes(8)): Promise<CreateResult> =>
    handle().opened.store.create(creation.chat, creation.command, () => ({ ok: true, body }));

  test('[P3] create: the reply is made of the chat as it is stored', async () => {
    const { store } = handle().opened;
    const owner = newOwner();
    const parent = await createChat(store, { owner });
    const creation = creationOf(owner, parent.chat);
    let seen: Chat | null = null;
    await store.create(creation.chat, creation.command, (chat) => {
      seen = chat;
      return { ok: true, body: new Uint8Array() };
    });
    expect(seen).toMatchObject({ root: parent.chat, parent: parent.chat, status: 'waiting', title: 'named' });
    expect(valueOf(await store.get({ owner, role: 'member', groups: [] }, creation.chat.id))).toMatchObject(seen ?? {});
  });

  test('[P3] create: the same command twice makes one chat, and gives the first reply', async () => {
    const creation = creationOf(newOwner());
    const body = randomBytes(8);
    expect(await create(creation, body)).toEqual({ outcome: 'created', reply: { ok: true, body } });
    const again = await create(creation);
    expect(again).toMatchObject({ outcome: 'repeated', row: { name: 'chats.create', reply: { ok: true } } });
    if (again.outcome !== 'repeated') return;
    expect(Buffer.from(again.row.reply.body)).toEqual(body);
    expect(Buffer.from(again.row.argsHash)).toEqual(Buffer.from(creation.command.argsHash));
  });

  test('[P3] create: twenty at once are one creation and nineteen repetitions', async () => {
    const creation = creationOf(newOwner());
    const results = await Promise.all(Array.from({ length: 20 }, () => create(creation)));
    expect(results.filter((result) => result.outcome === 'created')).toHaveLength(1);
    expect(results.filter((result) => result.outcome === 'repeated')).toHaveLength(19);
  });

  test('[P3] create: when the reply is no longer kept, the chat still tells', async () => {
    const { opened, raw } = handle();
    const creation = creationOf(newOwner());
    await create(creation);
    await raw`delete from commands where id = ${creation.command.id}`;
    expect(await create(creation)).toEqual({ outcome: 'already_applied' });
    const { principal, id } = creation.command;
    expect(valueOf(await opened.store.findCommand(principal, null, id))).toBe('applied');
    expect(valueOf(await opened.store.findCommand(newOwner(), null, id))).toBeNull();
  });

  test('[storage] create: a parent that is not there, foreign or archived is refused and nothing is kept', async () => {
    const { opened, raw } = handle();
    const owner = newOwner();
    const foreign = await createChat(opened.store);
    const archived = await createTaken(opened.store, { owner });
    await opened.store.commit(intentOf(archived.chat, 1, { patch: { archived: true } }));
    expect(await create(creationOf(owner, newId<ChatId>()))).toEqual({ outcome: 'no_parent' });
    expect(await create(creationOf(owner, foreign.chat))).toEqual({ outcome: 'no_parent' });
    const refused = creationOf(owner, archived.chat);
    expect(await create(refused)).toEqual({ outcome: 'parent_archived' });
    expect(await raw`select 1 from commands where id = ${refused.command.id}`).toHaveLength(0);
    expect(await raw`select 1 from chats where parent = ${archived.chat}`).toHaveLength(0);
  });

  test('[P3] create: a repetition is told its first reply also when the parent is archived by then', async () => {
    const { store } = handle().opened;
    const owner = newOwner();
    const parent = await createTaken(store, { owner });
    const creation = creationOf(owner, parent.chat);
    expect((await create(creation)).outcome).toBe('created');
    await store.commit(intentOf(parent.chat, 1, { patch: { archived: true } }));
    expect((await create(creation)).outcome).toBe('repeated');
  });

  test('[P3] a command row is found by principal, chat and id; a second one with that key is refused', async () => {
    const { store } = handle().opened;
    const { chat, owner } = await createTaken(store);
    const command = commandOf(owner, { reply: { ok: false, body: randomBytes(9) } });
    await store.commit(intentOf(chat, 1, { commands: [command] }));
    const found = valueOf(await store.findCommand(owner, chat, command.id));
    expect(found).toMatchObject({ principal: owner, id: command.id, name: 'chat.send', createdAtMs: NOW_MS });
    expect(valueOf(await store.findCommand(newOwner(), chat, command.id))).toBeNull();
    expect(valueOf(await store.findCommand(owner, newId<ChatId>(), command.id))).toBeNull();
    const twice = await store.commit(intentOf(chat, 1, { patch: { title: 'twice' }, commands: [command] }));
    expect(twice).toMatchObject({ outcome: 'rejected', sqlstate: '23505' });
  });

  test('[P3] a row that a command created tells of it for ever', async () => {
    const { store } = handle().opened;
    const { chat, owner } = await createTaken(store);
    const [sent, queued] = [newId<CommandId>(), newId<CommandId>()];
    await store.commit(
      intentOf(chat, 1, {
        messages: [messageOf(1, at(1, 2), { id: sent })],
        enqueue: [{ id: queued, parts: [], created_by: owner, created_at: NOW_MS }],
      }),
    );
    expect(valueOf(await store.findCommand(owner, chat, sent))).toBe('applied');
    expect(valueOf(await store.findCommand(owner, chat, queued))).toBe('applied');
  });

  test('[P3] command rows are kept 24 h from the later of their creation and the time in their id', async () => {
    const { opened } = handle();
    const { chat, owner } = await createTaken(opened.store);
    const old = commandOf(owner, { createdAtMs: NOW_MS });
    const ahead = commandOf(owner, { id: newId<CommandId>(NOW_MS + 3_600_000), createdAtMs: NOW_MS });
    await opened.store.commit(intentOf(chat, 1, { commands: [old, ahead] }));
    const kept = async (command: CommandRow): Promise<boolean> =>
      valueOf(await opened.store.findCommand(owner, chat, command.id)) !== null;
    valueOf(await opened.pruneCommands(NOW_MS + LIMITS.commandReplyMs));
    expect([await kept(old), await kept(ahead)]).toEqual([true, true]);
    expect(valueOf(await opened.pruneCommands(NOW_MS + LIMITS.commandReplyMs + 1))).toBeGreaterThan(0);
    expect([await kept(old), await kept(ahead)]).toEqual([false, true]);
    valueOf(await opened.pruneCommands(NOW_MS + LIMITS.commandReplyMs + 3_600_001));
    expect([await kept(old), await kept(ahead)]).toEqual([false, false]);
  });

  test('[P11] pruning goes in bounded rounds and takes all that is due', async () => {
    const { opened, raw } = handle();
    const { chat, owner } = await createTaken(opened.store);
    await raw`insert into commands
      select ${owner}, ${chat}, gen_random_uuid(), 'old', '', true, '', to_timestamp(0), to_timestamp(1)
      from generate_series(1, 2500)`;
    expect(valueOf(await opened.pruneCommands(NOW_MS))).toBeGreaterThanOrEqual(2500);
    expect(await raw`select 1 from commands where principal = ${owner} and name = 'old'`).toHaveLength(0);
  });
}
