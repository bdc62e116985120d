// A node as `npm start` runs it: a process of its own.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../../..');

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

export class NodeProcess {
  readonly exited: Promise<Exit>;
  stdout = '';
  stderr = '';
  readonly #child: ChildProcess;

  /** `environment` is all that the process gets, besides the path. */
  constructor(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    this.#child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'gateway/main.ts', ...args], {
      cwd: ROOT,
      env: { PATH: process.env['PATH'], ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.exited = once(this.#child, 'close').then(([code, signal]: unknown[]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
    }));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Where it listens; rejects with what it said when it ends instead. */
  async up(): Promise<string> {
    for (;;) {
      const url = /Clients connect to +(\S+)/.exec(this.stdout)?.[1];
      if (url !== undefined && this.stdout.includes('All options')) return url;
      const ended = await Promise.race([this.exited, this.#more()]);
      if (ended !== null) throw new Error(`the node ended: ${this.stderr}`);
    }
  }

  /** What it says on standard error besides its log. */
  get complaints(): string[] {
    return this.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves when the text has appeared in its log. */
  async logged(text: string): Promise<void> {
    while (!this.stderr.includes(text)) {
      const ended = await Promise.race([this.exited, this.#moreLog()]);
      if (ended !== null) throw new Error(`the node ended: ${this.stderr}`);
    }
  }

  /** At the end of a test, whatever state it is in. */
  async end(): Promise<Exit> {
    this.#child.kill('SIGKILL');
    return await this.exited;
  }

  async #more(): Promise<null> {
    if (this.#child.stdout !== null) await once(this.#child.stdout, 'data');
    return null;
  }

  async #moreLog(): Promise<null> {
    if (this.#child.stderr !== null) await once(this.#child.stderr, 'data');
    return null;
  }
}
