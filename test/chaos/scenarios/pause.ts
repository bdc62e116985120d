// SIGSTOP of an owner for three times the TTL, then SIGCONT: it wakes up in the belief that its chats are its own. First with
// the node's own caution (it is suspended past its deadline), then without: what it tries to write then, storage refuses.

import { readMetric } from '../metric.ts';
import type { GroupNode } from '../node-group.ts';
import type { Scenario } from '../scenario.ts';
import { TTL_MS, type Stage } from '../stage.ts';

const STOPPED_TTLS = 3;
/** After it woke up: what it has to try, it tries within that time. */
const AWAKE_MS = 3_000;
const BETWEEN_MS = { min: 1_500, max: 3_000 } as const;
/** Renewals are as in production, but nothing holds a node back that missed its own. */
const CARELESS = { PARLEY_SELF_FENCING: 'no' } as const;

export const pause: Scenario = {
  summary: 'SIGSTOP of an owner for three times its lease, then SIGCONT; half of them without self-fencing',
  faults: { full: 30, quick: 4 },
  chats: 200,
  nodes: 3,
  nodesMin: 2,
  leaves: 0.05,
  hasLines: false,
  play: async (stage, { faults }) => {
    const half = Math.ceil(faults / 2);
    const careful = await strike(stage, half, 'with self-fencing');
    for (const node of stage.parts.nodes.nodes) {
      await stage.parts.nodes.terminate(node);
      await stage.parts.nodes.restart(node, CARELESS);
    }
    const careless = await strike(stage, faults - half, 'without self-fencing');
    if (careless === 0) stage.faults.push('without self-fencing nothing was tried: nothing was shown');
    return { attempts: { withFencing: careful, withoutFencing: careless }, takeoverMs: stage.takeoverMs() };
  },
};

/** Gives how many writes of epochs that were over storage has refused. */
async function strike(stage: Stage, faults: number, how: string): Promise<number> {
  const { nodes, say } = stage.parts;
  let attempts = 0;
  for (let i = 1; i <= faults; i++) {
    await stage.pauseBetween(BETWEEN_MS.min, BETWEEN_MS.max);
    const { node, chats } = await stage.owner();
    const before = await stale(node);
    nodes.signal(node, 'SIGSTOP');
    nodes.setUp(node, false);
    stage.struck(`pause ${how}`, node, chats);
    await Promise.all([stage.pause(STOPPED_TTLS * TTL_MS), stage.takenOver()]);
    nodes.signal(node, 'SIGCONT');
    await stage.pause(AWAKE_MS);
    nodes.setUp(node, true);
    await stage.livesAgain(node);
    attempts += (await stale(node)) - before;
    say(`${i}/${faults} ${how}: ${node.name} woke up, ${chats.length} chats had run, ${attempts} late writes refused`);
  }
  return attempts;
}

function stale({ metricsUrl }: GroupNode): Promise<number> {
  return readMetric(metricsUrl, 'parley_commits_total', 'outcome="stale"');
}
