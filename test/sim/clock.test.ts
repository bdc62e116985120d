import { describe, expect, test } from 'vitest';
import { SimClock } from './clock.ts';
import { MachineClock } from './machine-clock.ts';
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

  test('[sim] what waits on a machine dies with it', async () => {
    const clock = new SimClock(0);
    const machine = new MachineClock(clock);
    const fired: string[] = [];
    machine.after(5, () => fired.push('of the dead'));
    machine.kill();
    machine.after(1, () => fired.push('of the dead'));
    machine.run(() => fired.push('of the dead'));
    await clock.runFor(10);
    expect(fired).toEqual([]);
  });

  test('[sim] a machine that stands still does everything later, in its order, also when it is stopped again', async () => {
    const clock = new SimClock(0);
    const machine = new MachineClock(clock);
    const done: string[] = [];
    const note = (what: string) => (): void => void done.push(`${what} at ${clock.nowMs()}`);
    machine.after(5, note('timer'));
    const cancel = machine.after(6, note('taken back'));
    machine.stop(20);
    clock.after(7, () => machine.run(note('message')));
    clock.after(8, cancel);
    clock.after(10, () => machine.stop(30));
    clock.after(40, () => machine.run(note('last')));
    await clock.runFor(100);
    expect(done).toEqual(['timer at 40', 'message at 40', 'last at 40']);
    expect(machine.isStopped).toBe(false);
    expect(machine.runsSinceMs).toBe(40);
    machine.run(note('at once'));
    expect(done.at(-1)).toBe('at once at 100');
  });

  test('[sim] a clock that runs wrong never fires before it says so itself', async () => {
    const random = new SimRandom(1);
    for (const rate of [0.97, 0.999, 1, 1.003, 1.04]) {
      const clock = new SimClock(1_000);
      const machine = new MachineClock(clock, { rate, aheadMs: -70 });
      expect(machine.nowMs()).toBe(930);
      let early = 0;
      for (let i = 0; i < 300; i++) {
        const delayMs = random.int(0, 5_000);
        const dueMs = machine.nowMs() + delayMs;
        machine.after(delayMs, () => (early += machine.nowMs() < dueMs ? 1 : 0));
        await clock.runFor(random.int(0, 20));
      }
      await clock.runFor(10_000);
      expect(early).toBe(0);
      expect(machine.nowMs() - 930).toBeCloseTo((clock.nowMs() - 1_000) * rate, -1);
    }
  });
});
