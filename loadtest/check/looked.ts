// What a check has looked at. One that has seen nothing of what a rule is about has not passed: it has failed.

import type { Rule } from './violation.ts';

export type Looked = {
  records: number;
  clients: number;
  chats: number;
  sent: number;
  acked: number;
  refused: number;
  unknown: number;
  /** Commands that were sent again under their id and heard the same. */
  repeated: number;
  /** Effects of commands that were counted in the chats. */
  effects: number;
  events: number;
  deltas: number;
  /** Events that the client had already, or of an epoch that was over. */
  duplicates: number;
  resumed: number;
  snapshots: number;
  /** Attaches that were answered from a place behind the client's: it asks again. */
  stale: number;
  /** The log of a client ended with an epoch and went on in another one. */
  epochBreaks: number;
  lostConnections: number;
  retractions: number;
  /** Streamed texts that were compared with what was committed, and their bytes. */
  texts: number;
  textBytes: number;
  /** Turns whose messages were compared with what the provider said. */
  turnsSaid: number;
  /** States that were compared with a fresh attach. */
  freshCompared: number;
  /** Events that two clients saw at one position. */
  twins: number;
  owners: number;
  rows: number;
  faults: number;
  answers: number;
};

export function nothingLooked(): Looked {
  return {
    records: 0,
    clients: 0,
    chats: 0,
    sent: 0,
    acked: 0,
    refused: 0,
    unknown: 0,
    repeated: 0,
    effects: 0,
    events: 0,
    deltas: 0,
    duplicates: 0,
    resumed: 0,
    snapshots: 0,
    stale: 0,
    epochBreaks: 0,
    lostConnections: 0,
    retractions: 0,
    texts: 0,
    textBytes: 0,
    turnsSaid: 0,
    freshCompared: 0,
    twins: 0,
    owners: 0,
    rows: 0,
    faults: 0,
    answers: 0,
  };
}

/** What every history must hold something of, by the rule that has judged nothing without it. */
const NEEDED: readonly (readonly [Rule, keyof Looked, string])[] = [
  ['a', 'acked', 'no acknowledged command'],
  ['a', 'effects', 'no effect of a command'],
  ['b', 'events', 'no event'],
  ['b', 'snapshots', 'no snapshot'],
  ['b', 'freshCompared', 'no state that was compared with a fresh attach'],
  ['c', 'twins', 'no event that two clients saw at one position'],
  ['d', 'texts', 'no streamed text that was committed'],
];

/** The gaps of what was looked at, in words. A history with faults must say when they stopped. */
export function unlooked(looked: Looked): readonly (readonly [Rule, string])[] {
  const missing = NEEDED.filter(([, counter]) => looked[counter] === 0).map(
    ([rule, , what]) => [rule, `The history holds ${what}: nothing was checked.`] as const,
  );
  if (looked.faults === 0 || looked.answers > 0) return missing;
  return [...missing, ['e', 'The history holds faults, and no chat that was asked after them: nothing was checked.']];
}
