// The runs of a chat's calls: begun when their rows say `running`, aborted with the turn. What a tool gives on the way is
// streamed as progress, which waits while a durable batch has reserved the next positions.
//
// Invariants: at most one run of a call; `onEnded` once per run, never after `abandon`; no progress after the end.

import type { ChatId, OwnerId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { cleanText, sliceUtf8, utf8Length } from '../../protocol/text.ts';
import type { Clock } from '../ports.ts';
import type { CallRow, ToolOutcome, ToolRunner } from '../tool-ports.ts';
import type { StreamLog } from './stream-log.ts';

export type ToolRunsOptions = {
  readonly clock: Clock;
  readonly runner: ToolRunner;
  readonly log: StreamLog;
  readonly chat: ChatId;
  readonly owner: OwnerId;
  readonly mergeWindowMs: number;
  readonly onEnded: (index: number, outcome: ToolOutcome) => void;
  /** A bug: a runner that rejects, or a stream that broke. */
  readonly onFault: (error: unknown) => void;
};

type Run = {
  readonly call: CallRow;
  readonly controller: AbortController;
  /** Given, and not shown yet. */
  pending: string;
  /** Of UTF-8, that were taken. */
  bytes: number;
};

export class ToolRuns {
  readonly #options: ToolRunsOptions;
  readonly #runs = new Map<number, Run>();
  #held = false;
  #cancelTimer: (() => void) | null = null;

  constructor(options: ToolRunsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#runs.size;
  }

  /** Begins what runs now and was not begun; forgets what runs no longer. */
  follow(calls: readonly CallRow[]): void {
    const running = new Set(calls.filter(({ state }) => state === 'running').map(({ index }) => index));
    for (const [index, run] of this.#runs) {
      if (running.has(index)) continue;
      this.#runs.delete(index);
      run.controller.abort();
    }
    for (const call of calls) if (running.has(call.index) && !this.#runs.has(call.index)) this.#begin(call);
  }

  /** Asks all of them to end; each says when it has. */
  abort(): void {
    for (const { controller } of this.#runs.values()) controller.abort();
  }

  abandon(): void {
    this.follow([]);
    this.#cancelTimer?.();
    this.#cancelTimer = null;
  }

  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    this.#schedule();
  }

  /** Shows what waits, unless it has to wait on. */
  flush(): void {
    if (this.#held) return;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    for (const run of this.#runs.values()) this.#show(run);
  }

  #begin(call: CallRow): void {
    const { runner, chat, owner, onEnded, onFault } = this.#options;
    const run: Run = { call, controller: new AbortController(), pending: '', bytes: 0 };
    this.#runs.set(call.index, run);
    const invocation = { chat, owner, name: call.name, args: call.args, key: call.key };
    const sink = { progress: (text: string) => this.#take(run, text) };
    void runner.run(invocation, sink, run.controller.signal).then((outcome) => {
      if (this.#runs.get(call.index) === run) onEnded(call.index, outcome);
    }, onFault);
  }

  #take(run: Run, text: string): void {
    if (this.#runs.get(run.call.index) !== run || run.controller.signal.aborted) return;
    const room = LIMITS.toolOutputBytes - run.bytes;
    const clean = cleanText(text);
    // The result says that it was cut; what is shown on the way just ends.
    const taken = utf8Length(clean) <= room ? clean : room <= 0 ? '' : sliceUtf8(clean, 0, room).text;
    if (taken === '') return;
    run.bytes += utf8Length(taken);
    run.pending += taken;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#held || this.#cancelTimer !== null) return;
    if (![...this.#runs.values()].some(({ pending }) => pending !== '')) return;
    const { clock, mergeWindowMs, onFault } = this.#options;
    this.#cancelTimer = clock.after(mergeWindowMs, () => {
      this.#cancelTimer = null;
      try {
        this.flush();
      } catch (error) {
        onFault(error);
      }
    });
  }

  #show(run: Run): void {
    if (run.pending === '') return;
    const { log } = this.#options;
    const { step, call } = run.call;
    const text = run.pending;
    run.pending = '';
    log.append({ kind: 'tool', type: 'progress', step, call, offset: log.view.callBytes(call), text });
  }
}
