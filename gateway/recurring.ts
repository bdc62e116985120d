// Work that comes back: one run at a time, the next one a period after the end of the last.

import type { Clock } from '../actors/ports.ts';

export class Recurring {
  readonly #clock: Clock;
  readonly #periodMs: number;
  readonly #task: () => Promise<void>;
  #cancel: () => void = () => {};
  #running: Promise<void> | null = null;
  #stopped = false;

  /** `task` never rejects. The first run is one period from now. */
  constructor(clock: Clock, periodMs: number, task: () => Promise<void>) {
    this.#clock = clock;
    this.#periodMs = periodMs;
    this.#task = task;
    this.#arm();
  }

  /** Resolves when a run that was under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#running;
  }

  #arm(): void {
    this.#cancel = this.#clock.after(this.#periodMs, () => {
      this.#running = this.#task().finally(() => {
        this.#running = null;
        if (!this.#stopped) this.#arm();
      });
    });
  }
}
