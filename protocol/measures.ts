// Plain measures: numbers that a part of the server counts for itself, and that whoever watches it reads. They know no
// library, no clock and no labels, and adding to one allocates nothing, so that counting can stand on a hot path.

/** How often each of a few things has happened. Keys come from the code, never from a client, so they stay few. */
export class Tally<Key extends string> {
  readonly #counts = new Map<Key, number>();

  /** `keys` stand there with 0 from the start: a series that appears with its first event hides that event from rates. */
  constructor(keys: Iterable<Key> = []) {
    for (const key of keys) this.#counts.set(key, 0);
  }

  add(key: Key, times = 1): void {
    this.#counts.set(key, this.get(key) + times);
  }

  get(key: Key): number {
    return this.#counts.get(key) ?? 0;
  }

  get counts(): ReadonlyMap<Key, number> {
    return this.#counts;
  }
}

/** How values are spread: for each bound how many values were at most that, and not above the bound before it. */
export class Histogram {
  readonly bounds: readonly number[];
  /** One more than there are bounds: the last is for what lies above all of them. */
  readonly #counts: number[];
  #sum = 0;

  /** `bounds` ascend. */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.#counts = [...bounds, Number.POSITIVE_INFINITY].map(() => 0);
  }

  observe(value: number): void {
    let bucket = 0;
    for (const bound of this.bounds) {
      if (value <= bound) break;
      bucket += 1;
    }
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += value;
  }

  get counts(): readonly number[] {
    return this.#counts;
  }

  get sum(): number {
    return this.#sum;
  }
}

/** Bounds in seconds for what takes from a millisecond to half a minute. */
export const DURATION_BOUNDS_SECONDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
] as const;
