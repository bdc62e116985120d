// One attempt while it is in flight: reads the prompt, streams the model's answer into the log, watches for silence.

import type { AttemptId, ChatId } from '../../protocol/ids.ts';
import type { TraceParent } from '../../protocol/trace-parent.ts';
import type { Abandoned, ResumedRun } from '../background-run.ts';
import type { AttemptResult, ModelBinding, ModelClient, ModelError, ModelErrorKind, ModelRequest } from '../ports.ts';
import type { AttemptOpening } from '../turn-ports.ts';
import type { ToolSpec } from '../tool-ports.ts';
import type { Span } from '../tracing.ts';
import type { ActorDepsOf } from './actor-deps.ts';
import { pairingFault } from './pairing.ts';
import { joinResults, modelRequest } from './prompt.ts';
import { StepWriter } from './step-writer.ts';
import type { StreamLog } from './stream-log.ts';

export type AttemptRunOptions = {
  readonly deps: Pick<ActorDepsOf<unknown>, 'clock' | 'store' | 'settings' | 'counts' | 'tracer'>;
  /** Of the turn; null when that is not traced. */
  readonly trace: TraceParent | null;
  readonly chat: ChatId;
  readonly log: StreamLog;
  readonly opening: AttemptOpening;
  /** Null: the model is no longer set up here. */
  readonly binding: ModelBinding | null;
  readonly system: readonly string[];
  readonly tools: readonly ToolSpec[];
  readonly toolChoice: ModelRequest['toolChoice'];
  /** The chat's policy. */
  readonly background: boolean;
  /** The attempt runs on at its provider since an epoch before; null: it is new. */
  readonly resume: ResumedRun | null;
  /** The provider's run has to be durable; `writer.providerRefSaved` once it is. */
  readonly onProviderRef: (ref: string) => void;
  readonly onFirstBlock: () => void;
  /** The writer's, when nothing is shown before it is journaled. */
  readonly onDue: () => void;
  /** A bug that broke the stream of blocks: the actor must end. */
  readonly onCrash: (error: unknown) => void;
  /** A bug of a store or an adapter that the attempt survives as a failure. */
  readonly onFault: (error: unknown) => void;
  /** Called once, never after `abandon`. */
  readonly onEnded: (result: AttemptResult) => void;
};

/** Why an attempt was aborted: what its result counts as. */
type AbortCause = 'stopped' | 'silent' | 'overflow' | 'abandoned';

export class AttemptRun {
  readonly id: AttemptId;
  readonly writer: StepWriter;
  readonly #options: AttemptRunOptions;
  readonly #controller = new AbortController();
  readonly #span: Span;
  #cause: AbortCause | null = null;
  #cancelWatch: (() => void) | null = null;
  #isOver = false;

