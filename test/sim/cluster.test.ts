// Whole runs of several nodes: green without a defect, each planted one is found, and every kind of fault is met.
import { describe, expect, test } from 'vitest';
import { CLUSTER_SIGHTS } from './audit.ts';
import { FAULTS } from './faults.ts';
import { PLANT_NAMES, planted, type PlantName } from './plants.ts';
import { formatViolation, sumUp } from './report.ts';
import { EVENTS_MIN, run, type RunResult } from './run.ts';

/** A two-hundredth of what `npm run sim -- --cluster` plays. */
const GREEN_SEEDS = 50;
const PLANTED_SEEDS_MAX = 100;

/** Where to begin with what the first seeds do not meet. */
const PLANTED_FROM: Partial<Record<PlantName, number>> = { asksOnce: 1_061 };

describe('simulation of a cluster', () => {
  test('[sim] every promise holds over fifty seeds of two to four nodes', { timeout: 300_000 }, async () => {
    const results: RunResult[] = [];
    for (let seed = 1; seed <= GREEN_SEEDS; seed++) results.push(await run({ seed, shape: 'cluster' }));
    const totals = sumUp(results, 'cluster');
    const options = { shape: 'cluster', journal: 'batched', plant: null } as const;
    expect(totals.red.map(({ seed, violation }) => formatViolation(seed, violation, options))).toEqual([]);
    expect(totals.eventsLeast).toBeGreaterThanOrEqual(EVENTS_MIN);
    const ofClusters = FAULTS.cluster.filter((fault) => !FAULTS.alone.includes(fault));
    expect(ofClusters.filter((fault) => (totals.faults[fault] ?? 0) === 0)).toEqual([]);
    expect(CLUSTER_SIGHTS.filter((sight) => (totals.sights[sight] ?? 0) === 0)).toEqual([]);
  });

  test('[sim] a seed plays the same run each time', async () => {
    const traceOf = async (): Promise<string[]> => {
      const lines: string[] = [];
      await run({ seed: 7, shape: 'cluster', print: (line) => void lines.push(line) });
      return lines;
    };
    const [first, second] = [await traceOf(), await traceOf()];
    expect(second).toEqual(first);
    expect(first.length).toBeGreaterThanOrEqual(EVENTS_MIN);
  });

  for (const name of PLANT_NAMES.cluster) {
    test(`[sim] finds the planted defect ${name}`, { timeout: 120_000 }, async () => {
      const from = PLANTED_FROM[name] ?? 1;
      for (let seed = from; seed < from + PLANTED_SEEDS_MAX; seed++) {
        const { violation } = await run({ seed, shape: 'cluster', plant: planted(name) });
        if (violation !== null) return;
      }
      expect.unreachable(`${PLANTED_SEEDS_MAX} seeds are green with ${name}`);
    });
  }
});
