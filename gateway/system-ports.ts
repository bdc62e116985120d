// The clock and the randomness of production, behind the ports that the actors and the gateway take.

import { randomBytes } from 'node:crypto';
import type { Clock, Random } from '../actors/ports.ts';

/** The longest delay that a timer of Node takes; a longer one would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export class SystemClock implements Clock {
  #lastMs = 0;

  /** Unix milliseconds; when the system's clock is set back, the time stands still until it has caught up. */
  nowMs(): number {
    this.#lastMs = Math.max(this.#lastMs, Date.now());
    return this.#lastMs;
  }

  after(delayMs: number, task: () => void): () => void {
    let timer: NodeJS.Timeout;
    const arm = (leftMs: number): void => {
      timer =
        leftMs > TIMER_MS_MAX
          ? setTimeout(() => arm(leftMs - TIMER_MS_MAX), TIMER_MS_MAX)
          : setTimeout(task, Math.max(0, leftMs));
    };
    arm(delayMs);
    return () => clearTimeout(timer);
  }
}

export const systemRandom: Random = {
  bytes: (length) => new Uint8Array(randomBytes(length)),
  fraction: () => Math.random(),
};
