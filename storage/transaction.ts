// A transaction without a decision in it: BEGIN, its statements and COMMIT are sent in one go, the answers read after.
//
// So a client that stops cannot hold locks for long, and a round trip is all it costs. A statement that needs the locks
// of the one before it carries `FENCED` in its conditions: outside of such a transaction it does nothing. (postgres.js
// may run a statement again, behind the COMMIT, when a migration has changed its plan.)

import { ConnectionLost, describe, isConflict, ServerError } from './errors.ts';
import type { Connection, Rows, Statement } from './connection.ts';

export type TransactionResult =
  | { readonly outcome: 'committed'; readonly results: readonly Rows<object>[] }
  /** Certainly without effect. */
  | { readonly outcome: 'aborted'; readonly error: ServerError }
  /** The connection was lost with the COMMIT out: it may have been done, or may yet be. */
  | { readonly outcome: 'unknown'; readonly detail: string };

/** True only between the BEGIN and the COMMIT of `transact`. */
export const FENCED = `current_setting('parley.fenced', true) = 'on'`;

const BEGIN = `begin; set local parley.fenced = 'on'`;

/** Runs `statements` in one transaction, in order, in one round trip (more while a connection is new). */
export async function transact(connection: Connection, statements: readonly Statement[]): Promise<TransactionResult> {
  const begun = connection.command(BEGIN);
  const running = statements.map((statement) => connection.query<object>(statement));
  const ended = connection.command('commit');
  const [begin, commit, ...answers] = await Promise.allSettled([begun, ended, ...running]);

  const inOrder = [begin, ...answers];
  for (const answer of inOrder) {
    if (answer.status !== 'rejected') continue;
    const error: unknown = answer.reason;
    // An error of Postgres before the COMMIT aborts the transaction, whatever became of the connection after it.
    if (error instanceof ServerError) return { outcome: 'aborted', error };
    if (!(error instanceof ConnectionLost)) throw error;
    return { outcome: 'unknown', detail: describe(error) };
  }
  if (commit.status === 'rejected') {
    const error: unknown = commit.reason;
    if (error instanceof ServerError && !error.fatal) return { outcome: 'aborted', error };
    if (error instanceof ServerError || error instanceof ConnectionLost) {
      return { outcome: 'unknown', detail: describe(error) };
    }
    throw error;
  }
  if (commit.value.command !== 'COMMIT') {
    return { outcome: 'aborted', error: new ServerError('25P02', 'the transaction was rolled back', false) };
  }
  return { outcome: 'committed', results: answers.flatMap((a) => (a.status === 'fulfilled' ? [a.value] : [])) };
}

/** `transact`, again while Postgres breaks it off for a conflict with another one: at most `tries` times. */
export async function transactAgain(
  connection: Connection,
  statements: readonly Statement[],
  tries: number,
): Promise<TransactionResult> {
  for (let left = tries; ; left -= 1) {
    const result = await transact(connection, statements);
    if (result.outcome !== 'aborted' || !isConflict(result.error.sqlstate) || left <= 1) return result;
  }
}
