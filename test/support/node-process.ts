// A node as people start it: `npm start` in a process of its own, with its own data folder and port, until a test ends it.
//
// States: up → ended (`kill`, `terminate`, or by itself); `restart` brings a new process up on the same folder and port.
// npm, its shell and the node are one process group, so that nothing survives a test that fails in between.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signToken } from '../../gateway/authentication.ts';
import { assert, must } from '../../protocol/assert.ts';
import { freePort } from './port.ts';

export type NodeOptions = {
  /** Variables of the node's; nothing else of ours reaches it but the path. */
  readonly env?: Readonly<Record<string, string>>;
  /** Null: one in the temporary folder, deleted in the end. */
  readonly dataDir?: string;
};

export type Exit = {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
};

const ROOT = new URL('../../', import.meta.url).pathname;
/** What npm and a shell need. Whoever runs the tests may have keys and databases in theirs. */
const PASSED_ON = ['PATH', 'HOME', 'TMPDIR', 'USER', 'LANG', 'SystemRoot', 'npm_config_cache', 'npm_config_userconfig'];
/** Of a stream, so that a chatty node fills no memory. */
const KEPT_CHARS = 1_000_000;
const ERROR_LINES_MAX = 100;
const HOUR_MS = 60 * 60 * 1000;

/**
 * Waits for the end of its input, which comes with the end of the tests, however they end: Vitest kills its workers, and
 * with them every handler. Then it kills the process group that it was given.
 */
const GUARD = 'read line; kill -s KILL -- "-$0"';

