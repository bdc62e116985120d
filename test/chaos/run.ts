// Plays one scenario and sums it up.

import { cpus, loadavg } from 'node:os';
import type { JournalMode } from '../../actors/turn-ports.ts';
import { formatViolation } from '../../loadtest/check/violation.ts';
import { CHATS_QUICK, type Scenario } from './scenario.ts';
import { Stage } from './stage.ts';

export type RunOptions = {
  readonly name: string;
  readonly scenario: Scenario;
  readonly isQuick: boolean;
  readonly isOverlapping: boolean;
  readonly journal: JournalMode;
  readonly nodes: number | null;
  /** Null: as the scenario has them. */
  readonly chats: number | null;
  readonly faults: number | null;
  readonly seed: number;
  readonly history: string | null;
  readonly say: (line: string) => void;
};

export type ChaosReport = Readonly<Record<string, unknown>> & {
  readonly chaos: string;
  readonly faults: number;
  readonly violations: number;
  /** The first violations and everything else that should not have been, in words. */
  readonly broken: readonly string[];
};

const DEVICES = 2;

export async function runScenario(options: RunOptions): Promise<ChaosReport> {
  const { name, scenario, isQuick, isOverlapping, journal, seed, history, say } = options;
  const chats = options.chats ?? (isQuick ? CHATS_QUICK : scenario.chats);
  const startedMs = performance.now();
  const nodes = options.nodes ?? scenario.nodes;
  if (nodes < scenario.nodesMin) throw new Error(`${name} needs ${scenario.nodesMin} nodes or more`);
  const faults = options.faults ?? (isQuick ? scenario.faults.quick : scenario.faults.full);
  const { leaves, hasLines } = scenario;
  const stage = await Stage.start({ nodes, chats, devices: DEVICES, journal, seed, history, say, leaves, hasLines });
  try {
    const figures = await scenario.play(stage, { nodes, faults, isQuick, isOverlapping });
    const { turns } = stage.parts.load;
    const outcomes = Object.fromEntries(stage.parts.load.outcomes);
    const end = await stage.finish();
    if (journal === 'shown' && end.looked.retractions > 0) {
      stage.faults.push(`shown text was taken back ${end.looked.retractions} times`);
    }
    const broken = [...end.violations.map(formatViolation), ...stage.faults, ...end.remains];
    return {
      chaos: name,
      faults: end.looked.faults,
      violations: end.count + stage.faults.length + end.remains.length,
      byRule: end.byRule,
      ...figures,
      /** Writes of an epoch that was over, and two writers of one epoch: rule (c). */
      accepted: end.byRule.c,
      nodes,
      chats,
      clients: chats * DEVICES,
      turns,
      outcomes,
      seed,
      journal,
      quick: isQuick,
      seconds: Math.round((performance.now() - startedMs) / 1000),
      looked: end.looked,
      broken,
      machine: { cores: cpus().length, cpu: cpus()[0]?.model ?? '', load: loadavg().map((one) => Math.round(one)) },
    };
  } finally {
    await stage.stop();
  }
}
