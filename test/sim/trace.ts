// The last things that happened, kept for the report of a violation.

/** Entries kept; a report shows them all. */
const KEPT = 40;

export class Trace {
  readonly #clock: { nowMs(): number };
  readonly #startMs: number;
  /** A ring: the newest entry overwrites the oldest. */
  readonly #entries: (() => string)[] = [];
  readonly #times: number[] = [];
  #count = 0;
  /** Set for a run that is watched: every entry is printed at once. */
  print: ((line: string) => void) | null = null;

  constructor(clock: { nowMs(): number }) {
    this.#clock = clock;
    this.#startMs = clock.nowMs();
  }

  /** How many things happened. */
  get count(): number {
    return this.#count;
  }

  /** `describe` is called only when somebody reads the entry: it must not change what it looks at later. */
  add(describe: () => string): void {
    const at = this.#count % KEPT;
    this.#entries[at] = describe;
    this.#times[at] = this.#clock.nowMs() - this.#startMs;
    this.#count += 1;
    this.print?.(this.#format(at));
  }

  last(): readonly string[] {
    const kept = Math.min(this.#count, KEPT);
    return Array.from({ length: kept }, (_, i) => this.#format((this.#count - kept + i) % KEPT));
  }

  #format(at: number): string {
    return `${String(this.#times[at] ?? 0).padStart(7)} ms  ${this.#entries[at]?.() ?? ''}`;
  }
}
