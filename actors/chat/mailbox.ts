// The tasks of one actor, worked off one at a time.
//
// Invariants: a task begins when the one before it is done; after `close` none begins, and each that was left is dropped.

type Task = { readonly run: () => Promise<void>; readonly dropped: (() => void) | undefined };

export class Mailbox {
  readonly #onCrash: (error: unknown) => void;
  #tasks: Task[] = [];
  #working = false;
  #closed = false;

  /** `onCrash`: a task has thrown, which is a bug. */
  constructor(onCrash: (error: unknown) => void) {
    this.#onCrash = onCrash;
  }

  get length(): number {
    return this.#tasks.length;
  }

  /** `dropped` is called instead when the mailbox closes before the task's turn comes. */
  post(run: () => Promise<void>, dropped?: () => void): void {
    if (this.#closed) {
      dropped?.();
      return;
    }
    this.#tasks.push({ run, dropped });
    if (!this.#working) void this.#work();
  }

  close(): void {
    this.#closed = true;
    const dropped = this.#tasks;
    this.#tasks = [];
    for (const task of dropped) task.dropped?.();
  }

  async #work(): Promise<void> {
    this.#working = true;
    for (let task = this.#tasks.shift(); task !== undefined; task = this.#tasks.shift()) {
      try {
        await task.run();
      } catch (error) {
        this.#onCrash(error);
      }
    }
    this.#working = false;
  }
}
