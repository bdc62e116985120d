// Slow readers (P9): what 199 readers notice of one that has stopped, and what it costs the node.

import { setTimeout as sleep } from 'node:timers/promises';
import type { ParleyClient } from '../../protocol/client/index.ts';
import type { ChatId } from '../../protocol/ids.ts';
import { createDatabase, start as startPostgres } from '../support/postgres.ts';
import type { Benchmark, BenchOptions, BenchResult } from './benchmark.ts';
import type { Speech } from './slow/provider.ts';
import type { Heard, ReceiverPlan } from './slow/receiver.ts';
import { quantileMs } from './slow/stamps.ts';
import { StoppedReader } from './slow/stopped-reader.ts';
import { alternate, median } from './support/alternate.ts';
import { Child } from './support/child.ts';
import { rounded } from './support/machine.ts';
import type { Memory } from './support/resident.ts';
import { startNode, type RunningNode } from './support/running-node.ts';

export const slow: Benchmark = {
  summary: 'p99 of 199 readers with and without one that has stopped reading',
  run,
};

type Load = {
  readonly receivers: number;
  /** Per process of receivers. */
  readonly sockets: readonly number[];
  readonly pairs: number;
  readonly speech: Speech;
  /** Deltas of a run that are not counted: everything is compiled and every cache filled by then. */
  readonly warmUpMs: number;
};

const FULL: Load = {
  receivers: 2,
  sockets: [100, 99],
  pairs: 5,
  speech: { deltas: 600, paceMs: 10 },
  warmUpMs: 1_000,
};
const QUICK: Load = { ...FULL, sockets: [10, 9], pairs: 1, speech: { deltas: 60, paceMs: 10 }, warmUpMs: 100 };

/** What P9 allows: a quarter more, or two milliseconds. */
const RATIO_MAX = 1.25;
const EXTRA_MS_MAX = 2;

const RECEIVER = new URL('slow/receiver.ts', import.meta.url);
const PROVIDER = new URL('slow/provider.ts', import.meta.url);

type Run = {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly deltas: number;
  readonly rssBytes: number;
  /** What the stopped reader had left unread and got when it read again; null in a run without it. */
  readonly bytesLate: number | null;
};
type Stage = { readonly node: RunningNode; readonly receivers: readonly Child[]; readonly big: ChatId };

async function run({ isQuick, say }: BenchOptions): Promise<BenchResult> {
  const load = isQuick ? QUICK : FULL;
  const postgres = await startPostgres();
  const provider = new Child(PROVIDER);
  const receivers = Array.from({ length: load.receivers }, () => new Child(RECEIVER));
  const database = await createDatabase(postgres.url, 'slow');
  const baseUrl = await provider.ask<string>('listen', load.speech);
  const env = { ANTHROPIC_API_KEY: 'bench', ANTHROPIC_BASE_URL: baseUrl, PARLEY_MERGE_WINDOW_MS: '0' };
  const node = await startNode(database.url, env, ['--expose-gc']);
  try {
    const stage: Stage = { node, receivers, big: await bigChat(node.client) };
    const { port, path, credential } = node;
    const plans = load.sockets.map((sockets): ReceiverPlan => ({ port, path, sockets, credential }));
    await Promise.all(receivers.map((receiver, i) => receiver.ask('connect', plans[i])));
    // The first turn of a node is slower than any after it, and counts for nobody.
    await turn(stage, load, null);
    const contestants = {
      without: () => turn(stage, load, null),
      with: () => turn(stage, load, stopped),
    };
    const runs = await alternate(contestants, load.pairs, (name, { p50Ms, p99Ms }) => {
      say(`${name.padEnd(7)} p50 ${p50Ms} ms, p99 ${p99Ms} ms`);
    });
    return resultOf(runs, load, isQuick);
  } finally {
    await Promise.all([...receivers, provider].map((child) => child.stop()));
    await node.stop();
    await database.drop();
    await postgres.stop();
  }
}

function resultOf(
  runs: Readonly<Record<'without' | 'with', readonly Run[]>>,
  load: Load,
  isQuick: boolean,
): BenchResult {
  const p99Of = (name: 'without' | 'with'): number => rounded(median(runs[name].map(({ p99Ms }) => p99Ms)));
  const rssOf = (name: 'without' | 'with'): number => median(runs[name].map(({ rssBytes }) => rssBytes));
  const [without, stoppedMs] = [p99Of('without'), p99Of('with')];
  const atMost = rounded(Math.max(RATIO_MAX * without, without + EXTRA_MS_MAX));
  const isOver = !isQuick && stoppedMs > atMost;
  const faults = isOver
    ? [`the others wait: p99 is ${stoppedMs} ms with a stopped reader, at most ${atMost} ms may be`]
    : [];
  const pairs = runs.without.map((run, i) => ({ without: run.p99Ms, with: runs.with[i]?.p99Ms ?? null }));
  return {
    faults,
    aims: [{ figure: 'p99Ms.with', got: stoppedMs, atMost }],
    figures: {
      p99Ms: { without, with: stoppedMs, atMost, pairs },
      rssBytes: { without: rssOf('without'), with: rssOf('with') },
      violations: faults.length,
      load,
      runs,
    },
  };
}

async function bigChat(client: ParleyClient): Promise<ChatId> {
  const { id } = await client.createChat({ title: 'big' });
  await client.send(id, { text: 'big '.repeat(15_000) });
  return id;
}

type Reader = (stage: Stage, chat: ChatId) => StoppedReader;

function stopped({ node, big }: Stage, chat: ChatId): StoppedReader {
  const { port, path, credential } = node;
  return new StoppedReader({ port, path, credential, chat, big });
}

/** One turn of a new chat that everybody follows. Rejects when anybody missed anything. */
async function turn(stage: Stage, load: Load, makeReader: Reader | null): Promise<Run> {
  const { node, receivers } = stage;
  const { id: chat } = await node.client.createChat({ title: 'spoken' });
  const reader = makeReader?.(stage, chat) ?? null;
  try {
    await Promise.all(receivers.map((receiver) => receiver.ask('attach', chat)));
    await reader?.stop();
    const handle = node.client.chat(chat);
    handle.attach();
    await node.client.send(chat, { text: 'what time is it?' });
    await sleep(load.warmUpMs);
    await Promise.all(receivers.map((receiver) => receiver.ask('heard')));
    await handle.until(({ lastTurn }) => lastTurn !== null);
    // What is on its way to the others when this client has it all.
    await sleep(200);
    const heard = await Promise.all(receivers.map((receiver) => receiver.ask<Heard>('heard')));
    const { residentBytes: rssBytes } = await node.child.ask<Memory>('memory');
    await reader?.goOn();
    handle.detach();
    return { ...measured(heard, rssBytes), bytesLate: reader?.bytesAfter ?? null };
  } finally {
    reader?.destroy();
  }
}

function measured(heard: readonly Heard[], rssBytes: number): Omit<Run, 'bytesLate'> {
  for (const { fault } of heard) if (fault !== null) throw new Error(`a reader: ${fault}`);
  const counts = heard.map((one) => one.counts);
  return {
    p50Ms: rounded(quantileMs(counts, 0.5)),
    p99Ms: rounded(quantileMs(counts, 0.99)),
    deltas: heard.reduce((sum, { deltas }) => sum + deltas, 0),
    rssBytes,
  };
}
