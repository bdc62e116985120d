// A process that commits until it is killed: it says on its standard output what it was told is committed.
// Run by crash.ts with its options as JSON in the first argument.

import { writeSync } from 'node:fs';

import { assert } from '../../protocol/assert.ts';
import type { ChatId, NodeId, OwnerId } from '../../protocol/ids.ts';
import { Connection } from '../../storage/connection.ts';
import { openStore, type OpenStore } from '../../storage/store.ts';
import { at, commandOf, createTaken, intentOf, messageOf, newId } from './fixture.ts';

export type CrashOptions = {
  readonly database: { readonly url: string } | { readonly folder: string };
  readonly owner: OwnerId;
  readonly chats: number;
  /** Kills itself when it is about to send its n-th statement behind the setup; null: somebody else kills it. */
  readonly dieAtStatement: number | null;
};

const options = JSON.parse(process.argv[2] ?? '') as CrashOptions;
const opened = await openStore({ database: options.database });
await opened.nodes.register(newId<NodeId>());
const chats = await Promise.all(
  Array.from({ length: options.chats }, () => createTaken(opened.store, { owner: options.owner })),
);
if (options.dieAtStatement !== null) dieAt(options.dieAtStatement);
await Promise.all(chats.map(({ chat }) => commitForEver(opened, chat)));

async function commitForEver({ store }: OpenStore, chat: ChatId): Promise<never> {
  for (let number = 1; ; number += 1) {
    const message = messageOf(number, at(1, number + 1));
    const result = await store.commit(
      intentOf(chat, 1, {
        listed: number % 3 === 0,
        patch: { nextNumber: number + 1 },
        messages: [message],
        commands: [commandOf(options.owner, { id: message.id as never })],
      }),
    );
    assert(result.outcome === 'committed', `every commit is made: ${JSON.stringify(result)}`);
    writeSync(1, `${chat} ${number}\n`);
  }
}

/** Counts statements as they are handed to the connection: some of those before may be on their way, some not. */
function dieAt(statement: number): void {
  let count = 0;
  const step = (): void => {
    count += 1;
    if (count === statement) process.kill(process.pid, 'SIGKILL');
  };
  for (const name of ['query', 'command'] as const) {
    const original: (this: Connection, ...args: never[]) => Promise<never> = Reflect.get(
      Connection.prototype,
      name,
    ) as never;
    Reflect.set(Connection.prototype, name, function counted(this: Connection, ...args: never[]) {
      step();
      return original.apply(this, args);
    });
  }
}
