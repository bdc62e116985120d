// The connection to Postgres is lost at the commit, and what became of the transaction nobody can say: it was done, it is
// done late, it never is, or it arrives when the chat has another epoch. The command has one true outcome all the same.

import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import type { ChatHandle, ChatState, ParleyClient } from '../../protocol/client/index.ts';
import type { CommandId } from '../../protocol/ids.ts';
import { Clients } from '../support/clients.ts';
import { NodeProcess } from '../support/node-process.ts';
import { type Fault, type Hit, PgProxy } from '../support/pg-proxy.ts';
import { createDatabase } from '../support/postgres.ts';
import { answerText, sharedState } from '../support/witness.ts';

/** A connection that meets a statement for the first time is not hit: the next command is. */
const TRIES = 20;

const clients = new Clients();
let database: { url: string; drop(): Promise<void> };
let sql: postgres.Sql;
let proxy: PgProxy;
let node: NodeProcess;
let client: ParleyClient;

beforeAll(async () => {
  database = await createDatabase(inject('postgresUrl'), `integration_unknown_${process.pid}`);
  sql = postgres(database.url, { max: 1, onnotice: () => undefined });
  const started = await PgProxy.start(database.url);
  ({ proxy } = started);
  node = await NodeProcess.start({ env: { DATABASE_URL: started.proxyUrl } });
});

afterEach(() => clients.closeAll());

afterAll(async () => {
  await node.stop();
  await proxy.stop();
  await sql.end();
  await database.drop();
});

type Case = {
  readonly what: string;
  readonly fault: Fault;
  /** When Postgres gets what was held back: when the takeover waits for its lock, or once the command has its reply. */
  readonly release: 'during the takeover' | 'after the reply';
  /** What Postgres says to the held part in the end. */
  readonly late: RegExp;
  /** The first try is the one that took effect. */
  readonly firstCounts: boolean;
};

const CASES: readonly Case[] = [
  { what: 'it was done', fault: 'answer lost', release: 'after the reply', late: /COMMIT/, firstCounts: true },
  { what: 'it is done late', fault: 'commit late', release: 'during the takeover', late: /COMMIT/, firstCounts: true },
  {
    what: 'it is given up by Postgres',
    fault: 'commit late',
    release: 'after the reply',
    late: /ERROR 25P03/,
    firstCounts: false,
  },
  {
    what: 'it comes behind the takeover',
    fault: 'all late',
    release: 'after the reply',
    late: /COMMIT/,
    firstCounts: false,
  },
];

