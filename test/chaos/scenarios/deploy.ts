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

export const deploy: Scenario = {
  summary: 'a rolling restart: SIGTERM to one node after the other, each started again',
  faults: { full: 10, quick: 2 },
  // On two cores 200 leave no time of the processor for a bound of half a second.
  chats: 100,
  nodes: 3,
  nodesMin: 1,
  leaves: 0,
  hasLines: false,
  play: async (stage, plan) => {
    const reconnects = { own: 0, others: 0 };
    for (let round = 1; round <= plan.faults; round++) {
      for (const node of stage.parts.nodes.nodes) await restart(stage, node, reconnects);
      stage.parts.say(`round ${round}/${plan.faults}: handovers ${JSON.stringify(pauses(stage))}`);
    }
    await stage.pauseBetween(BETWEEN_MS.min, BETWEEN_MS.max);
    return judged(stage, plan, reconnects);
  },
};

type Reconnects = { own: number; others: number };

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
    if (isOwn) reconnects.own = Math.max(reconnects.own, lost);
    else reconnects.others += lost;
  }
}

function pauses(stage: Stage): Readonly<Record<'p50' | 'p99' | 'max', number | null>> & { readonly count: number } {
  const { pausesMs } = stage.parts.load.handovers;
  const at = (share: number): number | null => percentile(pausesMs, share);
  return { p50: at(0.5), p99: at(0.99), max: at(1), count: pausesMs.length };
}

/** With one node alone there is nobody to hand over to: its clients wait for it. */
function judged(stage: Stage, { nodes }: Plan, reconnects: Reconnects): Readonly<Record<string, unknown>> {
  const failedCommands = stage.parts.load.devices.reduce((sum, { failures }) => sum + failures, 0);
  const handoverPauseMs = pauses(stage);
  const wrong = [
    failedCommands > 0 && `${failedCommands} commands failed`,
    reconnects.own > 1 && `a client of a restarted node came back ${reconnects.own} times`,
    nodes > 1 && reconnects.others > 0 && `clients of other nodes lost ${reconnects.others} connections`,
    nodes > 1 && handoverPauseMs.count === 0 && 'no handover of a running chat was seen',
    nodes > 1 &&
      (handoverPauseMs.p99 ?? 0) > HANDOVER_PAUSE_MAX_MS &&
      `the p99 of pauses is ${handoverPauseMs.p99} ms, allowed are ${HANDOVER_PAUSE_MAX_MS}`,
  ];
  stage.faults.push(...wrong.filter((one) => one !== false));
  return { handoverPauseMs, failedCommands, reconnects };
}
