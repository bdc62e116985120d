// What every chaos scenario plays on: a private Postgres, nodes, chats with devices that talk, and a recorder that judges.

import { Load } from '../../loadtest/recorder/load.ts';
import { Urls } from '../../loadtest/recorder/recorded-socket.ts';
import { Recorder } from '../../loadtest/recorder/recorder.ts';
import { percentile } from '../../loadtest/recorder/takeovers.ts';
import type { Verdict } from '../../loadtest/check/checker.ts';
import type { ChatId } from '../../protocol/ids.ts';
import { scriptedText } from '../../actors/models/script-text.ts';
import { randomOf } from '../../loadtest/check/random-history.ts';
import { createDatabase, start as startPostgres } from '../support/postgres.ts';
import { NodeGroup, type GroupNode } from './node-group.ts';
import { StorageWatch, type Owned } from './storage-watch.ts';

export type StageOptions = {
  readonly nodes: number;
  readonly chats: number;
  readonly devices: number;
  readonly seed: number;
  /** Where the history goes; null: it is judged and forgotten. */
  readonly history: string | null;
  readonly say: (line: string) => void;
  /** Of each node, beyond its database. */
  readonly env?: Readonly<Record<string, string>>;
};

/** The time within which a node's renewal counts, as storage has it by default. */
export const TTL_MS = 3_000;
/** A takeover that takes longer is given up, and reported. */
const TAKEOVER_GIVEN_UP_MS = 30_000;
const LOOK_EVERY_MS = 250;

export type StageEnd = Verdict & {
  /** What was left behind in storage, in words. */
  readonly remains: readonly string[];
};

export class Stage {
  readonly load: Load;
  readonly nodes: NodeGroup;
  readonly recorder: Recorder;
  readonly fraction: () => number;
  readonly say: (line: string) => void;
  /** What no rule of the checker covers, in words. */
  readonly faults: string[] = [];
  readonly #watch: StorageWatch;
  readonly #teardown: (() => Promise<void>)[];

  private constructor(
    parts: Pick<Stage, 'load' | 'nodes' | 'recorder' | 'fraction' | 'say'>,
    watch: StorageWatch,
    teardown: (() => Promise<void>)[],
  ) {
    this.load = parts.load;
    this.nodes = parts.nodes;
    this.recorder = parts.recorder;
    this.fraction = parts.fraction;
    this.say = parts.say;
    this.#watch = watch;
    this.#teardown = teardown;
  }

  /** Resolves when everybody follows and talks. Whatever was started is ended when it fails. */
  static async start(options: StageOptions): Promise<Stage> {
    const teardown: (() => Promise<void>)[] = [];
    try {
      return await assemble(options, teardown, (...parts) => new Stage(...parts));
    } catch (error) {
      await runBackwards(teardown);
      throw error;
    }
  }

  pause(ms: number): Promise<void> {
    return this.load.pause(ms);
  }

  /** Between the two, drawn. */
  pauseBetween(minMs: number, maxMs: number): Promise<void> {
    return this.pause(minMs + (maxMs - minMs) * this.fraction());
  }

  async runningOn(node: GroupNode): Promise<readonly Owned[]> {
    const owned = await this.#watch.look();
    return owned.filter((chat) => chat.isRunning && chat.node === node.id);
  }

  /** Notes the fault, and that these chats have no owner from now on. */
  struck(kind: string, node: GroupNode | null, chats: readonly Owned[]): void {
    this.recorder.add({ type: 'fault', at: Date.now(), kind, node: node?.name ?? null });
    this.load.takeovers.begin(chats.map(({ id, epoch }) => [id, epoch]));
  }

  /**
   * Resolves when every chat of the fault is in a later epoch. One whose turn had ended just before has nothing to be
   * taken up for, and is left out.
   */
  async takenOver(): Promise<void> {
    const { takeovers } = this.load;
    const givenUpMs = performance.now() + TAKEOVER_GIVEN_UP_MS;
    while (takeovers.pending > 0 && performance.now() < givenUpMs) {
      await Promise.race([takeovers.done(), this.pause(LOOK_EVERY_MS)]);
      const owned = await this.#watch.look().catch(() => []);
      takeovers.abandon(owned.filter(({ isRunning }) => !isRunning).map(({ id }) => id));
    }
    const left: readonly ChatId[] = takeovers.waiting;
    if (left.length === 0) return;
    this.faults.push(`${left.length} chats were not taken up in ${TAKEOVER_GIVEN_UP_MS} ms, the first is ${left[0]}`);
    takeovers.abandon(left);
  }

  takeoverMs(): {
    readonly p50: number | null;
    readonly p99: number | null;
    readonly max: number | null;
    readonly count: number;
  } {
    const { tookMs } = this.load.takeovers;
    const [p50, p99, max] = [0.5, 0.99, 1].map((share) => percentile(tookMs, share));
    return { p50: p50 ?? null, p99: p99 ?? null, max: max ?? null, count: tookMs.length };
  }

  /** The faults are over: asks, compares, judges. */
  async finish(): Promise<StageEnd> {
    this.say('the faults are over: every chat is asked, and compared with a fresh attach');
    await this.load.finish();
    const remains = await this.#watch.end();
    await this.load.stop();
    await this.#watch.stop();
    const errors = this.nodes.nodes.flatMap(({ name, process }) =>
      process.errorLines.map((line) => `${name}: ${line}`),
    );
    for (const line of errors.slice(0, 5)) this.say(`error ${line.slice(0, 400)}`);
    return { ...this.recorder.end(), remains };
  }

  /** Ends everything that was started. */
  async stop(): Promise<void> {
    await runBackwards(this.#teardown);
  }
}

async function assemble(
  options: StageOptions,
  teardown: (() => Promise<void>)[],
  make: (
    ...parts: [Pick<Stage, 'load' | 'nodes' | 'recorder' | 'fraction' | 'say'>, StorageWatch, (() => Promise<void>)[]]
  ) => Stage,
): Promise<Stage> {
  const { chats, devices, seed, say } = options;
  const server = await startPostgres();
  teardown.push(() => server.stop());
  const database = await createDatabase(server.url, `chaos_${process.pid}`);
  const urls = new Urls();
  const env = { ...options.env, DATABASE_URL: database.url };
  const nodes = await NodeGroup.start({ count: options.nodes, urls, env: () => env });
  teardown.push(() => nodes.stop());
  const recorder = new Recorder(options.history);
  const fraction = randomOf(seed);
  const watch = new StorageWatch(database.url, recorder);
  teardown.push(() => watch.stop());
  const load = new Load({
    chats,
    devices,
    urls,
    recorder,
    fraction,
    credential: (owner) => nodes.tokenFor(`owner ${owner}`),
    prompt,
    said: scriptedText,
    leaves: 0.05,
  });
  teardown.push(() => load.stop());
  await load.start();
  say(`${options.nodes} nodes, ${chats} chats, ${load.devices.length} clients, seed ${seed}`);
  watch.start();
  load.talk();
  return make({ load, nodes, recorder, fraction, say }, watch, teardown);
}

/** Seconds of stream, in words of all kinds, so that most chats run when a fault strikes. */
function prompt(fraction: () => number): string {
  const deltas = 40 + Math.floor(fraction() * 120);
  return `/script deltas=${deltas} pace=30-70ms unicode=1 seed=${Math.floor(fraction() * 2 ** 31)}`;
}

async function runBackwards(teardown: (() => Promise<void>)[]): Promise<void> {
  for (let end = teardown.pop(); end !== undefined; end = teardown.pop()) await end();
}
