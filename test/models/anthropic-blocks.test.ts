// Blocks, stop reasons and usage of Anthropic's stream (models 4.4), and what of them may go back into a prompt.

import { describe, expect, test } from 'vitest';

import type { StopReason } from '../../actors/ports.ts';
import {
  type StepContext,
  block,
  event,
  messageEnd,
  messageStart,
  textBlock,
} from '../../loadtest/fakes/anthropic-steps.ts';
import type { Step } from '../../loadtest/fakes/player.ts';
import { anthropicFixture, broken, message } from './anthropic-fixture.ts';
import { blocksOf } from './support.ts';

const { run, begin } = anthropicFixture();

const THINKING = { type: 'thinking', thinking: '', signature: '' };
const TEXT = { type: 'text', text: '', citations: null };
const thought = (thinking: string): unknown => ({ type: 'thinking_delta', thinking });
const said = (text: string): unknown => ({ type: 'text_delta', text });
const signed = (signature: string): unknown => ({ type: 'signature_delta', signature });
const fragment = (partial_json: string): unknown => ({ type: 'input_json_delta', partial_json });
const answer = textBlock(9, ['the answer']);
const ANSWER = { type: 'text', text: 'the answer', citations: null };

describe('accumulation', () => {
  test('[models 4.4] blocks are accumulated by index, even when their deltas are mixed', async () => {
    const [startA, ...restA] = block(0, TEXT, [said('a1 '), said('a2')]);
    const [startB, ...restB] = block(1, TEXT, [said('b1 '), said('b2')]);
    const mixed = [startA, startB, ...restA.flatMap((step, i) => [step, restB[i]])] as readonly Step[];
    const { result, sink } = await run({ steps: message([mixed]) });
    expect(sink.blocks).toEqual([
      { type: 'text', text: 'a1 a2', ended: true },
      { type: 'text', text: 'b1 b2', ended: true },
    ]);
    expect(blocksOf(result)).toEqual([
      { ...TEXT, text: 'a1 a2' },
      { ...TEXT, text: 'b1 b2' },
    ]);
  });

  test('[models 4.4] signature_delta replaces: the last signature counts, none is joined', async () => {
    const thinking = block(0, THINKING, [thought('hm '), signed('first'), thought('so'), signed('second')]);
    const { result, sink } = await run({ steps: message([thinking, answer]) });
    expect(blocksOf(result)).toEqual([{ type: 'thinking', thinking: 'hm so', signature: 'second' }, ANSWER]);
    expect(sink.blocks[0]).toEqual({ type: 'reasoning', text: 'hm so', ended: true });
  });

  test('[models 4.4] thinking whose text is omitted is shown as an empty block and goes back with its signature', async () => {
    const { result, sink } = await run({ thinking: { kind: 'omitted', tokens: 0 }, tokens: 2 });
    expect(sink.blocks.map(({ type, text }) => [type, text])).toEqual([
      ['reasoning', ''],
      ['text', 'token1 token2 '],
    ]);
    expect(blocksOf(result)).toMatchObject(
      [{ type: 'thinking', thinking: '', signature: /.+/u }, { type: 'text' }].map((block) =>
        'signature' in block ? { ...block, signature: expect.any(String) as string } : block,
      ),
    );
  });

  test('[models 4.4] redacted thinking is kept with its data', async () => {
    const { result, sink } = await run({ thinking: { kind: 'redacted', tokens: 0 }, tokens: 1 });
    expect(sink.blocks[0]).toEqual({ type: 'reasoning', text: '', ended: true });
    expect(blocksOf(result)).toMatchObject([{ type: 'redacted_thinking', data: expect.any(String) as string }, {}]);
  });

  test('[models 4.4] unknown events and deltas are let through, unknown blocks are kept byte for byte', async () => {
    const unknown = { zeta: 1, type: 'brand_new_block', alpha: { b: [null, 'ü'], a: 1.5 }, tool_use_id: 'x' };
    const steps = message([
      [event('brand_new_event', { type: 'brand_new_event' }), event('odd', [1, 2]), event('odder', 'text')],
      block(0, unknown, []),
      block(1, TEXT, [said('one '), { type: 'brand_new_delta', note: 1 }, said('two')]),
    ]);
    const { result, sink } = await run({ steps });
    const stored = new TextDecoder().decode(result.provider?.json);
    expect(stored).toBe(JSON.stringify([unknown, { ...TEXT, text: 'one two' }]));
    expect(sink.blocks).toEqual([{ type: 'text', text: 'one two', ended: true }]);
  });

  test('[models 4.4] an unknown block that was built by unknown deltas cannot go back', async () => {
    const steps = message([block(0, { type: 'brand_new_block' }, [{ type: 'brand_new_delta', x: 1 }]), answer]);
    expect(blocksOf((await run({ steps })).result)).toEqual([ANSWER]);
  });

  test('[models 4.4] events for blocks that never started, and broken ones, change nothing', async () => {
    const odd = [
      event('content_block_delta', { type: 'content_block_delta', index: 7, delta: said('ghost') }),
      event('content_block_stop', { type: 'content_block_stop', index: 7 }),
      event('content_block_start', { type: 'content_block_start', index: 'x', content_block: TEXT }),
      event('content_block_start', { type: 'content_block_start', index: 3, content_block: null }),
      event('message_delta', { type: 'message_delta', delta: null, usage: null }),
      event('x', null),
    ];
    const { result, sink } = await run({ steps: message([odd, answer]) });
    expect(result.outcome).toBe('completed');
    expect(sink.blocks).toEqual([{ type: 'text', text: 'the answer', ended: true }]);
  });

  test('[models 4.4] citations are appended to their text', async () => {
    const citation = { type: 'char_location', cited_text: 'c', document_index: 0 };
    const steps = message([block(0, TEXT, [said('cited'), { type: 'citations_delta', citation }])]);
    expect(blocksOf((await run({ steps })).result)).toEqual([{ type: 'text', text: 'cited', citations: [citation] }]);
  });

  test('[models 4.4] empty and blank texts do not go back, and empty ones are not shown', async () => {
    const steps = message([block(0, TEXT, []), block(1, TEXT, [said('')]), block(2, TEXT, [said(' \n')]), answer]);
    const { result, sink } = await run({ steps });
    expect(sink.blocks.map((shown) => shown.text)).toEqual([' \n', 'the answer']);
    expect(blocksOf(result)).toEqual([ANSWER]);
  });

  test('[models 4.4] a message without any content has nothing to send back', async () => {
    const { result, sink } = await run({ steps: message([]) });
    expect(result).toMatchObject({ outcome: 'completed', provider: null });
    expect(sink.blocks).toEqual([]);
  });

  test('[P2] the halves of a surrogate pair that come apart are joined; NUL and lone ones become U+FFFD', async () => {
    const steps = message([
      block(0, TEXT, [said('a\ud83d'), said('\ude00b'), said('c\ud83d'), said('d\0e'), said('f\ud83d')]),
    ]);
    const { result, sink } = await run({ steps });
    expect(sink.deltas).toEqual(['a', '😀b', 'c', '\uFFFDd\uFFFDe', 'f', '\uFFFD']);
    expect(JSON.stringify(blocksOf(result)).isWellFormed()).toBe(true);
  });
});

