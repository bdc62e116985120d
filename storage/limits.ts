// Limits of the store. What happens when one is reached stands beside it.

import { assert } from '../protocol/assert.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

export type StoreLimits = {
  /**
   * Connections to Postgres, besides the one that is kept for reading revocations (the embedded database always has one for
   * all). All busy: a use waits, see below.
   */
  readonly connections: number;
  /** Uses that wait for a connection; more: `unavailable`. */
  readonly waitingUses: number;
  /** How long a use waits for a connection; longer: `unavailable`. */
  readonly waitMs: number;
  /** From the first byte to a session that is ready; longer: `unavailable`. */
  readonly connectMs: number;
  /** After a refused connection the next one is not tried for so long: `unavailable` at once, with the same words. */
  readonly reconnectPauseMs: number;
  /** Without an answer for so long the connection is given up; a commit on it is `unknown`. */
  readonly answerMs: number;
  /** Postgres only: it cancels a statement that takes longer, waits for a lock no longer, and ends a stopped client. */
  readonly statementMs: number;
  readonly lockMs: number;
  readonly idleInTransactionMs: number;

  /** Intents arriving within this time share a transaction. */
  readonly batchWindowMs: number;
  /** Intents and bytes of one transaction; the rest goes into the next. One intent may be larger than `batchBytes`. */
  readonly batchIntents: number;
  readonly batchBytes: number;
  /** Transactions in flight; more intents wait and join later batches. */
  readonly batchesInFlight: number;
  /** Intents, and their bytes, that wait for a batch; more: `unavailable`. */
  readonly waitingIntents: number;
  readonly waitingBytes: number;

  /** Tries of a transaction that Postgres broke off for a deadlock or a serialization failure; then `unavailable`. */
  readonly conflictTries: number;
  /** Tries to learn what became of a `create` whose connection was lost; then `unavailable`. */
  readonly createTries: number;
  /** Tries to archive a tree that grows meanwhile; then `unavailable`. */
  readonly archiveTries: number;
  /** Chats activated in one transaction; more go in several. */
  readonly activationsPerRound: number;
  /** API tokens of an owner that are in force, and a tenth of all that are kept of one; more: `too_many`. */
  readonly tokensPerOwner: number;
  /** Rows of commands, or of tokens, deleted in one statement. */
  readonly prunedPerRound: number;
  /** Embedded only: between two checkpoints, which bound the log and the time a start after a crash takes. */
  readonly checkpointMs: number;
  /** Embedded only: checkpoints from one vacuum to the next. */
  readonly checkpointsPerVacuum: number;
  /** A node that does not renew for so long may be marked dead (Postgres' clock). Renew every third of it. */
  readonly nodeTtlMs: number;
};

export const STORE_LIMITS: StoreLimits = {
  connections: 10,
  waitingUses: 2_000,
  waitMs: 5_000,
  connectMs: 5_000,
  reconnectPauseMs: 200,
  answerMs: 20_000,
  statementMs: 8_000,
  lockMs: 3_000,
  idleInTransactionMs: 1_000,
  batchWindowMs: 2,
  batchIntents: 200,
  batchBytes: 4 * MIB,
  batchesInFlight: 4,
  waitingIntents: 20_000,
  waitingBytes: 64 * MIB,
  conflictTries: 3,
  createTries: 3,
  archiveTries: 3,
  activationsPerRound: 200,
  tokensPerOwner: 100,
  prunedPerRound: 1_000,
  checkpointMs: 60_000,
  checkpointsPerVacuum: 10,
  nodeTtlMs: 3_000,
};

/** The limits with some replaced; throws when they contradict each other. */
export function storeLimits(overrides: Partial<StoreLimits>): StoreLimits {
  const limits = { ...STORE_LIMITS, ...overrides };
  assert(limits.batchesInFlight < limits.connections || limits.connections === 1, 'a read finds a connection');
  assert(limits.lockMs < limits.statementMs, 'a lock that is not granted is told from a slow statement');
  assert(limits.statementMs < limits.answerMs, 'Postgres breaks a statement off before its connection is given up');
  assert(limits.batchBytes <= limits.waitingBytes, 'a full batch may wait');
  return limits;
}
