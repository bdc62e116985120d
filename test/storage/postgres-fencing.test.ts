// What needs a second connection, a lock or a server of its own: fencing, lost connections, exhaustion. Postgres only.

import { randomBytes } from 'node:crypto';

import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, expect, inject, test } from 'vitest';

import type { CommitResult } from '../../actors/ports.ts';
import type { ChatId, NodeId } from '../../protocol/ids.ts';
import { Connection } from '../../storage/connection.ts';
import { parseDatabaseUrl } from '../../storage/database-url.ts';
import { STORE_LIMITS, type StoreLimits } from '../../storage/limits.ts';
import { openStore, type OpenStore } from '../../storage/store.ts';
import { createDatabase } from '../support/postgres.ts';
import {
  at,
  commandOf,
  createChat,
  createTaken,
  intentOf,
  messageOf,
  newId,
  takeChat,
  until,
  valueOf,
} from './fixture.ts';
import { PgProxy, type Fault } from './pg-proxy.ts';

let url = '';
let drop: () => Promise<void> = () => Promise.resolve();
let raw: postgres.Sql;
/** Of the node that takes over. */
let second: OpenStore;
const opened: OpenStore[] = [];
const proxies: PgProxy[] = [];

async function openNode(databaseUrl: string, limits: Partial<StoreLimits> = {}): Promise<OpenStore> {
  const store = await openStore({ database: { url: databaseUrl }, limits });
  const node = newId<NodeId>();
  await store.nodes.register(node);
  await raw`update nodes set expires_at = now() + interval '1 hour' where id = ${node}`;
  opened.push(store);
  return store;
}

async function openProxied(limits: Partial<StoreLimits> = {}): Promise<{ store: OpenStore; proxy: PgProxy }> {
  const proxy = await PgProxy.start(url);
  proxies.push(proxy);
  return { store: await openNode(proxy.urlFor(url), { connections: 1, ...limits }), proxy };
}

async function markDead(store: OpenStore): Promise<void> {
  await raw`update nodes set dead_at = now() where id = ${store.nodes.self}`;
}

/** Waits until a session waits for a lock that another one has. */
async function someoneWaits(): Promise<void> {
  await until(async () => {
    const rows = await raw`select 1 from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`;
    return rows.length > 0;
  });
}

/** The numbers of the messages, ascending. */
async function numbersOf(chat: ChatId): Promise<readonly number[]> {
  const page = valueOf(await second.store.page(chat, { before: null, after: null, limit: 50 }));
  return page.messages.map((message) => message.number).toReversed();
}

beforeAll(async () => {
  const database = await createDatabase(inject('postgresUrl'), `fencing_${randomBytes(6).toString('hex')}`);
  url = database.url;
  drop = database.drop;
  raw = postgres(url, { max: 4, onnotice: () => undefined });
  await (await openStore({ database: { url } })).close();
});

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  for (const proxy of proxies.splice(0)) await proxy.stop();
});

afterAll(async () => {
  // A test that failed may still hold one of its connections.
  await raw.end({ timeout: 1 });
  await drop();
});

async function openBoth(limits: Partial<StoreLimits> = {}): Promise<{ store: OpenStore; proxy: PgProxy }> {
  second = await openNode(url);
  return openProxied(limits);
}

test('[P1] a takeover waits for a commit that is past its check, and reads what it wrote', async () => {
  second = await openNode(url);
  const { chat } = await createTaken(second.store);
  const held = await raw.reserve();
  await held`begin`;
  await held`select id from chats where id = ${chat} and epoch = 1 for no key update`;
  await held`update chats set next_number = 42 where id = ${chat}`;
  const taking = takeChat(second.store, chat);
  await someoneWaits();
  await held`commit`;
  held.release();
  expect(await taking).toMatchObject({ epoch: 2, nextNumber: 42 });
});

test('[P1] a commit waits for a takeover that came first, and is stale', async () => {
  second = await openNode(url);
  const { chat } = await createTaken(second.store);
  const held = await raw.reserve();
  await held`begin`;
  await held`update chats set epoch = epoch + 1 where id = ${chat}`;
  const committing = second.store.commit(
    intentOf(chat, 1, { listed: true, patch: { nextNumber: 9 }, messages: [messageOf(1, at(1, 2))] }),
  );
  await someoneWaits();
  await held`commit`;
  held.release();
  expect(await committing).toEqual({ outcome: 'stale' });
  expect(await numbersOf(chat)).toEqual([]);
  expect((await takeChat(second.store, chat)).nextNumber).toBe(1);
});

