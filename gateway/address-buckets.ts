// The use of a rate by address, for as many addresses as fit: a flood from many addresses forgets, it does not grow.

import { GATEWAY_LIMITS } from './limits.ts';
import { Rate, type RateOptions } from './rate.ts';

export class AddressBuckets {
  readonly #rate: Rate;
  /** In the order of their last use, as in `Rate`; at most `addressesMax`. */
  readonly #usedUntilMs = new Map<string, number>();

  constructor(options: RateOptions) {
    this.#rate = new Rate(options);
  }

  /** Takes one for the address; 0, or how long to wait for it in milliseconds. */
  take(address: string, nowMs: number): number {
    const used = this.#usedUntilMs.get(address) ?? 0;
    const next = this.#rate.take(used, 1, nowMs);
    this.#usedUntilMs.delete(address);
    // Forgets the one that was used longest ago, which is the likeliest to have its whole allowance again.
    const [oldest] = this.#usedUntilMs.keys();
    if (this.#usedUntilMs.size >= GATEWAY_LIMITS.addressesMax && oldest !== undefined) this.#usedUntilMs.delete(oldest);
    this.#usedUntilMs.set(address, next ?? used);
    return next === null ? this.#rate.waitMs(used, 1, nowMs) : 0;
  }
}
