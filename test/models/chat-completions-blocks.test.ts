// What comes in the chunks of chat completions (models 4.5): text, reasoning, calls, finish reasons, usage; as OpenAI, vLLM
// and Ollama send them.

import { describe, expect, test } from 'vitest';

import type { StopReason } from '../../actors/ports.ts';
import {
  type ChatContext,
  DONE,
  chunk,
  data,
  finish,
  text,
  usageOf,
} from '../../loadtest/fakes/chat-completions-steps.ts';
import type { Step } from '../../loadtest/fakes/player.ts';
import { type Scenario, someCalls } from '../../loadtest/fakes/scenario.ts';
import { DIALECTS, chatCompletionsFixture } from './chat-completions-fixture.ts';
import { modelRequest } from './support.ts';

const fixtures = DIALECTS.map((dialect) => [dialect, chatCompletionsFixture(dialect)] as const);
const { fake, run, begin } = chatCompletionsFixture();

/** A whole answer whose deltas are these. */
function answer(deltas: readonly object[], reason = 'stop'): { steps: (context: ChatContext) => readonly Step[] } {
  return steps((context) => [...deltas.map((delta) => chunk(context, { delta })), finish(context, reason)]);
}

/** These chunks, then the usage and the end. */
function steps(chunks: (context: ChatContext) => readonly Step[]): {
  steps: (context: ChatContext) => readonly Step[];
} {
  return {
    steps: (context) => [...chunks(context), data(context, { choices: [], usage: usageOf(context, 7) }), DONE],
  };
}

function words(given: Readonly<Record<string, string>>, more: Partial<Scenario> = {}): Partial<Scenario> {
  return { tokens: 2, words: given, ...more };
}

const SAID = { type: 'text', text: 'token1 token2 ', ended: true };

