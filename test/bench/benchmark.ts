// What a benchmark is to `npm run bench`.

export type BenchOptions = {
  /** A short run that shows that the benchmark works; its figures say nothing. */
  readonly isQuick: boolean;
  /** A line for whoever waits. */
  readonly say: (line: string) => void;
};

/** What a figure should be. */
export type Aim = { readonly figure: string; readonly got: number } & (
  | { readonly atLeast: number }
  | { readonly atMost: number }
);

export type BenchResult = {
  /** Why the run says nothing: a sender that was not busy, an event that was lost. Empty when it measured. */
  readonly faults: readonly string[];
  readonly aims: readonly Aim[];
  /** Ratios, bytes and all raw runs: they stand at the top of the JSON. */
  readonly figures: Readonly<Record<string, unknown>>;
};

export type Benchmark = {
  /** One line for `--help`. */
  readonly summary: string;
  /** Rejects when something broke that no figure can be made of. */
  run(options: BenchOptions): Promise<BenchResult>;
};