  constructor(options: AttemptRunOptions) {
    this.#options = options;
    this.id = options.opening.id;
    const { provider, model, step, attempt } = options.opening;
    const { clock, counts, settings, tracer } = options.deps;
    this.#span = tracer.begin('attempt', options.trace, {
      'parley.chat': options.chat,
      provider,
      model,
      step,
      attempt,
    });
    this.writer = new StepWriter({
      log: options.log,
      clock,
      mergeWindowMs: settings.mergeWindowMs,
      turn: options.opening.turn,
      step: options.opening.step,
      attemptNumber: options.opening.attempt,
      resume: options.resume,
      onProviderRef: options.onProviderRef,
      onFirstBlock: () => {
        const seconds = (clock.nowMs() - options.opening.startedAtMs) / 1000;
        counts.provider(provider).firstBlockSeconds.observe(seconds);
        options.onFirstBlock();
      },
      onDue: settings.journal === 'shown' ? options.onDue : null,
      onOverflow: () => {
        counts.limits.add('stepBytes');
        this.#abort('overflow');
      },
      onFault: options.onCrash,
    });
  }

  /** Resolves when the provider's request is over; never rejects. */
  async run(): Promise<void> {
    this.#watch();
    const { resume, onFirstBlock } = this.#options;
    if (resume !== null && resume.blocks.length > 0) onFirstBlock();
    this.#finish(await this.#stream());
  }

  /** Stops at once: no delta follows, the provider's request is aborted. */
  stop(): void {
    if (!this.#isOver) this.#abort('stopped');
  }

  /** As `stop`, and nobody wants to hear of it any more. */
  abandon(): void {
    this.#abort('abandoned');
    if (!this.#isOver) this.#span.end('abandoned', false);
    this.#isOver = true;
    this.#cancelWatch?.();
  }

  #finish(result: AttemptResult): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelWatch?.();
    const judged = this.#judgeAborted(result);
    this.#span.end(wordOf(judged), judged.outcome === 'failed');
    this.#options.onEnded(judged);
  }

  async #stream(): Promise<AttemptResult> {
    const { binding, deps, chat, opening, system, background, resume } = this.#options;
    if (binding === null) return failed('model_not_found', `the model ${opening.model} is not set up on this server`);
    try {
      const prompt = await deps.store.prompt(chat);
      if (prompt.outcome === 'unavailable') return failed('unavailable', 'the history could not be read');
      if (this.#controller.signal.aborted) return ABORTED;
      const { providerModel, maxOutputTokens } = binding;
      const { tools, toolChoice } = this.#options;
      const items = joinResults(prompt.value);
      const source = { chat, attempt: opening, providerModel, maxOutputTokens, system, items, background, resume };
      return await this.#send(binding.client, modelRequest({ ...source, tools, toolChoice, trace: null }));
    } catch (error) {
      // Neither a store nor an adapter rejects; one that does all the same must not take the chat with it.
      this.#options.onFault(error);
      return failed('unavailable', 'the request failed before its answer');
    }
  }

  async #send(client: ModelClient, request: ModelRequest): Promise<AttemptResult> {
    const fault = pairingFault(request);
    if (fault !== null) {
      this.#options.deps.counts.promptFaults.add(fault.rule);
      return failed('invalid_prompt', `rule ${fault.rule}${fault.item === null ? '' : `, item ${fault.item}`}`);
    }
    const span = this.#options.deps.tracer.begin('request', this.#span.at, { model: request.model });
    let ended: AttemptResult | null = null;
    try {
      ended = await client.stream({ ...request, trace: span.at }, this.writer, this.#controller.signal);
      return ended;
    } finally {
      span.end(ended === null ? 'threw' : wordOf(ended), ended === null || ended.outcome === 'failed');
    }
  }

  /** An abort of ours is a failure with its own cause, unless somebody asked to stop. */
  #judgeAborted(result: AttemptResult): AttemptResult {
    if (this.#cause === 'silent') return { ...failed('silent', 'it was given up'), usage: result.usage };
    if (this.#cause === 'overflow') return { ...failed('bad_request', 'the answer is too long'), usage: result.usage };
    return result;
  }

  #abort(cause: AbortCause): void {
    if (this.#cause === null || cause === 'abandoned') this.#cause = cause;
    this.writer.close();
    this.#controller.abort(cause === 'abandoned' ? ('abandoned' satisfies Abandoned) : undefined);
    // A stop has its grace in the actor; what was given up here must end too when the adapter does not.
    if (cause !== 'silent' && cause !== 'overflow') return;
    this.#cancelWatch?.();
    const { clock, settings } = this.#options.deps;
    this.#cancelWatch = clock.after(settings.stopGraceMs, () => this.#finish(ABORTED));
  }

  #watch(): void {
    const { clock, settings } = this.#options.deps;
    if (settings.silenceTimeoutMs === 0) return;
    const leftMs = this.writer.lastActivityMs + settings.silenceTimeoutMs - clock.nowMs();
    if (leftMs <= 0) {
      this.#abort('silent');
      return;
    }
    this.#cancelWatch = clock.after(leftMs, () => this.#watch());
  }
}

/** For spans: the outcome, or the kind of the failure. */
function wordOf(result: AttemptResult): string {
  return result.outcome === 'failed' ? result.error.kind : result.outcome;
}

const ABORTED: AttemptResult = { outcome: 'aborted', provider: null, usage: null, requestId: null };

function failed(kind: ModelErrorKind, detail: string): Extract<AttemptResult, { outcome: 'failed' }> {
  const error: ModelError = { kind, status: null, requestId: null, detail, retryAfterMs: null };
  return { outcome: 'failed', error, provider: null, usage: null };
}
