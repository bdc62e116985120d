// Opening a Postgres: migrations, and every way in which it fails. Postgres only.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

import postgres from 'postgres';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';

import { assert } from '../../protocol/assert.ts';
import { Connection } from '../../storage/connection.ts';
import { parseDatabaseUrl } from '../../storage/database-url.ts';
import { StorageError, type OpenErrorKind } from '../../storage/errors.ts';
import { STORE_LIMITS, type StoreLimits } from '../../storage/limits.ts';
import { checkVersion, migrate, readMigrations } from '../../storage/migrate.ts';
import { openStore } from '../../storage/store.ts';
import { createDatabase } from '../support/postgres.ts';

let url = '';
let drop: () => Promise<void> = () => Promise.resolve();

beforeAll(async () => {
  ({ url, drop } = await createDatabase(inject('postgresUrl'), `open_${randomBytes(6).toString('hex')}`));
});

afterAll(async () => {
  await drop();
});

/** What opening `databaseUrl` fails with. */
async function failure(databaseUrl: string, limits: Partial<StoreLimits> = {}): Promise<StorageError> {
  try {
    const opened = await openStore({ database: { url: databaseUrl }, limits });
    await opened.close();
  } catch (error) {
    assert(error instanceof StorageError, `a StorageError and not ${String(error)}`);
    expect(error.message).not.toContain('\n');
    expect(error.message).not.toContain('parley%20test');
    return error;
  }
  throw new Error('it was opened');
}

async function changed(change: (url: URL) => void): Promise<OpenErrorKind> {
  const other = new URL(url);
  change(other);
  return (await failure(other.href)).kind;
}

test('[migrations] five nodes that start at once on an empty database apply each migration once', async () => {
  const database = await createDatabase(inject('postgresUrl'), `race_${randomBytes(6).toString('hex')}`);
  const stores = await Promise.all(Array.from({ length: 5 }, () => openStore({ database: { url: database.url } })));
  const sql = postgres(database.url, { max: 1 });
  const rows = await sql`select number from parley_migrations order by number`;
  expect(rows.map((row) => row['number'] as number)).toEqual(readMigrations().map(({ number }) => number));
  await sql.end();
  for (const store of stores) await store.close();
  await database.drop();
});

test('[migrations] one that fails leaves nothing of itself, and the next start goes on from there', async () => {
  const database = await createDatabase(inject('postgresUrl'), `broken_${randomBytes(6).toString('hex')}`);
  const connection = await Connection.open(parseDatabaseUrl(database.url), STORE_LIMITS, () => undefined);
  const good = { number: 1, name: '0001_a.sql', text: 'create table a (x integer); create table b (x integer);' };
  const bad = { number: 2, name: '0002_b.sql', text: 'create table c (x integer); select 1 / 0;' };
  await expect(migrate(connection, [good, bad])).rejects.toMatchObject({ sqlstate: '22012' });
  const [tables] = await connection.query<{ a: boolean; c: boolean }>({
    text: `select to_regclass('a') is not null as a, to_regclass('c') is not null as c`,
    values: [],
  });
  expect(tables).toEqual({ a: true, c: false });
  await migrate(connection, [good, { ...bad, text: 'create table c (x integer)' }]);
  await migrate(connection, [good, { ...bad, text: 'never run again' }]);
  connection.close();
  await database.drop();
});

test('[migrations] a schema that is newer than the code is refused', async () => {
  const database = await createDatabase(inject('postgresUrl'), `newer_${randomBytes(6).toString('hex')}`);
  await (await openStore({ database: { url: database.url } })).close();
  const sql = postgres(database.url, { max: 1 });
  await sql`insert into parley_migrations (number, name) values (999, '0999_from_the_future.sql')`;
  await sql.end();
  const error = await failure(database.url);
  expect(error.kind).toBe('newer_schema');
  expect(error.message).toContain('Start the newer version');
  await database.drop();
});

test('[open] a server older than Postgres 15 is refused', () => {
  expect(() => checkVersion(140_012)).toThrow(/is Postgres 14; Parley needs 15 or newer/);
  expect(() => checkVersion(150_000)).not.toThrow();
  expect(() => checkVersion(180_006)).not.toThrow();
});

test('[open] nobody listens there', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert(typeof address === 'object' && address !== null, 'a TCP server has an address');
  server.close();
  await once(server, 'close');
  const error = await failure(`postgres://u:p@127.0.0.1:${address.port}/d`);
  expect(error.kind).toBe('unreachable');
  expect(error.message).toContain(`127.0.0.1:${address.port}`);
  expect(error.message).toContain('ECONNREFUSED');
});

test('[open] something listens there that is silent, or hangs up at once', async () => {
  for (const hangUp of [false, true]) {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      if (hangUp) socket.destroy();
      else socket.resume();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    assert(typeof address === 'object' && address !== null, 'a TCP server has an address');
    const error = await failure(`postgres://u:p@127.0.0.1:${address.port}/d`, { connectMs: 300 });
    expect(error.kind).toBe('unreachable');
    server.close();
    await once(server, 'close');
  }
});

test('[open] a wrong password, an unknown user, an unknown database', async () => {
  expect(await changed((other) => (other.password = 'wrong'))).toBe('wrong_password');
  expect(await changed((other) => (other.username = 'nobody_known'))).toBe('wrong_password');
  expect(await changed((other) => (other.pathname = '/no_such_database'))).toBe('no_such_database');
});

test('[open] a user who may not create tables', async () => {
  const name = `poor_${randomBytes(6).toString('hex')}`;
  const admin = postgres(url, { max: 1, onnotice: () => undefined });
  await admin.unsafe(`create role ${name} login password 'poor'`);
  const kind = await changed((other) => {
    other.username = name;
    other.password = 'poor';
  });
  expect(kind).toBe('permission_denied');
  await admin.unsafe(`drop role ${name}`);
  await admin.end();
});

test('[open] a URL that is none', async () => {
  for (const text of ['', 'nonsense', 'http://user@host/db', 'postgres://host/db', 'postgres://user:p%ZZ@host/db']) {
    expect((await failure(text)).kind).toBe('bad_url');
  }
});

test('[open] the environment of the process has no say', async () => {
  const before = { ...process.env };
  Object.assign(process.env, {
    PGHOST: '192.0.2.1',
    PGPORT: '1',
    PGUSER: 'x',
    PGPASSWORD: 'x',
    PGDATABASE: 'x',
    PGSSL: '1',
  });
  try {
    await (await openStore({ database: { url } })).close();
  } finally {
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  }
});
