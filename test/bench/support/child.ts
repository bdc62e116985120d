// Children of a benchmark: Node processes that answer one question at a time over their channel.
//
// A child ends when its parent does: the channel closes, and nothing else keeps it (`serve`).

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { must } from '../../../protocol/assert.ts';

export type ChildOptions = {
  readonly args?: readonly string[];
  /** All of its environment but the path. */
  readonly env?: Readonly<Record<string, string>>;
  readonly execArgv?: readonly string[];
};

type Reply = { readonly id: number; readonly value?: unknown; readonly error?: string };

const KEPT_CHARS = 4_000;

export class Child {
  readonly #process: ChildProcess;
  readonly #closed: Promise<unknown>;
  /** Rejects when the child ends, with the last of what it said. */
  readonly ended: Promise<never>;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #asked = 0;
  #said = '';

  constructor(module: URL, options: ChildOptions = {}) {
    this.#process = fork(module, [...(options.args ?? [])], {
      env: { PATH: process.env['PATH'] ?? '', ...options.env },
      execArgv: ['--disable-warning=ExperimentalWarning', ...(options.execArgv ?? [])],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said = (this.#said + text).slice(-KEPT_CHARS);
    });
    this.#process.on('message', (reply) => this.#settle(reply as Reply));
    this.#closed = once(this.#process, 'close');
    this.ended = this.#closed.then(() => {
      const error = new Error(`a child of the benchmark ended: ${this.#said}`);
      for (const waiting of this.#waiting.values()) waiting.reject(error);
      throw error;
    });
    this.ended.catch(() => undefined);
  }

  /** Its answer to a question of `serve`. Rejects when the child fails or ends before it. */
  async ask<Answer>(question: string, argument?: unknown): Promise<Answer> {
    const id = ++this.#asked;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, waiting);
    this.#process.send({ id, question, argument }, (error) => {
      if (error !== null) this.#settle({ id, error: error.message });
    });
    return (await waiting.promise) as Answer;
  }

  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.#process.kill(signal);
    await this.#closed;
  }

  #settle({ id, value, error }: Reply): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(error));
  }
}

type Question = { readonly id: number; readonly question: string; readonly argument: unknown };

/** In the child: answers what the parent asks; an error goes to the parent. */
export function serve(answers: Readonly<Record<string, (argument: never) => unknown>>): void {
  process.on('disconnect', () => process.exit(0));
  process.on('message', (message) => {
    const { id, question, argument } = message as Question;
    void Promise.resolve()
      .then(() => must(answers[question], `${question} is a question of this child`)(argument as never))
      .then(
        (value) => process.send?.({ id, value }),
        (error: unknown) =>
          process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
      );
  });
}
