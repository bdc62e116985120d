// The contract of the store on the embedded database.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import postgres from 'postgres';
import { afterAll, beforeAll } from 'vitest';

import { must } from '../../protocol/assert.ts';
import type { NodeId } from '../../protocol/ids.ts';
import { openStore } from '../../storage/store.ts';
import { storeContract } from './contract.ts';
import { newId, type DatabaseHandle } from './fixture.ts';

let folder = '';
let current: DatabaseHandle | null = null;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'parley-embedded-'));
  const opened = await openStore({ database: { folder } });
  const node = newId<NodeId>();
  await opened.nodes.register(node);
  const raw = postgres({
    host: 'localhost',
    path: join(folder, 'database.sock'),
    database: 'postgres',
    user: 'postgres',
    password: '',
    max: 1,
    onnotice: () => undefined,
  });
  current = {
    kind: 'embedded',
    opened,
    node,
    raw,
    open: () => Promise.reject(new Error('the embedded database has one store')),
  };
});

afterAll(async () => {
  await current?.raw.end();
  await current?.opened.close();
  rmSync(folder, { recursive: true, force: true });
});

storeContract(() => must(current, 'the database is open'));
