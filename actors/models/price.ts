// What an attempt costs (P10): micro-dollars in bigint, rounded up once per attempt. Null is unpriced, 0 is free.

import type { Usage } from '../../protocol/content.ts';

/** Micro-dollars per million tokens: a price of 3 dollars per million is 3,000,000n. */
export type ModelPrice = {
  readonly input: bigint;
  readonly output: bigint;
  readonly cacheRead: bigint;
  readonly cacheWrite: bigint;
};

export const FREE: ModelPrice = { input: 0n, output: 0n, cacheRead: 0n, cacheWrite: 0n };

const TOKENS_PER_PRICE = 1_000_000n;

/** Σ tokens × price, over the four columns that exclude each other, divided by a million and rounded up. */
export function costMicros(usage: Usage, price: ModelPrice | null): bigint | null {
  if (price === null) return null;
  const total =
    BigInt(usage.input_tokens) * price.input +
    BigInt(usage.output_tokens) * price.output +
    BigInt(usage.cache_read_tokens) * price.cacheRead +
    BigInt(usage.cache_write_tokens) * price.cacheWrite;
  return (total + TOKENS_PER_PRICE - 1n) / TOKENS_PER_PRICE;
}
