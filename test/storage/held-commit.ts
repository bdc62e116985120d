// A commit of the store whose transaction a test holds open: the statements of the store, on a session of the test's own.

import type { CommitIntent } from '../../actors/ports.ts';
import { commitStatements } from '../../storage/commit-statements.ts';
import { Connection } from '../../storage/connection.ts';
import { parseDatabaseUrl } from '../../storage/database-url.ts';
import { STORE_LIMITS } from '../../storage/limits.ts';
import type { Held } from './feed-walk.ts';

/** So long as a test runs. */
const PATIENT = { ...STORE_LIMITS, idleInTransactionMs: 60_000, lockMs: 20_000, statementMs: 20_000 };

/** `before its place`: the chat is locked, the owner is not; `behind its place`: all is done but the COMMIT. */
export async function holdCommit(
  url: string,
  intent: CommitIntent,
  place: 'before its place' | 'behind its place',
): Promise<Held> {
  const connection = await Connection.open(parseDatabaseUrl(url), PATIENT, () => undefined);
  await connection.command(`begin; set local parley.fenced = 'on'`);
  const statements = commitStatements([intent]);
  const done = place === 'behind its place' ? statements.length : 1;
  for (const statement of statements.slice(0, done)) await connection.query(statement);
  return {
    finish: async () => {
      for (const statement of statements.slice(done)) await connection.query(statement);
      await connection.command('commit');
      connection.close();
    },
  };
}
