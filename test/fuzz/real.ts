// Sequences on a node in a process of its own, with Postgres, the fake servers of two providers and `kill -9`: several chats
// at a time take their acts side by side, and the node is killed while they do.

import fc from 'fast-check';
import postgres from 'postgres';
import { anthropicProtocol } from '../../loadtest/fakes/anthropic-server.ts';
import { FakeServer } from '../../loadtest/fakes/fake-server.ts';
import { ResponsesEndpoint } from '../../loadtest/fakes/responses-server.ts';
import { ScenarioEndpoint } from '../../loadtest/fakes/scenario-endpoint.ts';
import { must } from '../../protocol/assert.ts';
import type { ParleyClient } from '../../protocol/client/index.ts';
import { Clients } from '../support/clients.ts';
import { NodeProcess } from '../support/node-process.ts';
import { createDatabase, start as startPostgres } from '../support/postgres.ts';
import { REAL_SEQUENCES, type RealAct } from './real-acts.ts';
import { RealChat } from './real-chat.ts';
import type { FuzzResult } from './simulated.ts';
import { Tally } from './tally.ts';

const CHATS_AT_ONCE = 10;
/** Of the node, per batch of chats: more, and nothing else would happen. */
const KILLS_MAX = 2;
/** No batch is without one from this act on. */
const FIRST_KILL = 4;
/** For a whole batch: what takes longer is stuck. */
const BATCH_MAX_MS = 120_000;
const DEADLINE_MS = 2_000;

export type RealRun = {
  readonly runs: number;
  readonly seed: number;
  /** Of a server; a private one when absent. */
  readonly postgresUrl?: string;
};

export async function fuzzReal({ runs, seed, postgresUrl }: RealRun): Promise<FuzzResult> {
  const server = postgresUrl === undefined ? await startPostgres() : null;
  const stops: (() => Promise<unknown>)[] = server === null ? [] : [() => server.stop()];
  try {
    const fake = await startFake();
    stops.unshift(() => fake.stop());
    const database = await createDatabase(postgresUrl ?? must(server, 'there is one').url, `fuzz_${process.pid}`);
    stops.unshift(() => database.drop());
    const sql = postgres(database.url, { max: 1, onnotice: () => undefined });
    stops.unshift(() => sql.end());
    const node = await NodeProcess.start({ env: environment(database.url, fake.url) });
    stops.unshift(() => node.stop());
    return await playAll({ node, sql, fake, sequences: fc.sample(REAL_SEQUENCES, { numRuns: runs, seed }) });
  } finally {
    for (const stop of stops) await stop();
  }
}

type Stage = { readonly node: NodeProcess; readonly sql: postgres.Sql; readonly fake: FakeServer };

async function playAll({ sequences, ...stage }: Stage & { sequences: (readonly RealAct[])[] }): Promise<FuzzResult> {
  const tally = new Tally();
  for (let from = 0; from < sequences.length; from += CHATS_AT_ONCE) {
    const batch = sequences.slice(from, from + CHATS_AT_ONCE);
    const late = AbortSignal.timeout(BATCH_MAX_MS);
    const stuck = new Promise<never>((_resolve, reject) => {
      late.addEventListener('abort', () => reject(new Error(`[P12] not done after ${BATCH_MAX_MS} ms`)));
    });
    try {
      await Promise.race([playBatch(stage, batch, tally), stuck]);
    } catch (error) {
      return { tally, failure: { acts: batch.flat(), error: error instanceof Error ? String(error.stack) : '?' } };
    }
    tally.sequences += batch.length;
  }
  for (const { prompt, read, readable, requests } of Object.values(stage.fake.cache)) {
    tally.requests += requests;
    tally.cache.prompt += prompt;
    tally.cache.read += read;
    tally.cache.readable += readable;
  }
  return { tally, failure: null };
}

