// What is said about runs: totals, and a violation with what led to it and how to see it again.

import type { JournalMode } from '../../actors/turn-ports.ts';
import { sightsOf, type Sight, type Violation } from './audit.ts';
import { FAULTS, type Fault, type Shape } from './faults.ts';
import type { PlantName } from './plants.ts';
import type { RunResult } from './run.ts';

export type Totals = {
  readonly seeds: number;
  readonly events: number;
  readonly eventsLeast: number;
  readonly simulatedMs: number;
  readonly faults: Readonly<Partial<Record<Fault, number>>>;
  readonly sights: Readonly<Partial<Record<Sight, number>>>;
  readonly red: readonly { readonly seed: number; readonly violation: Violation }[];
};

export function sumUp(results: readonly RunResult[], shape: Shape): Totals {
  const add = (of: (result: RunResult) => number): number => results.reduce((sum, result) => sum + of(result), 0);
  return {
    seeds: results.length,
    events: add(({ events }) => events),
    eventsLeast: Math.min(...results.map(({ events }) => events)),
    simulatedMs: add(({ simulatedMs }) => simulatedMs),
    faults: count(FAULTS[shape], (fault) => add(({ faults }) => faults.get(fault) ?? 0)),
    sights: count(sightsOf(shape), (sight) => add(({ sights }) => sights.get(sight) ?? 0)),
    red: results
      .flatMap(({ seed, violation }) => (violation === null ? [] : [{ seed, violation }]))
      .sort((a, b) => a.seed - b.seed),
  };
}

function count<K extends string>(names: readonly K[], of: (name: K) => number): Record<K, number> {
  return Object.fromEntries(names.map((name) => [name, of(name)])) as Record<K, number>;
}

export function formatTotals(totals: Totals, wallMs: number): string {
  const { seeds, events, eventsLeast, simulatedMs, faults, sights, red } = totals;
  const hours = (simulatedMs / 3_600_000).toFixed(1);
  const list = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .map(([name, times]) => `${name} ${times}`)
      .join(', ');
  return [
    `${seeds} seeds, ${red.length} red; ${events} events (at least ${eventsLeast} a seed), ${hours} simulated hours, ${(wallMs / 1_000).toFixed(1)} s`,
    `faults: ${list(faults)}`,
    `seen: ${list(sights)}`,
  ].join('\n');
}

/** How a seed was played. */
export type Played = { readonly shape: Shape; readonly journal: JournalMode; readonly plant: PlantName | null };

export function formatViolation(seed: number, violation: Violation, { shape, journal, plant }: Played): string {
  const { rule, what, step, trace } = violation;
  const said = journal === 'shown' ? ' --journal shown' : '';
  const options = `${shape === 'cluster' ? ' --cluster' : ''}${said}${plant === null ? '' : ` --plant ${plant}`}`;
  return [
    `seed ${seed}, event ${step}: [${rule}] ${what}`,
    ...trace.map((line) => `  ${line}`),
    `again: npm run sim -- --seed ${seed}${options}`,
  ].join('\n');
}
