// The pairing validator against those who really decide: the fakes refuse what the real APIs refuse, and whatever the
// validator lets through is accepted by all of them.

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { type PairingRule, pairingFault } from '../../actors/chat/pairing.ts';
import type { PromptItem } from '../../actors/ports.ts';
import type { Part } from '../../protocol/content.ts';
import { anthropicFixture } from './anthropic-fixture.ts';
import { chatCompletionsFixture } from './chat-completions-fixture.ts';
import { responsesFixture } from './responses-fixture.ts';
import { assistantItem, modelRequest, userItem } from './support.ts';
import { TOOLS, runTurn, tool } from './tool-loop.ts';

const anthropic = anthropicFixture();
const responses = responsesFixture();
const compatible = chatCompletionsFixture('vllm');
const FIXTURES = [
  ['anthropic', anthropic],
  ['responses', responses],
  ['chat completions', compatible],
] as const;

const call = (id: string, name = 'clock', text = '{}'): Part => ({ type: 'tool_call', call: id, name, text });
const result = (id: string): Part => ({ type: 'tool_result', call: id, text: 'done', status: 'ok' });
const asks = (...parts: readonly Part[]): PromptItem => ({ role: 'assistant', parts, provider: null });
const answers = (...ids: readonly string[]): PromptItem => ({ role: 'tool', parts: ids.map(result), provider: null });

const hi = userItem('hi');
const blank = assistantItem(' ', null);

function rule(items: readonly PromptItem[], tools = TOOLS): PairingRule | null {
  return pairingFault({ items, tools })?.rule ?? null;
}

/** Who refuses a request of these items, by name. */
async function refusals(items: readonly PromptItem[]): Promise<readonly string[]> {
  const refused: string[] = [];
  for (const [name, { run }] of FIXTURES) {
    const ran = await run({ tokens: 1 }, modelRequest(items, { tools: TOOLS }));
    if (ran.result.outcome === 'completed') continue;
    // Refused for what it is, or not sent at all.
    expect(ran.result).toMatchObject({ outcome: 'failed', error: { status: items.some(isSaid) ? 400 : null } });
    refused.push(name);
  }
  return refused;
}

/** Something of it is sent. */
function isSaid({ role, parts }: PromptItem): boolean {
  return role !== 'assistant' || parts.some(({ text }) => text.trim() !== '');
}

describe('what is sent', () => {
  test.each<[string, readonly PromptItem[]]>([
    ['one message', [hi]],
    ['a blank one', [userItem(' ')]],
    ['a call and its result', [hi, asks(call('a')), answers('a')]],
    ['calls in parallel, results in any order', [hi, asks(call('a'), call('b')), answers('b', 'a'), hi]],
    ['steps in a row', [hi, asks(call('a')), answers('a'), asks(call('b')), answers('b')]],
    ['an answer without a word, in between', [hi, asks(call('a')), blank, answers('a'), blank]],
    ['messages of users in a row', [hi, hi, asks(call('a')), answers('a'), hi, hi]],
  ])('[P12] %s: accepted here and by all', async (_, items) => {
    expect(rule(items)).toBeNull();
    expect(await refusals(items)).toEqual([]);
  });

  test.each<[PairingRule, readonly PromptItem[]]>([
    ['no_messages', []],
    ['no_messages', [blank]],
    ['first_role', [assistantItem('hello', null), hi]],
    ['last_role', [hi, assistantItem('hello', null)]],
    ['call_name', [hi, asks(call('a', 'a.b')), answers('a')]],
    ['call_id', [hi, asks(call('x'.repeat(65))), answers('x'.repeat(65))]],
    ['call_id', [hi, asks(call('a b')), answers('a b')]],
    ['call_id_reused', [hi, asks(call('a'), call('a')), answers('a')]],
    ['call_id_reused', [hi, asks(call('a')), answers('a'), asks(call('a')), answers('a')]],
    ['call_unanswered', [hi, asks(call('a'))]],
    ['call_unanswered', [hi, asks(call('a')), hi]],
    ['call_unanswered', [hi, asks(call('a'), call('b')), answers('a')]],
    ['call_unanswered', [hi, asks(call('a')), hi, answers('a')]],
    ['call_unanswered', [hi, asks(call('a')), assistantItem('hm', null), answers('a')]],
    ['result_without_call', [hi, answers('a')]],
    ['result_without_call', [hi, asks(call('a')), answers('a', 'b')]],
    ['result_without_call', [hi, asks(call('a')), answers('a'), answers('a')]],
    ['result_repeated', [hi, asks(call('a')), answers('a', 'a')]],
  ])('[P12] %s: found here, and somebody refuses it', async (expected, items) => {
    expect(rule(items)).toBe(expected);
    expect(await refusals(items)).not.toEqual([]);
  });

  test('[P12] parts out of place, tools out of order and blocks that call something else are found', () => {
    expect(rule([{ ...hi, parts: [call('a')] }])).toBe('unfit_part');
    expect(rule([hi, asks(call('a')), { ...answers('a'), parts: [result('a'), { type: 'text', text: 'x' }] }])).toBe(
      'unfit_part',
    );
    expect(rule([hi, asks(call('a')), { ...answers(), parts: [] }])).toBe('unfit_part');
    expect(rule([hi], [tool('b'), tool('a')])).toBe('tools');
    expect(rule([hi], [tool('a'), tool('a')])).toBe('tools');
    expect(rule([hi], [tool('a.b')])).toBe('tools');
    expect(rule([hi], [tool('a', '{"type":"string"}')])).toBe('tools');
    expect(rule([hi], [tool('a', '{"type":"obj')])).toBe('tools');
    const json = new TextEncoder().encode('[{"type":"tool_use","id":"other","name":"clock","input":{}}]');
    const stored = { ...asks(call('a')), provider: { provider: 'anthropic', json } };
    expect(rule([hi, stored, answers('a')])).toBe('provider_calls');
    expect(rule([hi, { ...assistantItem('x', null), provider: stored.provider }, hi])).toBe('provider_calls');
  });

  test('[P12] the ledger of a turn with tools is accepted at each of its steps, blocks of its provider included', async () => {
    for (const [name, fixture] of FIXTURES) {
      const { items } = await runTurn(fixture, 'fake: thinking=1 tokens=1 steps=3 calls=2');
      for (const [i, item] of items.entries()) {
        const isRequest = item.role !== 'assistant';
        expect(rule(items.slice(0, i + 1)), name).toBe(
          isRequest ? null : i === items.length - 1 ? 'last_role' : 'call_unanswered',
        );
      }
    }
  });
});

