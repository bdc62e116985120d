// Fan-out: what a node delivers per second of processor time, over the whole path from the scripted model to the sockets.

import { setTimeout as sleep } from 'node:timers/promises';
import { decodeServerMessage } from '../../protocol/codec.ts';
import type { ChatId } from '../../protocol/ids.ts';
import { assert } from '../../protocol/assert.ts';
import { createDatabase, start as startPostgres, type TestServer } from '../support/postgres.ts';
import { freePort } from '../support/port.ts';
import type { Aim, Benchmark, BenchOptions, BenchResult } from './benchmark.ts';
import type { Loop } from './fanout/checker.ts';
import type { Received, ReceiverPlan } from './fanout/receiver.ts';
import { alternate, median } from './support/alternate.ts';
import { Child } from './support/child.ts';
import { rounded } from './support/machine.ts';
import { sharesOf, topFunctions, type CpuProfile, type Part } from './support/profile.ts';
import { startNode } from './support/running-node.ts';

export const fanout: Benchmark = {
  summary: 'events delivered per CPU-second of the sender, against bare uWebSockets.js and ws with JSON',
  run,
};

/** The load: how many read what. */
type Load = {
  readonly chats: number;
  readonly sockets: number;
  readonly receivers: number;
  /** What each chat is asked for, and how often: more waits in its queue than it gets through. */
  readonly script: string;
  readonly turns: number;
  readonly mergeWindowMs: number;
  readonly warmUpMs: number;
  readonly windowMs: number;
};

/**
 * Every session follows every chat. Deltas of one chat that wait together are merged into one event when they are read,
 * so that a message holds several events only where a session follows several chats: here about nine. Nothing is merged
 * before (`mergeWindowMs` 0), so that each delta of the model is an event.
 */
const FULL: Load = {
  chats: 10,
  sockets: 200,
  receivers: 2,
  script: '/script deltas=1000 pace=1ms',
  turns: 19,
  mergeWindowMs: 0,
  warmUpMs: 2_000,
  windowMs: 5_000,
};
const QUICK: Load = { ...FULL, sockets: 40, turns: 3, warmUpMs: 300, windowMs: 700 };

const RECEIVER = new URL('fanout/receiver.ts', import.meta.url);
const UWS_SENDER = new URL('fanout/uws-sender.ts', import.meta.url);
const WS_SENDER = new URL('fanout/ws-sender.ts', import.meta.url);

const ROUNDS = 5;
/** Below this the sender waited for others, and its figures are theirs. */
const CORE_MIN = 0.9;

/** One sender over one window. */
type Run = {
  readonly events: number;
  readonly messages: number;
  readonly bytes: number;
  readonly wallMs: number;
  readonly senderCpuMs: number;
  readonly senderCores: number;
  readonly receiverCores: readonly number[];
  readonly eventsPerCpuSecond: number;
  readonly eventsPerMessage: number;
  readonly faults: readonly string[];
};

async function run({ isQuick, say }: BenchOptions): Promise<BenchResult> {
  const load = isQuick ? QUICK : FULL;
  const postgres = await startPostgres();
  try {
    say('recording what one reader gets');
    // The baselines send what the latest run of the node has sent.
    let stream = streamOf((await runNode(postgres, load, 'measure')).recording);
    const senders = {
      parley: async () => {
        const { run: measured, recording } = await runNode(postgres, load, 'measure');
        stream = streamOf(recording);
        return measured;
      },
      uws: () => runBaseline(UWS_SENDER, 'parley', stream, load),
      ws: () => runBaseline(WS_SENDER, 'json', stream, load),
    };
    const runs = await alternate(senders, isQuick ? 1 : ROUNDS, (name, { eventsPerCpuSecond, senderCores }) => {
      say(`${name}: ${eventsPerCpuSecond} events per CPU-second, ${senderCores} cores`);
    });
    const profile = isQuick ? null : (await runNode(postgres, load, 'profile')).profile;
    return resultOf(runs, { load, profile, isQuick });
  } finally {
    await postgres.stop();
  }
}

type Runs = Readonly<Record<'parley' | 'uws' | 'ws', readonly Run[]>>;

function resultOf(
  runs: Runs,
  more: { readonly load: Load; readonly profile: CpuProfile | null; readonly isQuick: boolean },
): BenchResult {
  const rate = (name: keyof Runs): number => median(runs[name].map((one) => one.eventsPerCpuSecond));
  const ratios = { uws: rounded(rate('parley') / rate('uws')), ws: rounded(rate('parley') / rate('ws')) };
  const aims: readonly Aim[] = [
    { figure: 'ratios.uws', got: ratios.uws, atLeast: 0.6 },
    { figure: 'ratios.ws', got: ratios.ws, atLeast: 4 },
  ];
  const faults = Object.entries(runs).flatMap(([name, of]) => [
    ...of.flatMap((one) => one.faults.map((fault) => `${name}: ${fault}`)),
    ...idleFaults(name, of, more.isQuick),
  ]);
  const profile =
    more.profile === null ? null : { shares: sharesOf(more.profile, PARTS), functions: topFunctions(more.profile, 30) };
  return { faults, aims, figures: { ratios, load: more.load, runs, profile } };
}

/** A short run is too short to fill a core. */
function idleFaults(name: string, runs: readonly Run[], isQuick: boolean): readonly string[] {
  const cores = median(runs.map((one) => one.senderCores));
  return isQuick || cores >= CORE_MIN ? [] : [`${name} used ${cores} of a core: it was not what limits`];
}

// ------------------------------------------------------------------------------------------------------- the node

type NodeRun = { readonly run: Run; readonly recording: readonly Uint8Array[]; readonly profile: CpuProfile | null };

