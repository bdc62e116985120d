// Whole runs on what the seed draws: green without a defect, and each planted defect is found.
import { describe, expect, test } from 'vitest';
import type { JournalMode } from '../../actors/turn-ports.ts';
import { SIGHTS } from './audit.ts';
import { FAULTS } from './faults.ts';
import { PLANT_NAMES, planted, type PlantName } from './plants.ts';
import { formatViolation, sumUp, type Totals } from './report.ts';
import { EVENTS_MIN, run, type RunResult } from './run.ts';

/** A tenth of what `npm run sim` plays: 2,000 seeds take minutes of two cores. */
const GREEN_SEEDS = 200;
const SHOWN_SEEDS = 50;
const PLANTED_SEEDS_MAX = 200;

/** By which rule a defect is found, where only one may find it. */
const FOUND_BY: Partial<Record<PlantName, string>> = {
  unboundedBuffer: 'P9',
  unboundedOutbox: 'P9',
  othersWait: 'P9',
  lateExpiry: 'credential',
};

function redOf({ red }: Totals, journal: JournalMode): readonly string[] {
  return red.map(({ seed, violation }) => formatViolation(seed, violation, { shape: 'alone', journal, plant: null }));
}

describe('simulation', () => {
  test(
    '[sim] every promise holds over two hundred seeds, under every kind of fault',
    { timeout: 600_000 },
    async () => {
      const results: RunResult[] = [];
      for (let seed = 1; seed <= GREEN_SEEDS; seed++) results.push(await run({ seed }));
      const totals = sumUp(results, 'alone');
      expect(redOf(totals, 'batched')).toEqual([]);
      expect(totals.eventsLeast).toBeGreaterThanOrEqual(EVENTS_MIN);
      expect(FAULTS.alone.filter((fault) => totals.faults[fault] === 0)).toEqual([]);
      expect(SIGHTS.filter((sight) => totals.sights[sight] === 0)).toEqual([]);
    },
  );

  test(
    '[sim][P5] a crash takes nothing back when text is shown once it is saved, and every promise holds',
    { timeout: 600_000 },
    async () => {
      const results: RunResult[] = [];
      for (let seed = 1; seed <= SHOWN_SEEDS; seed++) results.push(await run({ seed, journal: 'shown' }));
      const totals = sumUp(results, 'alone');
      expect(redOf(totals, 'shown')).toEqual([]);
      expect(totals.sights.retracted).toBe(0);
      expect(Math.min(totals.sights.takeover ?? 0, totals.sights.interrupted ?? 0)).toBeGreaterThan(SHOWN_SEEDS / 2);
    },
  );

  test('[sim] a seed plays the same run each time', async () => {
    const traceOf = async (): Promise<string[]> => {
      const lines: string[] = [];
      await run({ seed: 7, print: (line) => void lines.push(line) });
      return lines;
    };
    const [first, second] = [await traceOf(), await traceOf()];
    expect(second).toEqual(first);
    expect(first.length).toBeGreaterThanOrEqual(EVENTS_MIN);
  });

  for (const name of PLANT_NAMES.alone) {
    test(`[sim] finds the planted defect ${name}`, { timeout: 120_000 }, async () => {
      for (let seed = 1; seed <= PLANTED_SEEDS_MAX; seed++) {
        const { violation } = await run({ seed, plant: planted(name) });
        if (violation === null) continue;
        expect(violation.rule).toBe(FOUND_BY[name] ?? violation.rule);
        return;
      }
      expect.unreachable(`${PLANTED_SEEDS_MAX} seeds are green with ${name}`);
    });
  }

  test('[sim] what a plant patches is taken back with its run', async () => {
    await run({ seed: 1, plant: planted('missingReset') });
    for (let seed = 1; seed <= 10; seed++) expect((await run({ seed })).violation).toBe(null);
  });
});
