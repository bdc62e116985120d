// Listeners of an application. What they throw is theirs: it goes to the runtime's handler for uncaught errors, never
// into the state machines that call them.

export class Listeners<Args extends readonly unknown[]> {
  readonly #listeners = new Set<(...args: Args) => void>();

  get size(): number {
    return this.#listeners.size;
  }

  /** The function returned takes the listener out. The same function may be added twice. */
  add(listener: (...args: Args) => void): () => void {
    const own = (...args: Args): void => listener(...args);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  call(...args: Args): void {
    // Those added meanwhile wait for the next call, else one that renews itself would be called for ever.
    const due = Array.from(this.#listeners);
    for (const listener of due) {
      if (!this.#listeners.has(listener)) continue;
      try {
        listener(...args);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
