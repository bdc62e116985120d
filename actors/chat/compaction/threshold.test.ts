import { describe, expect, it } from 'vitest';
import { contextTokens, reachesThreshold, thresholdPercent, usagePercent, type Window } from './threshold.ts';

const window = (contextWindow: number | null, compactionPercent: number | null = null): Window => ({
  contextWindow,
  compactionPercent,
});

describe('the threshold', () => {
  it('[compaction] the context is what the prompt held: read from the cache, written to it, and neither', () => {
    const usage = {
      input_tokens: 5,
      cache_read_tokens: 700,
      cache_write_tokens: 40,
      output_tokens: 9_000,
      estimated: false,
    };
    expect(contextTokens(usage)).toBe(745);
  });

  it('[compaction] is 70 % of the window, 30 % from a window of 500,000 tokens on', () => {
    expect(thresholdPercent(window(499_999))).toBe(70);
    expect(thresholdPercent(window(500_000))).toBe(30);
    expect(reachesThreshold(69_999, window(100_000))).toBe(false);
    expect(reachesThreshold(70_000, window(100_000))).toBe(true);
    expect(reachesThreshold(149_999, window(500_000))).toBe(false);
    expect(reachesThreshold(150_000, window(500_000))).toBe(true);
  });

  it('[compaction] a model may have its own; 100 switches it off, also where the window is full', () => {
    expect(reachesThreshold(10, window(100, 10))).toBe(true);
    expect(reachesThreshold(9, window(100, 10))).toBe(false);
    expect(reachesThreshold(600_000, window(1_000_000, 70))).toBe(false);
    expect(reachesThreshold(1_000, window(100, 100))).toBe(false);
  });

  it('[compaction] a window that nobody knows is never reached', () => {
    expect(reachesThreshold(10 ** 9, window(null))).toBe(false);
    expect(usagePercent(5, window(null))).toBeNull();
    expect(usagePercent(699, window(1_000))).toBe(69);
  });
});
