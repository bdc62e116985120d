// A clock that a test moves by hand.

import type { ClientClock } from '../../protocol/client/environment.ts';

type Timer = { readonly atMs: number; readonly task: () => void };

export class SimClock implements ClientClock {
  #nowMs: number;
  /** In the order in which they were armed; `advance` picks the earliest. */
  readonly #timers = new Set<Timer>();

  constructor(nowMs = 1_700_000_000_000) {
    this.#nowMs = nowMs;
  }

  get pending(): number {
    return this.#timers.size;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, task: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, task };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Runs what falls due within `ms`, in order of time, and lets promises settle in between. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const due = this.#earliest();
      if (due === null || due.atMs > untilMs) break;
      this.#timers.delete(due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.task();
      await settled();
    }
    this.#nowMs = untilMs;
    await settled();
  }

  /** The process sleeps: time passes, and what fell due meanwhile runs late, at the end. */
  async suspend(ms: number): Promise<void> {
    this.#nowMs += ms;
    await this.advance(0);
  }

  #earliest(): Timer | null {
    let earliest: Timer | null = null;
    for (const timer of this.#timers) if (earliest === null || timer.atMs < earliest.atMs) earliest = timer;
    return earliest;
  }
}

/** All promise callbacks that are ready have run, and those that they made ready. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}