/** `npm start -- …args`, to its end: for starts that are refused. */
export async function runNode(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Exit> {
  return new NpmStart(args, env).exited;
}

export class NodeProcess {
  readonly dataDir: string;
  readonly port: number;
  /** How long the newest start took, in milliseconds. */
  startedInMs = 0;
  readonly #env: Readonly<Record<string, string>>;
  readonly #ownsFolder: boolean;
  #run: NpmStart;
  #pid = 0;
  #incarnation = '';

  private constructor(options: NodeOptions, port: number) {
    this.#ownsFolder = options.dataDir === undefined;
    this.dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'parley-node-'));
    this.port = port;
    this.#env = { PARLEY_PORT: String(port), PARLEY_DATA_DIR: this.dataDir, ...options.env };
    this.#run = new NpmStart([], this.#env);
  }

  /** Resolves when the node says that it is up; rejects with what it said instead. */
  static async start(options: NodeOptions = {}): Promise<NodeProcess> {
    const node = new NodeProcess(options, await freePort());
    try {
      await node.#up();
      return node;
    } catch (error) {
      await node.stop();
      throw error;
    }
  }

  /** Where clients connect. */
  get url(): string {
    return `ws://127.0.0.1:${this.port}/v1/ws`;
  }

  get httpUrl(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Of the node itself, not of npm. */
  get pid(): number {
    return this.#pid;
  }

  /** The id under which it came up. */
  get incarnation(): string {
    return this.#incarnation;
  }

  get stdout(): string {
    return this.#run.stdout;
  }

  get stderr(): string {
    return this.#run.stderr;
  }

  /** The development token that it printed. */
  get token(): string {
    return must(/Development token +(\S+)/.exec(this.stdout)?.[1], 'a node without a secret prints a token');
  }

  /** A token for anybody, signed with the node's own secret. */
  tokenFor(
    subject: string,
    claims: { readonly expiresAtMs?: number; readonly role?: 'auditor' | 'admin' } = {},
  ): Promise<string> {
    const { expiresAtMs = Date.now() + HOUR_MS, ...rest } = claims;
    const given = this.#env['PARLEY_JWT_SECRET'] ?? readFileSync(join(this.dataDir, 'dev-secret'), 'utf8').trim();
    const options = { secret: new TextEncoder().encode(given), issuer: null, audience: null };
    return signToken(options, { subject, expiresAtMs, ...rest });
  }

  /** What it logged as `error`: somebody must act. */
  get errorLines(): readonly string[] {
    return this.#run.errorLines;
  }

  /** Where its metrics are; it was not told to have none. */
  get metricsUrl(): string {
    return must(/Metrics +(\S+)/.exec(this.stdout)?.[1], 'a node says where its metrics are');
  }

  /** Resolves with the sum of the metric's samples whose labels contain `label`, once it fits; asks ten times a second. */
  async metric(name: string, fits: (value: number) => boolean, label = ''): Promise<number> {
    for (;;) {
      const text = await (await fetch(this.metricsUrl)).text();
      const lines = text.split('\n').filter((line) => line.startsWith(name) && line.includes(label));
      const value = lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
      if (fits(value)) return value;
      await once(AbortSignal.timeout(100), 'abort');
    }
  }

  /** Files and sockets that it has open. */
  openFiles(): number {
    return readdirSync(`/proc/${this.#pid}/fd`).length;
  }

  /** Its resident memory, in bytes. */
  residentBytes(): number {
    const status = readFileSync(`/proc/${this.#pid}/status`, 'utf8');
    return Number(must(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1], 'the system tells it')) * 1024;
  }

  /** Resolves with the first line of its log that fits: those so far, then those to come. */
  logged(fits: (line: string) => boolean): Promise<string> {
    return this.#run.line('stderr', fits);
  }

  /** `kill -9` of the node. */
  async kill(): Promise<void> {
    process.kill(this.#pid, 'SIGKILL');
    await this.#run.exited;
  }

  /** SIGTERM to the node, or to the npm that started it; resolves when the node is gone, with the exit of `npm start`. */
  async terminate(to: 'node' | 'npm' = 'node'): Promise<Exit> {
    process.kill(to === 'node' ? this.#pid : this.#run.pid, 'SIGTERM');
    return this.#run.exited;
  }

  /** Starts again, on the same folder and port; the node has ended before. */
  async restart(env: Readonly<Record<string, string>> = {}): Promise<void> {
    assert(this.#run.ended, 'one node runs at a time');
    this.#run = new NpmStart([], { ...this.#env, ...env });
    await this.#up();
  }

  /** Ends whatever is left and deletes the folder. */
  async stop(): Promise<void> {
    await this.#run.stop();
    if (this.#ownsFolder) rmSync(this.dataDir, { recursive: true, force: true });
  }

  async #up(): Promise<void> {
    const startedMs = performance.now();
    const run = this.#run;
    const failed = run.exited.then(({ code, stderr }): never => {
      throw new Error(`the node ended with ${code} instead of coming up: ${stderr.slice(-2_000)}`);
    });
    failed.catch(() => undefined);
    const up = await Promise.race([run.line('stderr', (line) => line.includes('"msg":"node up"')), failed]);
    await Promise.race([run.line('stdout', (line) => line.startsWith('All options')), failed]);
    const { pid, incarnation } = JSON.parse(up) as { readonly pid: number; readonly incarnation: string };
    this.#pid = pid;
    this.#incarnation = incarnation;
    this.startedInMs = performance.now() - startedMs;
  }
}

/** One `npm start`, in a process group of its own. */
class NpmStart {
  stdout = '';
  stderr = '';
  ended = false;
  /** At most `ERROR_LINES_MAX`, kept apart from the output, whose beginning is dropped. */
  readonly errorLines: string[] = [];
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  #watchers: (() => void)[] = [];

  constructor(args: readonly string[], env: Readonly<Record<string, string>>) {
    const given = PASSED_ON.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value] as const];
    });
    const child = spawn('npm', ['start', '--', ...args], {
      cwd: ROOT,
      env: { ...Object.fromEntries(given), ...env },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    for (const name of ['stdout', 'stderr'] as const) {
      const stream = must(child[name], 'the output is a pipe');
      stream.setEncoding('utf8');
      stream.on('data', (text: string) => {
        this[name] = (this[name] + text).slice(-KEPT_CHARS);
        if (text.includes('"level":"error"') && this.errorLines.length < ERROR_LINES_MAX) this.errorLines.push(text);
        for (const watcher of this.#watchers) watcher();
      });
    }
    // `close` comes when the output is at its end too: the node, which holds it, has gone.
    const guard = spawn('sh', ['-c', GUARD, String(this.pid)], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
    const unguarded = once(guard, 'close');
    this.exited = once(child, 'close').then(async ([code, signal]) => {
      guard.kill('SIGKILL');
      await unguarded;
      this.ended = true;
      this.#watchers = [];
      const ended = { code: code as number | null, signal: signal as NodeJS.Signals | null };
      return { ...ended, stdout: this.stdout, stderr: this.stderr };
    });
  }

  /** Of npm. */
  get pid(): number {
    return must(this.#child.pid, 'npm was started');
  }

  line(name: 'stdout' | 'stderr', fits: (line: string) => boolean): Promise<string> {
    return new Promise((resolve) => {
      let seen = 0;
      const look = (): void => {
        const lines = this[name].split('\n').slice(0, -1);
        const found = lines.slice(Math.min(seen, lines.length)).find(fits);
        seen = lines.length;
        if (found === undefined) return;
        this.#watchers = this.#watchers.filter((watcher) => watcher !== look);
        resolve(found);
      };
      this.#watchers = [...this.#watchers, look];
      look();
    });
  }

  async stop(): Promise<void> {
    if (!this.ended) signalGroup(this.pid, 'SIGKILL');
    await this.exited;
  }
}

function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch {
    // It is gone already.
  }
}
