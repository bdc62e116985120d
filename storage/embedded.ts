// The default without a DATABASE_URL: a database inside the data folder, that nobody else can open meanwhile.

import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

import type { DatabaseAddress } from './connection.ts';
import type { WorkerReport } from './embedded-worker.ts';
import { StorageError } from './errors.ts';
import { lockFolder, type FolderLock } from './lock.ts';

export type EmbeddedDatabase = { readonly address: DatabaseAddress; stop(): Promise<void> };

/** `sun_path` of a socket address holds 108 bytes on Linux and 104 on macOS, one of them the final NUL. */
const SOCKET_PATH_BYTES = 103;
/** How long the database may take to close; then it recovers at its next start, as after a crash. */
const STOP_MS = 10_000;

/** Starts it; `onFatal` is called once when it dies later. Throws `StorageError`. */
export async function startEmbedded(folder: string, onFatal: (error: StorageError) => void): Promise<EmbeddedDatabase> {
  const lock = prepareFolder(folder);
  const socket = socketPath(folder);
  try {
    const worker = await startWorker(join(folder, 'database'), socket.path, onFatal);
    return {
      address: {
        host: 'localhost',
        port: 5432,
        path: socket.path,
        database: 'postgres',
        user: 'postgres',
        password: '',
        tls: 'off',
        embedded: true,
      },
      stop: async () => {
        await worker.stop();
        socket.remove();
        lock.release();
      },
    };
  } catch (error) {
    socket.remove();
    lock.release();
    throw error;
  }
}

function prepareFolder(folder: string): FolderLock {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o700);
    return lockFolder(folder);
  } catch (error) {
    if (error instanceof StorageError) throw error;
    throw new StorageError(
      'permission_denied',
      `The data folder ${folder} cannot be used (${codeOf(error)}). Choose one that this user may write to.`,
      error,
    );
  }
}

/** The socket lies in the data folder, or in a private temporary one when that path is too long for a socket. */
function socketPath(folder: string): { readonly path: string; remove(): void } {
  const inside = join(folder, 'database.sock');
  if (Buffer.byteLength(inside) <= SOCKET_PATH_BYTES) {
    // One left behind by a crash; nobody listens on it, we hold the lock of the folder.
    rmSync(inside, { force: true });
    return { path: inside, remove: () => rmSync(inside, { force: true }) };
  }
  const outside = mkdtempSync(join(tmpdir(), 'parley-'));
  return { path: join(outside, 'database.sock'), remove: () => rmSync(outside, { recursive: true, force: true }) };
}

async function startWorker(
  folder: string,
  socket: string,
  onFatal: (error: StorageError) => void,
): Promise<{ stop(): Promise<void> }> {
  const worker = new Worker(new URL('./embedded-worker.ts', import.meta.url), {
    workerData: { folder, socket },
  });
  let stopping = false;
  let ended = (detail: string): void => {
    const why = `The embedded database has failed (${detail}). Start again: what was acknowledged is in its log.`;
    void worker.terminate();
    onFatal(new StorageError('failed', why));
  };
  const later = ended;
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const died = (detail: string): void => {
    if (stopping) return;
    stopping = true;
    ended(detail);
  };
  try {
    await new Promise<void>((resolve, reject) => {
      ended = (detail) => reject(new StorageError('damaged', damaged(folder, detail)));
      worker.on('message', (message: WorkerReport) => {
        if (message.report === 'ready') resolve();
        if (message.report === 'failed') died(message.detail);
      });
      worker.on('error', (error) => died(error instanceof Error ? error.message : String(error)));
      worker.on('exit', (code) => died(`its thread ended with code ${code}`));
    });
  } catch (error) {
    await worker.terminate();
    throw error;
  }
  ended = later;
  return {
    stop: async () => {
      if (!stopping) worker.postMessage('stop');
      stopping = true;
      const timer = setTimeout(() => void worker.terminate(), STOP_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}

function damaged(folder: string, detail: string): string {
  return `The embedded database in ${folder} cannot be opened (${detail}). Restore it from a copy, or move it away.`;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
