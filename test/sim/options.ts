// The options of `npm run sim`.

import type { JournalMode } from '../../actors/turn-ports.ts';
import { isCount, readArguments } from '../support/arguments.ts';
import type { Shape } from './faults.ts';
import { PLANT_NAMES, type PlantName } from './plants.ts';

export type SimOptions = {
  readonly seeds: number;
  readonly from: number;
  readonly shape: Shape;
  readonly journal: JournalMode;
  /** One run, with its whole trace. */
  readonly isVerbose: boolean;
  readonly plant: PlantName | null;
  /** Where the results go as JSON. */
  readonly json: string | null;
  readonly workers: number | null;
};

export type ParsedOptions =
  | { readonly outcome: 'options'; readonly options: SimOptions }
  | { readonly outcome: 'help' }
  | { readonly outcome: 'fault'; readonly fault: string };

export const DEFAULT_SEEDS: Readonly<Record<Shape, number>> = { alone: 2_000, cluster: 10_000 };

export const HELP = `Plays whole runs of Parley in one process, on simulated time, network, database and model.

  npm run sim                         ${DEFAULT_SEEDS.alone} seeds of one node
  npm run sim -- --cluster            ${DEFAULT_SEEDS.cluster} seeds of two to four nodes on a bus; goes with all of the following
  npm run sim -- --seeds N --from S   seeds S to S + N - 1 (S: 1 when absent)
  npm run sim -- --seed S             one seed, with its whole trace
  npm run sim -- --journal shown      text is shown once it is saved, and nothing may be taken back by a crash
  npm run sim -- --plant NAME         with a planted defect: it has to be found; stops at the first seed that does
                                      NAME: ${PLANT_NAMES.alone.join(', ')}
                                      of a cluster: ${PLANT_NAMES.cluster.join(', ')}
  npm run sim -- --json FILE          writes the results to FILE as JSON
  npm run sim -- --workers N          processes to share the seeds (as many as there are cores when absent)

Exit code: 0 when every seed is green, 1 when one is red, 2 for a mistake in the options.`;

export function parseOptions(args: readonly string[]): ParsedOptions {
  const read = readArguments({ args: [...args], options: OPTIONS });
  if (typeof read === 'string') return { outcome: 'fault', fault: read };
  const { help, cluster, journal = 'batched', seeds, from, seed, plant, json, workers } = read.values;
  if (help === true) return { outcome: 'help' };
  if (seed !== undefined && (seeds !== undefined || from !== undefined)) {
    return { outcome: 'fault', fault: '--seed is one run: leave --seeds and --from out.' };
  }
  const numbers = { seeds, from, seed, workers };
  for (const [name, text] of Object.entries(numbers)) {
    if (text !== undefined && !isCount(text)) {
      return { outcome: 'fault', fault: `--${name} is a whole number above 0, not ${JSON.stringify(text)}.` };
    }
  }
  if (journal !== 'batched' && journal !== 'shown') {
    return { outcome: 'fault', fault: `--journal is batched or shown, not ${JSON.stringify(journal)}.` };
  }
  const all = [...PLANT_NAMES.alone, ...PLANT_NAMES.cluster];
  const named = all.find((name) => name === plant) ?? null;
  if (plant !== undefined && named === null) {
    return { outcome: 'fault', fault: `There is no plant ${JSON.stringify(plant)}. Plants: ${all.join(', ')}.` };
  }
  const isCluster = cluster === true || PLANT_NAMES.cluster.some((name) => name === named);
  const shape = isCluster ? 'cluster' : 'alone';
  return {
    outcome: 'options',
    options: {
      seeds: seed === undefined ? Number(seeds ?? DEFAULT_SEEDS[shape]) : 1,
      from: Number(seed ?? from ?? 1),
      shape,
      journal,
      isVerbose: seed !== undefined,
      plant: named,
      json: json ?? null,
      workers: workers === undefined ? null : Number(workers),
    },
  };
}

const TEXT = { type: 'string' } as const;
const OPTIONS = {
  cluster: { type: 'boolean' },
  journal: TEXT,
  seeds: TEXT,
  from: TEXT,
  seed: TEXT,
  plant: TEXT,
  json: TEXT,
  workers: TEXT,
  help: { type: 'boolean', short: 'h' },
} as const;
