// Accumulates the raw chunks of one answer in the Chat Completions protocol, into the sink.
//
// Raw, because the SDK's loop ends the same way for a whole answer and for a body that was cut, and because it hides
// `[DONE]`: only a `finish_reason` makes `complete` true. Usage comes after it, in a chunk without choices; vLLM may send it
// in every chunk as running totals, some servers never do: then it is an estimate and marked as one.

import type { BlockType, Usage } from '../../protocol/content.ts';
import type { ModelRequest, ProviderBlocks, StepSink } from '../ports.ts';
import { CallFragments, type CallSoFar } from './chat-completions-calls.ts';
import { type JsonObject, asCount, asString, isObject } from './json.ts';
import { modelError } from './provider-errors.ts';
import type { Answer, AnswerEnd } from './stream-attempt.ts';
import { TextGuard } from './text-guard.ts';
import { CallNames, NO_ARGUMENTS, mayCall } from './tool-calls.ts';

/** The rule of thumb for English; only for what the server never counted for us. */
const CHARS_PER_TOKEN = 4;
/** How many tools an error names. */
const NAMES_MAX = 3;

/** A call on the screen. */
type ShownCall = { readonly index: number; readonly guard: TextGuard; isEmpty: boolean };

export class ChatAnswer implements Answer {
  readonly #sink: StepSink;
  readonly #promptChars: number;
  readonly #names: CallNames;
  /** The request had tools; and it let the model call them. */
  readonly #hasTools: boolean;
  readonly #mayCall: boolean;
  readonly #calls = new CallFragments();
  readonly #shownCalls = new Map<CallSoFar, ShownCall>();
  #open: { readonly index: number; readonly type: BlockType; readonly guard: TextGuard } | null = null;
  #nextIndex = 0;
  #outputChars = 0;
  /** What the server counted so far. */
  #counted: Usage | null = null;
  /** It answered at all: from then on the prompt has to be paid. */
  #heard = false;
  #finishReason: string | null = null;
  #refused = false;

  /** `promptChars` stands in for the count of a server that never gives one, or not before it was interrupted. */
  constructor(sink: StepSink, promptChars: number, request: ModelRequest) {
    this.#sink = sink;
    this.#promptChars = promptChars;
    this.#names = new CallNames(request);
    this.#hasTools = request.tools.length > 0;
    this.#mayCall = mayCall(request);
  }

  get complete(): boolean {
    return this.#finishReason !== null;
  }

  apply(chunk: unknown): void {
    if (!isObject(chunk)) return;
    this.#heard = true;
    const choice = firstChoice(chunk['choices']);
    // The reason comes last: what a server says after it is no part of the answer.
    if (choice !== null && !this.complete) this.#read(choice);
    if (isObject(chunk['usage'])) this.#count(chunk['usage']);
  }

