// What every chaos scenario plays on: a private Postgres, nodes, chats with devices that talk, and a recorder that judges.

import { pick } from '../../loadtest/recorder/device.ts';
import { Load } from '../../loadtest/recorder/load.ts';
import { Urls } from '../../loadtest/recorder/recorded-socket.ts';
import { Recorder } from '../../loadtest/recorder/recorder.ts';
import { percentile } from '../../loadtest/recorder/takeovers.ts';
import type { JournalMode } from '../../actors/turn-ports.ts';
import type { Verdict } from '../../loadtest/check/checker.ts';
import type { ChatId } from '../../protocol/ids.ts';
import { parseScript } from '../../actors/models/script-directives.ts';
import { scriptedText } from '../../actors/models/script-text.ts';
import { randomOf } from '../../loadtest/check/random-history.ts';
import { LineProxy } from '../support/line-proxy.ts';
import { NatsServer } from '../support/nats.ts';
import { createDatabase, start as startPostgres, type TestServer } from '../support/postgres.ts';
import { NodeGroup, type GroupNode } from './node-group.ts';
import { StorageWatch, type Owned } from './storage-watch.ts';

export type StageOptions = {
  readonly nodes: number;
  readonly chats: number;
  readonly devices: number;
  readonly journal: JournalMode;
  readonly seed: number;
  /** Where the history goes; null: it is judged and forgotten. */
  readonly history: string | null;
  readonly say: (line: string) => void;
  readonly leaves: number;
  readonly hasLines: boolean;
};

/** The time within which a node's renewal counts, as storage has it by default. */
export const TTL_MS = 3_000;
/** A takeover that takes longer is given up, and reported. */
const TAKEOVER_GIVEN_UP_MS = 30_000;
const LOOK_EVERY_MS = 250;
const LOOKS_MAX = 80;

export type StageEnd = Verdict & {
  /** What was left behind in storage, in words. */
  readonly remains: readonly string[];
};

/** The lines of one node to what it needs; null where it needs it not, or has it without a line. */
export type Lines = { readonly database: LineProxy | null; readonly nats: LineProxy | null };

type Parts = {
  readonly load: Load;
  readonly nodes: NodeGroup;
  readonly recorder: Recorder;
  readonly postgres: TestServer;
  /** Null with one node. */
  readonly nats: NatsServer | null;
  /** In the order of the nodes. */
  readonly lines: readonly Lines[];
  readonly watch: StorageWatch;
  /** In [0, 1), by the seed of the run. */
  readonly fraction: () => number;
  readonly say: (line: string) => void;
};

export class Stage {
  readonly parts: Parts;
  /** What no rule of the checker covers, in words. */
  readonly faults: string[] = [];
  readonly #teardown: (() => Promise<void>)[];

  private constructor(parts: Parts, teardown: (() => Promise<void>)[]) {
    this.parts = parts;
    this.#teardown = teardown;
  }

  /** Resolves when everybody follows and talks. Whatever was started is ended when it fails. */
  static async start(options: StageOptions): Promise<Stage> {
    const teardown: (() => Promise<void>)[] = [];
    try {
      return new Stage(await assemble(options, teardown), teardown);
    } catch (error) {
      await runBackwards(teardown);
      throw error;
    }
  }

  pause(ms: number): Promise<void> {
    return this.parts.load.pause(ms);
  }

  /** Between the two, drawn. */
  pauseBetween(minMs: number, maxMs: number): Promise<void> {
    return this.pause(minMs + (maxMs - minMs) * this.parts.fraction());
  }

  /** A node that is up and has chats that run, drawn, with these chats; one that has none while nobody has any. */
  async owner(): Promise<{ readonly node: GroupNode; readonly chats: readonly Owned[] }> {
    for (let looks = 0; ; looks++) {
      const running = (await this.parts.watch.look()).filter(({ isRunning }) => isRunning);
      const owners = this.parts.nodes.up.filter(({ id }) => running.some((chat) => chat.node === id));
      if (owners.length === 0 && looks < LOOKS_MAX) {
        await this.pause(LOOK_EVERY_MS);
        continue;
      }
      const node = pick(owners.length === 0 ? this.parts.nodes.up : owners, this.parts.fraction());
      return { node, chats: running.filter((chat) => chat.node === node.id) };
    }
  }

  /** Resolves when the node renews its row, as the incarnation that it was or as another one. */
  async livesAgain(node: GroupNode): Promise<void> {
    for (let looks = 0; looks < LOOKS_MAX; looks++) {
      if ((await this.parts.watch.liveNodes()).includes(node.id)) return;
      await this.pause(LOOK_EVERY_MS);
    }
    this.faults.push(`${node.name} did not come back to life`);
  }

  /** Notes the fault, and that these chats have no owner from now on. */
  struck(kind: string, node: GroupNode | null, chats: readonly Owned[]): void {
    this.parts.recorder.add({ type: 'fault', at: Date.now(), kind, node: node?.name ?? null });
    this.parts.load.takeovers.begin(chats.map(({ id, epoch }) => [id, epoch]));
  }

