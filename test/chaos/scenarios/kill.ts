// `kill -9` of a node while its chats stream, again and again: the next one when the last takeover is done.

import type { Plan, Scenario } from '../scenario.ts';
import { TTL_MS, type Stage } from '../stage.ts';
import type { GroupNode } from '../node-group.ts';

/** Between two kills: chats have begun to stream again. */
const BETWEEN_MS = { min: 1_000, max: 3_000 } as const;
/** Beyond the TTL a takeover may take this long, with another node there to do it. */
const BEYOND_TTL_MS = 2_000;

export const kill: Scenario = {
  summary: 'kill -9 of a node, the next one when the last takeover is done; it is started again',
  faults: { full: 100, quick: 6 },
  nodes: 3,
  nodesMin: 1,
  leaves: 0.05,
  hasLines: false,
  play: async (stage, plan) => {
    let restarting = Promise.resolve();
    for (let i = 0; i < plan.faults; i++) {
      await stage.pauseBetween(BETWEEN_MS.min, BETWEEN_MS.max);
      const { node, chats } = await stage.owner();
      const killed = stage.parts.nodes.kill(node);
      stage.struck('kill', node, chats);
      await killed;
      restarting = stage.parts.nodes.restart(node);
      await Promise.all([stage.takenOver(), enoughUp(stage, plan, restarting)]);
      stage.parts.say(
        `${i + 1}/${plan.faults} killed ${node.name}: ${chats.length} chats ran, ${JSON.stringify(stage.takeoverMs())}`,
      );
    }
    await restarting;
    return bound(stage, plan);
  },
};

/** With more nodes than one the next kill need not wait for the one that comes back, as long as two live. */
async function enoughUp(stage: Stage, { nodes }: Plan, restarting: Promise<void>): Promise<void> {
  const live: readonly GroupNode[] = stage.parts.nodes.up;
  if (nodes === 1 || live.length < 2) await restarting;
}

/** With one node alone the takeover waits for the process to start: then there is no bound but the figures. */
function bound(stage: Stage, { nodes }: Plan): Readonly<Record<string, unknown>> {
  const takeoverMs = stage.takeoverMs();
  const boundMs = nodes > 1 ? TTL_MS + BEYOND_TTL_MS : null;
  if (boundMs !== null && (takeoverMs.p99 ?? 0) > boundMs) {
    stage.faults.push(`the p99 of takeovers is ${takeoverMs.p99} ms, allowed are ${boundMs}`);
  }
  return { takeoverMs, boundMs };
}
