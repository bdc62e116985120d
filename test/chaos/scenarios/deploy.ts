// A rolling restart under load: SIGTERM to each node in turn, started again, round after round. Nobody should notice but the
// clients of the node that goes down, which come back once.

import { percentile } from '../../../loadtest/recorder/takeovers.ts';
import type { Device } from '../../../loadtest/recorder/device.ts';
import type { GroupNode } from '../node-group.ts';
import type { Plan, Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

/** Between two nodes: everybody has come back and streams. */
const BETWEEN_MS = { min: 2_000, max: 3_000 } as const;
/** Of a running chat, as the clients of other nodes see it. */
const HANDOVER_PAUSE_MAX_MS = 500;
/** Of each restart, on average: fewer say nothing about the 99th percentile. */
const HANDOVERS_MIN = 5;

export const deploy: Scenario = {
  summary: 'a rolling restart: SIGTERM to one node after the other, each started again',
  faults: { full: 10, quick: 2 },
  // On two cores more leave no time of the processor for a bound of half a second: 100 had a p99 of 0.8 s, 200 of 0.9 s.
  chats: 60,
  nodes: 3,
  nodesMin: 1,
  leaves: 0,
  hasLines: false,
  play: async (stage, plan) => {
    const reconnects = { own: 0, ownNever: 0, others: 0 };
    for (let round = 1; round <= plan.faults; round++) {
      for (const node of stage.parts.nodes.nodes) await restart(stage, node, reconnects);
      stage.parts.say(`round ${round}/${plan.faults}: handovers ${JSON.stringify(pauses(stage))}`);
    }
    await stage.pauseBetween(BETWEEN_MS.min, BETWEEN_MS.max);
    return judged(stage, plan, reconnects);
  },
};

/** The most that a client of a restarted node came back, how many did not, and what clients of other nodes lost. */
type Reconnects = { own: number; ownNever: number; others: number };

async function restart(stage: Stage, node: GroupNode, reconnects: Reconnects): Promise<void> {
  const { nodes, load } = stage.parts;
  await stage.pauseBetween(BETWEEN_MS.min, BETWEEN_MS.max);
  const before = new Map<Device, { readonly losses: number; readonly isOwn: boolean }>(
    load.devices.map((device) => [device, { losses: device.losses, isOwn: device.url === node.process.url }]),
  );
  stage.struck('deploy', node, []);
  await nodes.terminate(node);
  await nodes.restart(node);
  await stage.pauseBetween(BETWEEN_MS.min, BETWEEN_MS.max);
  for (const [device, { losses, isOwn }] of before) {
    const lost = device.losses - losses;
    if (!isOwn) reconnects.others += lost;
    else if (lost === 0) reconnects.ownNever += 1;
    else reconnects.own = Math.max(reconnects.own, lost);
  }
}

function pauses(stage: Stage): Readonly<Record<'p50' | 'p99' | 'max', number | null>> & { readonly count: number } {
  const { pausesMs } = stage.parts.load.handovers;
  const at = (share: number): number | null => percentile(pausesMs, share);
  return { p50: at(0.5), p99: at(0.99), max: at(1), count: pausesMs.length };
}

/** With one node alone there is nobody to hand over to: its clients wait for it. */
function judged(stage: Stage, { nodes, faults }: Plan, reconnects: Reconnects): Readonly<Record<string, unknown>> {
  const restarts = faults * nodes;
  const { inOrder } = stage.parts.load.handovers;
  const failedCommands = stage.parts.load.devices.reduce((sum, { failures }) => sum + failures, 0);
  const handoverPauseMs = pauses(stage);
  const wrong = [
    failedCommands > 0 && `${failedCommands} commands failed`,
    reconnects.own > 1 && `a client of a restarted node came back ${reconnects.own} times`,
    reconnects.ownNever > 0 &&
      `${reconnects.ownNever} clients of a restarted node did not notice, so they were not there`,
    nodes > 1 && reconnects.others > 0 && `clients of other nodes lost ${reconnects.others} connections`,
    nodes > 1 &&
      handoverPauseMs.count < restarts * HANDOVERS_MIN &&
      `${handoverPauseMs.count} handovers of running chats were seen in ${restarts} restarts`,
    nodes > 1 && inOrder === 0 && 'no turn was seen to be left between two steps',
    nodes > 1 &&
      (handoverPauseMs.p99 ?? 0) > HANDOVER_PAUSE_MAX_MS &&
      `the p99 of pauses is ${handoverPauseMs.p99} ms, allowed are ${HANDOVER_PAUSE_MAX_MS}`,
  ];
  stage.faults.push(...wrong.filter((one) => one !== false));
  return { handoverPauseMs, inOrder, failedCommands, reconnects };
}
