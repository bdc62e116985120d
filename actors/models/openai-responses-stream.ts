// Accumulates the raw events of one response: text by output and content index, into the sink; finished items, for the
// prompt.
//
// Raw, because the SDK's own helper takes a body that was cut for a whole one: only `response.completed`, `incomplete` or
// `failed` makes `complete` true. Unknown events and items are let through: the API adds them without a new version.

import type { BlockType, CallName, Usage } from '../../protocol/content.ts';
import { cleanText } from '../../protocol/text.ts';
import type { ModelRequest, ProviderBlocks, StepSink } from '../ports.ts';
import { type JsonObject, asCount, asString, isObject } from './json.ts';
import { formatCursor, parseCursor } from './openai-cursor.ts';
import { statedError } from './openai-errors.ts';
import {
  encodeItems,
  isCall,
  isRefusal,
  itemsForPrompt,
  shownContent,
  shownReasoning,
} from './openai-responses-items.ts';
import { modelError } from './provider-errors.ts';
import type { Answer, AnswerEnd } from './stream-attempt.ts';
import { TextGuard } from './text-guard.ts';
import { CallNames, NO_ARGUMENTS, mayCall } from './tool-calls.ts';

/** The rule of thumb for English; only for output that the provider never counted for us. */
const CHARS_PER_TOKEN = 4;

/** A block on the screen and where it comes from. */
type LiveBlock = {
  readonly shown: number;
  readonly guard: TextGuard;
  /** Of a call that the model may make; null for all else. */
  readonly call: CallName | null;
  /** As it was shown so far. */
  text: string;
  ended: boolean;
};

export class ResponseAccumulator implements Answer {
  readonly #sink: StepSink;
  readonly #inputTokens: number;
  readonly #names: CallNames;
  /** The request had tools; and it let the model call them. */
  readonly #hasTools: boolean;
  readonly #mayCall: boolean;
  /** By `output_index/content_index` of a message, by `output_index` of reasoning and calls; in the order of their start. */
  readonly #blocks = new Map<string, LiveBlock>();
  /** Finished items by output index. */
  readonly #items = new Map<number, JsonObject>();
  #ref: string | null = null;
  #sequence = -1;
  /** The whole answer does not go on where the shown text ends. */
  #differs = false;
  #accepted = false;
  #refused = false;
  #outputChars = 0;
  #usage: Usage | null = null;
  #end: AnswerEnd | null = null;

  /** `inputTokens`: an estimate of the prompt, for an attempt that does not see its end. */
  constructor(sink: StepSink, inputTokens: number, request: ModelRequest) {
    const { resume } = request;
    this.#sink = sink;
    this.#inputTokens = inputTokens;
    this.#names = new CallNames(request);
    this.#hasTools = request.tools.length > 0;
    this.#mayCall = mayCall(request);
    if (resume === null) return;
    const cursor = parseCursor(resume.cursor);
    this.#accepted = true;
    this.#sequence = cursor.sequence;
    for (const [shown, { text, ended, call = null }] of resume.blocks.entries()) {
      const [key = `?${shown}`, held = ''] = cursor.blocks[shown] ?? [];
      this.#blocks.set(key, { shown, guard: new TextGuard(held), call, text, ended });
    }
    this.#announce(resume.ref);
  }

  /** The provider's id of the response; null before it said so. */
  get ref(): string | null {
    return this.#ref;
  }

  /** Of the last event that came; -1 before the first one. */
  get sequence(): number {
    return this.#sequence;
  }

  get complete(): boolean {
    return this.#end !== null;
  }