test('[P1] a takeover that is rolled back lets the commit through', async () => {
  second = await openNode(url);
  const { chat } = await createTaken(second.store);
  const held = await raw.reserve();
  await held`begin`;
  await held`update chats set epoch = epoch + 1 where id = ${chat}`;
  const committing = second.store.commit(intentOf(chat, 1, { messages: [messageOf(1, at(1, 2))] }));
  await someoneWaits();
  await held`rollback`;
  held.release();
  expect(await committing).toEqual({ outcome: 'committed' });
});

test('[P1] a client that stops in its transaction holds its chats for a second, not for ever', async () => {
  second = await openNode(url);
  const { chat } = await createTaken(second.store);
  const stopped = await Connection.open(parseDatabaseUrl(url), STORE_LIMITS, () => undefined);
  await stopped.command('begin');
  await stopped.command(`select id from chats where id = '${chat}' for no key update`);
  await stopped.command(`update chats set next_number = 42 where id = '${chat}'`);
  const before = performance.now();
  // It never sends another byte: Postgres itself ends it.
  const record = await takeChat(second.store, chat);
  expect(record).toMatchObject({ epoch: 2, nextNumber: 1 });
  expect(performance.now() - before).toBeLessThan(STORE_LIMITS.lockMs);
  await expect(stopped.command('commit')).rejects.toThrow();
  stopped.close();
});

test('[P3] the COMMIT is sent before any answer has come: one round trip', async () => {
  const { store, proxy } = await openBoth();
  const { chat } = await createTaken(store.store);
  const commit = (n: number): Promise<CommitResult> =>
    store.store.commit(
      intentOf(chat, 1, { listed: true, patch: { nextNumber: n + 1 }, messages: [messageOf(n, at(1, n + 1))] }),
    );
  await commit(1);
  const seen = proxy.arm('answersHeld');
  const committed = commit(2);
  await seen;
  expect(await committed).toEqual({ outcome: 'committed' });
});

test('[P3] so also with a batch of a megabyte', async () => {
  const { store, proxy } = await openBoth({ answerMs: 9_000 });
  const chats = await Promise.all(Array.from({ length: 100 }, () => createChat(store.store)));
  await store.store.activate(
    chats.map(({ chat }) => ({ chat, viewer: null })),
    5,
  );
  const commit = (n: number): Promise<readonly CommitResult[]> =>
    Promise.all(
      chats.map(({ chat }) =>
        store.store.commit(
          intentOf(chat, 1, {
            patch: { nextNumber: n + 1 },
            messages: [messageOf(n, at(1, n + 1), { parts: [{ type: 'text', text: 'x'.repeat(10_000) }] })],
          }),
        ),
      ),
    );
  await commit(1);
  const seen = proxy.arm('answersHeld');
  const committed = commit(2);
  await seen;
  expect((await committed).every((result) => result.outcome === 'committed')).toBe(true);
});

const LOST: readonly (readonly [Fault, readonly number[]])[] = [
  ['commitUnheard', [1, 2]],
  ['commitLost', [1]],
];

test.each(LOST)(
  '[P3] a connection lost at the commit (%s): unknown, and the takeover tells',
  async (fault, numbers) => {
    const { store, proxy } = await openBoth();
    const { chat } = await createTaken(store.store);
    await store.store.commit(intentOf(chat, 1, { messages: [messageOf(1, at(1, 2))] }));
    const happened = proxy.arm(fault);
    const result = await store.store.commit(intentOf(chat, 1, { messages: [messageOf(2, at(1, 3))] }));
    await happened;
    expect(result).toMatchObject({ outcome: 'unknown' });
    expect((await takeChat(store.store, chat)).epoch).toBe(2);
    expect(await numbersOf(chat)).toEqual(numbers);
  },
);

