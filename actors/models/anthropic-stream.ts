// Accumulates the raw events of one Anthropic message: by block index, into the sink and into provider blocks.
//
// Raw, because the SDK's own helper repairs cut tool input, and because its loop ends the same way for a whole message
// and for a body that was cut: only `message_stop` makes `complete` true. Unknown events, blocks and deltas are let
// through: the API adds them without a new version.

import type { BlockType, CallName, Usage } from '../../protocol/content.ts';
import type { ModelRequest, ProviderBlocks, StepSink } from '../ports.ts';
import { type OpenBlock, argumentsOf, encodeBlocks, openBlock, promptForm } from './anthropic-blocks.ts';
import { type JsonObject, asCount, asString, isObject } from './json.ts';
import { modelError } from './provider-errors.ts';
import type { Answer, AnswerEnd } from './stream-attempt.ts';
import { TextGuard } from './text-guard.ts';
import { CallNames, mayCall } from './tool-calls.ts';

/** The rule of thumb for English; only for output that the provider never counted for us. */
const CHARS_PER_TOKEN = 4;

/** A block and its place on the screen: `shown` is its number in the sink, null as long as there is nothing to show. */
type LiveBlock = {
  readonly block: OpenBlock;
  readonly guard: TextGuard;
  /** Of a call that the model may make; null for all else. */
  readonly call: CallName | null;
  shown: number | null;
};

export class MessageAccumulator implements Answer {
  readonly #sink: StepSink;
  readonly #names: CallNames;
  /** The request had tools; and it let the model call them. */
  readonly #hasTools: boolean;
  readonly #mayCall: boolean;
  /** By the provider's index, in the order of their start. */
  readonly #blocks = new Map<number, LiveBlock>();
  #nextShown = 0;
  #usage: Usage | null = null;
  #outputChars = 0;
  #stopReason: string | null = null;
  #complete = false;

  constructor(sink: StepSink, request: ModelRequest) {
    this.#sink = sink;
    this.#names = new CallNames(request);
    this.#hasTools = request.tools.length > 0;
    this.#mayCall = mayCall(request);
  }

