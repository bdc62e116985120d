// A private nats-server on a free port of 127.0.0.1, ended with whoever started it.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { must } from '../../protocol/assert.ts';
import { freePort } from './port.ts';

/** How to get it: `.ci/run` does, as root. */
const HINT =
  'nats-server is not installed. On Debian or Ubuntu: apt-get install nats-server; else see https://nats.io/download.';

export type NatsOptions = {
  /** Null: any that is free. */
  readonly port?: number;
  readonly args?: readonly string[];
};

export class NatsServer {
  readonly port: number;
  readonly #args: readonly string[];
  #child: ChildProcess | null = null;
  #guard: ChildProcess | null = null;

  private constructor(port: number, args: readonly string[]) {
    this.port = port;
    this.#args = args;
  }

  static async start(options: NatsOptions = {}): Promise<NatsServer> {
    const server = new NatsServer(options.port ?? (await freePort()), options.args ?? []);
    await server.up();
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return must(this.#child?.pid, 'it runs');
  }

  /** Starts it, the first time or again. */
  async up(): Promise<void> {
    const args = ['-a', '127.0.0.1', '-p', String(this.port), ...this.#args];
    const child = spawn('nats-server', args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    this.#child = child;
    let said = '';
    const ready = new Promise<void>((resolve) => {
      child.stderr.on('data', (data: Buffer) => {
        said = (said + data.toString()).slice(-8_192);
        if (said.includes('Server is ready')) resolve();
      });
    });
    const failed = new Promise<never>((_, reject) => {
      child.once('error', (error: NodeJS.ErrnoException) => reject(error.code === 'ENOENT' ? new Error(HINT) : error));
      child.once('close', (code) => reject(new Error(`nats-server ended with ${code}: ${said}`)));
    });
    failed.catch(() => undefined);
    await Promise.race([ready, failed]);
    // It hears of our end from the end of its input, which comes with the last process that holds it.
    this.#guard = spawn('sh', ['-c', 'read line; kill -s KILL "$0"', String(this.pid)], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#child = null;
    const closed = once(child, 'close');
    child.kill('SIGCONT');
    child.kill('SIGKILL');
    await closed;
    const guard = this.#guard;
    if (guard !== null) {
      const ended = once(guard, 'close');
      guard.kill('SIGKILL');
      await ended;
    }
    this.#guard = null;
  }

  /** SIGSTOP and SIGCONT. */
  pause(): void {
    process.kill(this.pid, 'SIGSTOP');
  }

  resume(): void {
    process.kill(this.pid, 'SIGCONT');
  }
}
