import { expect, test } from 'vitest';

import type { Usage } from '../../protocol/content.ts';
import { FREE, costMicros } from './price.ts';

const NONE: Usage = {
  input_tokens: 0,
  output_tokens: 0,
  cache_read_tokens: 0,
  cache_write_tokens: 0,
  estimated: false,
};
const PRICE = { input: 3_000_000n, output: 15_000_000n, cacheRead: 300_000n, cacheWrite: 3_750_000n };

test('[P10] the four columns have their own prices and add up', () => {
  const usage = {
    ...NONE,
    input_tokens: 1_000,
    output_tokens: 2_000,
    cache_read_tokens: 10_000,
    cache_write_tokens: 4_000,
  };
  expect(costMicros(usage, PRICE)).toBe(3_000n + 30_000n + 3_000n + 15_000n);
});

test('[P10] the cost is rounded up once, not per column', () => {
  const third = { input: 400_000n, output: 400_000n, cacheRead: 400_000n, cacheWrite: 400_000n };
  const usage = { ...NONE, input_tokens: 1, output_tokens: 1, cache_read_tokens: 1, cache_write_tokens: 0 };
  expect(costMicros(usage, third)).toBe(2n);
  expect(costMicros({ ...NONE, input_tokens: 1 }, { ...FREE, input: 1n })).toBe(1n);
  expect(costMicros(NONE, PRICE)).toBe(0n);
});

test('[P10] null is unpriced, 0 is free', () => {
  const usage = { ...NONE, input_tokens: 5 };
  expect(costMicros(usage, null)).toBeNull();
  expect(costMicros(usage, FREE)).toBe(0n);
});

test('[P10] sums beyond what a float holds are exact', () => {
  const usage = { ...NONE, input_tokens: Number.MAX_SAFE_INTEGER, output_tokens: 1 };
  expect(costMicros(usage, PRICE)).toBe(BigInt(Number.MAX_SAFE_INTEGER) * 3n + 15n);
});
