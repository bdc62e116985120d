import { describe, expect, test } from 'vitest';
import { Rate } from './rate.ts';

const START_MS = Date.UTC(2026, 0, 1);

/** How many of `asked` single units are taken at once. */
function taken(
  rate: Rate,
  usedUntilMs: number,
  nowMs: number,
): { readonly count: number; readonly usedUntilMs: number } {
  let used = usedUntilMs;
  for (let count = 0; ; count++) {
    const next = rate.take(used, 1, nowMs);
    if (next === null) return { count, usedUntilMs: used };
    used = next;
  }
}

describe('rate', () => {
  test.each([
    [{ perSecond: 50, burst: 500 }],
    [{ perSecond: 3, burst: 7 }],
    [{ perSecond: 1, burst: 1 }],
    [{ perSecond: 1_000, burst: 30 }],
  ])('[P11] %o: the burst at once, then as many as time gives', (options) => {
    const rate = new Rate(options);
    const burst = taken(rate, 0, START_MS);
    expect(burst.count).toBe(options.burst);
    const waitMs = rate.waitMs(burst.usedUntilMs, 1, START_MS);
    expect(waitMs).toBe(Math.ceil(1000 / options.perSecond));
    expect(rate.take(burst.usedUntilMs, 1, START_MS + waitMs)).not.toBeNull();
    const later = taken(rate, burst.usedUntilMs, START_MS + 2_000);
    expect(later.count).toBe(Math.min(options.burst, 2 * options.perSecond));
  });

  test('[P11] what is too much is not used, and a wait that was told is enough', () => {
    const rate = new Rate({ perSecond: 10, burst: 20 });
    const used = rate.take(0, 15, START_MS) ?? 0;
    expect(rate.take(used, 6, START_MS)).toBeNull();
    expect(rate.take(used, 5, START_MS)).not.toBeNull();
    expect(rate.waitMs(used, 6, START_MS)).toBe(100);
    expect(rate.waitMs(used, 5, START_MS)).toBe(0);
  });
});
