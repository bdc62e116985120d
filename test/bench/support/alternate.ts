// Runs of several contestants in turn, so that whatever else the machine does hits all of them alike.

import { assert, must } from '../../../protocol/assert.ts';

/**
 * `rounds` times every contestant, each round in the reverse order of the one before: what drifts over a round (heat, a
 * neighbour's load) helps each of them as often as it hurts. Gives the results by name, in the order of the rounds.
 */
export async function alternate<Name extends string, Result>(
  contestants: Readonly<Record<Name, () => Promise<Result>>>,
  rounds: number,
  onResult: (name: Name, result: Result) => void,
): Promise<Readonly<Record<Name, readonly Result[]>>> {
  const names = Object.keys(contestants) as Name[];
  const results = Object.fromEntries(names.map((name) => [name, [] as Result[]])) as Record<Name, Result[]>;
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const result = await contestants[name]();
      results[name].push(result);
      onResult(name, result);
    }
  }
  return results;
}

export function median(values: readonly number[]): number {
  assert(values.length > 0, 'a median is of something');
  const sorted = values.toSorted((a, b) => a - b);
  const upper = must(sorted[sorted.length >> 1], 'it lies within');
  return sorted.length % 2 === 1 ? upper : (upper + must(sorted[(sorted.length >> 1) - 1], 'it lies within')) / 2;
}
