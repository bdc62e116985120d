// The one deadline of an actor. Deadlines are data of the turn; this is only their timer, armed anew after each step.

import type { Clock } from '../ports.ts';

export class Deadline {
  readonly #clock: Clock;
  #cancel: (() => void) | null = null;
  #of: string | null = null;
  /** Grows with every arming: a task of an older one that still waits in the mailbox finds out that it is late. */
  #round = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Keeps the deadline that runs already for the same `of`: a second stop must not move the deadline of the first. */
  arm(of: string, delayMs: number, task: (isCurrent: () => boolean) => void): void {
    if (this.#cancel !== null && this.#of === of) return;
    this.cancel();
    this.#of = of;
    const round = this.#round;
    this.#cancel = this.#clock.after(delayMs, () => {
      this.#cancel = null;
      task(() => round === this.#round);
    });
  }

  cancel(): void {
    this.#round += 1;
    this.#cancel?.();
    this.#cancel = null;
  }
}
