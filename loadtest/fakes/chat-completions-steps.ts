// An answer in the Chat Completions protocol as the list of things that the server does, in three dialects: as OpenAI and
// gateways like DeepSeek's speak it, as vLLM does, and as Ollama does.

import type { Dialect } from './chat-completions-prompt.ts';
import type { Step } from './player.ts';
import { type Scenario, type ScenarioCall, argumentDeltas, scenarioDeltas, thinkingDeltas } from './scenario.ts';

export type ChatContext = {
  readonly dialect: Dialect;
  readonly number: number;
  readonly model: string;
  readonly promptTokens: number;
  /** Of `promptTokens`: read from the cache. */
  readonly cachedTokens: number;
  readonly maxTokens: number | null;
  readonly includesUsage: boolean;
};

/** What a directive may ask for beyond the words of all protocols. */
export const CHAT_WORDS: Readonly<Record<string, RegExp>> = {
  /** `last`: in a chunk of its own; `every`: running totals in each; `finish`: with the reason; `none`: never. */
  usage: /^(?:last|every|finish|none)$/u,
  /** Tokens of the prompt that came from the cache. */
  cached: /^\d{1,6}$/u,
  /** Of chunks and calls; not `given`: as servers send them that make none. */
  ids: /^(?:given|null|absent)$/u,
  /** The text comes as a refusal. */
  refusal: /^1$/u,
  /** `none`: the body ends without `[DONE]`. */
  done: /^none$/u,
};

export const DONE: Step = { do: 'bytes', bytes: new TextEncoder().encode('data: [DONE]\n\n') };

type EventStep = Extract<Step, { readonly do: 'event' }>;

/** A chunk with one choice. */
export function chunk(context: ChatContext, choice: object, more: object = {}): EventStep {
  return data(context, { choices: [{ index: 0, finish_reason: null, logprobs: null, ...choice }], ...more });
}

/** A chunk of any shape. */
export function data(context: ChatContext, fields: object): EventStep {
  const fingerprint = context.dialect === 'ollama' ? { system_fingerprint: 'fp_ollama' } : {};
  const created = 1_790_000_000;
  const { number, model } = context;
  const head = { id: `chatcmpl-fake${number}`, object: 'chat.completion.chunk', created, model, ...fingerprint };
  return { do: 'event', event: null, data: { ...head, ...fields } };
}

export function text(context: ChatContext, content: string, more: object = {}): Step {
  return { ...chunk(context, { delta: withRole(context, { content }) }, more), at: 'delta' };
}

export function finish(context: ChatContext, reason: string, more: object = {}): Step {
  const delta = context.dialect === 'openai' ? {} : withRole(context, { content: '' });
  return { ...chunk(context, { delta, finish_reason: reason }, more), at: 'end' };
}

