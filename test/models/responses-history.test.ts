// A history that is built from results goes back into requests that OpenAI accepts (P8, P12, models 4.5). The fake server
// validates like the real one: ids that it does not know, reasoning and what follows it, calls and their outputs.

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { AttemptResult, PromptItem } from '../../actors/ports.ts';
import type { Scenario } from '../../loadtest/fakes/scenario.ts';
import { type Plan, responsesFixture, scripted } from './responses-fixture.ts';
import { type RecordingSink, assistantItem, blocksOf, modelRequest, userItem } from './support.ts';

const { fake, run } = responsesFixture();

const THINKS: Partial<Scenario> = { thinking: { kind: 'signed', tokens: 3 }, tokens: 4 };

/** What the ledger keeps of an attempt: the text that was shown, and what the adapter gave for the prompt. */
function answered(result: AttemptResult, sink: RecordingSink): PromptItem {
  const text = sink.blocks.map((block) => (block.type === 'text' ? block.text : '')).join('');
  return assistantItem(text, result.outcome === 'completed' ? result.provider : null);
}

type Sent = { readonly input: readonly Record<string, unknown>[]; readonly [key: string]: unknown };

function lastRequest(): Sent {
  return fake().requests.at(-1)?.body as Sent;
}

describe('the request', () => {
  test('[models 4.5] nothing is kept at the provider', async () => {
    await run({ tokens: 1 }, modelRequest('hello', { system: ['one', ' ', 'two'] }));
    expect(lastRequest()).toEqual({
      model: 'claude-test-1',
      instructions: 'one\n\ntwo',
      input: [{ role: 'user', content: [{ type: 'input_text', text: 'hello' }] }],
      max_output_tokens: 100_000,
      prompt_cache_key: '018f0000-0000-7000-8000-000000000001',
      store: false,
      stream: true,
      stream_options: { include_obfuscation: false },
    });
  });

  test('[P12] a blank message is sent as something, a blank answer is left out', async () => {
    const { result } = await run(null, modelRequest([userItem(' '), assistantItem('', null), userItem('')]));
    expect(result.outcome).toBe('completed');
    expect(lastRequest().input).toHaveLength(2);
  });

  test("[models 4.5] another provider's blocks and reasoning mean nothing here", async () => {
    const parts = [
      { type: 'reasoning', text: 'private' },
      { type: 'text', text: 'public' },
    ] as const;
    const provider = { provider: 'anthropic', json: new TextEncoder().encode('[{"type":"thinking"}]') };
    const foreign: PromptItem = { role: 'assistant', parts, provider };
    expect((await run(null, modelRequest([userItem('a'), foreign, userItem('b')]))).result.outcome).toBe('completed');
    expect(lastRequest().input[1]).toEqual({ role: 'assistant', content: 'public' });
  });

  test('[P12] stored items that cannot be read are replaced by the text of their message', async () => {
    const damaged = assistantItem('still here', { provider: 'openai', json: new Uint8Array([1, 2, 3]) });
    expect((await run(null, modelRequest([userItem('a'), damaged, userItem('b')]))).result.outcome).toBe('completed');
    expect(lastRequest().input[1]).toEqual({ role: 'assistant', content: 'still here' });
  });
});

