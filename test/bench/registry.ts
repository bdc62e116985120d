// The benchmarks by name: a new one is a file of its own and an entry here.

import type { Benchmark } from './benchmark.ts';
import { commit } from './commit.ts';
import { fanout } from './fanout.ts';
import { heartbeats } from './heartbeats.ts';
import { ingest } from './ingest.ts';
import { memory } from './memory.ts';
import { slow } from './slow.ts';

export const BENCHMARKS: ReadonlyMap<string, Benchmark> = new Map<string, Benchmark>([
  ['fanout', fanout],
  ['commit', commit],
  ['ingest', ingest],
  ['memory', memory],
  ['slow', slow],
  ['heartbeats', heartbeats],
]);
