// Sequences on the simulation, until one goes wrong: then the shortest that still does.

import fc from 'fast-check';
import { SEQUENCES, type Act } from './acts.ts';
import { FuzzPlay } from './play.ts';
import type { Plant } from './plants.ts';
import { Tally } from './tally.ts';

export type Failure = { readonly acts: readonly Act[]; readonly error: string };

export type FuzzResult = { readonly tally: Tally; readonly failure: Failure | null };

export type FuzzRun = { readonly runs: number; readonly seed: number; readonly plant?: Plant };

export async function fuzz({ runs, seed, plant = {} }: FuzzRun): Promise<FuzzResult> {
  const tally = new Tally();
  const property = fc.asyncProperty(SEQUENCES, (acts) => FuzzPlay.perform(acts, tally, plant));
  const details = await fc.check(property, { numRuns: runs, seed });
  const acts = details.counterexample?.[0];
  return { tally, failure: acts === undefined ? null : { acts, error: textOf(details.errorInstance) } };
}

/** One sequence, as a failure names it. */
export async function replay(acts: readonly Act[], plant: Plant = {}): Promise<FuzzResult> {
  const tally = new Tally();
  try {
    await FuzzPlay.perform(acts, tally, plant);
    return { tally, failure: null };
  } catch (error) {
    return { tally, failure: { acts, error: textOf(error) } };
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
