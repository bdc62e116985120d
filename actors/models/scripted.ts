// The scripted model: in process, deterministic, free. It is what a node without a key talks to, and what tests and
// loads stream from. Without directives it answers in markdown at a human pace; `/script …` in the last user message
// makes it do as told: length, pace, reasoning, silence, failures, stop reasons (grammar: `scriptHelp`).
//
// What it says is a pure function of that message (`scriptedText`); `seed` of the client only moves the pace. It ignores
// `maxOutputTokens`, so that a script alone says how long a reply is.

import { unreachable } from '../../protocol/assert.ts';
import type { Usage } from '../../protocol/content.ts';
import type {
  AttemptResult,
  Clock,
  ModelClient,
  ModelError,
  ModelErrorKind,
  ModelRequest,
  StepSink,
} from '../ports.ts';
import { type Asked, askedIn, continueReply } from './script-continuation.ts';
import type { PaceMs, Script, ScriptedCall } from './script-directives.ts';
import { type ScriptedReply, scriptedReply } from './script-text.ts';
import { hashText, seeded } from './seeded.ts';

export type ScriptedOptions = {
  readonly clock: Clock;
  /** Moves the jitter of the pace, not the text. */
  readonly seed?: number;
  /** A prompt of more tokens is refused, as providers do; null: none is. */
  readonly contextWindow?: number | null;
};

/** People read about four words a second; a model writes some thirty. */
const HUMAN_PACE_MS: PaceMs = { minMs: 20, maxMs: 40 };
/** At pace 0: deltas between two turns of the event loop, so that nobody else starves. */
const DELTAS_PER_YIELD = 64;
/** The rule of thumb that providers give for English. */
const CHARS_PER_TOKEN = 4;

/** A model client that plays scripts. It holds no state between requests: any number of them may run at once. */
export function scriptedModel(options: ScriptedOptions): ModelClient {
  return {
    stream(request, sink, signal) {
      const { contextWindow = null } = options;
      if (contextWindow !== null && tokens(promptChars(request)) > contextWindow) {
        return Promise.resolve(failedBefore('context_overflow'));
      }
      const asked = askedIn(request.items);
      const fraction = seeded((options.seed ?? 0) ^ hashText(request.attempt));
      const performance = new Performance({ clock: options.clock, request, sink, signal, fraction });
      return performance.play(continueReply(stepReply(asked, request), asked.said));
    },
  };
}

function failedBefore(kind: ModelErrorKind): AttemptResult {
  return { outcome: 'failed', error: scriptedError(kind, null), provider: null, usage: null };
}

type StepReply = ScriptedReply & { readonly calls: readonly ScriptedCall[] };

/** Calls as long as the script has steps that call, then the answer, which says what the tools gave. */
function stepReply({ prompt, results, toolSteps }: Asked, request: ModelRequest): StepReply {
  const reply = scriptedReply(prompt);
  const { tools, steps, body } = reply.script;
  const callsNow = tools.length > 0 && toolSteps < steps && request.toolChoice === 'auto';
  if (callsNow) return { ...reply, text: body.kind === 'answer' ? [] : reply.text, calls: tools };
  const given = body.kind === 'answer' ? results.map(({ status, text }) => `- ${status}: ${text.slice(0, 200)}\n`) : [];
  return { ...reply, text: [...given, ...reply.text], calls: [] };
}

type Stage = {
  readonly clock: Clock;
  readonly request: ModelRequest;
  readonly sink: StepSink;
  readonly signal: AbortSignal;
  readonly fraction: () => number;
};