describe('tools, which are not declared yet', () => {
  const call = { type: 'tool_use', id: 'toolu_1', name: 'write', input: {}, caller: { type: 'direct' } };

  test('[P7] a call of a tool that was not given is a failed attempt, and does not go back', async () => {
    const steps = message([answer, block(10, call, [fragment('{"path":'), fragment('"/a"}')])], 'tool_use');
    const { result, sink } = await run({ steps });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'bad_request' }, usage: { estimated: false } });
    expect(blocksOf(result)).toEqual([ANSWER]);
    expect(sink.blocks).toHaveLength(1);
  });

  test('[models 4.4] a call cut by max_tokens is not repaired into a partial one', async () => {
    const steps = message([answer, block(10, call, [fragment('{"path":"/a","content":"hel')])], 'max_tokens');
    const { result } = await run({ steps });
    expect(result).toMatchObject({ outcome: 'completed', stopReason: 'max_tokens' });
    expect(blocksOf(result)).toEqual([ANSWER]);
  });

  const serverCall = { type: 'server_tool_use', id: 'srvtoolu_1', name: 'web_search', input: {} };
  const serverResult = { type: 'web_search_tool_result', tool_use_id: 'srvtoolu_1', content: [{ url: 'u' }] };

  test("[models 4.4] a server tool's call goes back with its parsed input and its result", async () => {
    const calls = block(0, serverCall, [fragment('{"query":'), fragment('"a b"}')]);
    const { result } = await run({ steps: message([calls, block(1, serverResult, []), answer]) });
    expect(blocksOf(result)).toEqual([{ ...serverCall, input: { query: 'a b' } }, serverResult, ANSWER]);
  });

  test.each([
    ['without its result (pause_turn)', [block(0, serverCall, [fragment('{"query":"a"}')])], 'pause_turn'],
    ['with a cut input', [block(0, serverCall, [fragment('{"query":"a')])], 'max_tokens'],
  ])("[models 4.4] a server tool's call %s does not go back", async (_, blocks, stop) => {
    const { result } = await run({ steps: message([answer, ...blocks], stop) });
    expect(blocksOf(result)).toEqual([ANSWER]);
  });

  test('[models 4.4] an input that is empty is {}', async () => {
    const { result } = await run({ steps: message([block(0, serverCall, []), block(1, serverResult, []), answer]) });
    expect(blocksOf(result)).toEqual([serverCall, serverResult, ANSWER]);
  });
});

