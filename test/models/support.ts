// What tests of model clients share: clocks, a sink that records, requests.

import type { ProviderRun } from '../../actors/background-run.ts';
import { QUIET } from '../actors/stage.ts';
import { SystemClock, systemRandom } from '../../gateway/system-ports.ts';
import type { BlockType, CallName, Usage } from '../../protocol/content.ts';
import type { AttemptId, ChatId } from '../../protocol/ids.ts';
import type { AttemptResult, Clock, ModelRequest, PromptItem, ProviderBlocks, StepSink } from '../../actors/ports.ts';
import { callField } from '../../protocol/parts.ts';

export const REAL_CLOCK: Clock = new SystemClock();

/** Time and chance as they are; what fails is not told. */
export const REAL_PORTS = { clock: REAL_CLOCK, random: systemRandom, log: QUIET } as const;

type Task = { readonly atMs: number; readonly run: () => void };

/** A clock that stands still until it is run. */
export class ManualClock implements Clock {
  #nowMs = 0;
  readonly #tasks = new Set<Task>();
  /** Every delay that was asked for. */
  readonly delays: number[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  get pending(): number {
    return this.#tasks.size;
  }

  after(delayMs: number, run: () => void): () => void {
    this.delays.push(delayMs);
    const task: Task = { atMs: this.#nowMs + delayMs, run };
    this.#tasks.add(task);
    return () => this.#tasks.delete(task);
  }

  /** Lets time pass, task after task, until `untilMs` or until nothing waits any more. */
  async run(untilMs = Number.POSITIVE_INFINITY): Promise<void> {
    for (;;) {
      await settle();
      const next = [...this.#tasks].sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#tasks.delete(next);
      this.#nowMs = next.atMs;
      next.run();
    }
    if (Number.isFinite(untilMs)) this.#nowMs = untilMs;
  }
}

/** Lets everything run that needs no time. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

export type SinkCall =
  | { readonly call: 'start'; readonly index: number; readonly type: BlockType; readonly of?: CallName }
  | { readonly call: 'delta'; readonly index: number; readonly text: string }
  | { readonly call: 'end'; readonly index: number }
  | { readonly call: 'usage'; readonly usage: Usage };

/** Records what an adapter writes; `activity` is only counted. */
export class RecordingSink implements StepSink {
  readonly calls: SinkCall[] = [];
  activities = 0;
  /** What the provider runs in the background, as it was announced. */
  run: ProviderRun | null = null;
  #waiters: { readonly holds: () => boolean; readonly resolve: () => void }[] = [];

  blockStart(index: number, type: BlockType, of?: CallName): void {
    this.#record({ call: 'start', index, type, ...(of === undefined ? {} : { of }) });
  }

  blockDelta(index: number, text: string): void {
    this.#record({ call: 'delta', index, text });
  }

  blockEnd(index: number): void {
    this.#record({ call: 'end', index });
  }

  usage(usage: Usage): void {
    this.#record({ call: 'usage', usage });
  }

  runsInBackground(run: ProviderRun): void {
    this.run = run;
    this.#wake();
  }

  activity(): void {
    this.activities += 1;
    this.#wake();
  }

  /** Resolves when `holds` does, after some call. */
  until(holds: (sink: RecordingSink) => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push({ holds: () => holds(this), resolve });
      this.#wake();
    });
  }

  untilDeltas(count: number): Promise<void> {
    return this.until((sink) => sink.deltas.length >= count);
  }

  get deltas(): readonly string[] {
    return this.calls.flatMap((call) => (call.call === 'delta' ? [call.text] : []));
  }

  get usages(): readonly Usage[] {
    return this.calls.flatMap((call) => (call.call === 'usage' ? [call.usage] : []));
  }

  /** Blocks as a client would show them. */
  get blocks(): readonly {
    readonly type: BlockType;
    readonly text: string;
    readonly ended: boolean;
    readonly call?: CallName;
  }[] {
    const starts = this.calls.filter((call) => call.call === 'start');
    return starts.map(({ index, type, of }) => ({
      type,
      ...callField(of),
      text: this.calls.map((call) => (call.call === 'delta' && call.index === index ? call.text : '')).join(''),
      ended: this.calls.some((call) => call.call === 'end' && call.index === index),
    }));
  }

  #record(call: SinkCall): void {
    this.calls.push(call);
    this.#wake();
  }

  #wake(): void {
    const due = this.#waiters.filter((waiter) => waiter.holds());
    this.#waiters = this.#waiters.filter((waiter) => !due.includes(waiter));
    for (const waiter of due) waiter.resolve();
  }
}

export function userItem(text: string): PromptItem {
  return { role: 'user', parts: [{ type: 'text', text }], provider: null };
}

/** An assistant's message as the actor stores it after an attempt. */
export function assistantItem(text: string, provider: ProviderBlocks | null): PromptItem {
  return { role: 'assistant', parts: text === '' ? [] : [{ type: 'text', text }], provider };
}

export function modelRequest(prompt: string | readonly PromptItem[], change: Partial<ModelRequest> = {}): ModelRequest {
  return {
    model: 'claude-test-1',
    system: ['You are a test.'],
    items: typeof prompt === 'string' ? [userItem(prompt)] : prompt,
    tools: [],
    toolChoice: 'auto',
    maxOutputTokens: 100_000,
    chat: '018f0000-0000-7000-8000-000000000001' as ChatId,
    attempt: '018f0000-0000-7000-8000-000000000002' as AttemptId,
    attemptNumber: 1,
    trace: null,
    background: false,
    resume: null,
    ...change,
  };
}

/** The provider blocks of a result, parsed. */
export function blocksOf(result: AttemptResult): unknown {
  return result.provider === null ? null : JSON.parse(new TextDecoder().decode(result.provider.json));
}

export const NEVER_ABORTED = (): AbortSignal => new AbortController().signal;
