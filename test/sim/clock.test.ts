import { describe, expect, test } from 'vitest';
import { MortalClock, SimClock } from './clock.ts';
import { SimRandom } from './random.ts';

describe('simulated time', () => {
  test('[sim] timers fire by time, then in the order in which they were set', async () => {
    const clock = new SimClock(1_000);
    const random = new SimRandom(1);
    const fired: [number, number][] = [];
    const set = Array.from({ length: 500 }, (_, i) => [1_000 + random.int(0, 50), i] as [number, number]);
    for (const [atMs, i] of set) clock.after(atMs - 1_000, () => fired.push([clock.nowMs(), i]));
    await clock.runFor(50);
    expect(fired).toEqual(set.toSorted(([a, i], [b, j]) => a - b || i - j));
    expect(clock.nowMs()).toBe(1_050);
    expect(clock.nextAtMs()).toBe(null);
  });

  test('[sim] a timer that was taken back does not fire, also when it is due', async () => {
    const clock = new SimClock(0);
    const fired: string[] = [];
    const cancel = clock.after(5, () => fired.push('cancelled'));
    clock.after(5, () => fired.push('kept'));
    cancel();
    await clock.runFor(5);
    expect(fired).toEqual(['kept']);
  });

  test('[sim] between two timers every promise goes as far as it can', async () => {
    const clock = new SimClock(0);
    const seen: string[] = [];
    clock.after(1, () => {
      void (async () => {
        for (let i = 0; i < 50; i++) await Promise.resolve();
        seen.push('after fifty turns');
      })();
    });
    clock.after(1, () => seen.push('the next timer'));
    await clock.runFor(1);
    expect(seen).toEqual(['after fifty turns', 'the next timer']);
  });

  test('[sim] a dead part of the clock fires nothing any more', async () => {
    const clock = new SimClock(0);
    const mortal = new MortalClock(clock);
    const fired: string[] = [];
    mortal.after(5, () => fired.push('of the dead'));
    mortal.kill();
    mortal.after(1, () => fired.push('of the dead'));
    await clock.runFor(10);
    expect(fired).toEqual([]);
  });
});
