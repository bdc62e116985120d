// A response of the Responses API as the list of its events. Tests with odd wishes write such a list themselves.

import type { Step } from './player.ts';
import { type Scenario, argumentDeltas, scenarioDeltas, thinkingDeltas } from './scenario.ts';

export type ResponsesContext = {
  readonly id: string;
  readonly model: string;
  readonly background: boolean;
  readonly inputTokens: number;
  /** Of `inputTokens`: read from and written to the cache. */
  readonly cachedTokens: number;
  readonly writtenTokens: number;
  readonly maxTokens: number;
  readonly obfuscation: boolean;
  /** Encrypts reasoning. */
  readonly seal: (reasoning: string) => string;
};

export type ResponsesEvent = { readonly type: string; readonly [key: string]: unknown };
type Item = { readonly id: string; readonly type: string; readonly [key: string]: unknown };

/** Numbers the events of one response, and keeps what it consists of. */
export class ResponseScript {
  readonly #context: ResponsesContext;
  readonly events: ResponsesEvent[] = [];
  readonly #output: Item[] = [];
  #outputTokens = 0;

  constructor(context: ResponsesContext) {
    this.#context = context;
  }

  push(type: string, fields: Readonly<Record<string, unknown>>): this {
    this.events.push({ type, sequence_number: this.events.length, ...fields });
    return this;
  }

  delta(type: string, fields: Readonly<Record<string, unknown>>): this {
    this.#outputTokens += 1;
    return this.push(type, { ...fields, ...(this.#context.obfuscation ? { obfuscation: 'Xy7Qp' } : {}) });
  }

  begin(): this {
    this.push('response.created', { response: this.response('in_progress') });
    return this.push('response.in_progress', { response: this.response('in_progress') });
  }

  /** An item without deltas, or around those that `between` adds. */
  item(
    added: Item,
    done: Item,
    between: (at: { output_index: number; item_id: string }) => void = () => undefined,
  ): this {
    const at = { output_index: this.#output.length, item_id: done.id };
    this.push('response.output_item.added', { output_index: at.output_index, item: added });
    between(at);
    this.#output.push(done);
    return this.push('response.output_item.done', { output_index: at.output_index, item: done });
  }

  reasoning(deltas: readonly string[]): this {
    const id = `rs_${this.#context.id}`;
    const text = deltas.join('');
    const summary = text === '' ? [] : [{ type: 'summary_text', text }];
    const sealed = this.#context.seal(text === '' ? 'hidden' : text);
    // The copy in `added` is not the final one: whoever keeps it is refused later.
    const added = { id, type: 'reasoning', summary: [], encrypted_content: sealed.slice(0, 10) };
    return this.item(added, { id, type: 'reasoning', summary, encrypted_content: sealed }, (at) => {
      if (text === '') return;
      const part = { ...at, summary_index: 0 };
      this.push('response.reasoning_summary_part.added', { ...part, part: { type: 'summary_text', text: '' } });
      for (const delta of deltas) this.delta('response.reasoning_summary_text.delta', { ...part, delta });
      this.push('response.reasoning_summary_text.done', { ...part, text });
      this.push('response.reasoning_summary_part.done', { ...part, part: summary[0] });
    });
  }

  message(deltas: readonly string[], status: 'completed' | 'incomplete'): this {
    const text = deltas.join('');
    const part = { type: 'output_text', text, annotations: [], logprobs: [] };
    return this.#message({ part, empty: { ...part, text: '' }, status }, (at) => {
      for (const delta of deltas) this.delta('response.output_text.delta', { ...at, delta, logprobs: [] });
      this.push('response.output_text.done', { ...at, text, logprobs: [] });
    });
  }

  refusal(deltas: readonly string[]): this {
    const refusal = deltas.join('');
    const part = { type: 'refusal', refusal };
    return this.#message({ part, empty: { ...part, refusal: '' }, status: 'completed' }, (at) => {
      for (const delta of deltas) this.delta('response.refusal.delta', { ...at, delta });
      this.push('response.refusal.done', { ...at, refusal });
    });
  }

  call(name: string, pieces: readonly string[], status: 'completed' | 'incomplete' = 'completed'): this {
    const own = `${this.#context.id}_${this.#output.length}`;
    const call = { id: `fc_${own}`, type: 'function_call', call_id: `call_${own}`, name };
    const added = { ...call, arguments: '', status: 'in_progress' };
    return this.item(added, { ...call, arguments: pieces.join(''), status }, (at) => {
      for (const delta of pieces) this.delta('response.function_call_arguments.delta', { ...at, delta });
      this.push('response.function_call_arguments.done', { ...at, name, arguments: pieces.join('') });
    });
  }

