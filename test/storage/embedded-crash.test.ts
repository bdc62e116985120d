// The embedded database and the death of its process, and the lock of its folder.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';

import { assert } from '../../protocol/assert.ts';
import type { NodeId, TurnId } from '../../protocol/ids.ts';
import { StorageError } from '../../storage/errors.ts';
import { openStore, type OpenStore } from '../../storage/store.ts';
import { checkAfterCrash, crash, seeded } from './crash.ts';
import { at, createTaken, intentOf, messageOf, newId, newOwner, takeChat, until, valueOf } from './fixture.ts';

let folder = '';
/** A folder with an empty database: making one takes seconds, copying it none. */
let template = '';

beforeAll(async () => {
  template = mkdtempSync(join(tmpdir(), 'parley-template-'));
  await (await openStore({ database: { folder: template } })).close();
});

afterAll(() => {
  rmSync(template, { recursive: true, force: true });
});

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'parley-crash-'));
  cpSync(join(template, 'database'), join(folder, 'database'), { recursive: true });
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function open(where = folder): Promise<OpenStore> {
  const opened = await openStore({ database: { folder: where } });
  await opened.nodes.register(newId<NodeId>());
  return opened;
}

function rawSql(where = folder): postgres.Sql {
  return postgres({
    host: 'localhost',
    path: join(where, 'database.sock'),
    database: 'postgres',
    user: 'postgres',
    password: '',
    max: 1,
    onnotice: () => undefined,
  });
}

async function failure(where: string): Promise<StorageError> {
  try {
    await (await openStore({ database: { folder: where } })).close();
  } catch (error) {
    assert(error instanceof StorageError, `a StorageError and not ${String(error)}`);
    return error;
  }
  throw new Error('it was opened');
}

test('[P3] killed four times in the middle of commits: every acknowledged one is there, and nothing by half', async () => {
  const random = seeded(20_260_115);
  let acknowledgements = 0;
  for (let round = 0; round < 4; round += 1) {
    const options = {
      database: { folder },
      owner: newOwner(),
      chats: 4,
      dieAtStatement: round % 2 === 0 ? null : 20 + random(300),
    };
    const acknowledged = await crash(options, 20 + random(120));
    acknowledgements += [...acknowledged.values()].reduce((sum, number) => sum + number, 0);
    const opened = await open();
    const raw = rawSql();
    await checkAfterCrash(raw, options, acknowledged);
    await raw.end();
    await opened.close();
  }
  expect(acknowledgements).toBeGreaterThan(100);
});

test('[P3] data survives an orderly restart; chats of the incarnation before are free', async () => {
  const first = await open();
  const { chat } = await createTaken(first.store);
  await first.store.commit(intentOf(chat, 1, { messages: [messageOf(1, at(1, 2))] }));
  await first.close();
  const second = await open();
  expect((await takeChat(second.store, chat)).epoch).toBe(2);
  expect(valueOf(await second.store.page(chat, { before: null, after: null, limit: 5 })).messages).toHaveLength(1);
  await second.close();
});

