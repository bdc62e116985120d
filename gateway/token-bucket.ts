// A token bucket: a rate with a burst, refilled by the clock it is asked with, without a timer.

export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #refilledAtMs: number;

  constructor(rate: { readonly perSecond: number; readonly burst: number }, nowMs: number) {
    this.#perSecond = rate.perSecond;
    this.#burst = rate.burst;
    this.#tokens = rate.burst;
    this.#refilledAtMs = nowMs;
  }

  /** Takes `count` tokens, or none and says false when there are fewer. */
  take(count: number, nowMs: number): boolean {
    this.#refill(nowMs);
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }

  /** How long until `count` tokens are there, in milliseconds. */
  waitMs(count: number, nowMs: number): number {
    this.#refill(nowMs);
    return this.#tokens >= count ? 0 : Math.ceil(((count - this.#tokens) / this.#perSecond) * 1000);
  }

  /** It holds its whole burst again: forgetting it changes nothing. */
  full(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#tokens >= this.#burst;
  }

  #refill(nowMs: number): void {
    const passedMs = Math.max(0, nowMs - this.#refilledAtMs);
    this.#tokens = Math.min(this.#burst, this.#tokens + (passedMs / 1000) * this.#perSecond);
    this.#refilledAtMs = nowMs;
  }
}