export function usageOf(context: ChatContext, completion: number, cached = 0): object {
  const prompt = context.promptTokens;
  const totals = { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
  if (context.dialect === 'ollama') return totals;
  if (context.dialect === 'vllm') return { ...totals, prompt_tokens_details: null };
  return {
    ...totals,
    prompt_tokens_details: { cached_tokens: cached, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
  };
}

/** The whole answer of a scenario. */
export function* answerSteps(scenario: Scenario, context: ChatContext): Generator<Step> {
  for (const step of plainSteps(scenario, context)) yield withIds(step, scenario.words['ids'] ?? 'given');
  if (scenario.words['done'] !== 'none') yield DONE;
}

function* plainSteps(scenario: Scenario, context: ChatContext): Generator<Step> {
  const { words } = scenario;
  const whole = scenarioDeltas(scenario);
  const pieces = whole.slice(0, context.maxTokens ?? whole.length);
  const thoughts = thinkingDeltas(scenario);
  const cached = Number(words['cached'] ?? context.cachedTokens);
  const mode = context.includesUsage ? (words['usage'] ?? 'last') : 'none';
  let completion = 0;
  const running = (): object => {
    completion += 1;
    if (mode === 'every') return { usage: usageOf(context, completion, cached) };
    // OpenAI says null until it knows; the others leave it out.
    return mode === 'last' && context.dialect === 'openai' ? { usage: null } : {};
  };
  if (context.dialect !== 'ollama') yield chunk(context, { delta: { role: 'assistant', content: '', refusal: null } });
  if (scenario.unknown) yield* unknownSteps(context);
  for (const thought of thoughts) yield reasoning(context, thought, running());
  for (const piece of pieces) {
    if (words['refusal'] === '1') yield { ...chunk(context, { delta: { refusal: piece } }, running()), at: 'delta' };
    else yield text(context, piece, running());
  }
  const { calls } = scenario;
  yield* callSteps(context, calls);
  const natural = calls.length > 0 && scenario.stopReason === 'stop' ? 'tool_calls' : scenario.stopReason;
  const usage = usageOf(context, thoughts.length + pieces.length + calls.length, cached);
  yield finish(context, pieces.length < whole.length ? 'length' : natural, mode === 'finish' ? { usage } : {});
  if (mode === 'last' || mode === 'every') yield data(context, { choices: [], usage });
}

function* unknownSteps(context: ChatContext): Generator<Step> {
  // Azure begins with the verdict on the prompt and no choice; others send chunks that say nothing at all.
  yield data(context, { choices: [], prompt_filter_results: [{ prompt_index: 0 }] });
  yield chunk(context, { delta: { content: null, tool_calls: null, function_call: null, brand_new: { deep: [1] } } });
  yield chunk(context, { delta: null, finish_reason: '' });
  yield data(context, { choices: null });
  yield { do: 'event', event: 'brand_new_event', data: ['from the future'] };
}

function reasoning(context: ChatContext, thought: string, more: object): Step {
  const delta = context.dialect === 'ollama' ? { content: '', reasoning: thought } : { reasoning_content: thought };
  return { ...chunk(context, { delta: withRole(context, delta) }, more), at: 'delta' };
}

/** In fragments, the id in the first alone; vLLM says null in the others; Ollama sends whole calls, all of them in one. */
function* callSteps(context: ChatContext, calls: readonly ScenarioCall[]): Generator<Step> {
  if (calls.length === 0) return;
  const idOf = (i: number): string => `call_fake_${context.number}_${i}`;
  if (context.dialect === 'ollama') {
    const whole = calls.map(({ name, args }, i) => ({
      id: idOf(i),
      index: 0,
      type: 'function',
      function: { name, arguments: args },
    }));
    yield chunk(context, { delta: { role: 'assistant', content: '', tool_calls: whole } });
    return;
  }
  const rest = context.dialect === 'vllm' ? { id: null, type: null } : {};
  for (const [index, call] of calls.entries()) {
    const { name } = call;
    const first = { index, id: idOf(index), type: 'function', function: { name, arguments: '' } };
    yield chunk(context, { delta: { tool_calls: [first] } });
    for (const piece of argumentDeltas(call)) {
      const called = { ...(context.dialect === 'vllm' ? { name: null } : {}), arguments: piece };
      yield { ...chunk(context, { delta: { tool_calls: [{ index, ...rest, function: called }] } }), at: 'delta' };
    }
  }
}

function withRole(context: ChatContext, delta: object): object {
  return context.dialect === 'ollama' ? { role: 'assistant', ...delta } : delta;
}

/** Ids of chunks and calls as null, or not at all; and then no index of calls either. */
function withIds(step: Step, ids: string): Step {
  if (ids === 'given' || step.do !== 'event') return step;
  const json = JSON.stringify(step.data, (key, value: unknown) => {
    if (key === 'id') return ids === 'null' ? null : undefined;
    if (key !== 'tool_calls' || ids === 'null' || !Array.isArray(value)) return value;
    return (value as readonly object[]).map((call) => ({ ...call, index: undefined }));
  });
  return { ...step, data: JSON.parse(json) };
}