async function runNode(postgres: TestServer, load: Load, purpose: 'measure' | 'profile'): Promise<NodeRun> {
  const database = await createDatabase(postgres.url, `fanout_${++databases}`);
  const node = await startNode(database.url, { PARLEY_MERGE_WINDOW_MS: String(load.mergeWindowMs) });
  const receivers = Array.from({ length: load.receivers }, () => new Child(RECEIVER));
  try {
    const chats: ChatId[] = [];
    for (let i = 0; i < load.chats; i++) chats.push((await node.client.createChat({ title: `chat ${i}` })).id);
    const plan: ReceiverPlan = {
      port: node.port,
      path: node.path,
      sockets: load.sockets / load.receivers,
      form: 'parley',
      session: { credential: node.credential, chats },
      loop: null,
    };
    await Promise.all(receivers.map((receiver) => receiver.ask('connect', plan)));
    await Promise.all(
      chats.map(async (chat) => {
        for (let i = 0; i < load.turns; i++) await node.client.send(chat, { text: load.script });
      }),
    );
    await sleep(load.warmUpMs);
    await receivers[0]?.ask('record');
    if (purpose === 'profile') await node.child.ask('startProfile');
    const measured = await measure(node.child, receivers, load.windowMs);
    const profile = purpose === 'profile' ? await node.child.ask<CpuProfile>('stopProfile') : null;
    const recording = await receivers[0]?.ask<Uint8Array[]>('recorded');
    return { run: measured, recording: recording ?? [], profile };
  } finally {
    await Promise.all(receivers.map((receiver) => receiver.stop()));
    await node.stop();
    await database.drop();
  }
}

let databases = 0;

// -------------------------------------------------------------------------------------------------- the baselines

type Stream = { readonly messages: readonly Uint8Array[]; readonly loop: Loop };

/** The messages with events, without those behind the last place where they can begin again. */
function streamOf(recording: readonly Uint8Array[]): Stream {
  const loop = new Map<ChatId, { before: number; last: number }>();
  const messages = recording.filter((message) => {
    const events = decodeServerMessage(message).filter((frame) => frame.op === 'event');
    for (const { chat, position, span } of events) {
      const before = loop.get(chat)?.before ?? position.seq - span;
      loop.set(chat, { before, last: position.seq });
    }
    return events.length > 0;
  });
  assert(messages.length > 0, 'a node under load sends something');
  return { messages, loop };
}

async function runBaseline(sender: URL, form: ReceiverPlan['form'], stream: Stream, load: Load): Promise<Run> {
  const port = await freePort();
  const child = new Child(sender);
  const receivers = Array.from({ length: load.receivers }, () => new Child(RECEIVER));
  try {
    await child.ask('listen', port);
    const sockets = load.sockets / load.receivers;
    const plan: ReceiverPlan = { port, path: '/', sockets, form, session: null, loop: stream.loop };
    await Promise.all(receivers.map((receiver) => receiver.ask('connect', plan)));
    await child.ask('start', stream.messages);
    await sleep(load.warmUpMs);
    return await measure(child, receivers, load.windowMs);
  } finally {
    await Promise.all(receivers.map((receiver) => receiver.stop()));
    await child.stop();
  }
}

// --------------------------------------------------------------------------------------------------- the measuring

async function measure(sender: Child, receivers: readonly Child[], windowMs: number): Promise<Run> {
  const before = await snapshot(sender, receivers);
  await sleep(windowMs);
  const after = await snapshot(sender, receivers);
  const wallMs = after.atMs - before.atMs;
  const senderCpuMs = after.cpuMs - before.cpuMs;
  const grown = (field: 'events' | 'messages' | 'bytes'): number =>
    after.received.reduce((sum, one, i) => sum + one[field] - (before.received[i]?.[field] ?? 0), 0);
  const events = grown('events');
  const messages = grown('messages');
  return {
    events,
    messages,
    bytes: grown('bytes'),
    wallMs: rounded(wallMs),
    senderCpuMs: rounded(senderCpuMs),
    senderCores: rounded(senderCpuMs / wallMs),
    receiverCores: after.received.map((one, i) => rounded((one.cpuMs - (before.received[i]?.cpuMs ?? 0)) / wallMs)),
    eventsPerCpuSecond: Math.round((events * 1000) / senderCpuMs),
    eventsPerMessage: rounded(events / messages),
    faults: after.received.flatMap((one) => (one.fault === null ? [] : [one.fault])),
  };
}

type Snapshot = { readonly atMs: number; readonly cpuMs: number; readonly received: readonly Received[] };

async function snapshot(sender: Child, receivers: readonly Child[]): Promise<Snapshot> {
  const [cpuMs, ...received] = await Promise.all([
    sender.ask<number>('cpuMs'),
    ...receivers.map((receiver) => receiver.ask<Received>('received')),
  ]);
  return { atMs: performance.now(), cpuMs, received };
}

/** The path from the model to the sockets, part by part; the first that fits counts. */
const PARTS: readonly Part[] = [
  { name: 'model', covers: /models\/scripted/ },
  { name: 'encode', covers: /protocol\/(codec|wire-)/ },
  { name: 'log', covers: /chat\/(stream-log|live-view)/ },
  { name: 'writer', covers: /chat\/step-writer/ },
  { name: 'actor', covers: /actors\// },
  { name: 'join', covers: /gateway\/flush\.ts joinChunks/ },
  { name: 'send', covers: /gateway\/uws/ },
  { name: 'session', covers: /gateway\/(session|attachment|outbox|flush)/ },
  { name: 'storage', covers: /storage\/|postgres\// },
  { name: 'garbage', covers: /\(garbage collector\)/ },
];
