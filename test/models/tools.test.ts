// Tools on all protocols alike: calls as they are shown, how an answer with calls ends, and how calls and results go back
// (models 4.4 to 4.6). The fakes refuse what the real APIs refuse.

import { describe, expect, test } from 'vitest';

import type { AttemptResult, PromptItem } from '../../actors/ports.ts';
import { must } from '../../protocol/assert.ts';
import { anthropicFixture } from './anthropic-fixture.ts';
import { chatCompletionsFixture } from './chat-completions-fixture.ts';
import { responsesFixture } from './responses-fixture.ts';
import { assistantItem, modelRequest, userItem } from './support.ts';
import { TOOLS, answerItem, callsOf, resultsItem, runTurn } from './tool-loop.ts';

const anthropic = anthropicFixture();
const responses = responsesFixture();
const compatible = (['openai', 'vllm', 'ollama'] as const).map(
  (dialect) => [`chat completions of ${dialect}`, chatCompletionsFixture(dialect), 'length', 'content_filter'] as const,
);
const FIXTURES = [
  ['anthropic', anthropic, 'max_tokens', 'refusal'] as const,
  ['responses', responses, 'max_output_tokens', 'content_filter'] as const,
  ...compatible,
];

const withTools = (items: readonly PromptItem[], more: object = {}): ReturnType<typeof modelRequest> =>
  modelRequest(items, { tools: TOOLS, ...more });

const ARGS = '{"b": 1.0, "a":"größe 😀", "10":0,"9":0}';

/** Arguments for a directive, quoted as JSON strings are. */
const asked = (args: string): string => `args=${JSON.stringify(args)}`;

function stopOf(result: AttemptResult): string {
  return result.outcome === 'completed' ? result.stopReason : result.outcome;
}

