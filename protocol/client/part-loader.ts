// Fetches the texts of large parts that snapshots and pages carry as references: one after the other, newest first.
//
// Invariants: one query of this loader is on its way at a time; a part that could not be fetched is left alone until the
// next attach or page. The references themselves stand in the chat's state, nothing is kept here.

import type { ChatState } from './chat-state.ts';

export type PartLoaderOptions = {
  readonly state: () => ChatState;
  readonly isWanted: () => boolean;
  readonly load: (number: number, index: number) => Promise<unknown>;
};

export class PartLoader {
  readonly #options: PartLoaderOptions;
  #running = false;
  /** Set when there may be references that the run under way has not seen. */
  #again = false;

  constructor(options: PartLoaderOptions) {
    this.#options = options;
  }

  /** Starts fetching unless that runs already. */
  start(): void {
    this.#again = true;
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#again && this.#options.isWanted()) {
      this.#again = false;
      const failed = new Set<string>();
      for (let next = this.#next(failed); next !== null; next = this.#next(failed)) {
        try {
          await this.#options.load(next.number, next.index);
        } catch {
          // The reference stays visible as one; whoever asks for the part by hand gets the error.
          failed.add(key(next.number, next.index));
        }
      }
    }
    this.#running = false;
  }

  #next(failed: ReadonlySet<string>): { readonly number: number; readonly index: number } | null {
    if (!this.#options.isWanted()) return null;
    const { messages } = this.#options.state();
    const isOpen = (number: number, index: number): boolean => !failed.has(key(number, index));
    for (let at = messages.length - 1; at >= 0; at--) {
      const message = messages[at];
      if (message === undefined) continue;
      const { number, parts } = message;
      const index = parts.findIndex((part, i) => !('text' in part) && isOpen(number, i));
      if (index !== -1) return { number, index };
    }
    return null;
  }
}

function key(number: number, index: number): string {
  return `${number}.${index}`;
}
