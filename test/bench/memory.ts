// Memory: what a session that follows a chat and what an idle actor hold, in resident bytes after a forced collection.

import { setTimeout as sleep } from 'node:timers/promises';
import type { ChatId } from '../../protocol/ids.ts';
import { createDatabase, start as startPostgres, type TestServer } from '../support/postgres.ts';
import { freePort } from '../support/port.ts';
import type { Benchmark, BenchOptions, BenchResult } from './benchmark.ts';
import { alternate, median } from './support/alternate.ts';
import { Child } from './support/child.ts';
import type { HolderPlan } from './memory/holder.ts';
import { startNode, type RunningNode } from './support/running-node.ts';

export const memory: Benchmark = {
  summary: 'resident bytes of a live attached session beyond bare uWebSockets.js, and of an idle actor',
  run,
};

type Load = {
  readonly sessions: number;
  /** That the sessions follow, one each. */
  readonly chats: number;
  readonly actors: number;
};

const FULL: Load = { sessions: 5_000, chats: 100, actors: 5_000 };
const QUICK: Load = { sessions: 100, chats: 10, actors: 100 };
const ROUNDS = 3;
const BATCH = 50;
const POLL_MS = 20;

/** Resident bytes of a process before and with what is measured in it. */
type Run = { readonly before: number; readonly after: number; readonly each: number; readonly heapEach: number };

async function run({ isQuick, say }: BenchOptions): Promise<BenchResult> {
  const load = isQuick ? QUICK : FULL;
  const postgres = await startPostgres();
  try {
    const runs = await alternate(
      {
        sessions: () => withNode(postgres, load, 'sessions'),
        bare: () => bareSessions(load),
        actors: () => withNode(postgres, load, 'actors'),
      },
      isQuick ? 1 : ROUNDS,
      (name, { each, heapEach }) => say(`${name}: ${each} bytes each, ${heapEach} of them in the heap`),
    );
    return resultOf(runs, load);
  } finally {
    await postgres.stop();
  }
}

function resultOf(runs: Readonly<Record<'sessions' | 'bare' | 'actors', readonly Run[]>>, load: Load): BenchResult {
  const each = (name: keyof typeof runs): number => median(runs[name].map((one) => one.each));
  const bytes = { session: each('sessions') - each('bare'), actor: each('actors') };
  return {
    faults: [],
    aims: [
      { figure: 'bytes.session', got: bytes.session, atMost: 6 * 1024 },
      { figure: 'bytes.actor', got: bytes.actor, atMost: 12 * 1024 },
    ],
    figures: { bytes, load, runs },
  };
}

let databases = 0;

async function withNode(postgres: TestServer, load: Load, what: 'sessions' | 'actors'): Promise<Run> {
  const database = await createDatabase(postgres.url, `memory_${++databases}`);
  const node = await startNode(database.url, { PARLEY_IDLE_PASSIVATION_MS: '3600000' }, ['--expose-gc']);
  try {
    // What is made once (code that gets compiled, pools, buffers) is there before the first look.
    await useOnce(node);
    return what === 'sessions' ? await sessions(node, load) : await actors(node, load);
  } finally {
    await node.stop();
    await database.drop();
  }
}

async function useOnce(node: RunningNode): Promise<void> {
  const chats = await createChats(node, BATCH);
  const holder = new Child(HOLDER);
  const plan = { port: node.port, path: node.path, sockets: 100, session: { credential: node.credential, chats } };
  await holder.ask('connect', plan satisfies HolderPlan);
  await Promise.all(chats.map((chat) => node.client.send(chat, { text: '/script deltas=10 pace=0' })));
  await holder.stop();
}

async function sessions(node: RunningNode, load: Load): Promise<Run> {
  const chats = await createChats(node, load.chats);
  // The chats are there before: it is the sessions that are counted.
  await loadActors(node, chats);
  return held(node.child, load.sessions, {
    port: node.port,
    path: node.path,
    sockets: load.sessions,
    session: { credential: node.credential, chats },
  });
}

async function bareSessions(load: Load): Promise<Run> {
  const port = await freePort();
  const child = new Child(BARE, { execArgv: ['--expose-gc'] });
  try {
    await child.ask('listen', port);
    const warmUp = new Child(HOLDER);
    await warmUp.ask('connect', { port, path: '/', sockets: 100, session: null } satisfies HolderPlan);
    await warmUp.stop();
    return await held(child, load.sessions, { port, path: '/', sockets: load.sessions, session: null });
  } finally {
    await child.stop();
  }
}

async function held(child: Child, count: number, plan: HolderPlan): Promise<Run> {
  const holder = new Child(HOLDER);
  try {
    const before = await look(child);
    await holder.ask('connect', plan);
    return difference(before, await look(child), count);
  } finally {
    await holder.stop();
  }
}

async function actors(node: RunningNode, load: Load): Promise<Run> {
  const chats = await createChats(node, load.actors);
  const before = await look(node.child);
  await loadActors(node, chats);
  return difference(before, await look(node.child), load.actors);
}

async function createChats(node: RunningNode, count: number): Promise<readonly ChatId[]> {
  const chats: ChatId[] = [];
  while (chats.length < count) {
    const batch = Array.from({ length: Math.min(BATCH, count - chats.length) }, () => node.client.createChat({}));
    chats.push(...(await Promise.all(batch)).map((chat) => chat.id));
  }
  return chats;
}

/** One message and its answer each, so that an actor holds what one in use holds; then it is idle, with nobody there. */
async function loadActors(node: RunningNode, chats: readonly ChatId[]): Promise<void> {
  for (let i = 0; i < chats.length; i += BATCH) {
    const batch = chats.slice(i, i + BATCH);
    await Promise.all(batch.map((chat) => node.client.send(chat, { text: 'hello /script deltas=5 pace=0' })));
  }
  while (await anyRuns(node)) await sleep(POLL_MS);
}

/** The list begins with what has changed last: of the chats that were asked last one may still run. */
async function anyRuns({ client }: RunningNode): Promise<boolean> {
  const { chats } = await client.list({ limit: 100 });
  return chats.some((chat) => chat.status === 'running');
}

type Look = { readonly residentBytes: number; readonly heapBytes: number };

async function look(child: Child): Promise<Look> {
  return child.ask<Look>('memory');
}

function difference(before: Look, after: Look, count: number): Run {
  return {
    before: before.residentBytes,
    after: after.residentBytes,
    each: Math.round((after.residentBytes - before.residentBytes) / count),
    heapEach: Math.round((after.heapBytes - before.heapBytes) / count),
  };
}

const HOLDER = new URL('memory/holder.ts', import.meta.url);
const BARE = new URL('memory/bare.ts', import.meta.url);
