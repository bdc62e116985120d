// What nodes need goes away, comes back, or is slow: NATS killed and paused, one node cut off from NATS, one from Postgres,
// Postgres restarted, lines that delay and stall. Turns go on behind it, and nothing is left over.

import { pick } from '../../../loadtest/recorder/device.ts';
import type { GroupNode } from '../node-group.ts';
import type { Scenario } from '../scenario.ts';
import { TTL_MS, type Lines, type Stage } from '../stage.ts';

const AWAY_MS = 4_000;
/** Long enough for the others to declare a node dead that does not reach Postgres. */
const CUT_OFF_MS = 2 * TTL_MS + 2_000;
const BAD_MS = 10_000;
const BETWEEN_MS = { min: 3_000, max: 4_000 } as const;
/** 200 ms each way, and one piece of twenty stalls until it is sent again. */
const BAD = { delayMs: 200, stallShare: 0.05, stallMs: 400 } as const;
/** For the actors of the last turns to be seen where they are. */
const SETTLE_MS = 2_000;

type Strike = { readonly name: string; readonly needsNats: boolean; readonly play: (stage: Stage) => Promise<void> };

const STRIKES: readonly Strike[] = [
  { name: 'Postgres restarted', needsNats: false, play: async ({ parts }) => parts.postgres.restart?.() },
  {
    name: '200 ms and 5 % loss on every line',
    needsNats: false,
    play: async (stage) => {
      for (const line of allLines(stage)) line.weather = BAD;
      await stage.pause(BAD_MS);
      for (const line of allLines(stage)) line.heal();
    },
  },
  { name: 'a node cut off from Postgres', needsNats: false, play: (stage) => cutOff(stage, 'database', 'cut') },
  {
    name: 'a node that Postgres says nothing to',
    needsNats: false,
    play: (stage) => cutOff(stage, 'database', 'silence'),
  },
  {
    name: 'NATS killed and started again',
    needsNats: true,
    play: async (stage) => {
      await stage.parts.nats?.kill();
      await stage.pause(AWAY_MS);
      await stage.parts.nats?.up();
    },
  },
  {
    name: 'NATS paused',
    needsNats: true,
    play: async (stage) => {
      stage.parts.nats?.pause();
      await stage.pause(AWAY_MS);
      stage.parts.nats?.resume();
    },
  },
  { name: 'a node cut off from NATS', needsNats: true, play: (stage) => cutOff(stage, 'nats', 'cut') },
  { name: 'a node that NATS says nothing to', needsNats: true, play: (stage) => cutOff(stage, 'nats', 'silence') },
];

export const partition: Scenario = {
  summary: 'NATS and Postgres killed, paused, cut off from one node, slow and lossy',
  faults: { full: 24, quick: 8 },
  chats: 200,
  nodes: 3,
  nodesMin: 1,
  leaves: 0.02,
  hasLines: true,
  play: async (stage, { faults, nodes }) => {
    const strikes = STRIKES.filter(({ needsNats }) => !needsNats || nodes > 1);
    for (let i = 0; i < faults; i++) {
      await stage.pauseBetween(BETWEEN_MS.min, BETWEEN_MS.max);
      const strike = pick(strikes, (i % strikes.length) / strikes.length);
      stage.parts.say(`${i + 1}/${faults} ${strike.name}`);
      stage.struck(strike.name, null, []);
      await strike.play(stage);
    }
    await stage.pause(SETTLE_MS);
    return judged(stage);
  },
};

async function cutOff(stage: Stage, what: keyof Lines, how: 'cut' | 'silence'): Promise<void> {
  const { nodes, lines, fraction } = stage.parts;
  const i = Math.floor(fraction() * nodes.nodes.length);
  const [node, line]: [GroupNode | undefined, Lines[keyof Lines]] = [nodes.nodes[i], lines[i]?.[what] ?? null];
  line?.[how]();
  await stage.pause(CUT_OFF_MS);
  line?.heal();
  if (what === 'database' && node !== undefined) await stage.livesAgain(node);
}

function allLines({ parts }: Stage): readonly NonNullable<Lines['nats']>[] {
  return parts.lines.flatMap(({ database, nats }) => [database, nats].filter((line) => line !== null));
}

/** No turn dies of it, and no chat is in the memory of two nodes. */
async function judged(stage: Stage): Promise<Readonly<Record<string, unknown>>> {
  const { load, nodes, say } = stage.parts;
  const died = load.outcomes.get('error') ?? 0;
  if (died > 0) stage.faults.push(`${died} ends of turns with an error were seen`);
  const actors = await nodes.metric('parley_actors');
  if (actors > load.chats.size) stage.faults.push(`${actors} actors for ${load.chats.size} chats: some were leaked`);
  say(`${actors} actors for ${load.chats.size} chats`);
  return { turnsDied: died, actors };
}
