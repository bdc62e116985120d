// The list of a person on two devices: one calm, one whose connections break, over real sockets and a real Postgres, while
// chats are made, answer, are read and archived, and while the node is killed.

import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import type { Chat, ChatSummary, ParleyClient } from '../../protocol/client/index.ts';
import { must } from '../../protocol/assert.ts';
import { Clients } from '../support/clients.ts';
import { CutProxy } from '../support/cut-proxy.ts';
import { NodeProcess } from '../support/node-process.ts';
import { createDatabase } from '../support/postgres.ts';

const CUTS = 12;

const clients = new Clients();
let database: { url: string; drop(): Promise<void> };
let sql: postgres.Sql;
let node: NodeProcess;

beforeAll(async () => {
  database = await createDatabase(inject('postgresUrl'), `integration_feed_${process.pid}`);
  sql = postgres(database.url, { max: 1, onnotice: () => undefined });
  node = await NodeProcess.start({ env: { DATABASE_URL: database.url } });
});

afterEach(() => clients.closeAll());

afterAll(async () => {
  await node.stop();
  await sql.end();
  await database.drop();
});

/** Follows its feed from the first page on. */
async function watching(url: string, owner: string): Promise<ParleyClient> {
  const client = await clients.connect(url, await node.tokenFor(owner));
  client.feed.watch();
  await client.feed.until(() => client.feed.status.status === 'following');
  return client;
}

/** Every chat of the owner, page by page, as it is in the database now. */
async function everyChat(client: ParleyClient): Promise<readonly ChatSummary[]> {
  const chats: ChatSummary[] = [];
  for (let page = await client.list({ limit: 3 }); ; page = await client.list({ limit: 3, after: page.next })) {
    chats.push(...page.chats);
    if (page.next === null) return sorted(chats);
  }
}

function sorted(chats: Iterable<ChatSummary>): readonly ChatSummary[] {
  return [...chats].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function shown(client: ParleyClient): readonly ChatSummary[] {
  return sorted(client.feed.state.chats.values());
}

/** Resolves when the device shows the chat as `fits` wants it. */
async function shows(client: ParleyClient, id: ChatSummary['id'], fits: (chat: ChatSummary) => boolean): Promise<void> {
  await client.feed.until(({ chats }) => {
    const chat = chats.get(id);
    return chat !== undefined && fits(chat);
  });
}

/** Both devices have come to where the owner's feed ends. */
async function caughtUp(devices: readonly ParleyClient[]): Promise<void> {
  const { feed } = await must(devices[0], 'there is a device').list({ limit: 1 });
  await Promise.all(devices.map((device) => device.feed.until(({ cursor }) => cursor !== null && cursor >= feed)));
}

describe('the feed', () => {
  test('[feed][P4] two devices end with the same list, one of them through cuts and a node that is killed', async () => {
    const proxy = await CutProxy.start({ port: node.port, seed: 11 });
    try {
      const calm = await watching(node.url, 'ada');
      const cut = await watching(proxy.url, 'ada');
      const cursors: number[] = [];
      cut.feed.subscribe(() => cursors.push(cut.feed.state.cursor ?? 0));
      const plan = (): void => {
        if (proxy.cuts < CUTS) proxy.cutWithin(1_500);
      };
      proxy.onCut = plan;
      plan();
      const made: Chat[] = [];
      for (let n = 0; n < 8; n++) {
        const parent = made[n - 3]?.id;
        made.push(await calm.createChat({ title: `chat ${n}`, ...(parent === undefined ? {} : { parent }) }));
      }
      await Promise.all(made.map(({ id }) => calm.send(id, { text: '/script words=5 pace=1ms' })));
      for (const { id } of made) await shows(calm, id, ({ unread }) => unread === 1);
      await node.kill();
      await node.restart();
      const [first, second, third] = made;
      await calm.rename(must(first, 'there are eight').id, 'renamed');
      await calm.read(must(second, 'there are eight').id, 2);
      await calm.archive(must(third, 'there are eight').id);
      await calm.createChat({ title: 'the last' });
      await caughtUp([calm, cut]);
      expect(shown(calm)).toEqual(await everyChat(calm));
      expect(shown(cut)).toEqual(shown(calm));
      expect(shown(cut)).toHaveLength(9);
      expect(cursors).toEqual(cursors.toSorted((a, b) => a - b));
      expect(proxy.cuts).toBeGreaterThan(3);
    } finally {
      await proxy.stop();
    }
  });

  test('[feed] what is read on one device is read on the other, and an answer is unread on both', async () => {
    const [phone, desk] = [await watching(node.url, 'bob'), await watching(node.url, 'bob')];
    const { id } = await phone.createChat();
    await phone.send(id, { text: '/script words=3 pace=1ms' });
    await Promise.all([phone, desk].map((device) => shows(device, id, ({ unread }) => unread === 1)));
    expect(await desk.read(id, 99)).toBe(2);
    await Promise.all(
      [phone, desk].map((device) => shows(device, id, ({ unread, read }) => unread === 0 && read === 2)),
    );
  });

  test('[feed] an admin who looks reads nothing for the owner, and has a feed of his own', async () => {
    const owner = await watching(node.url, 'cyd');
    const { id } = await owner.createChat();
    await owner.send(id, { text: '/script words=3 pace=1ms' });
    await shows(owner, id, ({ unread }) => unread === 1);
    const auditor = await clients.connect(node.url, await node.tokenFor('eve', { role: 'auditor' }));
    auditor.feed.watch();
    await auditor.feed.until(() => auditor.feed.status.status === 'following');
    await expect(auditor.read(id, 2)).rejects.toMatchObject({ code: 'forbidden' });
    expect(await auditor.get(id)).toMatchObject({ id, read: null, unread: null });
    expect((await owner.get(id)).unread).toBe(1);
    await owner.rename(id, 'mine');
    await shows(owner, id, ({ title }) => title === 'mine');
    expect(auditor.feed.state.chats.get(id)?.title).not.toBe('mine');
  });

  test('[feed] what another process commits shows by itself, and a database that was set back begins anew', async () => {
    const client = await watching(node.url, 'dan');
    const { id } = await client.createChat({ title: 'before' });
    await shows(client, id, ({ title }) => title === 'before');
    await sql.begin(async (transaction) => {
      const [row] = await transaction<{ feed_seq: string }[]>`
        update owners set feed_seq = feed_seq + 1 where id = 'dan' returning feed_seq`;
      await transaction`update chats set title = 'elsewhere', feed_seq = ${row?.feed_seq ?? null} where id = ${id}`;
    });
    await shows(client, id, ({ title }) => title === 'elsewhere');
    await sql.begin(async (transaction) => {
      await transaction`update chats set title = 'restored', feed_seq = 1 where id = ${id}`;
      await transaction`update owners set feed_seq = 1 where id = 'dan'`;
    });
    await shows(client, id, ({ title }) => title === 'restored');
    expect(client.feed.state.cursor).toBe(1);
  });
});