describe('round trips', () => {
  test('[models 4.5] reasoning goes back encrypted, byte for byte as its `done` event gave it, without ids', async () => {
    const items: PromptItem[] = [];
    for (const kind of ['signed', 'omitted', 'none', 'signed'] as const) {
      items.push(userItem(`question ${items.length}`));
      const { result, sink } = await run({ ...THINKS, thinking: { kind, tokens: 3 } }, modelRequest(items));
      expect(result.outcome).toBe('completed');
      items.push(answered(result, sink));
    }
    items.push(userItem('last'));
    expect((await run(null, modelRequest(items))).result.outcome).toBe('completed');
    const { input } = lastRequest();
    expect(input.map(({ type, role }) => type ?? role).join(' ')).toBe(
      'user reasoning message user reasoning message user message user reasoning message user',
    );
    expect(input.filter((item) => 'id' in item || 'status' in item)).toEqual([]);
    expect(input[1]).toEqual({
      type: 'reasoning',
      summary: [{ type: 'summary_text', text: 'thought1 thought2 thought3 ' }],
      encrypted_content: expect.stringMatching(/^gAAA\./u) as string,
    });
    expect(input[2]).toMatchObject({ type: 'message', role: 'assistant', phase: 'final_answer' });
  });

  test('[models 4.5] altered reasoning is refused, so a test would see it: the gate works', async () => {
    const { result, sink } = await run(THINKS, modelRequest([userItem('a')]));
    const item = answered(result, sink);
    const forged = new TextDecoder().decode(item.provider?.json).replace('gAAA.', 'gAAA.x');
    const provider = { provider: 'openai', json: new TextEncoder().encode(forged) };
    const next = await run(null, modelRequest([userItem('a'), { ...item, provider }, userItem('b')]));
    expect(next.result).toMatchObject({ outcome: 'failed', error: { kind: 'reasoning_rejected', status: 400 } });
  });

  test.each<[string, Plan]>([
    ['is the last', scripted((script) => script.begin().message(['a'], 'completed').reasoning(['b']).completed())],
    ['came before an unknown item', unknownBehind()],
    ['is all there is', scripted((script) => script.begin().reasoning(['b']).completed())],
    [
      'came before a call',
      scripted((script) => script.begin().message(['a'], 'completed').reasoning(['b']).call('f', ['{}']).completed()),
    ],
  ])('[models 4.5] reasoning that %s stays out of prompts', async (_, plan) => {
    const { result } = await run(plan);
    const kept = blocksOf(result) as readonly { readonly type: string }[] | null;
    expect(kept?.map(({ type }) => type) ?? []).not.toContain('reasoning');
    const item = assistantItem('a', result.provider);
    expect((await run(null, modelRequest([userItem('q'), item, userItem('r')]))).result.outcome).toBe('completed');
  });

  test('[P10] input that was cached is counted once, in its own column', async () => {
    const items = [userItem('a question of some length, unlike any other, about nothing at all '.repeat(100))];
    const first = await run({ tokens: 30 }, modelRequest(items));
    items.push(answered(first.result, first.sink), userItem('another one, '.repeat(60)));
    const second = await run({ tokens: 3 }, modelRequest(items));
    const paid = fake().endpoint.paid.at(-1);
    const { usage } = second.result;
    expect(usage).toMatchObject({ output_tokens: 3, estimated: false });
    expect(usage?.cache_read_tokens).toBeGreaterThan(10);
    expect(usage?.cache_write_tokens).toBeGreaterThan(0);
    const columns = [usage?.input_tokens, usage?.cache_read_tokens, usage?.cache_write_tokens];
    expect(columns.reduce<number>((sum, tokens) => sum + (tokens ?? 0), 0)).toBe(paid?.inputTokens);
  });

  test('[P8] instructions and input of step k are a prefix of those of step k + 1; none is refused', async () => {
    const scenario = fc.constantFrom<Partial<Scenario>>(
      { tokens: 2 },
      THINKS,
      { ...THINKS, thinking: { kind: 'omitted', tokens: 0 } },
      { ...THINKS, failure: { kind: 'cut', after: 2, inLine: false } },
      { ...THINKS, failure: { kind: 'event', type: 'server_error', after: 4 } },
      { ...THINKS, stopReason: 'function_call' },
      { ...THINKS, stopReason: 'max_output_tokens' },
      { tokens: 3, stopReason: 'refusal' },
      { tokens: 3, stopReason: 'content_filter' },
      { text: ' ' },
      { tokens: 0 },
      { ...THINKS, unknown: true },
    );
    const step = fc.record({ text: fc.constantFrom('hello', '', ' ', 'fake news', '😀'), plan: scenario });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 6 }), async (steps) => {
        const items: PromptItem[] = [];
        let before: Sent | null = null;
        for (const { text, plan } of steps) {
          items.push(userItem(text));
          const { result, sink } = await run(plan, modelRequest(items));
          expect(result.outcome === 'failed' ? result.error.status : null).toBeNull();
          items.push(answered(result, sink));
          const now = lastRequest();
          if (before !== null) expect(now.input.slice(0, before.input.length)).toEqual(before.input);
          if (before !== null) expect(now['instructions']).toBe(before['instructions']);
          before = now;
        }
      }),
      { numRuns: 40, seed: 7 },
    );
  });
});

function unknownBehind(): Plan {
  return scripted((script) => {
    const item = { id: 'new_1', type: 'brand_new_item', payload: 1 };
    return script.begin().reasoning(['b']).item(item, item).message(['a'], 'completed').completed();
  });
}
