// All clients of a node are cut at once, and are back at once: how long that takes, compared with their first connect, and
// what it costs the database. They follow chats in which nothing happens; those that talk are on the same node.

import type { ParleyClient } from '../../../protocol/client/index.ts';
import { must } from '../../../protocol/assert.ts';
import type { ChatId } from '../../../protocol/ids.ts';
import { percentile } from '../../../loadtest/recorder/takeovers.ts';
import { Clients } from '../../support/clients.ts';
import { readMetric } from '../metric.ts';
import type { GroupNode } from '../node-group.ts';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';
import { StormClient } from '../storm-client.ts';

/** Clients of the storm, beside those that talk. Each has a file on both sides of one machine. */
const CLIENTS = { full: 2_000, quick: 400 } as const;
/** Chats that they follow, each client two of them. */
const CHATS = 50;
const CHATS_EACH = 2;
const OWNER = 'storm';
/** The first connect is measured this often, each time by clients that were never there. */
const FIRSTS = 3;
const BETWEEN_MS = 2_000;
const RATIO_MAX = 1.15;
/** A session of Postgres tells at most once a second what it has done. */
const STATISTICS_MS = 1_500;
const QUIET_MS = 2_000;
/** What a collector of garbage leaves lying about; more is a leak. */
const GROWTH_BYTES_MAX = 96 * 1024 * 1024;

export const storm: Scenario = {
  summary: 'all clients of a node cut at once and back: the time to resume, reads of the database, memory',
  faults: { full: 10, quick: 5 },
  chats: 200,
  nodes: 1,
  nodesMin: 1,
  leaves: 0,
  hasLines: false,
  play: async (stage, { faults, isQuick }) => {
    const node = must(stage.parts.nodes.nodes[0], 'there is a node');
    const chats = await makeChats(stage, node);
    const count = isQuick ? CLIENTS.quick : CLIENTS.full;
    const firsts = await firstConnects(stage, { node, chats, count });
    const storms = await cutAndBack(stage, { node, crowd: firsts.crowd, faults });
    firsts.crowd.cut();
    const [firstConnectMs, resumedMs] = [median(firsts.tookMs), median(storms.tookMs)];
    const ratio = Math.round((resumedMs / firstConnectMs) * 100) / 100;
    if (ratio > RATIO_MAX)
      stage.faults.push(`all were back after ${ratio} of the first connect, allowed is ${RATIO_MAX}`);
    if (storms.grownBytes > GROWTH_BYTES_MAX) stage.faults.push(`the node grew by ${storms.grownBytes} bytes`);
    const { tookMs: _tookMs, ...rest } = storms;
    return { stormClients: count, attachments: count * CHATS_EACH, firstConnectMs, resumedMs, ratio, ...rest };
  },
};

/** Chats with a message and an answer each, in which nothing happens any more. */
async function makeChats(stage: Stage, node: GroupNode): Promise<readonly ChatId[]> {
  stage.parts.say(`${CHATS} quiet chats are made`);
  const clients = new Clients();
  const client: ParleyClient = await clients.connect(node.process.url, await stage.parts.nodes.tokenFor(OWNER));
  const chats = await Promise.all(
    Array.from({ length: CHATS }, async () => {
      const { id } = await client.createChat();
      const handle = client.chat(id);
      handle.attach();
      const { turn } = await client.send(id, { text: '/script words=60 pace=0' });
      await handle.until(({ lastTurn }) => lastTurn?.turn === turn);
      return id;
    }),
  );
  clients.closeAll();
  return chats;
}

type Setting = { readonly node: GroupNode; readonly chats: readonly ChatId[]; readonly count: number };