test('[embedded] a second open of the folder is refused, from this process and from another, naming the pid', async () => {
  const opened = await open();
  const own = await failure(folder);
  expect(own.kind).toBe('folder_in_use');
  expect(own.message).toContain(`process ${process.pid}`);
  const storage = fileURLToPath(new URL('../../storage/store.ts', import.meta.url));
  const program = `import { openStore } from ${JSON.stringify(storage)};
    openStore({ database: { folder: ${JSON.stringify(folder)} } }).then(() => process.exit(0), (error) => {
      console.log(error.kind + ': ' + error.message);
      process.exit(7);
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stdout.on('data', (data: Buffer) => (said += data.toString()));
  child.stderr.on('data', (data: Buffer) => (said += data.toString()));
  await once(child, 'close');
  expect(child.exitCode).toBe(7);
  expect(said).toBe(`folder_in_use: ${own.message}\n`);
  const { chat } = await createTaken(opened.store);
  expect(await opened.store.commit(intentOf(chat, 1))).toEqual({ outcome: 'committed' });
  await opened.close();
});

test('[embedded] a pid left behind by a process that died, or that is another’s by now, stands in nobody’s way', async () => {
  writeFileSync(join(folder, 'lock.pid'), `${process.ppid}\n`);
  writeFileSync(join(folder, 'database.sock'), 'left behind');
  const opened = await open();
  expect(readFileSync(join(folder, 'lock.pid'), 'utf8')).toBe(`${process.pid}\n`);
  await opened.close();
  await (await open()).close();
});

test('[embedded] the folder is for its owner only', async () => {
  rmSync(folder, { recursive: true });
  mkdirSync(folder, { mode: 0o755 });
  const opened = await open();
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  await opened.close();
  expect(existsSync(join(folder, 'database.sock'))).toBe(false);
});

test('[embedded] a folder whose path is too long for a socket works all the same', async () => {
  const long = join(folder, 'x'.repeat(100), 'y'.repeat(60));
  const opened = await open(long);
  const { chat } = await createTaken(opened.store);
  expect(await opened.store.commit(intentOf(chat, 1))).toEqual({ outcome: 'committed' });
  await opened.close();
});

test('[embedded] a folder that cannot be one says what to do', async () => {
  const file = join(folder, 'a-file');
  writeFileSync(file, '');
  const error = await failure(file);
  expect(error.kind).toBe('permission_denied');
  expect(error.message).toContain(file);
});

test('[embedded] a damaged database is an error and no endless start', async () => {
  await (await open()).close();
  rmSync(join(folder, 'database', 'global'), { recursive: true });
  const error = await failure(folder);
  expect(error.kind).toBe('damaged');
  expect(error.message).toContain(folder);
  // The lock is free again.
  expect((await failure(folder)).kind).toBe('damaged');
});

test('[embedded] when the database dies its node is told, once, and nothing hangs', async () => {
  const told: StorageError[] = [];
  const opened = await openStore({ database: { folder }, onFatal: (error) => told.push(error) });
  await opened.nodes.register(newId<NodeId>());
  const { chat } = await createTaken(opened.store);
  // Its log is gone: Postgres panics at the next checkpoint.
  rmSync(join(folder, 'database', 'pg_wal'), { recursive: true });
  rmSync(join(folder, 'database', 'global'), { recursive: true });
  const raw = rawSql();
  await raw`checkpoint`.catch(() => undefined);
  await until(() => Promise.resolve(told.length > 0));
  expect((await opened.store.commit(intentOf(chat, 1))).outcome).toMatch(/unavailable|unknown/);
  await opened.close();
  await raw.end({ timeout: 0 });
  expect(told.map((error) => error.kind)).toEqual(['failed']);
});

test('[P11] the log of the database and tables that are emptied again do not grow without end', async () => {
  const opened = await openStore({ database: { folder }, limits: { checkpointMs: 20, checkpointsPerVacuum: 2 } });
  await opened.nodes.register(newId<NodeId>());
  const { chat } = await createTaken(opened.store);
  const turn = newId<TurnId>();
  for (let pack = 1; pack <= 80; pack += 1) {
    const text = randomBytes(500_000).toString('base64');
    const entries = [{ index: 0, type: 'text', offset: 0, text, ended: false }] as const;
    const journal = [{ turn, step: 1, attempt: 1, pack, position: at(1, pack), entries }];
    const result = await opened.store.commit(intentOf(chat, 1, { clearJournal: true, journal }));
    expect(result).toEqual({ outcome: 'committed' });
  }
  await opened.close();
  // About 50 MB went through. Without checkpoints the log is as long, without vacuum the table.
  expect({ log: megabytes('pg_wal') <= 48, tables: megabytes('base') < 48 }).toEqual({ log: true, tables: true });
});

function megabytes(part: string): number {
  const files = readdirSync(join(folder, 'database', part), { recursive: true, withFileTypes: true });
  const bytes = files.map((file) => (file.isFile() ? statSync(join(file.parentPath, file.name)).size : 0));
  return bytes.reduce((sum, size) => sum + size, 0) / 1_000_000;
}