async function playBatch(stage: Stage, batch: readonly (readonly RealAct[])[], tally: Tally): Promise<void> {
  const { node, sql } = stage;
  const clients = new Clients();
  try {
    const [one, two, fresh] = await Promise.all([0, 1, 2].map(() => clients.connect(node.url, node.token)));
    const devices = [must(one, 'a client'), must(two, 'a client')] as const satisfies readonly ParleyClient[];
    const models = (await devices[0].models()).map(({ id }) => id);
    const wanted = ['anthropic/', 'openai/'].map((prefix) =>
      must(
        models.find((id) => id.startsWith(prefix)),
        prefix,
      ),
    );
    const begun = await Promise.all(batch.map(() => RealChat.begin(devices, { models: wanted, tally })));
    let kills = 0;
    for (let i = 0; i < Math.max(...batch.map(({ length }) => length)); i++) {
      const acts = batch.map((sequence) => sequence[i]);
      const under = begun.map((chat, at) => {
        const act = acts[at];
        return act === undefined ? Promise.resolve() : chat.act(act);
      });
      const isDrawn = acts.some((act) => act?.what === 'crash') || (kills === 0 && i === FIRST_KILL);
      if (isDrawn && kills < KILLS_MAX) {
        kills += 1;
        await node.kill();
        await node.restart();
      }
      await Promise.all(under);
    }
    await Promise.all(begun.map((chat) => chat.end()));
    await Promise.all(begun.map((chat) => chat.check(must(fresh, 'a client'))));
    tally.kills += kills;
  } finally {
    clients.closeAll();
  }
  await checkLedgers(sql, tally);
}

/** Every call and every attempt is settled, and no provider was sent what it does not take. */
async function checkLedgers(sql: postgres.Sql, tally: Tally): Promise<void> {
  const [open] = await sql`select count(*)::int as count from tool_calls where state <> 'settled'`;
  if (open?.['count'] !== 0) throw new Error(`[P7] ${open?.['count']} calls are not settled`);
  const rows = await sql`
    select purpose::text, coalesce(outcome::text, 'open') as outcome, error_code, count(*)::int as count
    from attempts group by 1, 2, 3`;
  // All of them, the earlier batches' too.
  tally.attempts = {};
  for (const { purpose, outcome, error_code: code, count } of rows) {
    tally.count('attempts', `${purpose} ${outcome}${code === null ? '' : ` ${code}`}`, Number(count));
    // A title is asked for with a part of the text, which the model servers may not be able to read.
    if (purpose === 'title') continue;
    if (outcome === 'open') throw new Error('an attempt was never settled');
    if (code === 'prompt_invalid' || code === 'model_bad_request') throw new Error(`[P12] a request was ${code}`);
  }
}

async function startFake(): Promise<FakeServer> {
  const defaults = { tokens: 5, paceMs: 0 };
  const fake = new FakeServer([
    new ScenarioEndpoint(anthropicProtocol({ defaults })),
    new ResponsesEndpoint({ defaults }),
  ]);
  await fake.listen(0);
  return fake;
}

function environment(databaseUrl: string, fakeUrl: string): Readonly<Record<string, string>> {
  return {
    DATABASE_URL: databaseUrl,
    ANTHROPIC_API_KEY: 'test',
    ANTHROPIC_BASE_URL: fakeUrl,
    OPENAI_API_KEY: 'test',
    OPENAI_BASE_URL: `${fakeUrl}/v1`,
    PARLEY_CLIENT_DEADLINE_MS: String(DEADLINE_MS),
    PARLEY_APPROVAL_DEADLINE_MS: String(DEADLINE_MS),
    PARLEY_RETRY_BASE_MS: '20',
    PARLEY_RETRY_CEILING_MS: '100',
    PARLEY_STREAM_SILENCE_TIMEOUT_MS: '5000',
    PARLEY_OWNER_COMMANDS_PER_SECOND: '100000',
    PARLEY_OWNER_COMMANDS_BURST: '100000',
    PARLEY_COMMANDS_PER_SECOND: '100000',
    PARLEY_COMMANDS_BURST: '100000',
  };
}
