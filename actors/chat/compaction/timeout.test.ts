import { expect, it } from 'vitest';
import { COMPACTION_LIMITS } from './limits.ts';
import { timeoutMs } from './timeout.ts';

it('[compaction] the time for a summary grows with what is read, and is shorter for a fast model', () => {
  const slow = timeoutMs({ contextTokens: 10_000, tokensPerSecond: 20 });
  const fast = timeoutMs({ contextTokens: 10_000, tokensPerSecond: 200 });
  const large = timeoutMs({ contextTokens: 200_000, tokensPerSecond: 200 });
  expect(fast).toBeLessThan(slow);
  expect(large).toBeGreaterThan(fast);
});

it('[compaction] it has a least and a most, whatever the figures are', () => {
  const { timeoutMinMs, timeoutMaxMs } = COMPACTION_LIMITS;
  expect(timeoutMs({ contextTokens: 0, tokensPerSecond: 1e9 })).toBe(timeoutMinMs);
  expect(timeoutMs({ contextTokens: 1e9, tokensPerSecond: null })).toBe(timeoutMaxMs);
  expect(timeoutMs({ contextTokens: 1_000, tokensPerSecond: 0 })).toBe(
    timeoutMs({ contextTokens: 1_000, tokensPerSecond: null }),
  );
});
