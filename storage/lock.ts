// The lock of a data folder. Two processes on one embedded database would both open it and lose rows.
//
// SQLite's exclusive transaction on `lock.db` is a lock of the operating system: the kernel frees it with the process,
// however that dies, so there is no stale lock and no race between looking at a pid and taking it. SQLite itself keeps
// a second open in the same process out. The pid beside it is for the message only.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';

import { StorageError } from './errors.ts';

const SQLITE_BUSY = 5;

export type FolderLock = { release(): void };

/** Throws `StorageError` of kind `folder_in_use`, naming the process that holds it. */
export function lockFolder(folder: string): FolderLock {
  const pidFile = join(folder, 'lock.pid');
  const { DatabaseSync: Database } = sqlite();
  const database = new Database(join(folder, 'lock.db'));
  try {
    database.exec('pragma busy_timeout = 0; pragma locking_mode = exclusive; begin exclusive');
  } catch (error) {
    database.close();
    if (!isBusy(error)) throw error;
    throw new StorageError(
      'folder_in_use',
      `The data folder ${folder} is in use by process ${readPid(pidFile)}. Stop that one, or start with another folder.`,
      error,
    );
  }
  writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 });
  return { release: () => release(database) };
}

function release(database: DatabaseSync): void {
  if (database.isOpen) database.close();
}

function readPid(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim() || 'unknown';
  } catch {
    return 'unknown';
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
}

/** `node:sqlite` without its warning that it is experimental; every other warning goes through. */
function sqlite(): typeof import('node:sqlite') {
  const emit = process.emitWarning.bind(process);
  process.emitWarning = (warning: string | Error, ...rest: []): void => {
    if (!String(warning).includes('SQLite')) emit(warning, ...rest);
  };
  try {
    return process.getBuiltinModule('node:sqlite');
  } finally {
    process.emitWarning = emit;
  }
}