  /** Takes one event of the stream, whatever it is. */
  apply(event: unknown): void {
    if (this.complete || !isObject(event)) return;
    const sequence = asCount(event['sequence_number']);
    // A stream that was taken up again may begin with what came before.
    if (sequence !== null && sequence <= this.#sequence) return;
    this.#take(event);
    // Behind the event: the cursor says that all up to it is in the sink.
    this.#sequence = sequence ?? this.#sequence;
  }

  /** The resource of a response that is over, in place of the rest of its events. */
  applyWhole(response: unknown): void {
    if (this.complete || !isObject(response)) return;
    this.#stop(response);
    if (!this.#differs) return;
    this.#end = { kind: 'failed', error: modelError('cut', 'the answer does not go on where it broke off') };
  }

  #take(event: JsonObject): void {
    switch (event['type']) {
      case 'response.created':
      case 'response.queued':
      case 'response.in_progress':
        this.#accept(event['response']);
        return;
      case 'response.output_item.added':
        this.#itemAdded(event);
        return;
      case 'response.output_item.done':
        this.#itemDone(event);
        return;
      case 'response.output_text.delta':
      case 'response.refusal.delta':
        this.#append(partKey(event), 'text', asString(event['delta']));
        return;
      case 'response.output_text.done':
        this.#finish(partKey(event), 'text', asString(event['text']));
        return;
      case 'response.refusal.done':
        this.#finish(partKey(event), 'text', asString(event['refusal']));
        return;
      case 'response.reasoning_summary_part.added':
        if (asCount(event['summary_index']) !== 0) this.#append(itemKey(event), 'reasoning', '\n\n');
        return;
      case 'response.reasoning_summary_text.delta':
      case 'response.reasoning_text.delta':
        this.#append(itemKey(event), 'reasoning', asString(event['delta']));
        return;
      case 'response.function_call_arguments.delta':
        this.#appendArguments(itemKey(event), asString(event['delta']) ?? '');
        return;
      case 'response.custom_tool_call_input.delta':
        this.#outputChars += asString(event['delta'])?.length ?? 0;
        return;
      case 'response.completed':
      case 'response.incomplete':
      case 'response.failed':
      case 'response.cancelled':
        if (isObject(event['response'])) this.#stop(event['response']);
        return;
      case 'error':
        this.#end = { kind: 'failed', error: statedError(event) };
        return;
      default:
        return;
    }
  }

  end(): AnswerEnd {
    return this.#end ?? { kind: 'failed', error: modelError('cut', 'the answer ended before its end') };
  }

  /** Of a refused answer nothing goes back into a prompt: the array is empty, and the request leaves the message out. */
  provider(): ProviderBlocks | null {
    if (this.#refused) return encodeItems([]);
    const inOrder = [...this.#items].sort(([a], [b]) => a - b);
    return itemsForPrompt(
      inOrder.map(([, item]) => item),
      this.#mayCall && this.#end?.kind === 'stop',
    );
  }

  /** Before the terminal event nobody has counted: an estimate of the prompt and of what came. */
  usage(): Usage | null {
    if (this.#usage !== null || !this.#accepted) return this.#usage;
    return {
      input_tokens: this.#inputTokens,
      output_tokens: Math.ceil(this.#outputChars / CHARS_PER_TOKEN),
      cache_read_tokens: 0,
      cache_write_tokens: 0,
      estimated: true,
    };
  }

  #accept(response: unknown): void {
    this.#accepted = true;
    if (!isObject(response) || response['background'] !== true) return;
    const id = asString(response['id']);
    if (id !== null && /^[\w-]{1,200}$/u.test(id) && this.#ref === null) this.#announce(id);
  }

  #announce(ref: string): void {
    this.#ref = ref;
    const cursor = (): string =>
      formatCursor({
        sequence: this.#sequence,
        blocks: Array.from(this.#blocks, ([key, { guard }]) => [key, guard.held] as const),
      });
    this.#sink.runsInBackground({ ref, cursor });
  }

  #itemAdded(event: JsonObject): void {
    const key = itemKey(event);
    const item = event['item'];
    if (key === null || !isObject(item)) return;
    // Reasoning and calls show from their start, even when nothing follows; a text only once there is some.
    if (item['type'] === 'reasoning') this.#block(key, 'reasoning');
    if (isCall(item) && this.#mayCall) this.#callBlock(key, item);
  }

  #itemDone(event: JsonObject): void {
    const index = asCount(event['output_index']);
    if (index !== null && isObject(event['item'])) this.#keep(index, event['item']);
  }

  /** A finished item: for the prompt, and whatever of its text has not been shown. */
  #keep(index: number, item: JsonObject): void {
    this.#items.set(index, isCall(item) ? this.#keepCall(index, item) : item);
    if (isRefusal(item)) this.#refused = true;
    if (item['type'] === 'reasoning') this.#finish(String(index), 'reasoning', shownReasoning(item));
    if (item['type'] !== 'message') return;
    for (const { index: part, text } of shownContent(item)) this.#finish(`${index}/${part}`, 'text', text);
  }

  /** A finished call as it goes back: with the id under which it is shown and answered. */
  #keepCall(index: number, item: JsonObject): JsonObject {
    if (!this.#mayCall) return item;
    const args = asString(item['arguments']) || NO_ARGUMENTS;
    const { call } = this.#callBlock(String(index), item);
    this.#finish(String(index), 'tool_call', args);
    return { ...item, arguments: args, ...(call === null ? {} : { call_id: call.call, name: call.name }) };
  }

  /** Without the event that named it, a call is shown when it is whole. */
  #appendArguments(key: string | null, piece: string): void {
    if (key !== null && this.#blocks.get(key)?.call) this.#append(key, 'tool_call', piece);
    else this.#outputChars += piece.length;
  }

  #callBlock(key: string, item: JsonObject): LiveBlock {
    const known = this.#blocks.get(key);
    if (known !== undefined) return known;
    return this.#block(key, 'tool_call', this.#names.name(asString(item['call_id']), asString(item['name']) ?? ''));
  }

  #append(key: string | null, type: BlockType, piece: string | null): void {
    if (key === null || piece === null || piece === '') return;
    const live = this.#block(key, type);
    if (live.ended) return;
    this.#show(live, live.guard.push(piece), piece.length);
  }

  #show(live: LiveBlock, text: string, chars: number): void {
    this.#outputChars += chars;
    live.text += text;
    if (text !== '') this.#sink.blockDelta(live.shown, text);
  }

