// What a fake provider writes down of its prompt cache: how much of the prompts it read, and how much could have been read,
// because an earlier prompt had begun with the same. Tests and people compare the two.

export type CacheEntry = {
  /** Tokens of the whole prompt. */
  readonly prompt: number;
  readonly read: number;
  readonly written: number;
  /** What the longest beginning in common with any earlier prompt comes to, by the provider's rules. */
  readonly readable: number;
};

export type CacheTotals = CacheEntry & {
  readonly requests: number;
  /** Of all tokens of all prompts; 0 before the first one. */
  readonly readShare: number;
  readonly readableShare: number;
};

export class CacheBooks {
  #requests = 0;
  #sum: CacheEntry = { prompt: 0, read: 0, written: 0, readable: 0 };

  add(entry: CacheEntry): void {
    const before = this.#sum;
    this.#requests += 1;
    this.#sum = {
      prompt: before.prompt + entry.prompt,
      read: before.read + entry.read,
      written: before.written + entry.written,
      readable: before.readable + entry.readable,
    };
  }

  get totals(): CacheTotals {
    const { prompt, read, readable } = this.#sum;
    const share = (tokens: number): number => (prompt === 0 ? 0 : tokens / prompt);
    return { ...this.#sum, requests: this.#requests, readShare: share(read), readableShare: share(readable) };
  }
}

/** The newest of a kind, at most `max` of them. */
export class Newest {
  readonly #max: number;
  readonly #values = new Set<string>();

  constructor(max: number) {
    this.#max = max;
  }

  has(value: string): boolean {
    return this.#values.has(value);
  }

  add(value: string): void {
    this.#values.delete(value);
    this.#values.add(value);
    for (const oldest of this.#values) {
      if (this.#values.size <= this.#max) return;
      this.#values.delete(oldest);
    }
  }
}
