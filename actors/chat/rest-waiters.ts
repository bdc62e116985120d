// Those who wait until something holds of the actor: that it rests, that nothing of it is in flight.

type Waiter = { readonly isDone: () => boolean; readonly resolve: () => void };

export class RestWaiters {
  readonly #isOver: () => boolean;
  #waiters: Waiter[] = [];

  /** `isOver`: the actor has ended, so that nobody needs to wait any more. */
  constructor(isOver: () => boolean) {
    this.#isOver = isOver;
  }

  until(isDone: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isOver() || isDone()) resolve();
      else this.#waiters.push({ isDone, resolve });
    });
  }

  /** Something changed: those whose wait is over go on. */
  tell(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (this.#isOver() || waiter.isDone()) waiter.resolve();
      else this.#waiters.push(waiter);
    }
  }
}
