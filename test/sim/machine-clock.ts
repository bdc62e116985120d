// The clock of one machine, with everything on it that waits: it may run fast or slow and be wrong, it stands still with the
// machine, and what waits on it dies with its process.

import type { Clock } from '../../actors/ports.ts';
import type { SimClock } from './clock.ts';

export type ClockFaults = {
  /** Its milliseconds in one of the simulation. */
  readonly rate: number;
  /** How far it is ahead from the start; negative: behind. */
  readonly aheadMs: number;
};

const RIGHT: ClockFaults = { rate: 1, aheadMs: 0 };

export class MachineClock implements Clock {
  readonly #clock: SimClock;
  readonly #faults: ClockFaults;
  readonly #startMs: number;
  #isDead = false;
  /** What has come since the machine stood still, in order; null when nothing waits and new things need not either. */
  #backlog: (() => void)[] | null = null;
  #stoppedUntilMs = 0;
  #isGoingOn = false;
  #runsSinceMs = Number.NEGATIVE_INFINITY;

  constructor(clock: SimClock, faults: ClockFaults = RIGHT) {
    this.#clock = clock;
    this.#faults = faults;
    this.#startMs = clock.startMs;
  }

  nowMs(): number {
    const { rate, aheadMs } = this.#faults;
    return this.#startMs + Math.floor((this.#clock.nowMs() - this.#startMs) * rate) + aheadMs;
  }

  after(delayMs: number, task: () => void): () => void {
    if (this.#isDead) return () => undefined;
    let isWanted = true;
    const cancel = this.#clock.after(Math.ceil(Math.max(0, delayMs)) / this.#faults.rate, () => {
      this.run(() => {
        if (isWanted) task();
      });
    });
    return () => {
      isWanted = false;
      cancel();
    };
  }

  /** Does it now, or when the machine goes on and has done what came before. Never when it is dead. */
  run(task: () => void): void {
    if (this.#isDead) return;
    if (this.#backlog === null) task();
    else this.#backlog.push(task);
  }

  /** Everything on the machine stands still for so long, as under SIGSTOP. */
  stop(forMs: number): void {
    this.#backlog ??= [];
    this.#stoppedUntilMs = Math.max(this.#stoppedUntilMs, this.#clock.timerMs + forMs);
    this.#clock.after(forMs, () => this.#catchUp());
  }

  /** It stands still no longer. */
  goOn(): void {
    this.#stoppedUntilMs = 0;
    this.#catchUp();
  }

  get isStopped(): boolean {
    return this.#backlog !== null;
  }

  /** When it stood still last, by `SimClock.awake`. */
  get runsSinceMs(): number {
    return this.#runsSinceMs;
  }

  /** Nothing that waits is done any more. */
  kill(): void {
    this.#isDead = true;
    this.#backlog = null;
  }

  /** One task after the other, each with all that it sets off, as from the queue of an event loop. */
  #catchUp(): void {
    if (this.#isGoingOn || this.#backlog === null || this.#clock.timerMs < this.#stoppedUntilMs) return;
    this.#runsSinceMs = this.#clock.awake.nowMs();
    if (this.#backlog.length === 0) {
      this.#backlog = null;
      return;
    }
    this.#isGoingOn = true;
    this.#clock.after(0, () => {
      this.#isGoingOn = false;
      if (this.#clock.timerMs >= this.#stoppedUntilMs) this.#backlog?.shift()?.();
      this.#catchUp();
    });
  }
}
