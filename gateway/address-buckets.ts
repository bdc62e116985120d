// Token buckets by address, for as many addresses as fit: a flood from many addresses forgets, it does not grow.

import { GATEWAY_LIMITS } from './limits.ts';
import { TokenBucket } from './token-bucket.ts';

export class AddressBuckets {
  readonly #rate: { readonly perSecond: number; readonly burst: number };
  /** In the order of their last use; at most `addressesMax`. */
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(rate: { readonly perSecond: number; readonly burst: number }) {
    this.#rate = rate;
  }

  /** Takes a token of the address; 0, or how long to wait for one in milliseconds. */
  take(address: string, nowMs: number): number {
    const bucket = this.#buckets.get(address) ?? this.#add(nowMs);
    this.#buckets.delete(address);
    this.#buckets.set(address, bucket);
    return bucket.take(1, nowMs) ? 0 : bucket.waitMs(1, nowMs);
  }

  /** Forgets the one that was used longest ago, which is the likeliest to be full again, when there are too many. */
  #add(nowMs: number): TokenBucket {
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size >= GATEWAY_LIMITS.addressesMax && oldest !== undefined) this.#buckets.delete(oldest);
    return new TokenBucket(this.#rate, nowMs);
  }
}