  end(): AnswerEnd {
    switch (this.#finishReason) {
      case 'length':
        return { kind: 'stop', reason: 'max_tokens' };
      case 'content_filter':
        return { kind: 'stop', reason: 'refusal' };
      // What vLLM and gateways in between say of a generation that they gave up.
      case 'abort':
      case 'error':
        return { kind: 'failed', error: modelError('unavailable', 'the server broke the answer off') };
      case 'tool_calls':
      case 'function_call':
        return this.#endOfCalls();
      // `stop`, and reasons that we do not know: a natural end, also of an answer with calls, which some servers end so.
      default:
        if (this.#refused) return { kind: 'stop', reason: 'refusal' };
        return this.#calls.calls.length > 0 ? this.#endOfCalls() : { kind: 'stop', reason: 'end_turn' };
    }
  }

  #endOfCalls(): AnswerEnd {
    if (this.#mayCall && this.#calls.calls.length > 0) return { kind: 'stop', reason: 'tool_use' };
    // Without any call, or though it was told to call none: what there is, is the answer.
    return this.#hasTools ? { kind: 'stop', reason: 'end_turn' } : { kind: 'failed', error: this.#callError() };
  }

  /** The protocol has nothing that would go back beside the text that was shown. */
  provider(): ProviderBlocks | null {
    return null;
  }

  usage(): Usage | null {
    const counted = this.#counted;
    if (counted?.estimated === false || !this.#heard) return counted;
    const guess = Math.ceil((this.#outputChars + this.#calls.chars) / CHARS_PER_TOKEN);
    return {
      input_tokens: counted?.input_tokens ?? Math.ceil(this.#promptChars / CHARS_PER_TOKEN),
      output_tokens: Math.max(counted?.output_tokens ?? 0, guess),
      cache_read_tokens: counted?.cache_read_tokens ?? 0,
      cache_write_tokens: counted?.cache_write_tokens ?? 0,
      estimated: true,
    };
  }

  #read(choice: JsonObject): void {
    if (isObject(choice['delta'])) this.#delta(choice['delta']);
    const reason = asString(choice['finish_reason']) ?? '';
    if (reason === '') return;
    this.#close();
    // What the server gave up stays open, as it was then.
    if (reason !== 'abort' && reason !== 'error') this.#closeCalls();
    this.#finishReason = reason;
  }

  #delta(delta: JsonObject): void {
    // DeepSeek and older vLLM name it `reasoning_content`, Ollama and newer vLLM `reasoning`; a few send both.
    this.#append('reasoning', asString(delta['reasoning_content']) || asString(delta['reasoning']));
    this.#append('text', asString(delta['content']));
    const refusal = asString(delta['refusal']);
    if (refusal !== null && refusal !== '') this.#refused = true;
    this.#append('text', refusal);
    this.#calls.add(delta['tool_calls']);
    this.#calls.add(delta['function_call']);
    // A call shows from the moment when its tool is known.
    for (const call of this.#calls.calls) {
      if (this.#shownCalls.has(call) || call.name !== '') this.#showCall(call);
    }
  }

  /** Shows of a call what has come since the last time. */
  #showCall(call: CallSoFar): ShownCall | null {
    if (!this.#mayCall) return null;
    const shown = this.#shownCalls.get(call) ?? this.#startCall(call);
    const text = shown.guard.push(call.args);
    call.args = '';
    if (text === '') return shown;
    shown.isEmpty = false;
    this.#sink.blockDelta(shown.index, text);
    return shown;
  }

  #startCall(call: CallSoFar): ShownCall {
    this.#close();
    const shown: ShownCall = { index: this.#nextIndex++, guard: new TextGuard(), isEmpty: true };
    this.#shownCalls.set(call, shown);
    this.#sink.blockStart(shown.index, 'tool_call', this.#names.name(call.id, call.name));
    return shown;
  }

  #closeCalls(): void {
    for (const call of this.#calls.calls) {
      const shown = this.#showCall(call);
      if (shown === null) continue;
      const rest = shown.guard.flush() || (shown.isEmpty ? NO_ARGUMENTS : '');
      if (rest !== '') this.#sink.blockDelta(shown.index, rest);
      this.#sink.blockEnd(shown.index);
    }
  }

  #append(type: BlockType, piece: string | null): void {
    if (piece === null || piece === '') return;
    this.#outputChars += piece.length;
    if (this.#open?.type !== type) this.#start(type);
    this.#emit((guard) => guard.push(piece));
  }

  #start(type: BlockType): void {
    this.#close();
    this.#open = { index: this.#nextIndex++, type, guard: new TextGuard() };
    this.#sink.blockStart(this.#open.index, type);
  }

  #close(): void {
    if (this.#open === null) return;
    this.#emit((guard) => guard.flush());
    this.#sink.blockEnd(this.#open.index);
    this.#open = null;
  }

  #emit(take: (guard: TextGuard) => string): void {
    if (this.#open === null) return;
    const text = take(this.#open.guard);
    if (text !== '') this.#sink.blockDelta(this.#open.index, text);
  }

  /** Totals: they overwrite, and are never added. Those that come with the end of the answer, or after it, are exact. */
  #count(usage: JsonObject): void {
    const details = isObject(usage['prompt_tokens_details']) ? usage['prompt_tokens_details'] : {};
    const read = asCount(details['cached_tokens']) ?? 0;
    const write = asCount(details['cache_write_tokens']) ?? 0;
    const prompt = asCount(usage['prompt_tokens']);
    const completion = asCount(usage['completion_tokens']);
    if (prompt === null || completion === null) return;
    this.#counted = {
      // Unlike Anthropic's, the figure of the prompt includes what came from the cache.
      input_tokens: Math.max(0, prompt - read - write),
      output_tokens: completion,
      cache_read_tokens: read,
      cache_write_tokens: write,
      estimated: !this.complete,
    };
    this.#sink.usage(this.#counted);
  }

  #callError(): ReturnType<typeof modelError> {
    const called = this.#calls.calls.map(({ name }) => name);
    const names = called.filter((name) => /^[\w.-]{1,64}$/u.test(name)).slice(0, NAMES_MAX);
    const which = names.length === 0 ? '' : `: ${names.join(', ')}`;
    return modelError('bad_request', `the model called a tool it was not given${which}`);
  }
}

/** Of several, which nobody asked for, the first. */
function firstChoice(choices: unknown): JsonObject | null {
  if (!Array.isArray(choices)) return null;
  const first = (choices as readonly unknown[]).find(
    (choice) => isObject(choice) && (asCount(choice['index']) ?? 0) === 0,
  );
  return isObject(first) ? first : null;
}
