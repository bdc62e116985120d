// What the rings of all chats of a node may hold together: each has its own bound, but thousands of busy chats would still
// fill the memory. When it is too much, the rings over their equal share give up their oldest down to it: who comes back to
// one of those gets a snapshot instead of events.

import type { Tally } from '../../protocol/measures.ts';
import type { EvictionLimit } from './counted-limits.ts';

/** The ring of one log. */
export type BudgetedRing = {
  readonly ring: { readonly bytes: number };
  /** Lets the oldest go until it holds at most so much, the newest always stays; gives the bytes that went. */
  shrink(bytesMax: number): number;
};

/** So that not every further event asks all rings again. */
const SHRINK_TO = 0.9;

export class RingBudget {
  /** Where logs count what leaves their rings. */
  readonly evictions: Tally<EvictionLimit>;
  readonly #bytesMax: number;
  readonly #rings = new Set<BudgetedRing>();
  #bytes = 0;

  constructor(evictions: Tally<EvictionLimit>, bytesMax: number) {
    this.evictions = evictions;
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  enter(ring: BudgetedRing): void {
    this.#rings.add(ring);
  }

  /** It is held for nobody any more. */
  leave(ring: BudgetedRing): void {
    if (this.#rings.delete(ring)) this.#bytes -= ring.ring.bytes;
  }

  /** A ring that is in holds so many bytes more, or less. */
  changed(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes <= this.#bytesMax) return;
    const share = (this.#bytesMax * SHRINK_TO) / this.#rings.size;
    for (const ring of this.#rings) this.#bytes -= ring.shrink(share);
  }
}