describe.each(FIXTURES)('tools: %s', (_, fixture, maxTokens, refusal) => {
  test('[P7] calls are shown as blocks, raw JSON as it comes, and the answer ends for its tools', async () => {
    const prompt = `fake: tokens=2 call=clock call=calculator ${asked(ARGS)}`;
    const { result, sink } = await fixture.run(null, withTools([userItem(prompt)]));
    expect(stopOf(result)).toBe('tool_use');
    expect(sink.blocks).toMatchObject([
      { type: 'text', text: 'token1 token2 ', ended: true },
      { type: 'tool_call', call: { name: 'clock' }, text: '{}', ended: true },
      { type: 'tool_call', call: { name: 'calculator' }, text: ARGS, ended: true },
    ]);
    const ids = sink.blocks.flatMap(({ call }) => (call === undefined ? [] : [call.call]));
    expect(new Set(ids).size).toBe(2);
    for (const id of ids) expect(id).toMatch(/^[a-zA-Z0-9_-]{1,64}$/u);
  });

  test('[P12] a turn of five steps with several calls each: every request is accepted, results come in the order of calls', async () => {
    const prompt = 'fake: thinking=2 tokens=1 steps=5 echo=1 call=clock call=calculator args="{\\"n\\":1}"';
    const { steps, items } = await runTurn(fixture, prompt);
    expect(steps.map(({ result }) => stopOf(result))).toEqual([...Array<string>(5).fill('tool_use'), 'end_turn']);
    expect(must(steps.at(-1), 'it ended').sink.blocks.at(-1)?.text).toBe('clock of {}\ncalculator of {"n":1}');
    expect(items.filter(({ role }) => role === 'tool')).toHaveLength(5);
  });

  test.each([
    ['cut', '{"city":"Be'],
    ['an array', '[1,2]'],
    ['no JSON at all', 'city = Bern'],
    ['blank', ' '],
  ])(
    '[P12] arguments that are %s are shown as they are, and go back with an error that is accepted',
    async (__, args) => {
      const prompt = `fake: tokens=0 call=clock ${asked(args)}`;
      const { result, sink } = await fixture.run(null, withTools([userItem(prompt)]));
      expect(stopOf(result)).toBe('tool_use');
      expect(sink.blocks.at(-1)).toMatchObject({ type: 'tool_call', text: args });
      const answer = answerItem(result, sink);
      const next = withTools([userItem(prompt), answer, resultsItem(answer, () => 'no JSON', 'error')]);
      expect(stopOf((await fixture.run(null, next)).result)).toBe('end_turn');
    },
  );

  test('[P12] a tool that was made up, of whatever name, goes back and is answered with an error', async () => {
    const prompt = 'fake: tokens=0 call=functions.made.up';
    const { result, sink } = await fixture.run(null, withTools([userItem(prompt)]));
    expect(sink.blocks.at(-1)).toMatchObject({ type: 'tool_call', call: { name: 'functions_made_up' } });
    const answer = answerItem(result, sink);
    for (const kept of [answer, { ...answer, provider: null }]) {
      const next = withTools([userItem(prompt), kept, resultsItem(kept, () => 'there is no such tool', 'error')]);
      expect(stopOf((await fixture.run(null, next)).result)).toBe('end_turn');
    }
  });

  test('[P7] calls of an answer that is cut by its limit do not run, and go back with the word that they did not', async () => {
    const prompt = `fake: tokens=1 thinking=1 stop=${maxTokens} call=clock call=clock ${asked('{"city":"Be')}`;
    const { result, sink } = await fixture.run(null, withTools([userItem(prompt)]));
    expect(stopOf(result)).toBe('max_tokens');
    const answer = answerItem(result, sink);
    expect(callsOf(answer)).toHaveLength(2);
    const told = resultsItem(answer, () => 'it did not run', 'error');
    for (const kept of [answer, { ...answer, provider: null }]) {
      const next = withTools([userItem(prompt), kept, told, userItem('fake: tokens=1')]);
      expect(stopOf((await fixture.run(null, next)).result)).toBe('end_turn');
    }
  });

  test('[P7] calls of a refused answer do not run, and nothing of it goes back', async () => {
    const prompt = `fake: tokens=1 stop=${refusal} call=clock`;
    const { result } = await fixture.run(null, withTools([userItem(prompt)]));
    expect(stopOf(result)).toBe('refusal');
    const next = withTools([userItem(prompt), assistantItem('', result.provider), userItem('fake: tokens=1')]);
    expect(stopOf((await fixture.run(null, next)).result)).toBe('end_turn');
  });

  test.each(['cut@2', 'cut_line@2', 'close@2', 'reset@2'])(
    '[P7] %s, in the middle of a call: the attempt failed, its call stays open and does not go back',
    async (failure) => {
      // Ollama sends whole calls: there is no middle of one.
      const prompt = `fake: tokens=1 call=clock ${asked(ARGS)} fail=${failure}`;
      const { result, sink } = await fixture.run(null, withTools([userItem(prompt)]));
      if (fixture === compatible[2]?.[1]) return;
      expect(result.outcome).toBe('failed');
      expect(sink.blocks.at(-1)).toMatchObject({ type: 'tool_call', call: { name: 'clock' }, ended: false });
      expect(ARGS.startsWith(sink.blocks.at(-1)?.text ?? '?')).toBe(true);
      const next = withTools([userItem(prompt), answerItem(result, sink), userItem('fake: tokens=1')]);
      expect(stopOf((await fixture.run(null, next)).result)).toBe('end_turn');
    },
  );

  test('[models 4.6] an id that this prompt had before is not used again: it is one of ours, the same each time', async () => {
    const prompt = 'fake: tokens=0 call=clock';
    const first = await fixture.run(null, withTools([userItem(prompt)]));
    const answer = answerItem(first.result, first.sink);
    const [call] = callsOf(answer);
    const again = {
      ...answer,
      parts: [{ ...must(call, 'it called'), call: expectedNext(must(call, 'it called').call) }],
    };
    const items = [userItem('earlier'), { ...again, provider: null }, resultsItem(again), userItem(prompt)];
    const second = await fixture.run(null, withTools(items));
    const [renamed] = callsOf(answerItem(second.result, second.sink));
    expect(renamed?.call).toMatch(/^call_018f0000[0-9a-f]{24}_0$/u);
    const last = answerItem(second.result, second.sink);
    const next = withTools([...items, last, resultsItem(last)]);
    expect(stopOf((await fixture.run(null, next)).result)).toBe('end_turn');
  });

  test('[models 4.6] told to call none, the model answers; a call that comes all the same is not shown and does not run', async () => {
    const prompt = 'fake: tokens=2 call=clock';
    const told = await fixture.run(null, withTools([userItem(prompt)], { toolChoice: 'none' }));
    expect(stopOf(told.result)).toBe('end_turn');
    // The plan of a test calls, whatever the request says.
    const plan = { tokens: 2, calls: [{ name: 'clock', args: '{}' }] };
    const disobeyed = await fixture.run(plan, withTools([userItem('hello')], { toolChoice: 'none' }));
    expect(disobeyed.sink.blocks.map(({ type }) => type)).toEqual(['text']);
    expect(stopOf(disobeyed.result)).toBe('end_turn');
    const answer = answerItem(disobeyed.result, disobeyed.sink);
    const next = withTools([userItem('hello'), answer, userItem('fake: tokens=1')]);
    expect(stopOf((await fixture.run(null, next)).result)).toBe('end_turn');
  });

  test('[P8] tools are sent in their order, with the same bytes each time, and a message behind results is accepted', async () => {
    const { items } = await runTurn(fixture, 'fake: call=clock tokens=1');
    const server: { readonly requests: readonly { readonly body: unknown }[] } = fixture.fake();
    const sent = server.requests.slice(-2).map(({ body }) => JSON.stringify((body as { tools: unknown }).tools));
    expect(sent[0]).toBe(sent[1]);
    expect(sent[0]?.indexOf('calculator')).toBeLessThan(sent[0]?.indexOf('clock') ?? 0);
    const steered = [...items.slice(0, -1), userItem('fake: tokens=1')];
    expect(stopOf((await fixture.run(null, withTools(steered))).result)).toBe('end_turn');
  });
});

/** The id that a fake gives to its next request's first call: they count their requests. */
function expectedNext(id: string): string {
  return id.replace(/\d+(?=_0$)/u, (number) => String(Number(number) + 1).padStart(number.length, '0'));
}

describe('what another provider wrote', () => {
  test('[P12] calls, results and text go to every other provider; its reasoning does not', async () => {
    const prompt = `fake: thinking=2 tokens=1 call=clock ${asked(ARGS)}`;
    for (const [, from] of FIXTURES) {
      const { result, sink } = await from.run(null, withTools([userItem(prompt)]));
      const answer = answerItem(result, sink);
      const items = [userItem(prompt), answer, resultsItem(answer)];
      for (const [name, to] of FIXTURES) {
        const next = await to.run(null, withTools(items));
        expect(next.result, name).toMatchObject({ outcome: 'completed', stopReason: 'end_turn' });
      }
    }
  });

  test('[P12] a history with calls in a chat without tools is accepted, and nothing can be called', async () => {
    for (const [name, fixture] of FIXTURES) {
      const { items } = await runTurn(fixture, 'fake: call=clock tokens=1');
      const request = modelRequest([...items, userItem('fake: call=clock tokens=1')]);
      const { result } = await fixture.run({ tokens: 1 }, request);
      expect(result, name).toMatchObject({ outcome: 'completed', stopReason: 'end_turn' });
    }
  });
});
