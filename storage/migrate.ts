// Brings the schema to the version of this code. Safe when several nodes start at once: each migration is one
// transaction behind an advisory lock (only here, never on the hot path), and looks again once it has the lock.

import { readdirSync, readFileSync } from 'node:fs';

import { assert } from '../protocol/assert.ts';
import type { Connection } from './connection.ts';
import { ServerError, StorageError } from './errors.ts';

const OLDEST_SERVER = 15;
const FOLDER = new URL('./migrations/', import.meta.url);
/** Any number, the same for ever: whoever migrates this schema takes it. */
const LOCK_KEY = 8_243_017_561;

export type Migration = { readonly number: number; readonly name: string; readonly text: string };

/** The migrations of this code, ascending from 1 without a hole. */
export function readMigrations(): readonly Migration[] {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.sql'));
  return files.toSorted().map((name, index) => {
    const number = Number.parseInt(name, 10);
    assert(number === index + 1, `migrations are numbered without a hole: ${name} is number ${index + 1}`);
    return { number, name, text: readFileSync(new URL(name, FOLDER), 'utf8') };
  });
}

/** Throws `StorageError` when the server is too old or the schema newer than `migrations`. */
export async function migrate(
  connection: Connection,
  migrations: readonly Migration[] = readMigrations(),
): Promise<void> {
  await checkServer(connection);
  let applied = await appliedVersion(connection);
  while (applied < migrations.length) {
    await applyNext(connection, migrations);
    applied = await appliedVersion(connection);
  }
  if (applied > migrations.length) throw newerSchema(applied, migrations.length);
}

/** `server_version_num` of Postgres: 150004 is 15.4. */
export function checkVersion(versionNumber: number): void {
  const major = Math.floor(versionNumber / 10_000);
  if (major >= OLDEST_SERVER) return;
  throw new StorageError(
    'too_old',
    `The database is Postgres ${major}; Parley needs ${OLDEST_SERVER} or newer. Upgrade it, or point DATABASE_URL elsewhere.`,
  );
}

async function checkServer(connection: Connection): Promise<void> {
  const [row] = await connection.query<{ number: number }>({
    text: `select current_setting('server_version_num')::integer as number`,
    values: [],
  });
  assert(row !== undefined, 'Postgres knows its version');
  checkVersion(row.number);
}

/** 0 for an empty database. */
async function appliedVersion(connection: Connection): Promise<number> {
  const [table] = await connection.query<{ there: boolean }>({
    text: `select to_regclass('parley_migrations') is not null as there`,
    values: [],
  });
  if (table?.there !== true) return 0;
  const [row] = await connection.query<{ number: number }>({
    text: 'select coalesce(max(number), 0)::integer as number from parley_migrations',
    values: [],
  });
  return row?.number ?? 0;
}

/** Applies the first migration that is missing once the lock is ours; none may be by then. */
async function applyNext(connection: Connection, migrations: readonly Migration[]): Promise<void> {
  await connection.command('begin');
  try {
    // A migration and the wait for another node's may take as long as they need.
    await connection.command(
      'set local statement_timeout = 0; set local lock_timeout = 0; set local idle_in_transaction_session_timeout = 0',
    );
    await connection.command(`select pg_advisory_xact_lock(${LOCK_KEY})`);
    await connection.command(
      'create table if not exists parley_migrations (' +
        'number integer primary key, name text not null, applied_at timestamptz not null default now())',
    );
    const next = migrations[await appliedVersion(connection)];
    if (next !== undefined) {
      await connection.command(next.text);
      await connection.query({
        text: 'insert into parley_migrations (number, name) values ($1, $2)',
        values: [next.number, next.name],
      });
    }
    await connection.command('commit');
  } catch (error) {
    await connection.command('rollback').catch(() => undefined);
    if (error instanceof ServerError && error.sqlstate === '42501') {
      throw new StorageError(
        'permission_denied',
        `The database user may not create tables (${error.message}). Grant it CREATE on the schema, or use its owner.`,
        error,
      );
    }
    throw error;
  }
}

function newerSchema(applied: number, known: number): StorageError {
  return new StorageError(
    'newer_schema',
    `The database has schema ${applied}, this version of Parley knows ${known}. Start the newer version of Parley.`,
  );
}
