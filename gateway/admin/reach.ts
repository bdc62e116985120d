// How the administrator's command line gets at the database: itself, or through the node that holds it.

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { CommandReply } from '../../actors/ports.ts';
import { connect } from '../../protocol/cli/connect.ts';
import type { Caller } from '../../protocol/client/access-calls.ts';
import { CommandError } from '../../protocol/client/index.ts';
import { decodeBody, encodeArgs } from '../../protocol/codec.ts';
import { type CommandId, type OwnerId, uuidV7 } from '../../protocol/ids.ts';
import { parseError } from '../../protocol/wire-content.ts';
import { StorageError } from '../../storage/errors.ts';
import { openStore, type OpenStore } from '../../storage/store.ts';
import { AccessCommands } from '../access-commands.ts';
import type { Bearer } from '../authentication.ts';
import { readAdminToken } from '../local-access.ts';
import { StartError } from '../start-error.ts';
import { SystemClock, systemRandom } from '../system-ports.ts';

export type Reached = {
  readonly caller: Caller;
  /** For people. */
  readonly way: string;
  close(): Promise<void>;
};

/** Throws a `StorageError`, a `StartError` or a `Failure`: one line that says what to do. */
export async function reach(databaseUrl: string | null, dataDir: string): Promise<Reached> {
  if (databaseUrl !== null)
    return inside(await openStore({ database: { url: databaseUrl } }), 'in the database of DATABASE_URL');
  const folder = resolve(dataDir);
  if (!existsSync(join(folder, 'database'))) {
    throw new StartError(
      `There is no database in ${folder}. Start a node first, set DATABASE_URL, or give --data-dir.`,
    );
  }
  try {
    return inside(await openStore({ database: { folder } }), `in the database in ${folder}, which no node holds`);
  } catch (error) {
    if (!(error instanceof StorageError) || error.kind !== 'folder_in_use') throw error;
    return throughNode(folder);
  }
}

async function throughNode(folder: string): Promise<Reached> {
  const address = readAdminToken(folder);
  if (address === null) {
    throw new StartError(`A process holds ${folder} that has left no way in: it is starting, or of an older version.`);
  }
  const client = await connect({ ...address, dataDir: folder });
  const close = async (): Promise<void> => client.close();
  return { caller: client, way: `through the node at ${address.url}`, close };
}

const ADMIN: Bearer = { owner: 'local-admin' as OwnerId, role: 'admin', groups: [] };

/** The same commands that a node does, done here: running nodes hear of it from the database. */
function inside(opened: OpenStore, way: string): Reached {
  const clock = new SystemClock();
  const { access, store } = opened;
  const commands = new AccessCommands({ access, store, clock, revoked: () => Promise.resolve() });
  return {
    way,
    close: () => opened.close(),
    caller: {
      command: async (name, args) => {
        const id = uuidV7<CommandId>(clock.nowMs(), systemRandom.bytes(10));
        return resultOf(await commands.command(ADMIN, { id, name, args, rawArgs: encodeArgs(args) }));
      },
      query: async (name, args) => {
        const answer = await commands.query(ADMIN, name, args);
        if (!answer.ok) throw new CommandError(answer.error);
        return answer.result;
      },
    },
  };
}

function resultOf({ ok, body }: CommandReply): unknown {
  const value = decodeBody(body);
  if (ok) return value;
  throw new CommandError(parseError(value));
}