async function firstConnects(
  stage: Stage,
  { node, chats, count }: Setting,
): Promise<{ tookMs: number[]; crowd: Crowd }> {
  const tookMs: number[] = [];
  const credential = await stage.parts.nodes.tokenFor(OWNER);
  const make = (): Crowd => new Crowd({ port: node.process.port, credential, chats, count, faults: stage.faults });
  let crowd = make();
  for (let i = 0; i < FIRSTS; i++) {
    crowd.cut();
    crowd = make();
    await stage.pause(BETWEEN_MS);
    tookMs.push(await timed(() => crowd.connect()));
    stage.parts.say(
      `first connect ${i + 1}/${FIRSTS}: ${count} clients follow after ${Math.round(tookMs.at(-1) ?? 0)} ms`,
    );
  }
  return { tookMs, crowd };
}

type Storms = {
  readonly tookMs: readonly number[];
  /** How the attaches of all storms were answered; `resumed` from the ring costs no read. */
  readonly attaches: { readonly resumed: number; readonly snapshot: number };
  /** Looks into chats and messages per storm, beyond those of the chats that talk. */
  readonly readsPerStorm: number;
  readonly grownBytes: number;
};

async function cutAndBack(
  stage: Stage,
  { node, crowd, faults }: { readonly node: GroupNode; readonly crowd: Crowd; readonly faults: number },
): Promise<Storms> {
  const quietReads = (await reads(stage, () => stage.pause(QUIET_MS))) / (QUIET_MS + STATISTICS_MS);
  const before = { ...(await attachesOf(node)), bytes: node.process.residentBytes() };
  const tookMs: number[] = [];
  const readsEach: number[] = [];
  for (let i = 1; i <= faults; i++) {
    await stage.pause(BETWEEN_MS);
    stage.struck('storm', node, []);
    const read = await reads(stage, async () => {
      const took = await timed(async () => {
        crowd.cut();
        await crowd.connect();
      });
      tookMs.push(took);
    });
    const took = tookMs.at(-1) ?? 0;
    readsEach.push(Math.max(0, Math.round(read - quietReads * (took + STATISTICS_MS))));
    stage.parts.say(`storm ${i}/${faults}: all are back after ${Math.round(took)} ms`);
  }
  const after = await attachesOf(node);
  return {
    tookMs,
    attaches: { resumed: after.resumed - before.resumed, snapshot: after.snapshot - before.snapshot },
    readsPerStorm: median(readsEach),
    grownBytes: node.process.residentBytes() - before.bytes,
  };
}

class Crowd {
  readonly #clients: readonly StormClient[];

  constructor(options: {
    readonly port: number;
    readonly credential: string;
    readonly chats: readonly ChatId[];
    readonly count: number;
    readonly faults: string[];
  }) {
    const { port, credential, chats, count, faults } = options;
    const onFault = (what: string): void => void faults.push(`a client of the storm was ${what}`);
    this.#clients = Array.from({ length: count }, (_, i) => {
      const own = Array.from({ length: CHATS_EACH }, (_unused, k) => chats[(i * CHATS_EACH + k) % chats.length]);
      return new StormClient({ port, credential, chats: own.filter((chat) => chat !== undefined), onFault });
    });
  }

  /** All at once; resolves when the last one follows. */
  async connect(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.connect()));
  }

  cut(): void {
    for (const client of this.#clients) client.cut();
  }
}

function median(figures: readonly number[]): number {
  return percentile(figures, 0.5) ?? 0;
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

/** Looks into chats and messages while `work` goes on, and a little longer. */
async function reads(stage: Stage, work: () => Promise<void>): Promise<number> {
  const before = await stage.parts.watch.scans();
  await work();
  await stage.pause(STATISTICS_MS);
  return (await stage.parts.watch.scans()) - before;
}

async function attachesOf({ metricsUrl }: GroupNode): Promise<{ readonly resumed: number; readonly snapshot: number }> {
  const of = (outcome: string): Promise<number> =>
    readMetric(metricsUrl, 'parley_attaches_total', `outcome="${outcome}"`);
  return { resumed: await of('resumed'), snapshot: await of('snapshot') };
}