test('[P3] a COMMIT that arrives late: the takeover waits for it and sees it', async () => {
  const { store, proxy } = await openBoth();
  const { chat } = await createTaken(store.store);
  await store.store.commit(intentOf(chat, 1, { messages: [messageOf(1, at(1, 2))] }));
  const happened = proxy.arm('commitHeld');
  const result = await store.store.commit(intentOf(chat, 1, { messages: [messageOf(2, at(1, 3))] }));
  await happened;
  expect(result).toMatchObject({ outcome: 'unknown' });
  await markDead(store);
  const taking = takeChat(second.store, chat);
  await someoneWaits();
  await proxy.releaseHeld();
  expect((await taking).epoch).toBe(2);
  expect(await numbersOf(chat)).toEqual([1, 2]);
});

test('[P1] a COMMIT that never arrives: Postgres ends the session, and the takeover finds nothing of it', async () => {
  const { store, proxy } = await openBoth();
  const { chat } = await createTaken(store.store);
  await store.store.commit(intentOf(chat, 1, { messages: [messageOf(1, at(1, 2))] }));
  const happened = proxy.arm('commitHeld');
  const result = await store.store.commit(intentOf(chat, 1, { messages: [messageOf(2, at(1, 3))] }));
  await happened;
  expect(result).toMatchObject({ outcome: 'unknown' });
  await markDead(store);
  expect((await takeChat(second.store, chat)).epoch).toBe(2);
  expect(await numbersOf(chat)).toEqual([1]);
  await proxy.releaseHeld();
  expect(await numbersOf(chat)).toEqual([1]);
});

test('[P1] a whole transaction that arrives after the takeover writes nothing', async () => {
  const { store, proxy } = await openBoth();
  const { chat } = await createTaken(store.store);
  const intent = (n: number): ReturnType<typeof intentOf> =>
    intentOf(chat, 1, { listed: true, patch: { nextNumber: n + 1 }, messages: [messageOf(n, at(1, n + 1))] });
  await store.store.commit(intent(1));
  const happened = proxy.arm('allHeld');
  const result = await store.store.commit(intent(2));
  await happened;
  expect(result).toMatchObject({ outcome: 'unknown' });
  await markDead(store);
  expect(await takeChat(second.store, chat)).toMatchObject({ epoch: 2, nextNumber: 2 });
  await proxy.releaseHeld();
  expect(await numbersOf(chat)).toEqual([1]);
  expect((await takeChat(second.store, chat)).nextNumber).toBe(2);
});

test('[P3] create: a reply that got lost is fetched again, for one chat', async () => {
  const { store, proxy } = await openBoth();
  await createChat(store.store);
  for (const fault of ['commitUnheard', 'commitLost'] as const) {
    const happened = proxy.arm(fault);
    const id = newId<ChatId>();
    const owner = `owner-${fault}` as never;
    const result = await store.store.create(
      {
        id,
        owner,
        parent: null,
        title: null,
        model: 'm',
        systemPrompt: null,
        labels: {},
        background: false,
        createdAtMs: 1,
      },
      { principal: owner, id: newId(), name: 'chats.create', argsHash: new Uint8Array(32), createdAtMs: 1 },
      () => ({ ok: true, body: new Uint8Array([7]) }),
    );
    await happened;
    expect(result.outcome).toBe(fault === 'commitUnheard' ? 'repeated' : 'created');
    expect(await raw`select id from chats where owner = ${owner}`).toEqual([{ id }]);
  }
});

test('[P3] an unreachable database: nothing was applied, and the store recovers by itself', async () => {
  const { store, proxy } = await openBoth({ reconnectPauseMs: 1 });
  const { chat } = await createTaken(store.store);
  proxy.cutAll();
  await until(async () => {
    const { outcome } = await store.store.page(chat, { before: null, after: null, limit: 1 });
    return outcome === 'read' && proxy.connections > 0;
  });
  expect(await store.store.commit(intentOf(chat, 1))).toEqual({ outcome: 'committed' });
  await proxy.stop();
  proxies.length = 0;
  await until(async () => (await store.store.page(chat, { before: null, after: null, limit: 1 })).outcome !== 'read');
  const refused = await store.store.commit(intentOf(chat, 1));
  expect(refused.outcome === 'unavailable' && refused.detail).toContain('ECONNREFUSED');
});

