// Commit: sends that become durable per second, in the store's group commit and with one transaction each.
//
// Everything else is the same: the rows of a send, the statements that write them (lock and epoch check first, the whole
// transaction in one round trip), the pool, the number of chats that send at once, and a real Postgres with fsync.

import { randomBytes } from 'node:crypto';
import postgres from 'postgres';
import type { CommitIntent, CommitResult } from '../../actors/ports.ts';
import { assert, must } from '../../protocol/assert.ts';
import type { ChatId, CommandId, NodeId, OwnerId, TurnId } from '../../protocol/ids.ts';
import { commitBatch } from '../../storage/commit-batch.ts';
import { encodeContent } from '../../storage/codec.ts';
import { StoreCounts } from '../../storage/counts.ts';
import { Connections } from '../../storage/connections.ts';
import { parseDatabaseUrl } from '../../storage/database-url.ts';
import { STORE_LIMITS } from '../../storage/limits.ts';
import { SILENT_LOG } from '../../storage/log.ts';
import { openStore, type OpenStore } from '../../storage/store.ts';
import { at, attemptOf, commandOf, createTaken, intentOf, messageOf, newId } from '../storage/fixture.ts';
import { createDatabase, start as startPostgres } from '../support/postgres.ts';
import type { Benchmark, BenchOptions, BenchResult } from './benchmark.ts';
import { alternate, median } from './support/alternate.ts';
import { rounded } from './support/machine.ts';

export const commit: Benchmark = {
  summary: 'durable sends per second in group commit, against one transaction per send',
  run,
};

type Load = {
  /** They send at once, each its next message when the one before is durable. Every chat has an owner of its own. */
  readonly chats: number;
  readonly warmUpMs: number;
  readonly windowMs: number;
};

const FULL: Load = { chats: 400, warmUpMs: 1_000, windowMs: 4_000 };
const QUICK: Load = { chats: 40, warmUpMs: 100, windowMs: 400 };
const ROUNDS = 5;

type Run = {
  readonly sends: number;
  readonly sendsPerSecond: number;
  readonly sendsPerTransaction: number;
  /** Flushes of the write-ahead log to the disk. */
  readonly fsyncs: number;
  readonly sendsPerFsync: number;
  /** Of this process: what a node would spend; Postgres not counted. */
  readonly cpuMicrosPerSend: number;
};

/** Makes one send of the chat durable. */
type Send = (chat: SendingChat) => Promise<void>;

type SendingChat = { readonly id: ChatId; readonly owner: OwnerId; sent: number };

async function run({ isQuick, say }: BenchOptions): Promise<BenchResult> {
  const load = isQuick ? QUICK : FULL;
  const server = await startPostgres();
  try {
    const database = await createDatabase(server.url, 'commit_bench');
    const opened = await openStore({ database: { url: database.url } });
    const pool = new Connections(parseDatabaseUrl(database.url), STORE_LIMITS, {
      log: SILENT_LOG,
      counts: new StoreCounts(),
    });
    const watch = postgres(database.url, { max: 1 });
    try {
      const chats = await takeChats(opened, load.chats);
      const measured = (send: Send) => () => measure(watch, chats, { load, send });
      const senders = { group: groupCommit(opened), single: oneByOne(pool), insert: bareInsert(pool) };
      const runs = await alternate(
        { group: measured(senders.group), single: measured(senders.single), insert: measured(senders.insert) },
        isQuick ? 1 : ROUNDS,
        (name, one) => say(`${name}: ${one.sendsPerSecond} sends/s, ${one.sendsPerTransaction} in a transaction`),
      );
      return await resultOf(runs, { watch, chats, load });
    } finally {
      await watch.end();
      pool.close();
      await opened.close();
    }
  } finally {
    await server.stop();
  }
}

type Runs = Readonly<Record<'group' | 'single' | 'insert', readonly Run[]>>;

async function resultOf(
  runs: Runs,
  { watch, chats, load }: { readonly watch: postgres.Sql; readonly chats: readonly SendingChat[]; readonly load: Load },
): Promise<BenchResult> {
  const rate = (name: keyof Runs): number => median(runs[name].map((one) => one.sendsPerSecond));
  const ratios = {
    insert: rounded(rate('group') / rate('single')),
    bareInsert: rounded(rate('group') / rate('insert')),
  };
  const acknowledged = chats.reduce((sum, chat) => sum + chat.sent, 0);
  const [row] = await watch<{ count: number; fsync: string }[]>`
    select count(*)::integer as count, current_setting('fsync') as fsync from messages`;
  const { count, fsync } = must(row, 'a count is a row');
  const faults = [
    ...(count === acknowledged ? [] : [`${acknowledged} sends were acknowledged, ${count} are there`]),
    ...(fsync === 'on' ? [] : [`fsync is ${fsync}`]),
  ];
  return {
    faults,
    aims: [{ figure: 'ratios.insert', got: ratios.insert, atLeast: 8 }],
    figures: { ratios, load, pool: STORE_LIMITS.connections, runs },
  };
}

