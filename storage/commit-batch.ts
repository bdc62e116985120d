// One batch of intents, at most one per chat: a transaction, and what each of them is told.

import { assert } from '../protocol/assert.ts';
import type { CommitIntent, CommitResult } from '../actors/ports.ts';
import { commitStatements, type LockedChat } from './commit-statements.ts';
import type { Connection } from './connection.ts';
import type { Connections } from './connections.ts';
import { describe, isContentFault, isDatabaseError } from './errors.ts';
import type { StoreLimits } from './limits.ts';
import { transactAgain } from './transaction.ts';

/** One result per intent, in their order. Never rejects for a fault of the database. */
export async function commitBatch(
  connections: Connections,
  intents: readonly CommitIntent[],
  limits: StoreLimits,
): Promise<readonly CommitResult[]> {
  try {
    return await connections.use((connection) => commitOn({ connections, connection, limits }, intents));
  } catch (error) {
    // No connection was to be had: `commitOn` itself has a value for everything that the database may do.
    if (!isDatabaseError(error)) throw error;
    return all(intents, { outcome: 'unavailable', detail: describe(error) });
  }
}

type Place = { readonly connections: Connections; readonly connection: Connection; readonly limits: StoreLimits };

async function commitOn(place: Place, intents: readonly CommitIntent[]): Promise<readonly CommitResult[]> {
  const { connections, connection, limits } = place;
  if (connection.lost) return all(intents, { outcome: 'unavailable', detail: 'the connection was lost before' });
  const result = await transactAgain(connection, commitStatements(intents), limits.conflictTries);
  switch (result.outcome) {
    case 'committed': {
      const [locked] = result.results;
      assert(locked !== undefined, 'the first statement locks the chats');
      return verdicts(intents, locked as readonly LockedChat[]);
    }
    case 'unknown':
      connection.close(result.detail);
      return all(intents, { outcome: 'unknown', detail: result.detail });
    case 'aborted': {
      const { sqlstate } = result.error;
      if (result.error.fatal) connection.close();
      if (!isContentFault(sqlstate)) return all(intents, connections.unavailable(result.error));
      // The text of the error may quote the row: only its code leaves.
      if (intents.length === 1) return all(intents, { outcome: 'rejected', sqlstate, detail: `SQLSTATE ${sqlstate}` });
      return bisect(place, intents);
    }
  }
}

/** Something in the batch is poisonous: the halves go alone, down to the one that is refused. */
async function bisect(place: Place, intents: readonly CommitIntent[]): Promise<readonly CommitResult[]> {
  const middle = Math.ceil(intents.length / 2);
  const first = await commitOn(place, intents.slice(0, middle));
  const second = await commitOn(place, intents.slice(middle));
  return [...first, ...second];
}

function verdicts(intents: readonly CommitIntent[], locked: readonly LockedChat[]): readonly CommitResult[] {
  const chats = new Map(locked.map((chat) => [chat.id, chat]));
  return intents.map((intent) => {
    const chat = chats.get(intent.chat);
    if (chat === undefined) return { outcome: 'stale' };
    if (chat.archived && intent.requireUnarchived) return { outcome: 'archived' };
    return { outcome: 'committed' };
  });
}

function all(intents: readonly CommitIntent[], result: CommitResult): readonly CommitResult[] {
  return intents.map(() => result);
}
