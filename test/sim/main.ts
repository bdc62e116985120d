// `npm run sim`: plays seeds and says which are red.

import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import process from 'node:process';
import { Worker } from 'node:worker_threads';
import { HELP, parseOptions, type SimOptions } from './options.ts';
import { planted } from './plants.ts';
import { formatTotals, formatViolation, sumUp } from './report.ts';
import { run, type RunResult } from './run.ts';
import type { Share } from './worker.ts';

const EXIT = { green: 0, red: 1, misuse: 2 } as const;

async function main(): Promise<number> {
  const parsed = parseOptions(process.argv.slice(2));
  if (parsed.outcome === 'help') {
    console.log(HELP);
    return EXIT.green;
  }
  if (parsed.outcome === 'fault') {
    console.error(parsed.fault);
    return EXIT.misuse;
  }
  const { options } = parsed;
  const startMs = performance.now();
  const results = options.isVerbose ? [await runAloud(options)] : await runShared(options);
  const totals = sumUp(results, options.shape);
  for (const { seed, violation } of totals.red) console.log(formatViolation(seed, violation, options));
  console.log(formatTotals(totals, performance.now() - startMs));
  if (options.json !== null) writeFileSync(options.json, `${JSON.stringify(totals, null, 2)}\n`);
  return totals.red.length === 0 ? EXIT.green : EXIT.red;
}

function runAloud({ from, shape, journal, plant }: SimOptions): Promise<RunResult> {
  return run({ seed: from, shape, journal, plant: planted(plant), print: (line) => console.log(line) });
}

/** Shares the seeds among workers; with a plant the first red seed is enough. */
async function runShared({ seeds, from, shape, journal, plant, workers }: SimOptions): Promise<readonly RunResult[]> {
  const count = Math.min(workers ?? availableParallelism(), seeds);
  const results: RunResult[] = [];
  const threads: Worker[] = [];
  const ends = Array.from({ length: count }, (_, i) => {
    const share: Share = { from: from + i, step: count, end: from + seeds, shape, journal, plant };
    const thread = new Worker(new URL('./worker.ts', import.meta.url), { workerData: share });
    threads.push(thread);
    return new Promise<void>((resolve, reject) => {
      thread.on('message', (result: RunResult) => {
        results.push(result);
        if (plant !== null && result.violation !== null) for (const other of threads) void other.terminate();
      });
      thread.on('error', reject);
      thread.on('exit', () => resolve());
    });
  });
  await Promise.all(ends);
  return results;
}

process.exitCode = await main();
