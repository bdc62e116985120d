// The embedded database: PGlite and the Unix socket that it is spoken to through, in a thread of their own, so that
// the event loop of the node never waits for it.

import { parentPort, workerData } from 'node:worker_threads';

import { PGlite } from '@electric-sql/pglite';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';

import { assert, must } from '../protocol/assert.ts';
import { PLANNER_SETTINGS } from './connection.ts';

/** To the thread that started this one. */
export type WorkerReport =
  | { readonly report: 'ready' }
  | { readonly report: 'failed'; readonly detail: string }
  | { readonly report: 'stopped' };

type WorkerOptions = { readonly folder: string; readonly socket: string };

const port = must(parentPort, 'this file runs as a worker thread');
const options = parseOptions(workerData);

const database = new PGlite({ dataDir: options.folder });
/**
 * All connections share one session and take turns message by message, so two that speak at once would run each
 * other's statements: the store has one. The second place is for the next one while the last is still being cleared
 * away, and for a test that looks in while the store is silent.
 */
const server = new PGLiteSocketServer({ db: database, path: options.socket, maxConnections: 2 });

try {
  await database.waitReady;
  watch();
  for (const [name, value] of Object.entries(PLANNER_SETTINGS)) await database.exec(`set ${name} = ${value}`);
  await database.exec(`set timezone = 'UTC'`);
  await server.start();
  report({ report: 'ready' });
} catch (error) {
  fail(error);
}

port.once('message', () => {
  stop().then(() => report({ report: 'stopped' }), fail);
});

/**
 * PGlite swallows every exception out of the database: a trap of the WebAssembly code, the exit of a PANIC. The
 * statement is never answered then, and what still runs may write to the folder. So the thread ends at once, and with
 * it the node, which recovers from the log when it starts again.
 */
function watch(): void {
  const { Module } = database;
  const once = Module._PostgresMainLoopOnce;
  Module._PostgresMainLoopOnce = () => {
    try {
      once();
    } catch (error) {
      if (!isOrdinaryError(error)) fail(error);
      throw error;
    }
  };
}

/** The jump by which Postgres leaves a statement that failed: PGlite catches it and sends the error to the client. */
function isOrdinaryError(error: unknown): boolean {
  const longJump = 100;
  return typeof error === 'object' && error !== null && 'status' in error && error.status === longJump;
}

async function stop(): Promise<void> {
  await server.stop();
  await database.close();
  port.close();
}

function report(message: WorkerReport): void {
  port.postMessage(message);
}

function fail(error: unknown): never {
  report({ report: 'failed', detail: describe(error) });
  process.exit(1);
}

/** The WebAssembly file system throws plain objects: a name and a number of an error. */
function describe(error: unknown): string {
  if (error instanceof Error) return `${error.name}: ${error.message}`;
  if (typeof error !== 'object' || error === null) return String(error);
  const name = 'name' in error ? String(error.name) : 'an error';
  return 'errno' in error ? `${name} ${String(error.errno)}` : name;
}

function parseOptions(value: unknown): WorkerOptions {
  assert(typeof value === 'object' && value !== null, 'the worker is given its options');
  const { folder, socket } = value as Partial<WorkerOptions>;
  return {
    folder: must(folder, 'the worker is given a folder'),
    socket: must(socket, 'the worker is given a socket'),
  };
}
