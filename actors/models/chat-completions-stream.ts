// Accumulates the raw chunks of one answer in the Chat Completions protocol, into the sink.
//
// Raw, because the SDK's loop ends the same way for a whole answer and for a body that was cut, and because it hides
// `[DONE]`: only a `finish_reason` makes `complete` true. Usage comes after it, in a chunk without choices; vLLM may send it
// in every chunk as running totals, some servers never do: then it is an estimate and marked as one.

import type { BlockType, Usage } from '../../protocol/content.ts';
import type { ProviderBlocks, StepSink } from '../ports.ts';
import { CallFragments } from './chat-completions-calls.ts';
import { type JsonObject, asCount, asString, isObject } from './json.ts';
import { modelError } from './provider-errors.ts';
import type { Answer, AnswerEnd } from './stream-attempt.ts';
import { TextGuard } from './text-guard.ts';

/** The rule of thumb for English; only for what the server never counted for us. */
const CHARS_PER_TOKEN = 4;
/** How many tools an error names. */
const NAMES_MAX = 3;

export class ChatAnswer implements Answer {
  readonly #sink: StepSink;
  readonly #promptChars: number;
  readonly #calls = new CallFragments();
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
  constructor(sink: StepSink, promptChars: number) {
    this.#sink = sink;
    this.#promptChars = promptChars;
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
        return { kind: 'failed', error: this.#callError() };
      // `stop`, and reasons that we do not know: a natural end, unless a server says so of an answer with calls.
      default:
        if (this.#calls.names.length > 0) return { kind: 'failed', error: this.#callError() };
        return { kind: 'stop', reason: this.#refused ? 'refusal' : 'end_turn' };
    }
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
    const names = this.#calls.names.filter((name) => /^[\w.-]{1,64}$/u.test(name)).slice(0, NAMES_MAX);
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
