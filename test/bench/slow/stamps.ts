// Times in a text, by the monotonic clock that all processes of a machine share.

/** Milliseconds since the machine was started. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** The time as a text that can follow another one. */
export function stamp(): string {
  return `${nowMs().toFixed(3)};`;
}

export function readStamps(text: string): readonly number[] {
  return text.split(';').slice(0, -1).map(Number);
}

/** Latencies in steps of a twentieth of a millisecond; what takes longer than a second counts as a second. */
export class Latencies {
  readonly #counts = new Uint32Array(20_001);
  #total = 0;

  add(ms: number): void {
    const step = Math.min(this.#counts.length - 1, Math.max(0, Math.floor(ms * 20)));
    this.#counts[step] = (this.#counts[step] ?? 0) + 1;
    this.#total += 1;
  }

  get counts(): Uint32Array {
    return this.#counts;
  }

  get total(): number {
    return this.#total;
  }
}

/** The upper edge of the step in which that quantile of all of them lies, in milliseconds. */
export function quantileMs(all: readonly Uint32Array[], quantile: number): number {
  const total = all.reduce((sum, counts) => sum + counts.reduce((a, b) => a + b, 0), 0);
  let seen = 0;
  for (let step = 0; step < (all[0]?.length ?? 0); step++) {
    seen += all.reduce((sum, counts) => sum + (counts[step] ?? 0), 0);
    if (total > 0 && seen >= quantile * total) return (step + 1) / 20;
  }
  return Number.POSITIVE_INFINITY;
}
