// A slice of `npm run fuzz`, and what it must find.

import { describe, expect, test } from 'vitest';
import { must } from '../../protocol/assert.ts';
import { readActs, writeActs } from './acts.ts';
import { PLANTS, PLANT_NAMES } from './plants.ts';
import { fuzz, replay } from './simulated.ts';

const SLICE = 800;
/** A plant that is not found by then is not looked for. */
const PLANT_RUNS_MAX = 400;

test('[P7] [P8] [P12] any sequence of acts: calls settled once, prompts that grow, no text lost, nothing stuck', async () => {
  const { tally, failure } = await fuzz({ runs: SLICE, seed: Date.now() % 2 ** 31 });
  expect(failure === null ? null : `${writeActs(failure.acts)}\n${failure.error}`).toBe(null);
  expect(tally.sequences).toBe(SLICE);
  // It did look at something.
  for (const status of ['ok', 'error', 'denied', 'timeout', 'interrupted', 'unknown']) {
    expect(tally.calls[status] ?? 0, status).toBeGreaterThan(10);
  }
  for (const reason of ['compaction', 'edit', 'model', 'reasoning', 'clear']) {
    expect(tally.forks[reason] ?? 0, reason).toBeGreaterThan(5);
  }
  expect(tally.prefixes).toBeGreaterThan(SLICE);
  expect(tally.cache.read).toBeGreaterThan(0.98 * tally.cache.readable);
  expect(tally.cache.read).toBeGreaterThan(0.7 * tally.cache.prompt);
}, 120_000);

describe('a planted defect is found', () => {
  test.each(PLANT_NAMES)(
    '[fuzz] %s',
    async (name) => {
      const plant = PLANTS[name];
      const found = await fuzz({ runs: PLANT_RUNS_MAX, seed: 7, plant });
      const { acts } = must(found.failure, 'it is found');
      // What it prints plays the failure again, and passes without the plant.
      const again = readActs(writeActs(acts));
      if (typeof again === 'string') throw new Error(again);
      expect((await replay(again, plant)).failure).not.toBe(null);
      expect((await replay(again)).failure).toBe(null);
    },
    60_000,
  );
});

test('[fuzz] a sequence that cannot be read is refused', () => {
  expect(readActs('send:1 dance:2')).toBe('"dance:2" is no act: see --help.');
  expect(readActs('send')).toMatch(/is no act/);
  expect(readActs(' ')).toBe('There is no act to play.');
});
