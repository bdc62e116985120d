// One attempt while it is in flight: reads the prompt, streams the model's answer into the log, watches for silence.

import type { AttemptId, ChatId } from '../../protocol/ids.ts';
import type {
  AttemptOpening,
  AttemptResult,
  ChatStore,
  Clock,
  ModelBinding,
  ModelError,
  ModelErrorKind,
} from '../ports.ts';
import { modelRequest } from './prompt.ts';
import type { ChatSettings } from './settings.ts';
import { StepWriter } from './step-writer.ts';
import type { StreamLog } from './stream-log.ts';

export type AttemptRunOptions = {
  readonly clock: Clock;
  readonly store: ChatStore;
  readonly settings: ChatSettings;
  readonly chat: ChatId;
  readonly log: StreamLog;
  readonly opening: AttemptOpening;
  /** Null: the model is no longer set up here. */
  readonly binding: ModelBinding | null;
  readonly system: readonly string[];
  readonly onFirstBlock: () => void;
  /** Called once, never after `abort('abandoned')`. */
  readonly onEnded: (result: AttemptResult) => void;
};

/** Why an attempt was aborted: what its result counts as. */
type AbortCause = 'stopped' | 'silent' | 'overflow' | 'abandoned';

export class AttemptRun {
  readonly id: AttemptId;
  readonly writer: StepWriter;
  readonly #options: AttemptRunOptions;
  readonly #controller = new AbortController();
  #cause: AbortCause | null = null;
  #cancelWatch: (() => void) | null = null;

  constructor(options: AttemptRunOptions) {
    this.#options = options;
    this.id = options.opening.id;
    this.writer = new StepWriter({
      log: options.log,
      clock: options.clock,
      mergeWindowMs: options.settings.mergeWindowMs,
      turn: options.opening.turn,
      step: options.opening.step,
      attemptNumber: options.opening.attempt,
      onFirstBlock: options.onFirstBlock,
      onOverflow: () => this.#abort('overflow'),
    });
  }

  /** Resolves when the attempt is over and `onEnded` was called; never rejects. */
  async run(): Promise<void> {
    this.#watch();
    const result = await this.#stream();
    this.#cancelWatch?.();
    if (this.#cause !== 'abandoned') this.#options.onEnded(result);
  }

  /** Stops at once: no delta follows, the provider's request is aborted. */
  stop(): void {
    this.#abort('stopped');
  }

  /** As `stop`, and nobody wants to hear of it any more. */
  abandon(): void {
    this.#abort('abandoned');
    this.#cancelWatch?.();
  }

  async #stream(): Promise<AttemptResult> {
    const { binding, store, chat, opening, system } = this.#options;
    if (binding === null) return failed('model_not_found', `the model ${opening.model} is not set up on this server`);
    const prompt = await store.prompt(chat);
    if (prompt.outcome === 'unavailable') return failed('unavailable', 'the history could not be read');
    if (this.#controller.signal.aborted) return this.#judgeAborted(ABORTED);
    const request = modelRequest({
      chat,
      attempt: opening,
      providerModel: binding.providerModel,
      maxOutputTokens: binding.maxOutputTokens,
      system,
      items: prompt.value,
    });
    try {
      return this.#judgeAborted(await binding.client.stream(request, this.writer, this.#controller.signal));
    } catch {
      // An adapter never rejects; one that does all the same must not take the chat with it.
      return failed('unavailable', 'the model adapter failed');
    }
  }

  /** An abort of ours is a failure with its own cause, unless somebody asked to stop. */
  #judgeAborted(result: AttemptResult): AttemptResult {
    if (this.#cause === 'silent') return { ...failed('silent', 'it was given up'), usage: usageOf(result) };
    if (this.#cause === 'overflow')
      return { ...failed('bad_request', 'the answer is too long'), usage: usageOf(result) };
    return result;
  }

  #abort(cause: AbortCause): void {
    if (this.#cause === null || cause === 'abandoned') this.#cause = cause;
    this.writer.close();
    this.#controller.abort();
  }

  #watch(): void {
    const { clock, settings } = this.#options;
    if (settings.silenceTimeoutMs === 0) return;
    const leftMs = this.writer.lastActivityMs + settings.silenceTimeoutMs - clock.nowMs();
    if (leftMs <= 0) {
      this.#abort('silent');
      return;
    }
    this.#cancelWatch = clock.after(leftMs, () => this.#watch());
  }
}

const ABORTED: AttemptResult = { outcome: 'aborted', provider: null, usage: null, requestId: null };

function failed(kind: ModelErrorKind, detail: string): Extract<AttemptResult, { outcome: 'failed' }> {
  const error: ModelError = { kind, status: null, requestId: null, detail, retryAfterMs: null };
  return { outcome: 'failed', error, provider: null, usage: null };
}

function usageOf(result: AttemptResult): Extract<AttemptResult, { outcome: 'failed' }>['usage'] {
  return result.usage;
}