  /**
   * Resolves when every chat of the fault is in a later epoch. One whose turn had ended just before has nothing to be
   * taken up for, and is left out.
   */
  async takenOver(): Promise<void> {
    const { takeovers } = this.parts.load;
    const givenUpMs = performance.now() + TAKEOVER_GIVEN_UP_MS;
    while (takeovers.pending > 0 && performance.now() < givenUpMs) {
      await Promise.race([takeovers.done(), this.pause(LOOK_EVERY_MS)]);
      const owned = await this.parts.watch.look().catch(() => []);
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
    const { tookMs } = this.parts.load.takeovers;
    const [p50, p99, max] = [0.5, 0.99, 1].map((share) => percentile(tookMs, share));
    return { p50: p50 ?? null, p99: p99 ?? null, max: max ?? null, count: tookMs.length };
  }

  /** The faults are over: asks, compares, judges. */
  async finish(): Promise<StageEnd> {
    this.parts.say('the faults are over: every chat is asked, and compared with a fresh attach');
    await this.parts.load.finish();
    const remains = await this.parts.watch.end();
    await this.parts.load.stop();
    await this.parts.watch.stop();
    const errors = this.parts.nodes.nodes.flatMap(({ name, process }) =>
      process.errorLines.map((line) => `${name}: ${line}`),
    );
    for (const line of errors.slice(0, 5)) this.parts.say(`error ${line.slice(0, 400)}`);
    return { ...this.parts.recorder.end(), remains };
  }

  /** Ends everything that was started. */
  async stop(): Promise<void> {
    await runBackwards(this.#teardown);
  }
}

async function assemble(options: StageOptions, teardown: (() => Promise<void>)[]): Promise<Parts> {
  const { chats, devices, journal, seed, say, leaves } = options;
  const fraction = randomOf(seed);
  const server = await startPostgres();
  teardown.push(() => server.stop());
  const database = await createDatabase(server.url, `chaos_${process.pid}`);
  const nats = options.nodes > 1 ? await NatsServer.start() : null;
  if (nats !== null) teardown.push(() => nats.kill());
  const lines: Lines[] = [];
  const envs: Record<string, string>[] = [];
  for (let i = 0; i < options.nodes; i++) {
    const line = async (url: string): Promise<{ readonly line: LineProxy | null; readonly through: string }> => {
      if (!options.hasLines) return { line: null, through: url };
      const made = await LineProxy.start(url, fraction);
      teardown.push(() => made.line.stop());
      return made;
    };
    const toDatabase = await line(database.url);
    const toNats = nats === null ? null : await line(nats.url);
    lines.push({ database: toDatabase.line, nats: toNats?.line ?? null });
    const natsEnv = toNats === null ? {} : { NATS_URL: toNats.through };
    envs.push({ DATABASE_URL: toDatabase.through, PARLEY_JOURNAL: journal, ...natsEnv });
  }
  const urls = new Urls();
  const nodes = await NodeGroup.start({ count: options.nodes, urls, env: (i) => envs[i] ?? {} });
  teardown.push(() => nodes.stop());
  const recorder = new Recorder(options.history);
  const watch = new StorageWatch(database.url, recorder);
  teardown.push(() => watch.stop());
  const credential = (owner: number): Promise<string> => nodes.tokenFor(`owner ${owner}`);
  const load = new Load({ chats, devices, urls, recorder, fraction, credential, prompt, said, leaves });
  teardown.push(() => load.stop());
  await load.start();
  say(`${options.nodes} nodes, ${chats} chats, ${load.devices.length} clients, seed ${seed}`);
  watch.start();
  load.talk();
  return { load, nodes, recorder, postgres: server, nats, lines, watch, fraction, say };
}

/**
 * Seconds of stream, in words of all kinds, so that most chats run when a fault strikes. Every other turn has steps that
 * call a tool, each as long as its share: so that some are between two steps.
 */
function prompt(fraction: () => number): string {
  const steps = fraction() < 0.5 ? 0 : 1 + Math.floor(fraction() * 4);
  const deltas = Math.ceil((40 + Math.floor(fraction() * 120)) / (steps + 1));
  const tools = steps === 0 ? '' : ` tool=clock steps=${steps}`;
  return `/script deltas=${deltas} pace=30-70ms unicode=1 seed=${Math.floor(fraction() * 2 ** 31)}${tools}`;
}

/** The text of all its steps: each says the same. */
function said(asked: string): string {
  const parsed = parseScript(asked);
  const steps = parsed.outcome === 'script' && parsed.script.tools.length > 0 ? parsed.script.steps : 0;
  return scriptedText(asked).repeat(steps + 1);
}

async function runBackwards(teardown: (() => Promise<void>)[]): Promise<void> {
  for (let end = teardown.pop(); end !== undefined; end = teardown.pop()) await end();
}
