// Metrics that are read when somebody scrapes: between two scrapes they cost nothing, and nothing is counted twice. The
// library is only asked to keep the list and to write the text.

import { Counter, Gauge, Histogram, type Registry } from '@prometheus-io/client';
import type { Histogram as Measured } from '../../protocol/measures.ts';

/** One series: its labels and its value. */
export type Sample<Value> = readonly [labels: Readonly<Record<string, string>>, value: Value];

type Definition = {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
};

type NumberMetric<View> = Definition & {
  readonly type: 'counter' | 'gauge';
  readonly read: (view: View) => Iterable<Sample<number>>;
};

type HistogramMetric<View> = Definition & {
  readonly type: 'histogram';
  readonly read: (view: View) => Iterable<Sample<Measured>>;
};

export type Metric<View> = NumberMetric<View> | HistogramMetric<View>;

/** Registers the metric, which reads from `view` what the scrape under way sees. */
export function register<View>(registry: Registry, metric: Metric<View>, view: () => View): void {
  const { name, help, labels } = metric;
  const options = { name, help, labelNames: [...labels], registers: [registry] };
  switch (metric.type) {
    case 'histogram':
      return void new PulledHistogram(options, () => metric.read(view()));
    case 'counter':
      return void new Counter({
        ...options,
        collect(): void {
          this.reset();
          for (const [values, value] of metric.read(view())) this.inc(values, value);
        },
      });
    case 'gauge':
      return void new Gauge({
        ...options,
        collect(): void {
          this.reset();
          for (const [values, value] of metric.read(view())) this.set(values, value);
        },
      });
  }
}

type Line = {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
};

/** The library's histogram is filled value by value; this one gives it whole ones to write. */
class PulledHistogram extends Histogram {
  readonly #options: { readonly name: string; readonly help: string };
  readonly #read: () => Iterable<Sample<Measured>>;

  constructor(
    options: { readonly name: string; readonly help: string; readonly registers: Registry[] },
    read: () => Iterable<Sample<Measured>>,
  ) {
    super({ ...options, buckets: [] });
    this.#options = options;
    this.#read = read;
  }

  /** What the registry calls for its text. */
  async getForPromString(): Promise<Readonly<Record<string, unknown>>> {
    const { name, help } = this.#options;
    const values = [...this.#read()].flatMap((sample) => lines(name, sample));
    return { name, help, type: 'histogram', values, aggregator: 'sum' };
  }
}

/** Buckets are cumulative on the outside: each counts all that is at most its bound. */
function lines(name: string, [labels, { bounds, counts, sum }]: Sample<Measured>): readonly Line[] {
  let count = 0;
  const buckets = counts.map((inBucket, i): Line => {
    count += inBucket;
    const le = bounds[i] ?? '+Inf';
    return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