describe('accumulation', () => {
  test.each(fixtures)(
    '[models 4.5] %s: role-only, empty, null and unknown chunks change nothing',
    async (_, dialect) => {
      const { result, sink } = await dialect.run(words({}, { unknown: true }));
      expect(result).toMatchObject({ outcome: 'completed', stopReason: 'end_turn', provider: null });
      expect(sink.blocks).toEqual([SAID]);
    },
  );

  test.each(fixtures)('[models 4.5] %s: reasoning is a block of its own, before the text', async (_, dialect) => {
    const { sink } = await dialect.run(words({}, { thinking: { kind: 'signed', tokens: 2 } }));
    expect(sink.blocks).toEqual([{ type: 'reasoning', text: 'thought1 thought2 ', ended: true }, SAID]);
  });

  test.each(fixtures)('[models 4.5] %s: ids may be null or absent', async (_, dialect) => {
    for (const ids of ['null', 'absent']) {
      const { result, sink } = await dialect.run(words({ ids }));
      expect(result).toMatchObject({ outcome: 'completed', usage: { estimated: false } });
      expect(sink.blocks).toEqual([SAID]);
    }
  });

  test('[models 4.5] `reasoning_content`, `reasoning`, and both of them, which is said once', async () => {
    const { sink } = await run(
      answer([
        { reasoning_content: 'a ', content: null },
        { reasoning: 'b ', content: '' },
        { reasoning_content: 'c', reasoning: 'c' },
        { reasoning_content: null, reasoning: '', content: 'd' },
      ]),
    );
    expect(sink.blocks.map((block) => [block.type, block.text])).toEqual([
      ['reasoning', 'a b c'],
      ['text', 'd'],
    ]);
  });

  test('[models 4.5] reasoning between texts is in its place; in one delta it comes first', async () => {
    const { sink } = await run(
      answer([{ content: 'one' }, { reasoning: 'hm' }, { content: 'two', reasoning: ' so' }, { content: ' three' }]),
    );
    expect(sink.blocks).toEqual([
      { type: 'text', text: 'one', ended: true },
      { type: 'reasoning', text: 'hm so', ended: true },
      { type: 'text', text: 'two three', ended: true },
    ]);
  });

  test('[models 4.5] a whole answer in one chunk, reason and usage included, as a server that does not stream', async () => {
    const { result, sink } = await run({
      steps: (context) => [
        chunk(context, { delta: { content: 'all of it' }, finish_reason: 'stop' }, { usage: usageOf(context, 3) }),
        DONE,
      ],
    });
    expect(result).toMatchObject({ outcome: 'completed', usage: { output_tokens: 3, estimated: false } });
    expect(sink.blocks).toEqual([{ type: 'text', text: 'all of it', ended: true }]);
  });

  test('[models 4.5] of several choices the first counts; one without an index is the first', async () => {
    const { sink } = await run(
      steps((context) => [
        data(context, { choices: [{ index: 1, delta: { content: 'no' }, finish_reason: 'stop' }] }),
        data(context, { choices: [{ delta: { content: 'yes' } }] }),
        data(context, { choices: [{ index: null, delta: { content: '!' } }] }),
        finish(context, 'stop'),
      ]),
    );
    expect(sink.deltas).toEqual(['yes', '!']);
  });

  test('[models 4.5] an empty or null finish_reason is no end; what comes behind a real one is no answer', async () => {
    const { result, sink } = await run(
      steps((context) => [
        chunk(context, { delta: { content: 'a' }, finish_reason: '' }),
        chunk(context, { delta: { content: 'b' }, finish_reason: null }),
        finish(context, 'length'),
        text(context, 'ghost'),
        finish(context, 'stop'),
      ]),
    );
    expect(result).toMatchObject({ outcome: 'completed', stopReason: 'max_tokens' });
    expect(sink.deltas).toEqual(['a', 'b']);
  });

  test('[P2] the halves of a surrogate pair that come apart are joined; NUL and lone ones become U+FFFD', async () => {
    const { sink } = await run(
      answer(['a\ud83d', '\ude00b', 'c\ud83d', 'd\0e', 'f\ud83d'].map((content) => ({ content }))),
    );
    expect(sink.deltas).toEqual(['a', '😀b', 'c', '\uFFFDd\uFFFDe', 'f', '\uFFFD']);
    expect(sink.blocks).toMatchObject([{ ended: true }]);
  });

  test('[models 4.5] deltas that are no objects, and fields of other types, change nothing', async () => {
    const { result, sink } = await run(
      steps((context) => [
        { do: 'event', event: null, data: 'text' },
        { do: 'event', event: null, data: [1] },
        data(context, { choices: 'none', usage: 'none' }),
        chunk(context, { delta: [1], finish_reason: 7 }),
        chunk(context, { delta: { content: { deep: 1 }, reasoning: 3, refusal: [], tool_calls: 'x' } }),
        text(context, 'fine'),
        finish(context, 'stop'),
      ]),
    );
    expect(result.outcome).toBe('completed');
    expect(sink.deltas).toEqual(['fine']);
  });
});

describe('finish reasons', () => {
  test.each([
    ['stop', 'end_turn'],
    ['eos', 'end_turn'],
    ['load', 'end_turn'],
    ['length', 'max_tokens'],
    ['content_filter', 'refusal'],
  ] satisfies (readonly [string, StopReason])[])('[models 4.5] %s is %s', async (stopReason, expected) => {
    const { result } = await run({ tokens: 3, stopReason });
    expect(result).toMatchObject({ outcome: 'completed', stopReason: expected, usage: { estimated: false } });
  });

  test.each(['abort', 'error'])('[models 4.5] %s is an answer that the server gave up', async (stopReason) => {
    const { result } = await run({ tokens: 3, stopReason });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'unavailable' } });
  });

  test('[models 4.5] a refusal is shown as text, and the answer counts as refused', async () => {
    const { result, sink } = await run(words({ refusal: '1' }));
    expect(result).toMatchObject({ outcome: 'completed', stopReason: 'refusal' });
    expect(sink.blocks).toEqual([SAID]);
  });

  test('[models 4.5] max_tokens is sent only where a limit is set, and cuts', async () => {
    const { result, sink } = await run({ tokens: 300 }, modelRequest('hello', { maxOutputTokens: 3 }));
    expect(result).toMatchObject({ outcome: 'completed', stopReason: 'max_tokens' });
    expect(sink.deltas).toHaveLength(3);
    await run({ tokens: 1 }, modelRequest('hello', { maxOutputTokens: null }));
    expect(fake().requests.at(-1)?.body).not.toHaveProperty('max_tokens');
  });
});