  /** A part is whole: `text` is all of it, deltas or not. */
  #finish(key: string | null, type: BlockType, text: string | null): void {
    if (key === null) return;
    const known = this.#blocks.get(key);
    const whole = text === null ? null : cleanText(text);
    const fits = whole?.startsWith(known?.text ?? '') ?? false;
    if (whole !== null && !fits) this.#differs = true;
    if (known === undefined && (whole ?? '') === '') return;
    const live = this.#block(key, type);
    if (live.ended) return;
    if (whole !== null && fits) {
      // What the guard held back is in the whole text, with its other half.
      live.guard.flush();
      this.#show(live, whole.slice(live.text.length), whole.length - live.text.length);
    }
    this.#close(live);
  }

  #block(key: string, type: BlockType, call: CallName | null = null): LiveBlock {
    const known = this.#blocks.get(key);
    if (known !== undefined) return known;
    const live: LiveBlock = { shown: this.#blocks.size, guard: new TextGuard(), call, text: '', ended: false };
    this.#blocks.set(key, live);
    if (call === null) this.#sink.blockStart(live.shown, type);
    else this.#sink.blockStart(live.shown, type, call);
    return live;
  }

  #close(live: LiveBlock): void {
    if (live.ended) return;
    const rest = live.guard.flush();
    if (rest !== '') this.#sink.blockDelta(live.shown, rest);
    live.ended = true;
    this.#sink.blockEnd(live.shown);
  }

  #stop(response: JsonObject): void {
    const output: readonly unknown[] = Array.isArray(response['output']) ? (response['output'] as unknown[]) : [];
    for (const [index, item] of output.entries()) {
      if (isObject(item) && !this.#items.has(index)) this.#keep(index, item);
    }
    const end = this.#endOf(response);
    // What failed stays open, as it was when it failed.
    if (end.kind === 'stop') for (const live of this.#blocks.values()) this.#close(live);
    this.#end = end;
    this.#usage = countedUsage(response['usage']);
    if (this.#usage !== null) this.#sink.usage(this.#usage);
  }

  #endOf(response: JsonObject): AnswerEnd {
    const status = response['status'];
    if (status === 'failed') return { kind: 'failed', error: statedError(response['error']) };
    if (status === 'cancelled') {
      return { kind: 'failed', error: modelError('unavailable', 'the response was cancelled at the provider') };
    }
    if (status === 'incomplete') {
      const details = response['incomplete_details'];
      const reason = isObject(details) ? details['reason'] : null;
      if (reason === 'content_filter') {
        this.#refused = true;
        return { kind: 'stop', reason: 'refusal' };
      }
      return { kind: 'stop', reason: 'max_tokens' };
    }
    if (this.#refused) return { kind: 'stop', reason: 'refusal' };
    return this.#endOfWhole();
  }

  #endOfWhole(): AnswerEnd {
    const calls = [...this.#items.values()].filter((item) => isCall(item) || item['type'] === 'custom_tool_call');
    // Without calls, or though it was told to call none: what there is, is the answer.
    if (calls.length === 0 || (this.#hasTools && !this.#mayCall)) return { kind: 'stop', reason: 'end_turn' };
    if (!this.#mayCall || !calls.every(isCall)) {
      return { kind: 'failed', error: modelError('bad_request', 'the model called a tool it was not given') };
    }
    const isWhole = calls.every(({ status }) => status === undefined || status === 'completed');
    if (!isWhole) return { kind: 'failed', error: modelError('cut', 'the answer ended within a call') };
    return { kind: 'stop', reason: 'tool_use' };
  }
}

function itemKey(event: JsonObject): string | null {
  const output = asCount(event['output_index']);
  return output === null ? null : String(output);
}

function partKey(event: JsonObject): string | null {
  const content = asCount(event['content_index']);
  const item = itemKey(event);
  return item === null || content === null ? null : `${item}/${content}`;
}

/** The provider's `input_tokens` include what was read from and written to its cache; ours exclude each other. */
function countedUsage(usage: unknown): Usage | null {
  if (!isObject(usage)) return null;
  const details = isObject(usage['input_tokens_details']) ? usage['input_tokens_details'] : {};
  const cached = asCount(details['cached_tokens']) ?? 0;
  const written = asCount(details['cache_write_tokens']) ?? 0;
  return {
    input_tokens: Math.max(0, (asCount(usage['input_tokens']) ?? 0) - cached - written),
    output_tokens: asCount(usage['output_tokens']) ?? 0,
    cache_read_tokens: cached,
    cache_write_tokens: written,
    estimated: false,
  };
}