test('[P11] all connections busy: a use waits for a bounded time, then nothing was applied', async () => {
  second = await openNode(url);
  const store = await openNode(url, { connections: 2, batchesInFlight: 1, waitMs: 60, waitingUses: 3 });
  const { chat } = await createTaken(store.store);
  const held = await raw.reserve();
  await held`begin`;
  await held`select id from chats where id = ${chat} for update`;
  const committing = store.store.commit(intentOf(chat, 1));
  const taking = takeChat(store.store, chat);
  await until(() => Promise.resolve(store.measure().connectionsTaken === 2));
  const readings = await Promise.all(
    Array.from({ length: 5 }, () => store.store.page(chat, { before: null, after: null, limit: 1 })),
  );
  const details = readings.map((reading) => (reading.outcome === 'unavailable' ? reading.detail : 'read'));
  expect(details.filter((detail) => detail === 'too many wait for the database')).toHaveLength(2);
  expect(details.filter((detail) => detail.includes('busy for too long'))).toHaveLength(3);
  await held`rollback`;
  held.release();
  const [{ outcome }, { epoch }] = await Promise.all([committing, taking]);
  expect(epoch).toBe(2);
  expect(['committed', 'stale']).toContain(outcome);
  expect((await store.store.page(chat, { before: null, after: null, limit: 1 })).outcome).toBe('read');
});

test('[access] all connections busy, and as many waiting as may: what was revoked is read all the same', async () => {
  second = await openNode(url);
  const store = await openNode(url, { connections: 2, batchesInFlight: 1, waitingUses: 1 });
  const { chat, owner } = await createTaken(store.store);
  const asOf = valueOf(await store.access.clock());
  const held = await raw.reserve();
  await held`begin`;
  await held`select id from chats where id = ${chat} for update`;
  const busy = [store.store.commit(intentOf(chat, 1)), takeChat(store.store, chat)];
  await until(() => Promise.resolve(store.measure().connectionsTaken === 2));
  const waiting = store.store.page(chat, { before: null, after: null, limit: 1 });
  expect(store.measure().waitingUses).toBe(1);
  const row = commandOf(owner, { name: 'owners.revoke' });
  expect(await second.access.revokeOwner(owner, row)).toEqual({ outcome: 'done' });
  const { revocations } = valueOf(await store.access.revocationsSince(asOf));
  expect(revocations).toEqual([expect.objectContaining({ kind: 'owner', owner })]);
  expect(store.measure().waitingUses).toBe(1);
  await held`rollback`;
  held.release();
  await Promise.all([...busy, waiting]);
});

test('[P3] a lock that is not granted in time: certainly not applied', async () => {
  second = await openNode(url);
  const store = await openNode(url, { lockMs: 50 });
  const { chat } = await createTaken(store.store);
  const held = await raw.reserve();
  await held`begin`;
  await held`select id from chats where id = ${chat} for update`;
  const result = await store.store.commit(intentOf(chat, 1, { messages: [messageOf(1, at(1, 2))] }));
  expect(result.outcome === 'unavailable' && result.detail).toContain('55P03');
  await held`rollback`;
  held.release();
  expect(await numbersOf(chat)).toEqual([]);
  expect(await store.store.commit(intentOf(chat, 1))).toEqual({ outcome: 'committed' });
});

test('[P3] a deadlock is broken and tried again', async () => {
  second = await openNode(url);
  const store = await openNode(url, { lockMs: 5_000 });
  const made = await Promise.all([createTaken(store.store), createTaken(store.store)]);
  const [first, last] = made.map(({ chat }) => chat).toSorted();
  const held = await raw.reserve();
  await held`begin`;
  await held`set local deadlock_timeout = '1h'`;
  await held`select id from chats where id = ${last ?? ''} for update`;
  const committing = Promise.all(
    [first, last].map((chat) => store.store.commit(intentOf(chat ?? newId(), 1, { patch: { title: 'through' } }))),
  );
  await someoneWaits();
  // Against the order: the batch has `first` and waits for `last`. It is the one that looks for deadlocks, and yields.
  await held`select id from chats where id = ${first ?? ''} for update`;
  await held`commit`;
  held.release();
  expect(await committing).toEqual([{ outcome: 'committed' }, { outcome: 'committed' }]);
});
