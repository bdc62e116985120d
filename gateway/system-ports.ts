// The clock and the randomness of production, behind the ports that the actors and the gateway take.

import { randomBytes } from 'node:crypto';
import type { Clock, Random } from '../actors/ports.ts';

/** The longest delay that a timer of Node takes; a longer one would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Where the time comes from, in milliseconds. */
export type TimeSources = {
  /** Since 1970; whoever sets the system's clock moves it, back too. */
  readonly wallMs: () => number;
  /** Since any moment; nobody sets it. */
  readonly monotonicMs: () => number;
};

const SYSTEM_TIME: TimeSources = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };

export class SystemClock implements Clock {
  readonly #sources: TimeSources;
  /** The newest time that was told, not rounded, and when that was. */
  #lastMs = 0;
  #lastMonotonicMs: number;

  constructor(sources = SYSTEM_TIME) {
    this.#sources = sources;
    this.#lastMonotonicMs = sources.monotonicMs();
  }

  /**
   * When the system's clock is set back, the time goes on from where it was, ahead of that clock until it is past this one.
   * Were it to wait, nothing would expire meanwhile and no allowance be given back: every session would end as
   * `rate_limited`.
   */
  nowMs(): number {
    const monotonicMs = this.#sources.monotonicMs();
    this.#lastMs = Math.max(this.#sources.wallMs(), this.#lastMs + (monotonicMs - this.#lastMonotonicMs));
    this.#lastMonotonicMs = monotonicMs;
    return Math.floor(this.#lastMs);
  }

  /** Never before `nowMs` says so: timers of Node run by a clock of their own, in whole milliseconds, and may be one early. */
  after(delayMs: number, task: () => void): () => void {
    const dueMs = this.nowMs() + delayMs;
    let timer: NodeJS.Timeout;
    const fire = (): void => {
      const leftMs = delayMs > 0 ? dueMs - this.nowMs() : 0;
      if (leftMs > 0) arm(leftMs);
      else task();
    };
    const arm = (leftMs: number): void => {
      timer = setTimeout(fire, Math.min(TIMER_MS_MAX, Math.max(0, leftMs)));
    };
    arm(delayMs);
    return () => clearTimeout(timer);
  }
}

export const systemRandom: Random = {
  bytes: (length) => new Uint8Array(randomBytes(length)),
  fraction: () => Math.random(),
};
