// A node that is past its own deadline may have been declared dead: others may have its chats. Until it is renewed it shows
// nothing, answers nothing and starts nothing; what a provider streams meanwhile waits in the logs, within their bounds.
// Safety does not hang on it (Postgres refuses a stale epoch, P1): it keeps a node that lost its chats from saying so late.
//
// Whether it is past the deadline is read off the clock each time: after SIGSTOP the first thing that runs may be anything.

import type { ChatStore } from '../ports.ts';

export class Suspension {
  readonly #isPast: () => boolean;
  #waiters: (() => void)[] = [];
  #stopped = false;

  constructor(isPast: () => boolean) {
    this.#isPast = isPast;
  }

  get isSuspended(): boolean {
    return this.#isPast();
  }

  /** Resolves at once when the node is not suspended, else when it is renewed, or has given its chats up. */
  async passed(): Promise<void> {
    if (this.#stopped || !this.#isPast()) return;
    await new Promise<void>((resolve) => {
      this.#waiters.push(resolve);
    });
  }

  /** The node goes down: nobody waits for a database that may never come back. Postgres fences what is late. */
  stop(): void {
    this.#stopped = true;
    this.release();
  }

  /** Renewed, or the actors that could have done harm are gone. */
  release(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }
}

/**
 * The store of a node among others. All that an actor shows, answers or starts follows from a commit, so it is held before
 * it and, for what was stopped in between, after it.
 */
export function suspendable(store: ChatStore, suspension: Suspension): ChatStore {
  return {
    ...store,
    commit: async (intent) => {
      await suspension.passed();
      const result = await store.commit(intent);
      await suspension.passed();
      return result;
    },
  };
}
