// A scenario as the list of things that the server does, one after the other. Tests with odd wishes write such a list
// themselves.

import type { CacheUsage } from './anthropic-prompt.ts';
import { type Scenario, scenarioDeltas, thinkingDeltas } from './anthropic-scenario.ts';

export type Step =
  | { readonly do: 'event'; readonly event: string; readonly data: unknown }
  /** Bytes as they are, whatever they are. */
  | { readonly do: 'bytes'; readonly bytes: Uint8Array }
  | { readonly do: 'wait'; readonly ms: number }
  /** The body ends in order; more steps are not looked at. */
  | { readonly do: 'end' }
  /** The socket is closed without the end of the body. */
  | { readonly do: 'close' }
  | { readonly do: 'reset' }
  /** Nothing more until the client leaves. */
  | { readonly do: 'silence'; readonly pingMs: number | null };

export type StepContext = {
  readonly messageId: string;
  readonly model: string;
  readonly usage: CacheUsage;
  readonly maxTokens: number;
  /** Signs thinking for this prompt. */
  readonly sign: (thinking: string) => string;
};

/** The stream of a scenario; its failure is included when `fails`. */
export function* scenarioSteps(scenario: Scenario, context: StepContext, fails: boolean): Generator<Step> {
  const failure = fails ? scenario.failure : null;
  let deltas = 0;
  for (const step of messageSteps(scenario, context)) {
    const isDelta = step.do === 'event' && step.event === 'content_block_delta';
    const due = failure !== null && 'after' in failure && failure.after === deltas;
    if (due && (isDelta || (step.do === 'event' && step.event === 'message_delta'))) {
      yield* failureSteps(failure, step);
      return;
    }
    if (isDelta && scenario.paceMs > 0) yield { do: 'wait', ms: scenario.paceMs };
    if (isDelta && scenario.pings) yield event('ping', { type: 'ping' });
    yield step;
    if (isDelta) deltas += 1;
  }
}

/** An event with its data; the data names its type. */
export function event(name: string, data: unknown): Step {
  return { do: 'event', event: name, data };
}

export function encodeEvent(name: string, data: unknown): Uint8Array {
  return new TextEncoder().encode(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
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

function* messageSteps(scenario: Scenario, context: StepContext): Generator<Step> {
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
  yield* textBlock(index, text);
  yield* messageEnd(context, isCut ? 'max_tokens' : scenario.stopReason, thinking.length + text.length + 1);
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

function* failureSteps(failure: NonNullable<Scenario['failure']>, next: Step): Generator<Step> {
  switch (failure.kind) {
    case 'event':
      yield event('error', {
        type: 'error',
        error: { type: failure.type, message: 'my secret prompt broke it', details: null },
      });
      yield { do: 'end' };
      return;
    case 'cut':
      if (failure.inLine && next.do === 'event') {
        const bytes = encodeEvent(next.event, next.data);
        yield { do: 'bytes', bytes: bytes.subarray(0, bytes.length >> 1) };
      }
      yield { do: 'end' };
      return;
    case 'close':
      yield { do: 'close' };
      return;
    case 'reset':
      yield { do: 'reset' };
      return;
    case 'silence':
      yield { do: 'silence', pingMs: failure.pingMs };
      return;
    case 'status':
      return;
  }
}
