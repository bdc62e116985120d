// The command line of `npm run bench`.

import { readArguments } from '../support/arguments.ts';
import { BENCHMARKS } from './registry.ts';
import type { Benchmark } from './benchmark.ts';

export type BenchArguments = {
  readonly name: string;
  readonly benchmark: Benchmark;
  readonly isQuick: boolean;
  /** Where the result goes as JSON. */
  readonly json: string | null;
};

export type ParsedArguments =
  | { readonly outcome: 'arguments'; readonly given: BenchArguments }
  | { readonly outcome: 'help'; readonly text: string }
  | { readonly outcome: 'fault'; readonly fault: string };

export function parseArguments(args: readonly string[]): ParsedArguments {
  const read = readArguments({ args: [...args], allowPositionals: true, options: OPTIONS });
  if (typeof read === 'string') return { outcome: 'fault', fault: read };
  const { values, positionals } = read;
  if (values.help === true) return { outcome: 'help', text: help() };
  const [name, ...more] = positionals;
  const names = [...BENCHMARKS.keys()].join(', ');
  if (name === undefined) return { outcome: 'fault', fault: `Name a benchmark: ${names}. See --help.` };
  const benchmark = BENCHMARKS.get(name);
  if (benchmark === undefined) {
    return { outcome: 'fault', fault: `There is no benchmark ${JSON.stringify(name)}. There are: ${names}.` };
  }
  if (more.length > 0) return { outcome: 'fault', fault: 'One benchmark at a time: they would measure each other.' };
  if (values.json === '') return { outcome: 'fault', fault: '--json names a file.' };
  return {
    outcome: 'arguments',
    given: { name, benchmark, isQuick: values.quick === true, json: values.json ?? null },
  };
}

function help(): string {
  const lines = [...BENCHMARKS].map(([name, { summary }]) => `  npm run bench -- ${name.padEnd(10)} ${summary}`);
  return `Measures Parley against a baseline in the same run.

${lines.join('\n')}

  --json FILE   writes the result, every raw run and the machine to FILE
  --quick       a short run that shows that it works; its figures say nothing

Ratios are the medians of alternated runs: the machine may be shared, a figure alone means little. Exit code: 0 when it
measured, whether or not the aims are met; 1 when the run is void or something was lost; 2 for a mistake in the options.
`;
}

const OPTIONS = {
  json: { type: 'string' },
  quick: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;
