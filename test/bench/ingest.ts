// Ingest: what it costs a node to take in what a model says, from the bytes of its provider to the frames that every reader
// of the chat gets, against the loop of the provider's own SDK over the same streams, which only joins the text.

import type { Aim, Benchmark, BenchOptions, BenchResult } from './benchmark.ts';
import type { Read, Reading } from './ingest/reader.ts';
import { must } from '../../protocol/assert.ts';
import { CHAT_DEFAULTS } from '../../actors/chat/settings.ts';
import { alternate, median } from './support/alternate.ts';
import { Child } from './support/child.ts';
import { rounded } from './support/machine.ts';
import { sharesOf, topFunctions, type CpuProfile, type Part } from './support/profile.ts';

export const ingest: Benchmark = {
  summary: 'provider events per CPU-second through the adapters to encoded frames, against the bare SDK loops',
  run,
};

const FAKES = new URL('ingest/fakes.ts', import.meta.url);
const READER = new URL('ingest/reader.ts', import.meta.url);

type Load = {
  /** Deltas of a stream. */
  readonly tokens: number;
  readonly streams: number;
  readonly lanes: number;
  readonly rounds: number;
};

/** Eight answers side by side, as fast as the fakes give them: many short runs, since neighbours come and go. */
const FULL: Load = { tokens: 2_000, streams: 1, lanes: 8, rounds: 15 };
const QUICK: Load = { tokens: 200, streams: 1, lanes: 2, rounds: 1 };

const PROVIDERS = ['anthropic', 'openai'] as const;
type Provider = (typeof PROVIDERS)[number];
/**
 * `adapter` merges deltas for as long as the node does by default; `unmerged` encodes each delta by itself, which is what a
 * model costs that speaks slower than that.
 */
const WAYS = ['adapter', 'sdk', 'unmerged'] as const;
type Way = (typeof WAYS)[number];
type Contestant = `${Provider} ${Way}`;

/** One contestant over one load. */
type Run = {
  readonly events: number;
  readonly frames: number;
  readonly frameBytes: number;
  readonly cpuMs: number;
  readonly wallMs: number;
  readonly eventsPerCpuSecond: number;
};

async function run({ isQuick, say }: BenchOptions): Promise<BenchResult> {
  const load = isQuick ? QUICK : FULL;
  const fakes = new Child(FAKES);
  const readers = new Map<Contestant, Child>();
  for (const provider of PROVIDERS) for (const way of WAYS) readers.set(`${provider} ${way}`, new Child(READER));
  try {
    const url = await fakes.ask<string>('listen', load.tokens);
    const bench = new Bench(readers, url, load);
    for (const contestant of readers.keys()) await bench.warmUp(contestant);
    const contestants = Object.fromEntries(
      [...readers.keys()].map((contestant) => [contestant, () => bench.measure(contestant)]),
    ) as Record<Contestant, () => Promise<Run>>;
    const runs = await alternate(contestants, load.rounds, (name, { eventsPerCpuSecond }) => {
      say(`${name}: ${eventsPerCpuSecond} events per CPU-second`);
    });
    const profiles = isQuick ? null : await bench.profiles();
    return resultOf(runs, { load, faults: bench.faults, profiles });
  } finally {
    await Promise.all([...readers.values(), fakes].map((child) => child.stop()));
  }
}

type Profiles = Readonly<Record<Provider, CpuProfile>>;

class Bench {
  readonly faults: string[] = [];
  readonly #readers: ReadonlyMap<Contestant, Child>;
  readonly #url: string;
  readonly #load: Load;
  /** Of all streams of a run: the SDK's loop counts them, and all get the same. */
  readonly #expected = new Map<Provider, { readonly events: number; readonly textBytes: number }>();

  constructor(readers: ReadonlyMap<Contestant, Child>, url: string, load: Load) {
    this.#readers = readers;
    this.#url = url;
    this.#load = load;
  }

  async warmUp(contestant: Contestant): Promise<void> {
    const read = await this.#read(contestant);
    const provider = providerOf(contestant);
    if (read.events !== null) this.#expected.set(provider, { events: read.events, textBytes: read.textBytes });
  }

