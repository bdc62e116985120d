// Simulated time: it stands still until the simulation steps it, and no step depends on how fast the machine is.

import type { Clock } from '../../actors/ports.ts';

type Timer = { readonly atMs: number; readonly order: number; task: (() => void) | null };

/**
 * Timers fire by time, then in the order in which they were set. All times are whole Unix milliseconds. Two things may
 * befall it, as they do a computer: the wall clock jumps forward while timers go on as if nothing was (`jump`), and
 * everything sleeps, so that timers are late (`sleep`). It never jumps back: that is the contract of the port, and what
 * `SystemClock` makes of a machine whose clock is set back has its tests in `gateway/system-ports.test.ts`.
 */
export class SimClock implements Clock {
  readonly startMs: number;
  /** Time as the timers count it. */
  #nowMs: number;
  /** How far the wall clock has jumped ahead of it. */
  #aheadMs = 0;
  #sleptMs = 0;
  #order = 0;
  /** A binary heap: the next timer is the first. Cancelled timers stay in it, without a task, until they surface. */
  readonly #heap: Timer[] = [];

  constructor(startMs: number) {
    this.startMs = startMs;
    this.#nowMs = startMs;
  }

  /** The wall clock: what everybody's `nowMs` is. */
  nowMs(): number {
    return this.#nowMs + this.#aheadMs;
  }

  /** Time as the timers count it. */
  get timerMs(): number {
    return this.#nowMs;
  }

  /** Without jumps and sleep: for what measures how long something took, and for the network. */
  get awake(): Clock {
    return { nowMs: () => this.#nowMs - this.#sleptMs, after: (delayMs, task) => this.after(delayMs, task) };
  }

  jump(byMs: number): void {
    this.#aheadMs += byMs;
  }

  sleep(byMs: number): void {
    this.#nowMs += byMs;
    this.#sleptMs += byMs;
  }

  after(delayMs: number, task: () => void): () => void {
    const timer: Timer = { atMs: this.#nowMs + Math.max(0, Math.ceil(delayMs)), order: this.#order++, task };
    this.#heap.push(timer);
    this.#siftUp(this.#heap.length - 1);
    return () => {
      timer.task = null;
    };
  }

  /** When the next timer is due; null when there is none. */
  nextAtMs(): number | null {
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (first.task !== null) return first.atMs;
      this.#pop();
    }
    return null;
  }

  /** Moves to the next timer and runs it; false when there is none, or none until `untilMs` (as timers count). */
  step(untilMs = Number.POSITIVE_INFINITY): boolean {
    const atMs = this.nextAtMs();
    if (atMs === null || atMs > untilMs) return false;
    const timer = this.#pop();
    this.#nowMs = Math.max(this.#nowMs, atMs);
    const task = timer?.task;
    if (timer !== undefined) timer.task = null;
    task?.();
    return true;
  }

  /** Runs every timer until `untilMs`, with what each one sets off, and stands there then. */
  async runUntil(untilMs: number): Promise<void> {
    await settle();
    while (this.step(untilMs)) await settle();
    this.#nowMs = Math.max(this.#nowMs, untilMs);
  }

  async runFor(durationMs: number): Promise<void> {
    await this.runUntil(this.#nowMs + durationMs);
  }

  /** Steps until `done` says so; throws when that takes longer than `limitMs`, or when nothing is left to happen. */
  async runTill(done: () => boolean, limitMs: number): Promise<void> {
    const untilMs = this.#nowMs + limitMs;
    await settle();
    while (!done()) {
      if (!this.step(untilMs)) throw new Error(`it did not come to that within ${limitMs} ms of simulated time`);
      await settle();
    }
  }

  #pop(): Timer | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last !== undefined && heap.length > 0) {
      heap[0] = last;
      this.#siftDown();
    }
    return first;
  }

  #siftUp(from: number): void {
    const heap = this.#heap;
    let at = from;
    const timer = heap[at] as Timer;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Timer;
      if (isBefore(above, timer)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = timer;
  }

  #siftDown(): void {
    const heap = this.#heap;
    const timer = heap[0] as Timer;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child] as Timer)) child += 1;
      const below = heap[child] as Timer;
      if (isBefore(timer, below)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = timer;
  }
}

/** Resolves when every promise that can go on has gone on: immediates come after all microtasks. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.atMs === b.atMs ? a.order < b.order : a.atMs < b.atMs;
}
