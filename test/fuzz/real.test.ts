// A slice of `npm run fuzz -- --real`.

import { expect, inject, test } from 'vitest';
import { fuzzReal } from './real.ts';

const SLICE = 20;

test('[P3] [P7] [P12] sequences of acts on a node that is killed under them: all settled, nothing twice, nothing stuck', async () => {
  const seed = Date.now() % 2 ** 31;
  console.info(`npm run fuzz -- --real ${SLICE} --seed ${seed}`);
  const { tally, failure } = await fuzzReal({ runs: SLICE, seed, postgresUrl: inject('postgresUrl') });
  expect(failure?.error ?? null).toBe(null);
  expect(tally.sequences).toBe(SLICE);
  expect(tally.kills).toBeGreaterThanOrEqual(2);
  expect(tally.compared).toBe(2 * SLICE);
  expect(tally.requests).toBeGreaterThan(SLICE);
}, 300_000);
