// The benchmarks by name: a new one is a file of its own and an entry here.

import type { Benchmark } from './benchmark.ts';
import { fanout } from './fanout.ts';
import { slow } from './slow.ts';

export const BENCHMARKS: ReadonlyMap<string, Benchmark> = new Map<string, Benchmark>([
  ['fanout', fanout],
  ['slow', slow],
]);
