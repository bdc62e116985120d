// The options of `npm run fuzz`.

import { readArguments } from '../support/arguments.ts';
import { ACTS, readActs, type Act } from './acts.ts';
import { PLANT_NAMES, type PlantName } from './plants.ts';

export type FuzzOptions = {
  readonly runs: number;
  readonly seed: number;
  readonly plant: PlantName | null;
  /** Nothing but this sequence. */
  readonly acts: readonly Act[] | null;
  /** On a node in a process of its own instead of the simulation. */
  readonly isReal: boolean;
  /** Where the results go as JSON. */
  readonly json: string | null;
};

export type ParsedOptions =
  | { readonly outcome: 'options'; readonly options: FuzzOptions }
  | { readonly outcome: 'help' }
  | { readonly outcome: 'fault'; readonly fault: string };

const DEFAULT_RUNS = 20_000;
const DEFAULT_REAL_RUNS = 300;
const SEED_MAX = 2 ** 31 - 1;

export const HELP = `Plays random sequences of what may happen to a chat, and says which one breaks a promise: P7, P8, P12, or a text is lost.

  npm run fuzz                        ${DEFAULT_RUNS} sequences on the simulation
  npm run fuzz -- --runs N --seed S   N of them, drawn by S (the time when absent)
  npm run fuzz -- --real N            N of them on a node of its own, with Postgres, model servers and kill -9 (0: ${DEFAULT_REAL_RUNS})
  npm run fuzz -- --acts "A:1 B:2"    this sequence on the simulation, as a failure prints it
  npm run fuzz -- --plant NAME        with a planted defect: it has to be found
                                      NAME: ${PLANT_NAMES.join(', ')}
  npm run fuzz -- --json FILE         writes the results to FILE as JSON

Acts: ${ACTS.join(', ')}; the number behind one chooses among what there is.
Exit code: 0 when nothing is broken, 1 with the shortest sequence that breaks something, 2 for a mistake in the options.`;

const TEXT = { type: 'string' } as const;
const OPTIONS = {
  runs: TEXT,
  seed: TEXT,
  real: TEXT,
  acts: TEXT,
  plant: TEXT,
  json: TEXT,
  help: { type: 'boolean', short: 'h' },
} as const;

export function parseOptions(args: readonly string[], nowMs: number): ParsedOptions {
  const given = readArguments({ args: [...args], options: OPTIONS });
  if (typeof given === 'string') return { outcome: 'fault', fault: given };
  const read = given.values;
  if (read.help === true) return { outcome: 'help' };
  const fault = faultOf(read);
  if (fault !== null) return { outcome: 'fault', fault };
  const acts = read.acts === undefined ? null : readActs(read.acts);
  if (typeof acts === 'string') return { outcome: 'fault', fault: acts };
  const real = read.real === undefined ? null : Number(read.real);
  return {
    outcome: 'options',
    options: {
      runs: real === null ? Number(read.runs ?? DEFAULT_RUNS) : real === 0 ? DEFAULT_REAL_RUNS : real,
      seed: Number(read.seed ?? nowMs % SEED_MAX),
      plant: PLANT_NAMES.find((name) => name === read.plant) ?? null,
      acts,
      isReal: real !== null,
      json: read.json ?? null,
    },
  };
}

type Values = { readonly [name in Exclude<keyof typeof OPTIONS, 'help'>]?: string | undefined };

function faultOf({ runs, seed, real, acts, plant }: Values): string | null {
  for (const [name, text] of Object.entries({ runs, seed, real })) {
    const isWhole = text === undefined || /^\d{1,9}$/u.test(text);
    if (!isWhole || (name === 'runs' && text === '0')) {
      return `--${name} is a whole number, not ${JSON.stringify(text)}.`;
    }
  }
  if (plant !== undefined && !PLANT_NAMES.some((name) => name === plant)) {
    return `There is no plant ${JSON.stringify(plant)}. Plants: ${PLANT_NAMES.join(', ')}.`;
  }
  if (real !== undefined && [runs, acts, plant].some((other) => other !== undefined)) {
    return '--real has its own number of sequences, no plants and no --acts.';
  }
  return null;
}
