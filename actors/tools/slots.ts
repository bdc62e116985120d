// How many calls may run at once: a bound for each chat and one for the node. Who finds no slot waits in line.
//
// Invariants: no bound is ever passed; an exclusive call has no other of its chat beside it; of one chat calls begin in the
// order in which they came, so that an exclusive one is not passed by for ever. Of several chats the one that waits longest
// and can begin does.

import type { ChatId } from '../../protocol/ids.ts';

export type SlotBounds = { readonly perChat: number; readonly perNode: number };

/** A step of ten calls runs at once; of a thousand chats that all call tools, most wait. */
export const TOOL_BOUNDS: SlotBounds = { perChat: 16, perNode: 256 };

type Request = { readonly chat: ChatId; readonly exclusive: boolean; readonly begin: () => void };
type Use = { running: number; exclusive: boolean };

export class Slots {
  readonly #bounds: SlotBounds;
  readonly #uses = new Map<ChatId, Use>();
  #running = 0;
  /** Bounded by the calls of a step of every chat that runs. */
  #line: Request[] = [];

  constructor(bounds: SlotBounds) {
    this.#bounds = bounds;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#line.length;
  }

  /** Resolves with what gives the slot back, or with null when `signal` was first. */
  take(chat: ChatId, exclusive: boolean, signal: AbortSignal): Promise<(() => void) | null> {
    if (signal.aborted) return Promise.resolve(null);
    return new Promise((resolve) => {
      const onAbort = (): void => {
        this.#line = this.#line.filter((one) => one !== request);
        resolve(null);
        // It may have been the exclusive one that the others of its chat waited behind.
        this.#admit();
      };
      const request: Request = {
        chat,
        exclusive,
        begin: () => {
          signal.removeEventListener('abort', onAbort);
          resolve(this.#occupy(chat, exclusive));
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#line.push(request);
      this.#admit();
    });
  }

  #occupy(chat: ChatId, exclusive: boolean): () => void {
    const use = this.#uses.get(chat) ?? { running: 0, exclusive: false };
    this.#uses.set(chat, use);
    use.running += 1;
    use.exclusive = exclusive;
    this.#running += 1;
    let isBack = false;
    return () => {
      if (isBack) return;
      isBack = true;
      this.#running -= 1;
      use.running -= 1;
      use.exclusive = false;
      if (use.running === 0) this.#uses.delete(chat);
      this.#admit();
    };
  }

  #admit(): void {
    const passed = new Set<ChatId>();
    const line = this.#line;
    const left: Request[] = [];
    for (const request of line) {
      if (this.#running >= this.#bounds.perNode || passed.has(request.chat) || !this.#fits(request)) {
        passed.add(request.chat);
        left.push(request);
        continue;
      }
      request.begin();
    }
    this.#line = left;
  }

  #fits({ chat, exclusive }: Request): boolean {
    const use = this.#uses.get(chat);
    if (use === undefined) return true;
    return !exclusive && !use.exclusive && use.running < this.#bounds.perChat;
  }
}
