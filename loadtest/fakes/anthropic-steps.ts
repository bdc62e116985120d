// A message of the Anthropic API as the list of things that the server does, one after the other. Tests with odd wishes
// write such a list themselves.

import type { CacheUsage } from './anthropic-cache.ts';
import type { Step } from './player.ts';
import { type Scenario, type ScenarioCall, argumentDeltas, scenarioDeltas, thinkingDeltas } from './scenario.ts';

export type StepContext = {
  /** Of the request: ids of calls are made of it. */
  readonly number: number;
  readonly messageId: string;
  readonly model: string;
  readonly usage: CacheUsage;
  readonly maxTokens: number;
  /** Signs thinking for this prompt. */
  readonly sign: (thinking: string) => string;
};

/** An event with its data; the data names its type. */
export function event(name: string, data: unknown): Step {
  const at = name === 'content_block_delta' ? 'delta' : name === 'message_delta' ? 'end' : null;
  return { do: 'event', event: name, data, ...(at === null ? {} : { at }) };
}

/** The first event of every message. */
export function messageStart(context: StepContext): Step {
  const { usage } = context;
  return event('message_start', {
    type: 'message_start',
    message: {
      id: context.messageId,
      type: 'message',
      role: 'assistant',
      model: context.model,
      content: [],
      container: null,
      diagnostics: null,
      stop_reason: null,
      stop_details: null,
      stop_sequence: null,
      usage: {
        input_tokens: usage.input,
        cache_creation_input_tokens: usage.cacheWrite,
        cache_read_input_tokens: usage.cacheRead,
        cache_creation: { ephemeral_5m_input_tokens: usage.cacheWrite, ephemeral_1h_input_tokens: 0 },
        output_tokens: 1,
        output_tokens_details: null,
        inference_geo: null,
        server_tool_use: null,
        service_tier: 'standard',
        speed: null,
      },
    },
  });
}

/** The last two events; the usage is cumulative, as the API gives it. */
export function messageEnd(context: StepContext, stopReason: string, outputTokens: number): readonly Step[] {
  const { usage } = context;
  return [
    event('message_delta', {
      type: 'message_delta',
      delta: { stop_reason: stopReason, stop_sequence: null, stop_details: null, container: null },
      usage: {
        input_tokens: usage.input,
        cache_creation_input_tokens: usage.cacheWrite,
        cache_read_input_tokens: usage.cacheRead,
        output_tokens: outputTokens,
        output_tokens_details: null,
        server_tool_use: null,
      },
    }),
    event('message_stop', { type: 'message_stop' }),
  ];
}

/** A block of text in the given pieces. */
export function textBlock(index: number, deltas: Iterable<string>): readonly Step[] {
  return block(
    index,
    { type: 'text', text: '', citations: null },
    Array.from(deltas, (text) => ({ type: 'text_delta', text })),
  );
}

/** Any block: its start, its deltas, its end. */
export function block(index: number, start: unknown, deltas: readonly unknown[]): readonly Step[] {
  return [
    event('content_block_start', { type: 'content_block_start', index, content_block: start }),
    ...deltas.map((delta) => event('content_block_delta', { type: 'content_block_delta', index, delta })),
    event('content_block_stop', { type: 'content_block_stop', index }),
  ];
}

/** The whole message of a scenario. */
export function* messageSteps(scenario: Scenario, context: StepContext): Generator<Step> {
  yield messageStart(context);
  yield event('ping', { type: 'ping' });
  const cut = Math.min(scenarioDeltas(scenario).length, context.maxTokens);
  const text = scenarioDeltas(scenario).slice(0, cut);
  const isCut = cut < scenarioDeltas(scenario).length;
  let index = 0;
  if (scenario.unknown) {
    yield event('brand_new_event', { type: 'brand_new_event', note: 'from the future' });
    yield* block(index++, { type: 'brand_new_block', payload: { deep: [1, 'two', null] } }, []);
  }
  const thinking = thinkingDeltas(scenario);
  if (scenario.thinking.kind !== 'none') yield* thinkingBlock(index++, scenario, context);
  if (text.length > 0 || scenario.calls.length === 0) yield* textBlock(index++, text);
  for (const [i, call] of scenario.calls.entries()) {
    yield* callBlock(index++, `toolu_fake_${context.number}_${i}`, call);
  }
  const args = scenario.calls.flatMap(argumentDeltas);
  yield* messageEnd(context, stopReasonOf(scenario, isCut), thinking.length + text.length + args.length + 1);
}

function stopReasonOf({ calls, stopReason }: Scenario, isCut: boolean): string {
  if (isCut) return 'max_tokens';
  return calls.length > 0 && stopReason === 'end_turn' ? 'tool_use' : stopReason;
}

/** A call, its arguments in fragments. */
export function callBlock(index: number, id: string, call: ScenarioCall): readonly Step[] {
  return block(
    index,
    { type: 'tool_use', id, name: call.name, input: {}, caller: { type: 'direct' } },
    argumentDeltas(call).map((piece) => ({ type: 'input_json_delta', partial_json: piece })),
  );
}

function thinkingBlock(index: number, scenario: Scenario, context: StepContext): readonly Step[] {
  if (scenario.thinking.kind === 'redacted') {
    return block(index, { type: 'redacted_thinking', data: context.sign('redacted') }, []);
  }
  const thinking = thinkingDeltas(scenario);
  return block(index, { type: 'thinking', thinking: '', signature: '' }, [
    ...thinking.map((delta) => ({ type: 'thinking_delta', thinking: delta })),
    { type: 'signature_delta', signature: context.sign(thinking.join('')) },
  ]);
}