describe('stop reasons', () => {
  test.each([
    ['end_turn', 'end_turn'],
    ['stop_sequence', 'end_turn'],
    ['pause_turn', 'end_turn'],
    ['a_reason_of_tomorrow', 'end_turn'],
    ['max_tokens', 'max_tokens'],
    ['refusal', 'refusal'],
    ['model_context_window_exceeded', 'context_overflow'],
  ] satisfies (readonly [string, StopReason])[])('[models 4.4] %s is %s', async (stopReason, expected) => {
    const { result } = await run({ tokens: 3, stopReason });
    expect(result).toMatchObject({ outcome: 'completed', stopReason: expected, usage: { estimated: false } });
  });

  test('[models 4.4] max_tokens in the middle of the text', async () => {
    const { result, sink } = await run({ steps: message([textBlock(0, ['half a sen'])], 'max_tokens') });
    expect(result).toMatchObject({ outcome: 'completed', stopReason: 'max_tokens' });
    expect(sink.blocks).toEqual([{ type: 'text', text: 'half a sen', ended: true }]);
  });

  test('[models 4.4] of a refused message nothing goes back, though its text was shown', async () => {
    const { result, sink } = await run({ tokens: 3, stopReason: 'refusal' });
    expect(sink.deltas).toHaveLength(3);
    expect(blocksOf(result)).toEqual([]);
  });

  test('[models 4.4] thinking as the last block does not go back: the API refuses that', async () => {
    const thinking = block(1, THINKING, [thought('hm'), signed('s')]);
    expect(blocksOf((await run({ steps: message([answer, thinking], 'max_tokens') })).result)).toEqual([ANSWER]);
    expect((await run({ steps: message([thinking], 'max_tokens') })).result.provider).toBeNull();
  });
});

describe('an interrupted message', () => {
  const done = block(0, THINKING, [thought('whole'), signed('s')]);
  const [start, ...rest] = block(1, THINKING, [thought('half'), signed('s2')]);
  const open = (blocks: readonly Step[]): readonly Step[] => blocks.slice(0, -1);

  test('[models 4.4] finished blocks go back as they are, an unfinished text as far as it came', async () => {
    const steps = broken([done, open(block(1, TEXT, [said('so '), said('far')]))]);
    const { result, sink } = await run({ steps });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'cut' } });
    expect(blocksOf(result)).toEqual([
      { type: 'thinking', thinking: 'whole', signature: 's' },
      { ...TEXT, text: 'so far' },
    ]);
    expect(sink.blocks.map((shown) => shown.ended)).toEqual([true, false]);
  });

  test.each([
    ['without its signature', [start, rest[0]]],
    ['with its signature, but not its end', [start, ...rest.slice(0, -1)]],
  ])('[models 4.4] unfinished thinking %s does not go back', async (_, half) => {
    const { result } = await run({ steps: broken([textBlock(0, ['text']), half as readonly Step[]]) });
    expect(blocksOf(result)).toEqual([{ ...TEXT, text: 'text' }]);
  });

  test.each([
    ['without its signature', [start, rest[0], rest.at(-1)]],
    ['without its end', [start, ...rest.slice(0, -1)]],
  ])('[models 4.4] thinking %s does not go back, though a text came after it', async (_, half) => {
    const { result } = await run({ steps: broken([half as readonly Step[], textBlock(2, ['text'])]) });
    expect(blocksOf(result)).toEqual([{ ...TEXT, text: 'text' }]);
  });

  test('[models 4.4] an unfinished call does not go back', async () => {
    const call = { type: 'tool_use', id: 't', name: 'n', input: {} };
    const { result } = await run({ steps: broken([answer, open(block(10, call, [fragment('{"a":1}')]))]) });
    expect(blocksOf(result)).toEqual([ANSWER]);
  });

  test('[models 4.4] half a code point at the end does not go back', async () => {
    const { result, sink } = await run({ steps: broken([open(block(0, TEXT, [said('ab\ud83d')]))]) });
    expect(blocksOf(result)).toEqual([{ ...TEXT, text: 'ab' }]);
    expect(sink.deltas).toEqual(['ab']);
  });

  test('[models 4.4] nothing is left of an attempt that only began to think', async () => {
    const { result } = await run({ steps: broken([[start, rest[0]] as readonly Step[]]) });
    expect(result.provider).toBeNull();
  });
});