describe('tools, which are not declared yet', () => {
  const failed = (names: string): object => ({
    outcome: 'failed',
    error: { kind: 'bad_request', detail: `the model called a tool it was not given${names}` },
  });
  const called = (...calls: readonly object[]): object => ({ tool_calls: calls });

  test.each(fixtures)('[P7] %s: a call of a tool that was not given is a failed attempt', async (_, dialect) => {
    for (const ids of ['given', 'null']) {
      const { result, sink } = await dialect.run(words({ ids }, { calls: someCalls(2) }));
      expect(result).toMatchObject({ ...failed(': tool_1, tool_2'), usage: { estimated: false } });
      expect(sink.blocks).toEqual([SAID]);
    }
  });

  test.each([
    [
      'whole calls without index or id',
      called({ function: { name: 'a', arguments: '{}' } }, { function: { name: 'b' } }),
    ],
    [
      'whole calls under one index',
      called({ index: 0, id: '1', function: { name: 'a' } }, { index: 0, id: '2', function: { name: 'b' } }),
    ],
    ['ids without an index', called({ id: '1', function: { name: 'a' } }, { id: '2', function: { name: 'b' } })],
    [
      'indices without ids',
      called({ index: 0, id: null, function: { name: 'a' } }, { index: 1, id: '', function: { name: 'b' } }),
    ],
    [
      'names that are said again',
      called(
        { index: 0, id: '1', function: { name: 'a' } },
        { index: 0, id: '1', function: { name: 'a' } },
        { index: 1, function: { name: 'b' } },
      ),
    ],
  ])('[models 4.5] %s are two calls', async (_, delta) => {
    expect((await run(answer([delta], 'tool_calls'))).result).toMatchObject(failed(': a, b'));
  });

  test('[models 4.5] fragments go on with their call: by index, by id, or by being next', async () => {
    const { result } = await run(
      answer(
        [
          called({ index: 0, id: '1', function: { name: 'a', arguments: '' } }),
          called({ index: 1, id: '2', function: { name: 'b', arguments: '{"x"' } }),
          called({ index: 0, id: null, function: { name: null, arguments: '{}' } }),
          called({ id: '2', function: { arguments: ':1' } }),
          called({ function: { arguments: '}' } }),
          called(),
        ],
        'tool_calls',
      ),
    );
    expect(result).toMatchObject(failed(': a, b'));
  });

  test('[models 4.5] calls that end with `stop`, and the old function_call, are calls too', async () => {
    const call = called({ index: 0, id: '1', function: { name: 'a', arguments: '{}' } });
    expect((await run(answer([{ content: 'x' }, call]))).result).toMatchObject(failed(': a'));
    const old = { function_call: { name: 'f', arguments: '{}' } };
    expect((await run(answer([old], 'function_call'))).result).toMatchObject(failed(': f'));
    expect((await run(answer([], 'tool_calls'))).result).toMatchObject(failed(''));
  });

  test('[models 4.5] a call cut by `length` is no call: nothing is repaired', async () => {
    const call = called({ index: 0, id: '1', function: { name: 'a', arguments: '{"path":"/a","content":"hel' } });
    expect((await run(answer([{ content: 'x' }, call], 'length'))).result).toMatchObject({
      outcome: 'completed',
      stopReason: 'max_tokens',
    });
  });

  test('[P11] of calls without end 128 are kept, and only names that are names are told', async () => {
    const many = Array.from({ length: 1_000 }, (_, index) => ({ index, function: { name: `my secret <${index}>` } }));
    const named = { index: 1_000, function: { name: 'real' } };
    expect((await run(answer([called(...many, named)], 'tool_calls'))).result).toMatchObject(failed(''));
  });
});