  /** `message_stop` was seen: nothing else makes a stream a success. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Takes one event of the stream, whatever it is. */
  apply(event: unknown): void {
    if (this.#complete || !isObject(event)) return;
    switch (event['type']) {
      case 'message_start':
        if (isObject(event['message'])) this.#countUsage(event['message']['usage']);
        return;
      case 'content_block_start':
        this.#start(event);
        return;
      case 'content_block_delta':
        this.#delta(event);
        return;
      case 'content_block_stop':
        this.#end(this.#live(event));
        return;
      case 'message_delta':
        if (isObject(event['delta'])) this.#stopReason = asString(event['delta']['stop_reason']) ?? this.#stopReason;
        this.#countUsage(event['usage']);
        return;
      case 'message_stop':
        this.#stop();
        return;
      default:
        return;
    }
  }

  /** How a complete message ended. Reasons that we do not know count as its natural end. */
  end(): AnswerEnd {
    switch (this.#stopReason) {
      case 'max_tokens':
        return { kind: 'stop', reason: 'max_tokens' };
      case 'refusal':
        return { kind: 'stop', reason: 'refusal' };
      case 'model_context_window_exceeded':
        return { kind: 'stop', reason: 'context_overflow' };
      case 'tool_use':
        if (this.#callsRun) return { kind: 'stop', reason: 'tool_use' };
        // Without any call that counts, or though it was told to call none: what there is, is the answer.
        if (this.#hasTools) return { kind: 'stop', reason: 'end_turn' };
        return { kind: 'failed', error: modelError('bad_request', 'the model called a tool it was not given') };
      // `pause_turn` comes only with server tools, which no request of ours declares: what there is, is the answer.
      default:
        return { kind: 'stop', reason: 'end_turn' };
    }
  }

  /**
   * What may go back into a prompt. Of a refused message nothing may: the API keeps refusing while it is there, so the
   * array is empty, and the request builder leaves the message out.
   */
  provider(): ProviderBlocks | null {
    if (this.#stopReason === 'refusal') return encodeBlocks([]);
    return promptForm(
      Array.from(this.#blocks.values(), (live) => live.block),
      this.#complete && this.#mayCall,
    );
  }

  /** Calls run only when the whole message ended for their sake: of any other, the last may be cut. */
  get #callsRun(): boolean {
    if (!this.#complete || this.#stopReason !== 'tool_use') return false;
    return [...this.#blocks.values()].some(({ call }) => call !== null);
  }

  /** Null as long as the provider said nothing of it. Short of `message_stop` the output is a lower bound or a guess. */
  usage(): Usage | null {
    if (this.#usage === null || this.#complete) return this.#usage;
    const guess = Math.ceil(this.#outputChars / CHARS_PER_TOKEN);
    return { ...this.#usage, output_tokens: Math.max(this.#usage.output_tokens, guess) };
  }

  #live(event: JsonObject): LiveBlock | undefined {
    const index = asCount(event['index']);
    return index === null ? undefined : this.#blocks.get(index);
  }

  #start(event: JsonObject): void {
    const index = asCount(event['index']);
    const start = event['content_block'];
    if (index === null || this.#blocks.has(index) || !isObject(start)) return;
    const type = asString(start['type']) ?? 'unknown';
    const isCall = type === 'tool_use' && this.#mayCall;
    const call = isCall ? this.#names.name(asString(start['id']), asString(start['name']) ?? '') : null;
    const block = openBlock(call === null ? start : { ...start, id: call.call, name: call.name }, type);
    const live: LiveBlock = { block, guard: new TextGuard(), call, shown: null };
    this.#blocks.set(index, live);
    // Thinking and calls show from their start, even when nothing follows; a text only once there is some.
    if (shownAs(live) === 'reasoning' || call !== null) this.#show(live);
    this.#emit(live, block.text);
  }

  #delta(event: JsonObject): void {
    const live = this.#live(event);
    const delta = event['delta'];
    if (live === undefined || live.block.ended || !isObject(delta)) return;
    const { block } = live;
    switch (delta['type']) {
      case 'text_delta':
        this.#append(live, asString(delta['text']));
        return;
      case 'thinking_delta':
        this.#append(live, asString(delta['thinking']));
        return;
      case 'signature_delta':
        block.signature = asString(delta['signature']) ?? block.signature;
        return;
      case 'input_json_delta':
        this.#appendInput(live, asString(delta['partial_json']) ?? '');
        return;
      case 'citations_delta':
        block.citations.push(delta['citation']);
        return;
      default:
        block.hasUnknownDelta = true;
        return;
    }
  }

  #append(live: LiveBlock, piece: string | null): void {
    if (piece === null) return;
    live.block.text += piece;
    this.#emit(live, piece);
  }

  #appendInput(live: LiveBlock, piece: string): void {
    live.block.inputJson += piece;
    if (live.call === null) this.#outputChars += piece.length;
    else this.#emit(live, piece);
  }

  #emit(live: LiveBlock, piece: string): void {
    if (shownAs(live) === null || piece === '') return;
    this.#outputChars += piece.length;
    const text = live.guard.push(piece);
    if (text !== '') this.#sink.blockDelta(live.shown ?? this.#show(live), text);
  }

  #show(live: LiveBlock): number {
    const shown = this.#nextShown++;
    live.shown = shown;
    if (live.call === null) this.#sink.blockStart(shown, shownAs(live) ?? 'text');
    else this.#sink.blockStart(shown, 'tool_call', live.call);
    return shown;
  }

  #end(live: LiveBlock | undefined): void {
    if (live === undefined || live.block.ended) return;
    if (live.call !== null && live.block.inputJson === '') this.#appendInput(live, argumentsOf(live.block));
    const rest = live.guard.flush();
    if (rest !== '') this.#sink.blockDelta(live.shown ?? this.#show(live), rest);
    live.block.ended = true;
    if (live.shown !== null) this.#sink.blockEnd(live.shown);
  }

  #stop(): void {
    for (const live of this.#blocks.values()) this.#end(live);
    this.#complete = true;
    if (this.#usage === null) return;
    this.#usage = { ...this.#usage, estimated: false };
    this.#sink.usage(this.#usage);
  }

  /** Running totals: a figure that is there overwrites, and is never added. */
  #countUsage(usage: unknown): void {
    if (!isObject(usage)) return;
    const before = this.#usage;
    this.#usage = {
      input_tokens: asCount(usage['input_tokens']) ?? before?.input_tokens ?? 0,
      output_tokens: asCount(usage['output_tokens']) ?? before?.output_tokens ?? 0,
      cache_read_tokens: asCount(usage['cache_read_input_tokens']) ?? before?.cache_read_tokens ?? 0,
      cache_write_tokens: asCount(usage['cache_creation_input_tokens']) ?? before?.cache_write_tokens ?? 0,
      estimated: true,
    };
    this.#sink.usage(this.#usage);
  }
}

function shownAs({ block, call }: LiveBlock): BlockType | null {
  switch (block.type) {
    case 'text':
      return 'text';
    case 'thinking':
    case 'redacted_thinking':
      return 'reasoning';
    default:
      return call === null ? null : 'tool_call';
  }
}