describe.each(CASES)('the connection is lost at the commit, and $what', ({ fault, release, late, firstCounts }) => {
  test('[P1][P3] a rename: one true reply, one effect, and the chat goes on', async () => {
    const chat = await followedChat();
    const { id, hit, reply } = await struck(fault, (id, n) => client.rename(chat.id, `title ${n}`, { id }));
    const epochBefore = chat.state.position?.epoch ?? 0;
    const answers = await settle(release, hit, reply);
    expect(answers.join()).toMatch(late);
    const { title } = await reply;
    expect(await commandRows(id)).toBe(1);
    const [row] = await sql`select title, epoch::integer as epoch from chats where id = ${chat.id}`;
    expect(row).toMatchObject({ title });
    expect(row?.['epoch']).toBeGreaterThan(epochBefore);
    await expectGoesOn(chat);
  });

  test('[P1][P3] a message: one true reply, there once, answered once, and the chat goes on', async () => {
    const chat = await followedChat();
    const { id, hit, reply } = await struck(fault, async (id, n) => {
      const sent = await client.send(chat.id, { text: `/script say="answer ${n}" pace=0` }, { id });
      await chat.reached(sent.position);
      await chat.until(isAtRest);
      return sent;
    });
    const answers = await settle(release, hit, reply);
    expect(answers.join()).toMatch(late);
    expect(await reply).toMatchObject({ outcome: 'started', turn: id });
    expect(await commandRows(id)).toBe(1);
    const [asked] = await sql`select count(*)::integer as n from messages where chat = ${chat.id} and id = ${id}`;
    const [said] = await sql`
      select count(*)::integer as n from messages where chat = ${chat.id} and turn = ${id} and role = 'assistant'`;
    expect([asked?.['n'], said?.['n']]).toEqual([1, 1]);
    const [open] = await sql`select count(*)::integer as n from attempts where turn = ${id} and settled_at is null`;
    expect(open?.['n']).toBe(0);
    // The attempt of a first try that counts began before its outcome was known to anybody.
    const attempts = await sql`select outcome from attempts where turn = ${id} order by opened_at`;
    expect(attempts.map(({ outcome }) => outcome as string)).toEqual(
      firstCounts ? ['lost', 'completed'] : ['completed'],
    );
    await expectGoesOn(chat);
  });

  test('[P1][P2][P12] an answer: it is there once or begun again, and the turn ends', async () => {
    const chat = await followedChat();
    // The first of these is for the connections to learn the statements.
    for (const armed of [false, true]) {
      const { turn, position } = await client.send(chat.id, { text: '/script deltas=40 pace=5ms' });
      await chat.until(({ turn: live }) => live?.turn === turn && live.blocks.length > 0);
      const hit = armed ? await proxy.arm(fault, turn) : null;
      const over = chat.reached(position).then(() => chat.until(isAtRest));
      const answers = hit === null ? [] : await settle(release, hit, over);
      if (hit !== null) expect(answers.join()).toMatch(late);
      await over;
      const rows = await sql`select step, interrupted from messages where turn = ${turn} and role = 'assistant'`;
      expect(rows.filter(({ interrupted }) => interrupted === false)).toHaveLength(1);
      const open = await sql`select from attempts where turn = ${turn} and settled_at is null`;
      expect(open).toHaveLength(0);
    }
    await expectGoesOn(chat);
  });

  test('[P3] a new chat: one true reply, one chat', async () => {
    client = await clients.connect(node.url, node.token);
    const { id, hit, reply } = await struck(fault, (id, n) => client.createChat({ title: `new ${n}` }, { id }));
    await settle(release, hit, reply);
    const chat = await reply;
    const rows = await sql`select id::text as id, title from chats where create_command = ${id}`;
    expect(rows.map((row) => ({ ...row }))).toEqual([{ id: chat.id, title: chat.title }]);
    expect(await commandRows(id)).toBe(1);
    await expectGoesOn(client.chat(chat.id));
  });
});

/** A chat at rest that somebody follows. */
async function followedChat(): Promise<ChatHandle> {
  client = await clients.connect(node.url, node.token);
  const { id } = await client.createChat();
  const handle = client.chat(id);
  handle.attach();
  await handle.until(({ position }) => position !== null);
  return handle;
}

/** Sends commands, each with an id and a number of its own, until one suffers the fault. */
async function struck<T>(
  fault: Fault,
  send: (id: CommandId, n: number) => Promise<T>,
): Promise<{ readonly id: CommandId; readonly hit: Hit; readonly reply: Promise<T> }> {
  for (let n = 1; n <= TRIES; n++) {
    const id = client.newCommandId();
    const striking = proxy.arm(fault, id);
    const reply = send(id, n);
    const hit = await striking;
    if (hit !== null) return { id, hit, reply };
    await reply;
  }
  throw new Error('no transaction was hit');
}

function isAtRest({ turn, chat }: ChatState): boolean {
  return turn === null && chat?.status === 'waiting';
}

async function settle(release: Case['release'], hit: Hit, reply: Promise<unknown>): Promise<readonly string[]> {
  if (release === 'during the takeover') await somebodyWaitsForALock();
  else await reply;
  return hit.release();
}

/** Asks Postgres until a session waits for a lock; each question is a round trip, and Postgres ends the wait in 1 s. */
async function somebodyWaitsForALock(): Promise<void> {
  for (;;) {
    const [row] = await sql`select count(*)::integer as n from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`;
    if (Number(row?.['n']) > 0) return;
  }
}

async function commandRows(id: CommandId): Promise<number> {
  const [row] = await sql`select count(*)::integer as n from commands where id = ${id}`;
  return Number(row?.['n']);
}

/** The next message is answered, and who followed all the time equals who comes now. */
async function expectGoesOn(chat: ChatHandle): Promise<void> {
  chat.attach();
  await client.send(chat.id, { text: '/script say="and on" pace=0' });
  await chat.until((state) => state.turn === null && answerText(state) === 'and on');
  const other = (await clients.connect(node.url, node.token)).chat(chat.id);
  other.attach();
  const state = await other.until(({ position }) => position !== null);
  expect(sharedState(chat.state)).toEqual(sharedState(state));
}
