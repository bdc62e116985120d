// Heartbeats: what it costs the database that nodes own chats, when nothing happens. Liveness is one row per node, so it
// must not depend on how many chats there are.

import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { must } from '../../protocol/assert.ts';
import { Clients } from '../support/clients.ts';
import { TestCluster } from '../support/cluster.ts';
import type { NodeProcess } from '../support/node-process.ts';
import { start as startPostgres } from '../support/postgres.ts';
import type { Benchmark, BenchOptions, BenchResult } from './benchmark.ts';

export const heartbeats: Benchmark = {
  summary: 'statements per second of all nodes for the ownership of 10,000 resident chats at rest',
  run,
};

type Load = {
  readonly nodes: number;
  readonly chats: number;
  /** Before the window; 0: rows of chats are not judged. */
  readonly settleMs: number;
  readonly windowMs: number;
};

/** An idle session of Postgres tells at the latest after ten seconds what it has done. */
const IDLE_STATISTICS_MS = 12_000;

const FULL: Load = { nodes: 3, chats: 10_000, settleMs: IDLE_STATISTICS_MS, windowMs: 30_000 };
const QUICK: Load = { nodes: 2, chats: 60, settleMs: 0, windowMs: 3_000 };
const AT_ONCE = 50;
/** Statements that a node may take for it, per second. */
const PER_NODE_MAX = 2;
const NO_LIMIT = '100000';

async function run({ isQuick, say }: BenchOptions): Promise<BenchResult> {
  const load = isQuick ? QUICK : FULL;
  const server = await startPostgres();
  try {
    const cluster = await TestCluster.start(server.url, {
      name: 'heartbeats',
      nodes: load.nodes,
      env: () => ({
        PARLEY_IDLE_PASSIVATION_MS: '3600000',
        PARLEY_COMMANDS_PER_SECOND: NO_LIMIT,
        PARLEY_COMMANDS_BURST: NO_LIMIT,
        PARLEY_OWNER_COMMANDS_PER_SECOND: NO_LIMIT,
        PARLEY_OWNER_COMMANDS_BURST: NO_LIMIT,
        PARLEY_OWNER_ACTIVATIONS_PER_SECOND: NO_LIMIT,
        PARLEY_OWNER_ACTIVATIONS_BURST: NO_LIMIT,
      }),
    });
    try {
      return await measured(cluster, load, say);
    } finally {
      await cluster.stop();
    }
  } finally {
    await server.stop();
  }
}

async function measured(cluster: TestCluster, load: Load, say: BenchOptions['say']): Promise<BenchResult> {
  await Promise.all(cluster.nodes.map((node, i) => makeResident(node, share(load, i))));
  const resident = await residents(cluster);
  say(`${resident} chats are in the memory of ${load.nodes} nodes`);
  const sql = postgres(cluster.database.url, { max: 1 });
  try {
    await sleep(load.settleMs);
    const before = await counters(sql);
    await sleep(load.windowMs);
    const after = await counters(sql);
    const perSecond = (count: number): number => Math.round((count * 100_000) / load.windowMs) / 100;
    // The two looks at the counters are ours.
    const transactionsPerSecond = perSecond(after.transactions - before.transactions - 2);
    const renewalsPerSecond = perSecond(after.renewals - before.renewals);
    const chatUpdates = after.chatUpdates - before.chatUpdates;
    say(`${renewalsPerSecond} renewals a second, ${transactionsPerSecond} transactions of any kind`);
    return {
      faults: [
        ...(resident < load.chats ? [`${resident} of ${load.chats} chats are resident`] : []),
        ...(load.settleMs > 0 && chatUpdates > 0
          ? [`${chatUpdates} rows of chats were written though nothing happened`]
          : []),
        ...(renewalsPerSecond === 0 ? ['no node has renewed its lease'] : []),
      ],
      aims: [{ figure: 'statementsPerSecond', got: renewalsPerSecond, atMost: load.nodes * PER_NODE_MAX }],
      figures: { statementsPerSecond: renewalsPerSecond, transactionsPerSecond, resident, load },
    };
  } finally {
    await sql.end();
  }
}

function share({ chats, nodes }: Load, place: number): number {
  return Math.floor(chats / nodes) + (place < chats % nodes ? 1 : 0);
}

/** A chat that was renamed is in the memory of whoever owns it, and stays. */
async function makeResident(node: NodeProcess, count: number): Promise<void> {
  const clients = new Clients();
  const client = await clients.connect(node.url, await node.tokenFor('heartbeats'));
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) await client.rename((await client.createChat()).id, 'resident');
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  clients.closeAll();
}

async function residents(cluster: TestCluster): Promise<number> {
  const counts = await Promise.all(
    cluster.nodes.map((node) => node.metric('parley_actors{', () => true, 'state="idle"')),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

type Counters = { readonly transactions: number; readonly renewals: number; readonly chatUpdates: number };

/** Heartbeats are the only updates of `nodes`, each a statement of its own. */
async function counters(sql: postgres.Sql): Promise<Counters> {
  // Sessions hand their figures in when they come to rest, at the latest after a second.
  await sleep(1_500);
  const [row] = await sql<Counters[]>`
    select (xact_commit + xact_rollback)::int as transactions,
      (select n_tup_upd::int from pg_stat_user_tables where relname = 'nodes') as renewals,
      (select n_tup_upd::int from pg_stat_user_tables where relname = 'chats') as "chatUpdates"
    from pg_stat_database where datname = current_database()`;
  return must(row, 'the database counts');
}