describe('usage', () => {
  test.each(fixtures)('[P10] %s: in the last chunk, without choices, it is exact', async (_, dialect) => {
    const { result, sink } = await dialect.run(words({}));
    expect(result).toMatchObject({ usage: { output_tokens: 2, estimated: false } });
    expect(sink.usages).toEqual([result.usage]);
  });

  test.each(fixtures)('[P10] %s: running totals in every chunk overwrite and are never added', async (_, dialect) => {
    const { result, sink } = await dialect.run(words({ usage: 'every' }, { tokens: 5 }));
    expect(result.usage).toMatchObject({ output_tokens: 5, estimated: false });
    expect(sink.usages.map((seen) => [seen.output_tokens, seen.estimated])).toEqual([
      ...[1, 2, 3, 4, 5].map((tokens) => [tokens, true]),
      [5, false],
    ]);
  });

  test('[P10] with the finish reason it is exact', async () => {
    expect((await run(words({ usage: 'finish' }))).result).toMatchObject({
      usage: { output_tokens: 2, estimated: false },
    });
  });

  test.each(fixtures)('[P10] %s: a server that never says is estimated, the prompt included', async (_, dialect) => {
    const { result, sink } = await dialect.run(words({ usage: 'none' }, { text: 'x'.repeat(400) }));
    expect(result).toMatchObject({ outcome: 'completed', usage: { output_tokens: 100, estimated: true } });
    expect(result.usage?.input_tokens).toBeGreaterThan(10);
    expect(sink.usages).toEqual([]);
  });

  test('[P10] what came from the cache is part of the prompt, and is counted once', async () => {
    const { usage } = (await run(words({ cached: '5' }))).result;
    const { usage: plain } = (await run(words({}))).result;
    expect(usage).toMatchObject({ cache_read_tokens: 5, cache_write_tokens: 0, estimated: false });
    expect((usage?.input_tokens ?? 0) + 5).toBe(plain?.input_tokens);
  });

  test('[P10] figures that are none are no usage', async () => {
    for (const usage of [null, {}, { prompt_tokens: -1, completion_tokens: 2 }, { prompt_tokens: '3' }]) {
      const { result } = await run({
        steps: (context) => [text(context, 'x'), finish(context, 'stop'), data(context, { choices: [], usage }), DONE],
      });
      expect(result).toMatchObject({ outcome: 'completed', usage: { estimated: true } });
    }
  });

  test.each(['last', 'every'])('[P10] aborted (usage %s): an estimate that knows the prompt', async (usage) => {
    const { result, sink, abort } = begin(
      words({ usage }, { text: `${'x'.repeat(400)} y`, failure: { kind: 'silence', after: 1, pingMs: null } }),
    );
    await sink.untilDeltas(1);
    abort();
    const { usage: spent } = await result;
    expect(spent).toMatchObject({ output_tokens: 101, estimated: true });
    expect(spent?.input_tokens).toBeGreaterThan(10);
  });

  test('[P10] thoughts and cut calls count in the estimate', async () => {
    const call = { tool_calls: [{ index: 0, function: { name: 'abcd', arguments: 'x'.repeat(36) } }] };
    const { result } = await run({
      steps: (context) => [chunk(context, { delta: { reasoning: 'x'.repeat(40), ...call } }), { do: 'end' }],
    });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'cut' }, usage: { output_tokens: 20 } });
  });
});