async function takeChats(opened: OpenStore, count: number): Promise<readonly SendingChat[]> {
  await opened.nodes.register(newId<NodeId>());
  const chats: SendingChat[] = [];
  for (let i = 0; i < count; i++) {
    const { chat, owner } = await createTaken(opened.store);
    chats.push({ id: chat, owner, sent: 0 });
  }
  return chats;
}

// ------------------------------------------------------------------------------------------------------ the senders

function groupCommit({ store }: OpenStore): Send {
  return async (chat) => assertCommitted(await store.commit(sendOf(chat)));
}

function oneByOne(pool: Connections): Send {
  return async (chat) => {
    const [result] = await commitBatch(pool, [sendOf(chat)], STORE_LIMITS);
    assertCommitted(must(result, 'one intent has one result'));
  };
}

/** The message alone, without a lock, a fence, a command to be recognised by or a chat that knows of it. */
function bareInsert(pool: Connections): Send {
  return async (chat) => {
    const number = chat.sent + 1;
    const content = encodeContent([{ type: 'text', text: TEXT }]);
    await pool.use((connection) =>
      connection.query({ text: INSERT, values: [chat.id, number, newId(), number * 5, content, chat.owner] }),
    );
  };
}

const INSERT = `
  insert into messages (
    chat, number, id, epoch, seq, role, visibility, content, content_version, created_at, created_by, interrupted)
  values ($1, $2, $3, 1, $4, 'user', 'both', $5, 1, now(), $6, false)`;

const TEXT = 'What would you look at first when a query that was quick last week is slow today?';

function assertCommitted(result: CommitResult): void {
  assert(result.outcome === 'committed', `a send is committed: ${JSON.stringify(result)}`);
}

/** What an actor commits for a message that starts a turn: message, command, attempt, chat and list. */
function sendOf({ id, owner, sent }: SendingChat): CommitIntent {
  const number = sent + 1;
  const turn = newId<TurnId>();
  const position = at(1, number * 5);
  const command = newId<CommandId>();
  const record = { id: turn, model: 'm', step: 1, attempt: 1, stopping: null, retry: null, recoveries: 0 };
  return intentOf(id, 1, {
    atMs: Date.now(),
    requireUnarchived: true,
    listed: true,
    messages: [messageOf(number, position, { id: command, parts: [{ type: 'text', text: TEXT }], createdBy: owner })],
    commands: [commandOf(owner, { id: command, reply: { ok: true, body: randomBytes(48) } })],
    attemptsOpened: [attemptOf(turn)],
    patch: { status: 'running', nextNumber: number + 1, turn: { ...record, openedAt: position } },
  });
}

// ---------------------------------------------------------------------------------------------------- the measuring

async function measure(
  watch: postgres.Sql,
  chats: readonly SendingChat[],
  { load, send }: { readonly load: Load; readonly send: Send },
): Promise<Run> {
  await sendFor(chats, load.warmUpMs, send);
  const before = await counters(watch, chats);
  await sendFor(chats, load.windowMs, send);
  const after = await counters(watch, chats);
  const sends = after.sends - before.sends;
  const fsyncs = after.fsyncs - before.fsyncs;
  return {
    sends,
    sendsPerSecond: Math.round((sends * 1000) / (after.atMs - before.atMs)),
    sendsPerTransaction: rounded(sends / (after.transactions - before.transactions)),
    fsyncs,
    sendsPerFsync: rounded(sends / fsyncs),
    cpuMicrosPerSend: rounded(((after.cpuMs - before.cpuMs) * 1000) / sends),
  };
}

async function sendFor(chats: readonly SendingChat[], durationMs: number, send: Send): Promise<void> {
  const untilMs = performance.now() + durationMs;
  const work = async (chat: SendingChat): Promise<void> => {
    while (performance.now() < untilMs) {
      await send(chat);
      chat.sent += 1;
    }
  };
  await Promise.all(chats.map(work));
}

type Counters = {
  readonly atMs: number;
  readonly sends: number;
  readonly transactions: number;
  readonly fsyncs: number;
  readonly cpuMs: number;
};

async function counters(watch: postgres.Sql, chats: readonly SendingChat[]): Promise<Counters> {
  // Sessions hand their counts in only now and then; what they hold back is nothing against thousands of sends.
  const [row] = await watch<{ transactions: number; fsyncs: number }[]>`
    select xact_commit::double precision as transactions, wal_sync::double precision as fsyncs
    from pg_stat_database, pg_stat_wal where datname = current_database()`;
  const { transactions, fsyncs } = must(row, 'the database counts');
  const { user, system } = process.cpuUsage();
  const sends = chats.reduce((sum, chat) => sum + chat.sent, 0);
  return { atMs: performance.now(), sends, transactions, fsyncs, cpuMs: (user + system) / 1000 };
}