/** Items of a chat, then one thing done to them that may break it. */
const prompts: fc.Arbitrary<readonly PromptItem[]> = fc
  .record({
    turns: fc.array(
      fc.record({
        says: fc.constantFrom('hello', '', '😀'),
        steps: fc.array(fc.record({ calls: fc.integer({ min: 1, max: 3 }), text: fc.constantFrom('', 'hm') }), {
          maxLength: 2,
        }),
        answer: fc.constantFrom('yes', '', ' '),
      }),
      { minLength: 1, maxLength: 3 },
    ),
    damage: fc.constantFrom('none', 'none', 'drop', 'repeat', 'swap', 'rename', 'reuse', 'lose', 'double'),
    at: fc.nat(),
  })
  .map(({ turns, damage, at }) => {
    const items: PromptItem[] = [];
    for (const [t, { says, steps, answer }] of turns.entries()) {
      items.push(userItem(says));
      for (const [s, { calls, text }] of steps.entries()) {
        const ids = Array.from({ length: calls }, (_, i) => `call_${t}_${s}_${i}`);
        items.push(asks({ type: 'text', text }, ...ids.map((id) => call(id))), answers(...ids));
      }
      if (t < turns.length - 1) items.push(assistantItem(answer, null));
    }
    return damaged(items, damage, at % items.length);
  });

function damaged(items: readonly PromptItem[], damage: string, at: number): readonly PromptItem[] {
  const change = (by: (item: PromptItem) => readonly PromptItem[]): readonly PromptItem[] =>
    items.flatMap((item, i) => (i === at ? by(item) : [item]));
  switch (damage) {
    case 'drop':
      return change(() => []);
    case 'repeat':
      return change((item) => [item, item]);
    case 'swap':
      return [...items.slice(0, at), ...items.slice(at).toReversed()];
    case 'rename':
      return change((item) => [{ ...item, parts: item.parts.map((part) => renamed(part, 'call_other')) }]);
    case 'reuse':
      return items.map((item) => ({ ...item, parts: item.parts.map((part) => renamed(part, 'call_0_0_0')) }));
    case 'lose':
      return change((item) => [{ ...item, parts: item.parts.slice(0, Math.max(1, item.parts.length - 1)) }]);
    case 'double':
      return change((item) => [{ ...item, parts: [...item.parts, ...item.parts] }]);
    default:
      return items;
  }
}

function renamed(part: Part, id: string): Part {
  return 'call' in part ? { ...part, call: id } : part;
}

test('[P12] on random prompts, whole and damaged, the validator and the three protocols agree', async () => {
  let refusedCount = 0;
  await fc.assert(
    fc.asyncProperty(prompts, async (items) => {
      const refused = await refusals(items);
      refusedCount += refused.length > 0 ? 1 : 0;
      expect(rule(items) === null ? [] : ['somebody'], JSON.stringify(items)).toEqual(
        refused.length === 0 ? [] : ['somebody'],
      );
    }),
    { numRuns: 120, seed: 5 },
  );
  expect(refusedCount).toBeGreaterThan(20);
});