describe('usage', () => {
  const usage = (input: number, output: number, read: number | null): unknown => ({
    input_tokens: input,
    output_tokens: output,
    cache_read_input_tokens: read,
    cache_creation_input_tokens: null,
  });

  test('[P10] running totals overwrite and are never added; what is missing keeps its last figure', async () => {
    const delta = (figures: unknown): Step =>
      event('message_delta', { type: 'message_delta', delta: { stop_reason: null }, usage: figures });
    const steps = (context: StepContext): readonly Step[] => [
      messageStart({ ...context, usage: { input: 100, cacheRead: 40, cacheWrite: 7 } }),
      ...answer,
      delta(usage(100, 5, 40)),
      delta(usage(101, 9, null)),
      delta({ output_tokens: 12 }),
      event('message_stop', { type: 'message_stop' }),
    ];
    const { result, sink } = await run({ steps });
    const expected = { input_tokens: 101, output_tokens: 12, cache_read_tokens: 40, cache_write_tokens: 7 };
    expect(result.usage).toEqual({ ...expected, estimated: false });
    expect(sink.usages.map((seen) => seen.output_tokens)).toEqual([1, 5, 9, 12, 12]);
  });

  test('[P10] aborted: input and cache as the provider said, output a guess, marked as an estimate', async () => {
    const text = 'x'.repeat(400);
    const { result, sink, abort } = begin({ text: `${text} y`, failure: { kind: 'silence', after: 1, pingMs: null } });
    await sink.untilDeltas(1);
    abort();
    const { usage: spent } = await result;
    expect(spent).toMatchObject({ output_tokens: 101, estimated: true });
    expect(
      (spent?.input_tokens ?? 0) + (spent?.cache_write_tokens ?? 0) + (spent?.cache_read_tokens ?? 0),
    ).toBeGreaterThan(0);
  });

  test('[P10] aborted after message_stop: the figures are exact, and not called an estimate', async () => {
    const steps = (context: StepContext): readonly Step[] => [
      messageStart(context),
      ...answer,
      ...messageEnd(context, 'end_turn', 77),
      { do: 'silence', pingMs: null },
    ];
    const { result, sink, abort } = begin({ steps });
    await sink.until(() => sink.usages.at(-1)?.estimated === false);
    abort();
    expect(await result).toMatchObject({ outcome: 'aborted', usage: { output_tokens: 77, estimated: false } });
  });

  test('[P10] cut: the larger of what the provider said and what was seen', async () => {
    const steps = (context: StepContext): readonly Step[] => [
      messageStart(context),
      ...answer,
      messageEnd(context, 'end_turn', 5_000)[0] as Step,
      { do: 'end' },
    ];
    expect((await run({ steps })).result.usage).toMatchObject({ output_tokens: 5_000, estimated: true });
  });

  test('[P10] a message that never said its usage is an estimate', async () => {
    const steps = (): readonly Step[] => [...answer, event('message_stop', { type: 'message_stop' })];
    const { result } = await run({ steps });
    expect(result).toMatchObject({ outcome: 'completed', usage: { estimated: true } });
  });
});