  completed(): this {
    return this.push('response.completed', { response: this.response('completed') });
  }

  incomplete(reason: string): this {
    const response = { ...this.response('incomplete'), incomplete_details: { reason } };
    return this.push('response.incomplete', { response });
  }

  failed(code: string): this {
    const response = { ...this.response('failed'), error: { code, message: 'my secret prompt broke it' } };
    return this.push('response.failed', { response });
  }

  /** The resource as it is by now. */
  response(status: string): ResponsesEvent {
    const { id, model, background, inputTokens, cachedTokens, writtenTokens } = this.#context;
    const isOver = status !== 'in_progress';
    return {
      type: 'response',
      id,
      object: 'response',
      created_at: 1_790_000_000,
      model,
      background,
      status,
      error: null,
      incomplete_details: null,
      output: isOver ? [...this.#output] : [],
      usage: isOver
        ? {
            input_tokens: inputTokens,
            input_tokens_details: { cached_tokens: cachedTokens, cache_write_tokens: writtenTokens },
            output_tokens: this.#outputTokens,
            output_tokens_details: { reasoning_tokens: 0 },
            total_tokens: inputTokens + this.#outputTokens,
          }
        : null,
    };
  }

  #message(
    { part, empty, status }: { readonly part: object; readonly empty: object; readonly status: string },
    deltas: (at: object) => void,
  ): this {
    const message = { id: `msg_${this.#context.id}`, type: 'message', role: 'assistant', phase: 'final_answer' };
    const added = { ...message, content: [], status: 'in_progress' };
    return this.item(added, { ...message, content: [part], status }, (item) => {
      const at = { ...item, content_index: 0 };
      this.push('response.content_part.added', { ...at, part: empty });
      deltas(at);
      this.push('response.content_part.done', { ...at, part });
    });
  }
}

/** All events of a scenario. */
export function scenarioEvents(scenario: Scenario, context: ResponsesContext): readonly ResponsesEvent[] {
  const script = new ResponseScript(context).begin();
  if (scenario.unknown) {
    script.push('response.brand_new_event', { note: 'from the future' });
    const item = { id: `new_${context.id}`, type: 'brand_new_item', payload: { deep: [1, 'two', null] } };
    script.item(item, item);
  }
  if (scenario.thinking.kind !== 'none') script.reasoning(thinkingDeltas(scenario));
  const whole = scenarioDeltas(scenario);
  const text = whole.slice(0, context.maxTokens);
  const isCut = text.length < whole.length;
  const stop = isCut ? 'max_output_tokens' : scenario.stopReason;
  if (scenario.calls.length > 0) return callingEvents(script, { scenario, text, stop });
  switch (stop) {
    case 'refusal':
      return script.refusal(text).completed().events;
    case 'function_call':
      return script.message(text, 'completed').call('get_weather', ['{"city":', '"Bern"}']).completed().events;
    case 'max_output_tokens':
      return script.message(text, 'incomplete').incomplete('max_output_tokens').events;
    case 'content_filter':
      return script.message(text, 'incomplete').incomplete('content_filter').events;
    case 'failed':
      return script.message(text, 'incomplete').failed(scenario.words['code'] ?? 'server_error').events;
    default:
      return script.message(text, 'completed').completed().events;
  }
}

type Calling = { readonly scenario: Scenario; readonly text: readonly string[]; readonly stop: string };

/** Text if there is any, then the calls; the last of them is cut where the answer is. */
function callingEvents(script: ResponseScript, { scenario, text, stop }: Calling): readonly ResponsesEvent[] {
  if (text.length > 0) script.message(text, 'completed');
  const isIncomplete = stop === 'max_output_tokens' || stop === 'content_filter';
  for (const [i, call] of scenario.calls.entries()) {
    const isCut = isIncomplete && i === scenario.calls.length - 1;
    script.call(call.name, argumentDeltas(call), isCut ? 'incomplete' : 'completed');
  }
  if (stop === 'failed') return script.failed(scenario.words['code'] ?? 'server_error').events;
  if (stop === 'refusal') return script.refusal(['no']).completed().events;
  return isIncomplete ? script.incomplete(stop).events : script.completed().events;
}

/** The events as they go over the wire. */
export function responsesStep(event: ResponsesEvent): Step {
  const at = event.type.endsWith('.delta') ? 'delta' : isTerminal(event) ? 'end' : undefined;
  return { do: 'event', event: event.type, data: event, ...(at === undefined ? {} : { at }) };
}

export function isTerminal({ type }: ResponsesEvent): boolean {
  return type === 'response.completed' || type === 'response.incomplete' || type === 'response.failed';
}