  async measure(contestant: Contestant): Promise<Run> {
    const read = await this.#read(contestant);
    const expected = must(this.#expected.get(providerOf(contestant)), 'the loop of the SDK was warmed up');
    if (read.textBytes !== expected.textBytes) this.faults.push(`${contestant} read another text than the SDK`);
    if (read.events !== null && read.events !== expected.events) this.faults.push(`${contestant} lost events`);
    return {
      events: expected.events,
      frames: read.frames,
      frameBytes: read.frameBytes,
      cpuMs: rounded(read.cpuMs),
      wallMs: rounded(read.wallMs),
      eventsPerCpuSecond: Math.round((expected.events * 1_000) / read.cpuMs),
    };
  }

  /** Where the time of the adapters goes, apart from what was measured. */
  async profiles(): Promise<Profiles> {
    const profiles: [Provider, CpuProfile][] = [];
    for (const provider of PROVIDERS) {
      const reader = must(this.#readers.get(`${provider} adapter`), 'each contestant has its reader');
      await reader.ask('startProfile');
      await this.#read(`${provider} adapter`);
      profiles.push([provider, await reader.ask<CpuProfile>('stopProfile')]);
    }
    return Object.fromEntries(profiles) as Profiles;
  }

  #read(contestant: Contestant): Promise<Read> {
    const { streams, lanes } = this.#load;
    const way = contestant.split(' ')[1];
    const reading: Reading = {
      provider: providerOf(contestant),
      how: way === 'sdk' ? 'sdk' : 'adapter',
      url: this.#url,
      streams,
      lanes,
      mergeWindowMs: way === 'unmerged' ? 0 : CHAT_DEFAULTS.mergeWindowMs,
    };
    return must(this.#readers.get(contestant), 'each contestant has its reader').ask<Read>('read', reading);
  }
}

function providerOf(contestant: Contestant): Provider {
  return contestant.startsWith('anthropic') ? 'anthropic' : 'openai';
}

function resultOf(
  runs: Readonly<Record<Contestant, readonly Run[]>>,
  more: { readonly load: Load; readonly faults: readonly string[]; readonly profiles: Profiles | null },
): BenchResult {
  // Round by round, against the run beside it: what the machine does meanwhile hits both.
  const ratio = (provider: Provider, way: Way): number => {
    const bare = runs[`${provider} sdk`];
    const ratios = runs[`${provider} ${way}`].map(({ eventsPerCpuSecond }, round) => {
      return eventsPerCpuSecond / must(bare[round], 'every round has every contestant').eventsPerCpuSecond;
    });
    return rounded(median(ratios));
  };
  const against = (way: Way): Readonly<Record<Provider, number>> => ({
    anthropic: ratio('anthropic', way),
    openai: ratio('openai', way),
  });
  const ratios = against('adapter');
  const aims: readonly Aim[] = PROVIDERS.map((provider) => {
    return { figure: `ratios.${provider}`, got: ratios[provider], atLeast: 0.8 };
  });
  const profiles = Object.fromEntries(
    Object.entries(more.profiles ?? {}).map(([provider, profile]) => [
      provider,
      { shares: sharesOf(profile, PARTS), functions: topFunctions(profile, 30) },
    ]),
  );
  return {
    faults: more.faults,
    aims,
    figures: { ratios, unmerged: against('unmerged'), load: more.load, runs, profiles },
  };
}

/** The path from the provider's bytes to the frames, part by part; the first that fits counts. */
const PARTS: readonly Part[] = [
  { name: 'fetch', covers: /models\/guarded-fetch/ },
  { name: 'accumulate', covers: /models\// },
  { name: 'writer', covers: /chat\/step-writer/ },
  { name: 'encode', covers: /protocol\/(codec|wire-)/ },
  { name: 'log', covers: /chat\/(stream-log|live-view)/ },
  { name: 'sdk', covers: /(core|internal|lib|openai|sdk)\/[\w-]+\.m?js/ },
  { name: 'garbage', covers: /\(garbage collector\)/ },
];
