// Several nodes of this checkout on one database and one NATS server, each a process of its own: for people who want to see
// a cluster, for tests of its command, and for chaos. A node that ends is started again on its port, as a supervisor would.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { must } from '../../protocol/assert.ts';
import { freePort } from '../support/port.ts';

export type LocalClusterOptions = {
  readonly nodes: number;
  readonly databaseUrl: string;
  readonly natsUrl: string;
  readonly jwtSecret: string;
  /** Of the first node; the next ones follow. Null: free ones. */
  readonly port: number | null;
  readonly restart: boolean;
  /** More variables for each node, by its name; empty: as the others. */
  readonly env?: (name: string) => Readonly<Record<string, string>>;
  /** A line of a node's log, or about one. */
  readonly onLine: (name: string, line: string) => void;
  /** A node is up, the first time or again. */
  readonly onUp: (node: LocalNode) => void;
};

const ROOT = new URL('../../', import.meta.url).pathname;
const PASSED_ON = ['PATH', 'HOME', 'TMPDIR', 'USER', 'LANG', 'SystemRoot'];
/** Ends the node when whoever runs the cluster has died: its input ends then. */
const GUARD = 'read line; kill -s KILL "$0"';
/** Between the end of a node and its next start. */
const RESTART_AFTER_MS = 500;
/** A node that is told to stop is killed after this. */
const STOP_MS = 30_000;

/** A node and its process of the moment. */
export class LocalNode {
  readonly name: string;
  readonly port: number;
  readonly metricsPort: number;
  readonly #options: LocalClusterOptions;
  readonly #dataDir: string;
  #child: ChildProcess | null = null;
  #isUp = false;
  #stopping = false;
  #waiters: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];

  constructor(
    name: string,
    ports: { readonly port: number; readonly metricsPort: number },
    options: LocalClusterOptions,
  ) {
    this.name = name;
    this.port = ports.port;
    this.metricsPort = ports.metricsPort;
    this.#options = options;
    this.#dataDir = mkdtempSync(join(tmpdir(), `parley-${name}-`));
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/v1/ws`;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Of its newest process; null before the first. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** Starts its process; it is up when this resolves. Rejects when the process ends instead. */
  start(): Promise<void> {
    const { databaseUrl, natsUrl, jwtSecret, env, onLine } = this.#options;
    const passed = PASSED_ON.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value] as const];
    });
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'gateway/main.ts'], {
      cwd: ROOT,
      env: {
        ...Object.fromEntries(passed),
        DATABASE_URL: databaseUrl,
        NATS_URL: natsUrl,
        PARLEY_JWT_SECRET: jwtSecret,
        PARLEY_NODE_NAME: this.name,
        PARLEY_PORT: String(this.port),
        PARLEY_METRICS_PORT: String(this.metricsPort),
        PARLEY_DATA_DIR: this.#dataDir,
        ...env?.(this.name),
      },
      // In a group of its own: a Ctrl-C in the terminal is for whoever runs the cluster.
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    const guard = spawn('sh', ['-c', GUARD, String(child.pid)], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    const lines = createInterface({ input: must(child.stderr, 'it is a pipe') });
    lines.on('line', (line) => {
      onLine(this.name, line);
      if (line.includes('"msg":"node up"')) this.#up();
    });
    child.once('close', (code, signal) => {
      guard.kill('SIGKILL');
      this.#ended(code, signal);
    });
    return this.up();
  }

  /** Resolves when it is up. */
  up(): Promise<void> {
    if (this.#isUp) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Ends it for good, gracefully if it can. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    if (child !== null && child.exitCode === null && child.signalCode === null) {
      const closed = once(child, 'close');
      child.kill('SIGCONT');
      child.kill('SIGTERM');
      const late = AbortSignal.timeout(STOP_MS);
      late.addEventListener('abort', () => child.kill('SIGKILL'));
      await closed;
    }
    rmSync(this.#dataDir, { recursive: true, force: true });
  }

  #up(): void {
    this.#isUp = true;
    this.#options.onUp(this);
    for (const { resolve } of this.#waiters) resolve();
    this.#waiters = [];
  }

  #ended(code: number | null, signal: NodeJS.Signals | null): void {
    const { restart, onLine } = this.#options;
    const wasUp = this.#isUp;
    this.#isUp = false;
    if (this.#stopping) return;
    onLine(this.name, `ended with ${signal ?? code}`);
    if (restart && wasUp) {
      AbortSignal.timeout(RESTART_AFTER_MS).addEventListener('abort', () => {
        // One that does not come up says why in its log; nobody waits for it but those who ask.
        if (!this.#stopping) this.start().catch(() => undefined);
      });
      return;
    }
    for (const { reject } of this.#waiters) reject(new Error(`node ${this.name} ended with ${signal ?? code}`));
    this.#waiters = [];
  }
}

export class LocalCluster {
  readonly nodes: readonly LocalNode[];

  private constructor(nodes: readonly LocalNode[]) {
    this.nodes = nodes;
  }

  /** Resolves when every node is up. */
  static async start(options: LocalClusterOptions): Promise<LocalCluster> {
    const nodes: LocalNode[] = [];
    for (let i = 0; i < options.nodes; i++) {
      const port = options.port === null ? await freePort() : options.port + i;
      const metricsPort = options.port === null ? await freePort() : options.port + options.nodes + i;
      nodes.push(new LocalNode(`n${i + 1}`, { port, metricsPort }, options));
    }
    const cluster = new LocalCluster(nodes);
    try {
      // One after the other: the first one sets the database up.
      for (const node of nodes) await node.start();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** All at once, gracefully. */
  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }
}
