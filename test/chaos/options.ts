// The command line of `npm run chaos`.

import type { JournalMode } from '../../actors/turn-ports.ts';
import { isCount, readArguments } from '../support/arguments.ts';
import { CHATS_QUICK, type Scenario } from './scenario.ts';
import { SCENARIOS } from './registry.ts';

export type ChaosArguments = {
  /** One, or all of them after each other. */
  readonly scenarios: readonly (readonly [string, Scenario])[];
  readonly isQuick: boolean;
  readonly isOverlapping: boolean;
  readonly journal: JournalMode;
  readonly nodes: number | null;
  readonly chats: number | null;
  readonly faults: number | null;
  readonly seed: number;
  readonly json: string | null;
  readonly history: string | null;
};

export type ParsedArguments =
  | { readonly outcome: 'arguments'; readonly given: ChaosArguments }
  | { readonly outcome: 'help'; readonly text: string }
  | { readonly outcome: 'fault'; readonly fault: string };

const SEED_MAX = 2 ** 31;

export function help(): string {
  const lines = [...SCENARIOS].map(([name, { summary }]) => `  npm run chaos -- ${name.padEnd(10)} ${summary}`);
  return `Breaks a running Parley on purpose, with chats that stream, and judges what its clients saw.

${lines.join('\n')}
  npm run chaos -- all        all of them, one after the other

  --quick         ${CHATS_QUICK} chats and few faults: under three minutes
  --json FILE     writes the figures to FILE
  --history FILE  writes the history to FILE as JSON lines, for npm run check:history -- FILE
  --nodes N       nodes; without it as many as the scenario needs
  --chats N       chats, with two clients each; without it 200, deploy 60
  --faults N      faults
  --overlap       kill: the next one without waiting for the last takeover, and without its bound
  --journal shown text is shown once it is saved: nothing may be taken back then
  --seed N        the load and the choice of faults; what the machine does in between is its own

It starts its own Postgres and nodes, and ends them. Exit code: 0 when nothing was broken, 1 when something was, 2 for a
mistake in the options.
`;
}

export function parseArguments(args: readonly string[]): ParsedArguments {
  const read = readArguments({ args: [...args], allowPositionals: true, options: OPTIONS });
  if (typeof read === 'string') return { outcome: 'fault', fault: read };
  const { values, positionals } = read;
  if (values.help === true) return { outcome: 'help', text: help() };
  const [name, ...more] = positionals;
  const names = [...SCENARIOS.keys(), 'all'].join(', ');
  if (name === undefined) return { outcome: 'fault', fault: `Name a scenario: ${names}. See --help.` };
  const scenarios = [...SCENARIOS].filter(([key]) => name === 'all' || key === name);
  if (scenarios.length === 0)
    return { outcome: 'fault', fault: `There is no scenario ${JSON.stringify(name)}. There are: ${names}.` };
  if (more.length > 0) return { outcome: 'fault', fault: 'One scenario at a time, or all.' };
  for (const key of ['nodes', 'chats', 'faults', 'seed'] as const) {
    const text = values[key];
    if (text !== undefined && !isCount(text)) {
      return { outcome: 'fault', fault: `--${key} is a whole number above 0, not ${JSON.stringify(text)}.` };
    }
  }
  const { journal = 'batched' } = values;
  if (journal !== 'batched' && journal !== 'shown') {
    return { outcome: 'fault', fault: `--journal is batched or shown, not ${JSON.stringify(journal)}.` };
  }
  const isQuick = values.quick === true;
  const numberOf = (text: string | undefined): number | null => (text === undefined ? null : Number(text));
  return {
    outcome: 'arguments',
    given: {
      scenarios,
      isQuick,
      isOverlapping: values.overlap === true,
      journal,
      nodes: numberOf(values.nodes),
      chats: numberOf(values.chats),
      faults: numberOf(values.faults),
      seed: numberOf(values.seed) ?? Date.now() % SEED_MAX,
      json: values.json ?? null,
      history: values.history ?? null,
    },
  };
}

const TEXT = { type: 'string' } as const;
const OPTIONS = {
  quick: { type: 'boolean' },
  overlap: { type: 'boolean' },
  journal: TEXT,
  help: { type: 'boolean', short: 'h' },
  json: TEXT,
  history: TEXT,
  nodes: TEXT,
  chats: TEXT,
  faults: TEXT,
  seed: TEXT,
} as const;
