// `kill -9` of a node while its chats stream, again and again: the next one when the last takeover is done.

import type { Plan, Scenario } from '../scenario.ts';
import { TTL_MS, type Stage } from '../stage.ts';

/** Between two kills: chats have begun to stream again. */
const BETWEEN_MS = { min: 1_000, max: 3_000 } as const;
/** With takeovers under way. */
const OVERLAPPING_MS = { min: 300, max: 3_000 } as const;
/** Beyond the TTL a takeover may take this long, with another node there to do it. */
const BEYOND_TTL_MS = 2_000;

export const kill: Scenario = {
  summary: 'kill -9 of a node, the next one when the last takeover is done; it is started again',
  faults: { full: 100, quick: 6 },
  chats: 200,
  nodes: 3,
  nodesMin: 1,
  leaves: 0.05,
  hasLines: false,
  play: async (stage, plan) => {
    const restarting = new Set<Promise<void>>();
    for (let i = 1; i <= plan.faults; i++) {
      const { min, max } = plan.isOverlapping ? OVERLAPPING_MS : BETWEEN_MS;
      await stage.pauseBetween(min, max);
      const { node, chats } = await stage.owner();
      const killed = stage.parts.nodes.kill(node);
      stage.struck('kill', node, chats);
      await killed;
      const restart = stage.parts.nodes.restart(node).finally(() => restarting.delete(restart));
      restarting.add(restart);
      if (!plan.isOverlapping) await stage.takenOver();
      // As many as may die now still live: one of several, or the one that there is.
      while (stage.parts.nodes.up.length < livesNeeded(plan)) await Promise.race(restarting);
      const so = JSON.stringify(stage.takeoverMs());
      stage.parts.say(`${i}/${plan.faults} killed ${node.name}: ${chats.length} chats ran, ${so}`);
    }
    await Promise.all(restarting);
    await stage.takenOver();
    return bound(stage, plan);
  },
};

/** Before the next kill: so that somebody is there to take over, unless takeovers may overlap. */
function livesNeeded({ nodes, isOverlapping }: Plan): number {
  return isOverlapping ? 1 : Math.min(nodes, 2);
}

/** With one node alone, or with kills that overlap, a takeover waits for processes to start: no bound but the figures. */
function bound(stage: Stage, { nodes, isOverlapping }: Plan): Readonly<Record<string, unknown>> {
  const takeoverMs = stage.takeoverMs();
  const boundMs = nodes > 1 && !isOverlapping ? TTL_MS + BEYOND_TTL_MS : null;
  if (boundMs !== null && (takeoverMs.p99 ?? 0) > boundMs) {
    stage.faults.push(`the p99 of takeovers is ${takeoverMs.p99} ms, allowed are ${boundMs}`);
  }
  return { takeoverMs, boundMs, overlapping: isOverlapping };
}