/** One attempt. Its deltas are counted over reasoning and text. */
class Performance {
  readonly #stage: Stage;
  readonly #inputTokens: number;
  #deltas = 0;
  #chars = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#inputTokens = tokens(promptChars(stage.request));
  }

  async play({ script, reasoning, text, calls }: StepReply): Promise<AttemptResult> {
    const { sink } = this.#stage;
    const first = await this.#incident(script);
    if (first !== null) return first;
    sink.activity();
    sink.usage(this.#usage('estimated'));
    const blocks = [
      { type: 'reasoning', deltas: reasoning },
      { type: 'text', deltas: text },
    ] as const;
    let index = 0;
    for (const { type, deltas } of blocks) {
      if (deltas.length === 0) continue;
      sink.blockStart(index, type);
      for (const delta of deltas) {
        const end = await this.#delta(script, index, delta);
        if (end !== null) return end;
      }
      sink.blockEnd(index);
      index += 1;
    }
    for (const [i, { name, args }] of calls.entries()) {
      // Unique in the chat, and the same whenever the attempt is played again.
      sink.blockStart(index, 'tool_call', { call: `call_${this.#stage.request.attempt.slice(-12)}_${i}`, name });
      if (args !== '') {
        const end = await this.#delta(script, index, args);
        if (end !== null) return end;
      }
      sink.blockEnd(index);
      index += 1;
    }
    const usage = this.#usage('exact');
    sink.usage(usage);
    const stopReason = calls.length > 0 && script.stop === 'end_turn' ? 'tool_use' : script.stop;
    return { outcome: 'completed', stopReason, provider: null, usage, requestId: null };
  }

  /** One delta and what happens after it; an end of the attempt, or null to go on. */
  async #delta(script: Script, index: number, delta: string): Promise<AttemptResult | null> {
    const { sink, signal } = this.#stage;
    await this.#pause(script);
    if (signal.aborted) return this.#aborted();
    sink.activity();
    sink.blockDelta(index, delta);
    this.#deltas += 1;
    this.#chars += delta.length;
    return this.#incident(script);
  }

  /** The failure or the silence that the script puts at this place. */
  async #incident(script: Script): Promise<AttemptResult | null> {
    const { request, signal } = this.#stage;
    if (signal.aborted) return this.#aborted();
    if (request.attemptNumber > script.times) return null;
    if (script.silence?.afterDeltas === this.#deltas) {
      await this.#wait(script.silence.durationMs);
      if (signal.aborted) return this.#aborted();
    }
    if (script.fail?.afterDeltas !== this.#deltas) return null;
    const usage = this.#deltas === 0 ? null : this.#usage('estimated');
    const error = scriptedError(script.fail.kind, script.retryAfterMs);
    return { outcome: 'failed', error, provider: null, usage };
  }

  #pause(script: Script): Promise<void> | void {
    const { minMs, maxMs } = script.paceMs ?? HUMAN_PACE_MS;
    if (maxMs > 0) return this.#wait(minMs + (maxMs - minMs) * this.#stage.fraction());
    if (this.#deltas % DELTAS_PER_YIELD === 0) return this.#wait(0);
  }

  /** Resolves after the time, or as soon as the attempt is aborted. */
  #wait(durationMs: number): Promise<void> {
    const { clock, signal } = this.#stage;
    return new Promise((resolve) => {
      if (signal.aborted) {
        resolve();
        return;
      }
      const onAbort = (): void => {
        cancel();
        resolve();
      };
      const cancel = clock.after(durationMs, () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      });
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  #aborted(): AttemptResult {
    const usage = this.#deltas === 0 ? null : this.#usage('estimated');
    return { outcome: 'aborted', provider: null, usage, requestId: null };
  }

  #usage(certainty: 'exact' | 'estimated'): Usage {
    return {
      input_tokens: this.#inputTokens,
      output_tokens: tokens(this.#chars),
      cache_read_tokens: 0,
      cache_write_tokens: 0,
      estimated: certainty === 'estimated',
    };
  }
}

/** The failure of a kind, as a provider would report it. */
export function scriptedError(kind: ModelErrorKind, retryAfterMs: number | null): ModelError {
  const detail = `the script says: ${kind}`;
  return { kind, status: statusOf(kind), requestId: null, detail, retryAfterMs };
}

function statusOf(kind: ModelErrorKind): number | null {
  switch (kind) {
    case 'overloaded':
      return 529;
    case 'rate_limited':
    case 'spend_limit':
      return 429;
    case 'unavailable':
      return 503;
    case 'unauthorized':
      return 401;
    case 'model_not_found':
      return 404;
    case 'bad_request':
    case 'reasoning_rejected':
    case 'context_overflow':
      return 400;
    case 'silent':
    case 'cut':
    case 'invalid_prompt':
      return null;
    default:
      return unreachable(kind);
  }
}

function tokens(chars: number): number {
  return Math.ceil(chars / CHARS_PER_TOKEN);
}

function promptChars(request: ModelRequest): number {
  let chars = 0;
  for (const text of request.system) chars += text.length;
  for (const item of request.items) for (const part of item.parts) chars += part.text.length;
  return chars;
}
