// A rate with a burst, for many subjects at once: what is remembered of each is one number (GCRA, the leaky bucket as a
// meter). It is the time up to which the subject has used its allowance; 0 is one that was never seen.

export type RateOptions = { readonly perSecond: number; readonly burst: number };

export class Rate {
  /** What one unit uses of the allowance, and how far ahead of the clock it may be used: both in milliseconds. */
  readonly #unitMs: number;
  readonly #burstMs: number;

  constructor({ perSecond, burst }: RateOptions) {
    this.#unitMs = 1000 / perSecond;
    this.#burstMs = burst * this.#unitMs;
  }

  /** What is to be remembered after `count` more; null, and nothing is used, when that is too much now. */
  take(usedUntilMs: number, count: number, nowMs: number): number | null {
    const next = Math.max(usedUntilMs, nowMs) + count * this.#unitMs;
    return next - nowMs > this.#burstMs + ROUNDING_MS ? null : next;
  }

  /** How long until `count` may be taken, in whole milliseconds. */
  waitMs(usedUntilMs: number, count: number, nowMs: number): number {
    const aheadMs = Math.max(usedUntilMs, nowMs) + count * this.#unitMs - nowMs - this.#burstMs;
    return Math.max(0, Math.ceil(aheadMs - ROUNDING_MS));
  }
}

/** Sums of thirds are not whole: without it the last one of a burst would be refused. */
const ROUNDING_MS = 1e-3;
