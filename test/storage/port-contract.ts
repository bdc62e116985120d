// The contract of the port `ChatStore`, without a look behind it: the same suite on Postgres, on the embedded database and
// on the store in memory that the simulation runs on. It is what keeps the simulation honest.

import { expect, test } from 'vitest';
import type { ChatStore, Principal } from '../../actors/ports.ts';
import type { ChatId, CommandId, OwnerId, TurnId, NodeId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import {
  at,
  attemptOf,
  commandOf,
  createChat,
  createTaken,
  epochOf,
  intentOf,
  messageOf,
  newId,
  newOwner,
  NOW_MS,
  takeChat,
  valueOf,
} from './fixture.ts';
import { compactionPort } from './port-compaction.ts';
import { feedPort } from './port-feed.ts';
import { forkPort } from './port-fork.ts';
import { callsPort } from './port-calls.ts';
import { inboxPort } from './port-inbox.ts';
import { historyPort } from './port-history.ts';

const STALE = { outcome: 'stale' };
const COMMITTED = { outcome: 'committed' };

/** `store` is called inside tests only. */
/** `give`: makes another node the owner of the chat. */
export type GiveChat = (chat: ChatId, node: NodeId) => Promise<unknown>;

export function portContract(store: () => ChatStore, give: GiveChat): void {
  commits(store);
  activations(store);
  refusals(store);
  readings(store);
  trees(store);
  otherNodes(store, give);
  historyPort(store);
  callsPort(store);
  inboxPort(store);
  forkPort(store);
  feedPort(store);
  compactionPort(store);
}

function member(owner: OwnerId): Principal {
  return { owner, role: 'member', groups: [] };
}

function queued(text: string): {
  id: CommandId;
  parts: { type: 'text'; text: string }[];
  created_by: string;
  created_at: number;
} {
  return { id: newId<CommandId>(), parts: [{ type: 'text', text }], created_by: 'ada', created_at: NOW_MS };
}

function commits(store: () => ChatStore): void {
  test('[P1] a commit is taken under the epoch of the chat only, and a refused one leaves nothing', async () => {
    const { chat } = await createTaken(store());
    await takeChat(store(), chat);
    const command = commandOf('ada' as OwnerId);
    const parts = { messages: [messageOf(1, at(1, 2))], commands: [command], patch: { nextNumber: 2 } };
    expect(await store().commit(intentOf(chat, 1, parts))).toEqual(STALE);
    expect(await store().commit(intentOf(chat, 3, parts))).toEqual(STALE);
    expect(valueOf(await store().page(chat, { before: null, after: null, limit: 5 })).messages).toEqual([]);
    expect(valueOf(await store().findCommand(command.principal, chat, command.id))).toBe(null);
    expect(await store().commit(intentOf(chat, 2, parts))).toEqual(COMMITTED);
  });

  test('[P3] a number, an id, a position or a command that was there before is refused as 23505, whole', async () => {
    const { chat, owner } = await createTaken(store());
    const command = commandOf(owner);
    const first = messageOf(1, at(1, 2));
    const base = { messages: [first], commands: [command] };
    expect(await store().commit(intentOf(chat, 1, base))).toEqual(COMMITTED);
    const fresh = messageOf(2, at(1, 3));
    const clashes = [
      { messages: [{ ...fresh, number: 1 }] },
      { messages: [{ ...fresh, id: first.id }] },
      { messages: [{ ...fresh, position: first.position }] },
      { messages: [fresh], commands: [command] },
    ];
    for (const clash of clashes) {
      const intent = intentOf(chat, 1, { ...clash, enqueue: [queued('never')] });
      expect(await store().commit(intent)).toMatchObject({ outcome: 'rejected', sqlstate: '23505' });
    }
    const { queue, commands } = await takeChat(store(), chat);
    expect(queue).toEqual([]);
    expect(commands).toHaveLength(1);
  });

  test('[P3] an archived chat refuses what requires it not to be, and takes the rest', async () => {
    const { chat, owner } = await createTaken(store());
    const command = commandOf(owner);
    await store().archiveTree({ chat, epoch: epochOf(1), archived: true, atMs: NOW_MS, command });
    expect(await store().commit(intentOf(chat, 1, { requireUnarchived: true }))).toEqual({ outcome: 'archived' });
    expect(await store().commit(intentOf(chat, 1, { commands: [commandOf(owner)] }))).toEqual(COMMITTED);
  });

  test('[storage] the queue keeps its order: the foremost first, then those that waited, then the new ones', async () => {
    const { chat } = await createTaken(store());
    const [a, b, c, d] = [queued('a'), queued('b'), queued('c'), queued('d')];
    await store().commit(intentOf(chat, 1, { enqueue: [a, b] }));
    await store().commit(intentOf(chat, 1, { enqueue: [c], enqueueFirst: [d] }));
    await store().commit(intentOf(chat, 1, { dequeue: [a.id] }));
    const { queue } = await takeChat(store(), chat);
    expect(queue).toEqual([d, b, c]);
  });

  test('[P10] an attempt is open until it is settled, and settled once', async () => {
    const { chat } = await createTaken(store());
    const attempt = attemptOf(newId<TurnId>());
    await store().commit(intentOf(chat, 1, { attemptsOpened: [attempt] }));
    expect((await takeChat(store(), chat)).openAttempts).toEqual([attempt]);
    const settled = { id: attempt.id, outcome: 'lost', errorCode: null, requestId: null, settledAtMs: NOW_MS } as const;
    const settlement = { ...settled, usage: null, costMicros: 0n };
    await store().commit(intentOf(chat, 2, { attemptsSettled: [settlement] }));
    expect(await store().commit(intentOf(chat, 2, { attemptsSettled: [settlement] }))).toEqual(COMMITTED);
    expect((await takeChat(store(), chat)).openAttempts).toEqual([]);
  });

  test('[P10] what the provider runs for an open attempt, and how far a pack reaches into it, come back', async () => {
    const { chat } = await createTaken(store());
    const turn = newId<TurnId>();
    const attempt = attemptOf(turn);
    const reference = { id: attempt.id, providerRef: 'resp_1' };
    const running = { id: turn, model: 'm', step: 1, attempt: 1, stopping: null, retry: null, recoveries: 0 };
    const first = { turn, step: 1, attempt: 1, pack: 1, position: at(1, 5), entries: [], cursor: '{"sequence":7}' };
    await store().commit(intentOf(chat, 1, { attemptsOpened: [attempt], patch: { turn: running } }));
    expect(await store().commit(intentOf(chat, 1, { attemptsReferenced: [reference], journal: [first] }))).toEqual(
      COMMITTED,
    );
    const record = await takeChat(store(), chat);
    expect(record.openAttempts).toEqual([{ ...attempt, providerRef: 'resp_1' }]);
    expect(record.journal).toEqual([first]);
    // A stale epoch writes none of it.
    const stale = await store().commit(intentOf(chat, 1, { attemptsReferenced: [{ ...reference, providerRef: 'x' }] }));
    expect(stale).toMatchObject({ outcome: 'stale' });
  });

  test('[P5] the journal holds the packs of the turn’s step until it is cleared', async () => {
    const { chat } = await createTaken(store());
    const id = newId<TurnId>();
    const turn = {
      id,
      model: 'm',
      step: 2,
      attempt: 1,
      stopping: null,
      retry: null,
      openedAt: at(1, 1),
      recoveries: 0,
    };
    const entries = [{ index: 0, type: 'text', offset: 0, text: 'so far', ended: false }] as const;
    const pack = { turn: id, step: 2, attempt: 1, pack: 1, position: at(1, 5), entries };
    const other = { ...pack, step: 1, position: at(1, 3) };
    await store().commit(intentOf(chat, 1, { patch: { turn }, journal: [other, pack] }));
    const loaded = await takeChat(store(), chat);
    expect(loaded.turn).toEqual(turn);
    expect(loaded.journal).toEqual([pack]);
    const next = { ...pack, pack: 2, position: at(2, 5) };
    await store().commit(intentOf(chat, 2, { clearJournal: true, journal: [next] }));
    expect((await takeChat(store(), chat)).journal).toEqual([next]);
  });

  test('[list] only a listed commit moves updated_at', async () => {
    const { chat, owner } = await createTaken(store());
    const patch = { title: 'a', status: 'running', labels: { b: 'c' } } as const;
    await store().commit(intentOf(chat, 1, { atMs: NOW_MS + 5, patch }));
    const quiet = valueOf(await store().get(member(owner), chat));
    expect(quiet).toMatchObject({ ...patch, updated_at: NOW_MS });
    await store().commit(intentOf(chat, 1, { atMs: NOW_MS + 5, patch: { title: null }, listed: true }));
    expect(valueOf(await store().get(member(owner), chat))).toMatchObject({ title: null, updated_at: NOW_MS + 5 });
  });
}

function activations(store: () => ChatStore): void {
  test('[P1] every activation takes the next epoch; a seal is given to the next one only', async () => {
    const { chat } = await createChat(store());
    expect(await takeChat(store(), chat)).toMatchObject({ epoch: 1, sealed: null, nextNumber: 1, turn: null });
    expect(await store().release(chat, epochOf(1), at(1, 9))).toBe(true);
    expect(await store().release(chat, epochOf(1), at(1, 9))).toBe(false);
    expect(await takeChat(store(), chat)).toMatchObject({ epoch: 2, sealed: at(1, 9) });
    expect(await store().release(chat, epochOf(1), at(1, 9))).toBe(false);
    expect(await takeChat(store(), chat)).toMatchObject({ epoch: 3, sealed: null });
  });

  test('[storage] a chat that one may not see looks like none, and its epoch is not taken', async () => {
    const { chat } = await createChat(store());
    const strangers = [
      { chat, viewer: member(newOwner()) },
      { chat: newId<ChatId>(), viewer: null },
    ];
    expect(await store().activate(strangers, 1)).toEqual([{ outcome: 'gone' }, { outcome: 'gone' }]);
    expect((await takeChat(store(), chat)).epoch).toBe(1);
  });

  test('[P3] commands come newest first, and it is said whether these are all', async () => {
    const { chat, owner } = await createTaken(store());
    const rows = [0, 1, 2].map((i) => commandOf(owner, { createdAtMs: NOW_MS + i }));
    await store().commit(intentOf(chat, 1, { commands: rows }));
    const all = await takeChat(store(), chat, 3);
    expect(all.commands.map(({ id }) => id)).toEqual(rows.toReversed().map(({ id }) => id));
    expect(all.commandsComplete).toBe(true);
    const some = await takeChat(store(), chat, 2);
    expect(some.commands).toHaveLength(2);
    expect(some.commandsComplete).toBe(false);
  });

  test('[P3] a chat is created once per command, and the row a command made tells of it', async () => {
    const owner = newOwner();
    const chat = { id: newId<ChatId>(), owner, parent: null, title: null, model: 'm', systemPrompt: 's', labels: {} };
    const command = { principal: owner, id: newId<CommandId>(), name: 'chats.create', argsHash: new Uint8Array(32) };
    const make = (byte: number): ReturnType<ChatStore['create']> =>
      store().create({ ...chat, background: true, createdAtMs: NOW_MS }, { ...command, createdAtMs: NOW_MS }, () => ({
        ok: true,
        body: new Uint8Array([byte]),
      }));
    expect(await make(1)).toMatchObject({ outcome: 'created' });
    const again = await make(2);
    expect(again.outcome === 'repeated' && [...again.row.reply.body]).toEqual([1]);
    expect(valueOf(await store().findCommand(owner, null, command.id))).toMatchObject({ id: command.id });
    expect((await takeChat(store(), chat.id)).systemPrompt).toBe('s');
    const message = messageOf(1, at(1, 2));
    const waiting = queued('later');
    await store().commit(intentOf(chat.id, 1, { messages: [message], enqueue: [waiting] }));
    for (const { id } of [message, waiting]) {
      expect(valueOf(await store().findCommand(owner, chat.id, id as CommandId))).toBe('applied');
    }
    expect(valueOf(await store().findCommand(owner, chat.id, newId<CommandId>()))).toBe(null);
  });
}

function refusals(store: () => ChatStore): void {
  test('[P3] a refusal of create is kept as a reply is, and the chat is not made under that id any more', async () => {
    const owner = newOwner();
    const id = newId<CommandId>();
    const command = { principal: owner, id, name: 'chats.create', argsHash: new Uint8Array(32), createdAtMs: NOW_MS };
    const refuse = (byte: number): ReturnType<ChatStore['keepRefusal']> =>
      store().keepRefusal({ ...command, reply: { ok: false, body: new Uint8Array([byte]) } });
    expect([...valueOf(await refuse(1)).reply.body]).toEqual([1]);
    expect([...valueOf(await refuse(2)).reply.body]).toEqual([1]);
    const chat = { id: newId<ChatId>(), owner, parent: null, title: null, model: 'm', systemPrompt: null, labels: {} };
    const reply = { ok: true, body: new Uint8Array([3]) };
    const made = await store().create({ ...chat, background: true, createdAtMs: NOW_MS }, command, () => reply);
    expect(made).toMatchObject({ outcome: 'repeated', row: { reply: { ok: false } } });
  });
}

function readings(store: () => ChatStore): void {
  test('[P4] changes are the messages of (since, asOf] that users see', async () => {
    const { chat } = await createTaken(store());
    const messages = [1, 2, 3, 4].map((number) => messageOf(number, at(1, number * 2)));
    const hidden = messageOf(5, at(1, 9), { visibility: 'model' });
    await store().commit(intentOf(chat, 1, { messages: [...messages, hidden] }));
    const some = valueOf(await store().changes(chat, at(1, 2), at(1, 6)));
    expect(some.messages.map(({ number }) => number)).toEqual([2, 3]);
    expect(some).toMatchObject({ dropOlder: false, removed: [], hasOlder: true, retracted: null });
    const all = valueOf(await store().changes(chat, null, at(1, 9)));
    expect(all.messages.map(({ number }) => number)).toEqual([1, 2, 3, 4]);
    expect(all).toMatchObject({ dropOlder: true, hasOlder: false });
    const few = valueOf(await store().changes(chat, at(1, 0), at(1, 9)));
    expect(few).toMatchObject({ dropOlder: false, hasOlder: false });
  });

  test('[P4] more changes than a snapshot holds drop what the client has', async () => {
    const { chat } = await createTaken(store());
    const numbers = Array.from({ length: LIMITS.snapshotMessages + 1 }, (_, i) => i + 1);
    await store().commit(intentOf(chat, 1, { messages: numbers.map((number) => messageOf(number, at(1, number))) }));
    const changed = valueOf(await store().changes(chat, at(1, 0), at(1, 999)));
    expect(changed).toMatchObject({ dropOlder: true, hasOlder: true });
    expect(changed.messages.map(({ number }) => number)).toEqual(numbers.slice(1));
  });

  test('[P5] a retraction is told to the cursors of its epoch behind it, and the lowest one holds', async () => {
    const { chat } = await createTaken(store());
    await store().commit(intentOf(chat, 1, { retract: at(1, 7) }));
    await store().commit(intentOf(chat, 1, { retract: at(1, 9) }));
    await takeChat(store(), chat);
    const told = async (epoch: number, seq: number): Promise<unknown> =>
      valueOf(await store().changes(chat, at(epoch, seq), at(2, 1))).retracted;
    expect(await told(1, 8)).toEqual(at(1, 7));
    expect(await told(1, 7)).toBe(null);
    expect(await told(2, 8)).toBe(null);
  });

  test('[P4] pages go back from the newest, or up from a number; large parts are references, fetched whole', async () => {
    const { chat } = await createTaken(store());
    const large = 'é'.repeat(LIMITS.inlinePartBytes);
    const parts = [{ type: 'text', text: large }] as const;
    const messages = [1, 2, 3, 4].map((number) => messageOf(number, at(1, number), number === 4 ? { parts } : {}));
    await store().commit(intentOf(chat, 1, { messages }));
    const page = async (before: number | null, after: number | null, limit: number): Promise<unknown> => {
      const read = valueOf(await store().page(chat, { before, after, limit }));
      return [read.messages.map(({ number }) => number), read.hasMore];
    };
    expect(await page(null, null, 2)).toEqual([[4, 3], true]);
    expect(await page(3, null, 2)).toEqual([[2, 1], false]);
    expect(await page(null, 1, 2)).toEqual([[2, 3], true]);
    expect(await page(4, 1, 5)).toEqual([[3, 2], false]);
    const newest = valueOf(await store().page(chat, { before: null, after: null, limit: 1 }));
    expect(newest.messages[0]?.parts).toEqual([{ type: 'text', bytes: LIMITS.inlinePartBytes * 2 }]);
    expect(valueOf(await store().part(chat, 4, 0))).toBe(large);
    expect(valueOf(await store().part(chat, 4, 1))).toBe(null);
  });

  test('[P8] the prompt is what the model may see, ascending', async () => {
    const { chat } = await createTaken(store());
    const provider = { provider: 'p', json: new Uint8Array([91, 93]) };
    const messages = [
      messageOf(1, at(1, 1)),
      messageOf(2, at(1, 2), { role: 'assistant', provider }),
      messageOf(3, at(1, 3), { visibility: 'user' }),
      messageOf(4, at(1, 4), { visibility: 'model' }),
    ];
    await store().commit(intentOf(chat, 1, { messages }));
    const items = valueOf(await store().prompt(chat));
    expect(items.map(({ role, parts }) => [role, parts[0]?.text])).toEqual([
      ['user', 'message 1'],
      ['assistant', 'message 2'],
      ['user', 'message 4'],
    ]);
    expect(items[1]?.provider?.provider).toBe('p');
    expect([...(items[1]?.provider?.json ?? [])]).toEqual([91, 93]);
  });

  test('[list] pages on (updated_at, id) give every chat once, of the kind asked for', async () => {
    const owner = newOwner();
    const made: ChatId[] = [];
    for (let i = 0; i < 5; i++) made.push((await createTaken(store(), { owner, atMs: NOW_MS + (i >> 1) })).chat);
    const [first] = made as [ChatId];
    await store().archiveTree({
      chat: first,
      epoch: epochOf(1),
      archived: true,
      atMs: NOW_MS,
      command: commandOf(owner),
    });
    const base = { viewer: member(owner), owner: null, limit: 2 };
    const all = async (archived: boolean | null): Promise<ChatId[]> => {
      const found: ChatId[] = [];
      for (let after = null as Parameters<ChatStore['list']>[0]['after']; ;) {
        const page = valueOf(await store().list({ ...base, archived, after }));
        found.push(...page.chats.map(({ id }) => id));
        if (page.next === null) return found;
        after = page.next;
      }
    };
    expect((await all(null)).toSorted()).toEqual(made.toSorted());
    expect(await all(true)).toEqual([first]);
    expect((await all(false)).toSorted()).toEqual(made.slice(1).toSorted());
    const foreign = { ...base, viewer: member(newOwner()), archived: null, after: null };
    expect(valueOf(await store().list(foreign)).chats).toEqual([]);
  });

  test('[P12] due: what runs and what has a time that has come, once it is given up', async () => {
    const { chat } = await createTaken(store());
    const isDue = async (nowMs: number): Promise<boolean> =>
      valueOf(await store().due(nowMs, 1_000)).chats.includes(chat);
    await store().commit(intentOf(chat, 1, { patch: { wakeAtMs: NOW_MS + 50 } }));
    expect(await isDue(NOW_MS + 60)).toBe(false);
    await store().release(chat, epochOf(1), at(1, 1));
    expect(await isDue(NOW_MS + 40)).toBe(false);
    expect(await isDue(NOW_MS + 60)).toBe(true);
    await takeChat(store(), chat);
    await store().commit(intentOf(chat, 2, { patch: { wakeAtMs: null, status: 'running' } }));
    await store().release(chat, epochOf(2), at(2, 1));
    expect(await isDue(NOW_MS)).toBe(true);
    await takeChat(store(), chat);
    await store().commit(intentOf(chat, 3, { patch: { status: 'waiting' } }));
  });
}

function trees(store: () => ChatStore): void {
  test('[tree] a tree is archived whole, unless one of it runs; only the named chat moves in the list', async () => {
    const { chat: root, owner } = await createTaken(store());
    const { chat: child } = await createTaken(store(), { owner, parent: root });
    const request = { chat: root, epoch: epochOf(1), archived: true, atMs: NOW_MS + 9 };
    await store().commit(intentOf(child, 1, { patch: { status: 'running' } }));
    const refused = await store().archiveTree({ ...request, command: commandOf(owner) });
    expect(refused).toEqual({ outcome: 'running', chats: [child] });
    await store().commit(intentOf(child, 1, { patch: { status: 'waiting' } }));
    const stale = await store().archiveTree({ ...request, epoch: epochOf(7), command: commandOf(owner) });
    expect(stale).toEqual(STALE);
    const done = await store().archiveTree({ ...request, command: commandOf(owner) });
    expect(done.outcome === 'archived' && done.changed.toSorted()).toEqual([root, child].toSorted());
    const times = [root, child].map(async (chat) => valueOf(await store().get(member(owner), chat)));
    expect((await Promise.all(times)).map((chat) => [chat?.archived, chat?.updated_at])).toEqual([
      [true, NOW_MS + 9],
      [true, NOW_MS],
    ]);
    const again = await store().archiveTree({ ...request, command: commandOf(owner) });
    expect(again).toEqual({ outcome: 'archived', changed: [], taken: [] });
  });

  test('[tree] below an archived chat nothing is taken out of the archive or created', async () => {
    const { chat: root, owner } = await createTaken(store());
    const { chat: child } = await createTaken(store(), { owner, parent: root });
    const request = { epoch: epochOf(1), atMs: NOW_MS };
    await store().archiveTree({ ...request, chat: root, archived: true, command: commandOf(owner) });
    const out = { ...request, chat: child, archived: false };
    expect(await store().archiveTree({ ...out, command: commandOf(owner) })).toEqual({ outcome: 'parent_archived' });
    await expect(createChat(store(), { owner, parent: root })).rejects.toThrow('parent_archived');
    await store().archiveTree({ ...request, chat: root, archived: false, command: commandOf(owner) });
    expect(await store().archiveTree({ ...out, command: commandOf(owner) })).toEqual({
      outcome: 'archived',
      changed: [child],
      taken: [],
    });
  });

  test('[P4] a chat that was given up and is archived with its tree loses its seal: it changed without an event', async () => {
    const { chat: root, owner } = await createTaken(store());
    const { chat: child } = await createTaken(store(), { owner, parent: root });
    await store().release(child, epochOf(1), at(1, 1));
    const request = { chat: root, epoch: epochOf(1), archived: true, atMs: NOW_MS };
    await store().archiveTree({ ...request, command: commandOf(owner) });
    expect(await takeChat(store(), child)).toMatchObject({ epoch: 2, sealed: null, chat: { archived: true } });
  });
}

function otherNodes(store: () => ChatStore, give: GiveChat): void {
  test('[P1][tree] what is archived while another node has it is taken from there: that epoch is over', async () => {
    const other = newId<NodeId>();
    const { chat: root, owner } = await createTaken(store());
    const children = async (): Promise<ChatId> => (await createTaken(store(), { owner, parent: root })).chat;
    const [away, freed, own] = [await children(), await children(), await children()];
    await give(away, other);
    await store().release(freed, epochOf(1), null);
    const request = { chat: root, epoch: epochOf(1), archived: true, atMs: NOW_MS, command: commandOf(owner) };
    const archived = await store().archiveTree(request);
    expect(archived).toMatchObject({ outcome: 'archived', taken: [{ chat: away, node: other, epoch: 2 }] });
    expect(await store().commit(intentOf(away, 1, {}))).toEqual(STALE);
    expect(await store().release(away, epochOf(1), at(1, 1))).toBe(false);
    const actors = [root, away, freed, own].map((chat) => ({ chat, epoch: epochOf(1) }));
    expect(valueOf(await store().overtaken(actors))).toEqual([away]);
    expect(valueOf(await store().overtaken([]))).toEqual([]);
    expect(await takeChat(store(), away)).toMatchObject({ epoch: 3, sealed: null, chat: { archived: true } });
  });
}
