// The contract of the store on a real Postgres.

import { randomBytes } from 'node:crypto';

import postgres from 'postgres';
import { afterAll, beforeAll, inject } from 'vitest';

import { must } from '../../protocol/assert.ts';
import type { NodeId } from '../../protocol/ids.ts';
import { openStore } from '../../storage/store.ts';
import { createDatabase } from '../support/postgres.ts';
import { storeContract } from './contract.ts';
import { newId, type DatabaseHandle } from './fixture.ts';

let current: DatabaseHandle | null = null;
let drop: () => Promise<void> = () => Promise.resolve();

beforeAll(async () => {
  const database = await createDatabase(inject('postgresUrl'), `contract_${randomBytes(6).toString('hex')}`);
  drop = database.drop;
  const opened = await openStore({ database: { url: database.url } });
  const node = newId<NodeId>();
  await opened.nodes.register(node);
  const raw = postgres(database.url, { max: 3, onnotice: () => undefined });
  // Nobody renews here.
  await raw`update nodes set expires_at = now() + interval '1 hour'`;
  current = {
    kind: 'postgres',
    opened,
    node,
    raw,
    open: (limits) => openStore({ database: { url: database.url }, limits: limits ?? {} }),
  };
});

afterAll(async () => {
  await current?.raw.end();
  await current?.opened.close();
  await drop();
});

storeContract(() => must(current, 'the database is open'));
