import { describe, expect, test } from 'vitest';
import { must } from '../protocol/assert.ts';
import { Rate } from './rate.ts';
import { SystemClock } from './system-ports.ts';

const HOUR_MS = 3_600_000;
const START_MS = 1_800_000_000_000;

/** The two clocks of a machine. */
class Machine {
  wallMs = START_MS;
  monotonicMs = 5_000;
  readonly clock = new SystemClock({ wallMs: () => Math.floor(this.wallMs), monotonicMs: () => this.monotonicMs });

  pass(ms: number): void {
    this.wallMs += ms;
    this.monotonicMs += ms;
  }
}

describe('[clock] the time of a process', () => {
  test('[clock] goes on at its pace when the clock of the machine is set back, however often', () => {
    const machine = new Machine();
    expect(machine.clock.nowMs()).toBe(START_MS);
    for (let set = 1; set <= 3; set += 1) {
      machine.wallMs -= HOUR_MS;
      expect(machine.clock.nowMs()).toBe(START_MS + (set - 1) * 1_000);
      machine.pass(1_000);
      expect(machine.clock.nowMs()).toBe(START_MS + set * 1_000);
    }
  });

  test('[clock] is that of the machine otherwise, and follows it forward', () => {
    const machine = new Machine();
    for (let i = 0; i < 1_000; i += 1) {
      machine.pass(0.3);
      expect(machine.clock.nowMs()).toBe(Math.floor(machine.wallMs));
    }
    machine.wallMs += HOUR_MS;
    expect(machine.clock.nowMs()).toBe(Math.floor(machine.wallMs));
  });

  test('[clock] an allowance that was used up is given back after the clock of the machine was set back', () => {
    const machine = new Machine();
    const rate = new Rate({ perSecond: 10, burst: 10 });
    const used = must(rate.take(0, 10, machine.clock.nowMs()), 'the burst is whole');
    expect(rate.take(used, 1, machine.clock.nowMs())).toBeNull();
    machine.wallMs -= HOUR_MS;
    machine.pass(1_000);
    expect(rate.take(used, 10, machine.clock.nowMs())).not.toBeNull();
  });

  test('[clock] a timer never fires before the clock says so, however early the timers of the process are', async () => {
    const machine = new Machine();
    const fired = new Promise<number>((resolve) => {
      machine.clock.after(5, () => resolve(machine.clock.nowMs()));
    });
    // The process's own timer is over while the clock is still a millisecond short, for as long as anybody likes.
    machine.pass(4);
    await new Promise<void>((resolve) => {
      new SystemClock().after(30, resolve);
    });
    machine.pass(1);
    expect(await fired).toBe(START_MS + 5);
  });
});
