// What the store counts, for whoever watches the node.

import type { CommitResult } from '../actors/ports.ts';
import { DURATION_BOUNDS_SECONDS, Histogram, Tally } from '../protocol/measures.ts';
import type { StoreLimits } from './limits.ts';

/** The limits of the store that are reached one by one; `StoreLimits` says what happens then. */
export const STORE_LIMITS_COUNTED = [
  'waitingUses',
  'waitMs',
  'answerMs',
  'statementMs',
  'lockMs',
  'idleInTransactionMs',
  'waitingIntents',
  'waitingBytes',
  'conflictTries',
] as const satisfies readonly (keyof StoreLimits)[];
export type StoreLimit = (typeof STORE_LIMITS_COUNTED)[number];

const COMMITS = [
  'committed',
  'stale',
  'archived',
  'rejected',
  'unavailable',
  'unknown',
] as const satisfies CommitResult['outcome'][];

/** Up to `StoreLimits.batchIntents`. */
const BATCH_BOUNDS = [1, 2, 5, 10, 20, 50, 100, 200];

export class StoreCounts {
  readonly limits = new Tally<StoreLimit>(STORE_LIMITS_COUNTED);
  /** Intents, by what became of them. */
  readonly commits = new Tally<CommitResult['outcome']>(COMMITS);
  /** Intents of a batch. */
  readonly batchIntents = new Histogram(BATCH_BOUNDS);
  /** A batch from its transaction's begin to its end, the wait for a connection included. */
  readonly batchSeconds = new Histogram(DURATION_BOUNDS_SECONDS);
  connectionsOpened = 0;
  connectionsRefused = 0;
  connectionsLost = 0;
}

/** The SQLSTATE with which Postgres says that a limit of the session was reached. */
const LIMIT_OF_SQLSTATE: Readonly<Record<string, StoreLimit>> = {
  '57014': 'statementMs',
  '55P03': 'lockMs',
  '25P03': 'idleInTransactionMs',
  '40001': 'conflictTries',
  '40P01': 'conflictTries',
};

export function limitOf(sqlstate: string): StoreLimit | null {
  return LIMIT_OF_SQLSTATE[sqlstate] ?? null;
}
