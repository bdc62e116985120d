// A history that is built from results goes back into requests that the provider accepts (P8, P12, models 4.4). The fake
// server validates like the real one: roles, blank texts, pairs, thinking bound to its exact prefix.

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { must } from '../../protocol/assert.ts';
import { RECOVERY_NOTE } from '../../actors/chat/prompt.ts';
import type { AttemptResult, PromptItem, ProviderBlocks } from '../../actors/ports.ts';
import type { Scenario } from '../../loadtest/fakes/scenario.ts';
import { anthropicFixture } from './anthropic-fixture.ts';
import { type RecordingSink, assistantItem, modelRequest, userItem } from './support.ts';
import { TOOLS } from './tool-loop.ts';

const { fake, run, begin } = anthropicFixture();

/** What the ledger keeps of an attempt: the text that was shown, and what the adapter gave for the prompt. */
function answered(result: AttemptResult, sink: RecordingSink): PromptItem {
  const text = sink.blocks.map((block) => (block.type === 'text' ? block.text : '')).join('');
  return assistantItem(text, result.provider);
}

/** Without the marks of the cache, which move and are no part of the prompt. */
function lastRequest(): { readonly system: string; readonly messages: readonly string[] } {
  const body = fake().requests.at(-1)?.body as { system: unknown; messages: readonly unknown[] };
  const plain = (value: unknown): string =>
    JSON.stringify(value, (key, inner: unknown) => (key === 'cache_control' ? undefined : inner));
  return { system: plain(body.system), messages: body.messages.map(plain) };
}

const THINKS: Partial<Scenario> = { thinking: { kind: 'signed', tokens: 3 }, tokens: 4 };

describe('round trips', () => {
  test('[models 4.4] signed, omitted and redacted thinking goes back as it came, and is accepted', async () => {
    const items: PromptItem[] = [];
    const kinds = ['signed', 'omitted', 'redacted', 'none', 'signed'] as const;
    for (const [i, kind] of kinds.entries()) {
      items.push(userItem(`question ${i}`));
      const { result, sink } = await run(
        { thinking: { kind, tokens: 3 }, tokens: 4, unknown: i === 2 },
        modelRequest(items),
      );
      expect(result.outcome).toBe('completed');
      items.push(answered(result, sink));
    }
    expect(lastRequest().messages).toHaveLength(9);
  });

  test('[models 4.4] altered thinking is refused, so a test would see it: the gate works', async () => {
    const { result, sink } = await run(THINKS, modelRequest([userItem('a')]));
    const item = answered(result, sink);
    const forged = new TextDecoder().decode(item.provider?.json).replace('thought1', 'thought9');
    const provider: ProviderBlocks = { provider: 'anthropic', json: new TextEncoder().encode(forged) };
    const next = await run(null, modelRequest([userItem('a'), { ...item, provider }, userItem('b')]));
    expect(next.result).toMatchObject({ outcome: 'failed', error: { kind: 'reasoning_rejected', status: 400 } });
  });

  test('[P8] thinking after another prefix is refused: history may only be appended to', async () => {
    const { result, sink } = await run(THINKS, modelRequest([userItem('a')]));
    const items = [userItem('A'), answered(result, sink), userItem('b')];
    expect((await run(null, modelRequest(items))).result).toMatchObject({
      outcome: 'failed',
      error: { kind: 'reasoning_rejected' },
    });
  });

  test('[models 4.4] the form of an interrupted message is accepted, and stays part of the prefix', async () => {
    const first = begin(
      { ...THINKS, failure: { kind: 'silence', after: 5, pingMs: null } },
      modelRequest([userItem('a')]),
    );
    await first.sink.untilDeltas(4);
    await first.sink.until((sink) => sink.blocks.some((block) => block.type === 'text' && block.text !== ''));
    first.abort();
    const items = [userItem('a'), answered(await first.result, first.sink), userItem('go on')];
    const second = await run(THINKS, modelRequest(items));
    expect(second.result.outcome).toBe('completed');
    items.push(answered(second.result, second.sink), userItem('and on'));
    expect((await run(THINKS, modelRequest(items))).result.outcome).toBe('completed');
  });

  test('[P12] an attempt stopped while it thinks leaves no message behind; the next request is accepted', async () => {
    const first = begin(
      { ...THINKS, failure: { kind: 'silence', after: 2, pingMs: null } },
      modelRequest([userItem('a')]),
    );
    await first.sink.untilDeltas(2);
    first.abort();
    const items = [userItem('a'), answered(await first.result, first.sink), userItem('again')];
    expect((await run(THINKS, modelRequest(items))).result.outcome).toBe('completed');
    expect(lastRequest().messages).toEqual([
      '{"role":"user","content":[{"type":"text","text":"a"}]}',
      '{"role":"user","content":[{"type":"text","text":"again"}]}',
    ]);
  });

  test('[P12] after a refusal the refused message is left out, and the chat goes on', async () => {
    const { result, sink } = await run({ tokens: 3, stopReason: 'refusal' }, modelRequest([userItem('a')]));
    const next = await run(null, modelRequest([userItem('a'), answered(result, sink), userItem('b')]));
    expect(next.result.outcome).toBe('completed');
    expect(lastRequest().messages.every((message) => message.startsWith('{"role":"user"'))).toBe(true);
  });

  test('[models 4.1] text that was cut off never ends a prompt, which would be a prefill: a note comes behind it', async () => {
    const items = [userItem('a'), assistantItem('so far', null)];
    expect((await run(null, modelRequest(items))).result).toMatchObject({ outcome: 'failed', error: { status: 400 } });
    const noted = [...items, userItem(RECOVERY_NOTE)];
    expect((await run(null, modelRequest(noted))).result.outcome).toBe('completed');
  });
});

describe('prompts', () => {
  test('[models 4.4] messages of other providers go as text: their blocks and their reasoning mean nothing here', async () => {
    const foreign: PromptItem = {
      role: 'assistant',
      parts: [
        { type: 'reasoning', text: 'private' },
        { type: 'text', text: 'public' },
      ],
      provider: { provider: 'openai', json: new TextEncoder().encode('[{"type":"reasoning"}]') },
    };
    expect((await run(null, modelRequest([userItem('a'), foreign, userItem('b')]))).result.outcome).toBe('completed');
    expect(lastRequest().messages[1]).toBe('{"role":"assistant","content":[{"type":"text","text":"public"}]}');
  });

  test('[P12] stored blocks that cannot be read are replaced by the text of their message', async () => {
    const damaged: PromptItem = assistantItem('still here', { provider: 'anthropic', json: new Uint8Array([1, 2, 3]) });
    expect((await run(null, modelRequest([userItem('a'), damaged, userItem('b')]))).result.outcome).toBe('completed');
    expect(lastRequest().messages[1]).toContain('still here');
  });

  test('[models 4.4] at most four cache breakpoints: the last system block, where the last request ended, and the one that the API moves', async () => {
    await run(
      null,
      modelRequest([userItem('a'), assistantItem('b', null), userItem('c')], { system: ['one', '', 'two'] }),
    );
    expect(fake().requests.at(-1)?.body).toMatchObject({
      cache_control: { type: 'ephemeral' },
      system: [
        { type: 'text', text: 'one' },
        { type: 'text', text: 'two', cache_control: { type: 'ephemeral' } },
      ],
      messages: [{ content: [{ type: 'text', text: 'a', cache_control: { type: 'ephemeral' } }] }, {}, {}],
    });
    expect(
      fake()
        .requests.at(-1)
        ?.rawBody.match(/cache_control/gu),
    ).toHaveLength(3);
  });

  test('[models 4.4] without a system prompt the last tool carries the mark', async () => {
    await run(null, modelRequest('a', { system: [], tools: TOOLS }));
    const body = must(fake().requests.at(-1), 'it was sent').body as { readonly tools: readonly object[] };
    expect(body.tools.map((sent) => 'cache_control' in sent)).toEqual([false, true]);
  });

  test('[models 4.4] the second turn reads the first from the cache, and the four columns add up', async () => {
    const items: PromptItem[] = [userItem('a question of some length, unlike any other '.repeat(100))];
    const first = await run({ tokens: 30 }, modelRequest(items));
    items.push(answered(first.result, first.sink), userItem('another one'));
    const second = await run({ tokens: 3 }, modelRequest(items));
    const before = first.result.usage;
    const after = second.result.usage;
    expect(before?.cache_write_tokens).toBeGreaterThan(0);
    expect(after?.cache_read_tokens).toBe((before?.cache_read_tokens ?? 0) + (before?.cache_write_tokens ?? 0));
    expect(after?.input_tokens).toBe(0);
  });

  test('[P8] the system prompt and the messages of step k are a prefix of those of step k + 1; none is refused', async () => {
    const scenario = fc.constantFrom<Partial<Scenario>>(
      { tokens: 2 },
      THINKS,
      { thinking: { kind: 'redacted', tokens: 0 }, tokens: 1 },
      { ...THINKS, failure: { kind: 'cut', after: 2, inLine: false } },
      { ...THINKS, failure: { kind: 'cut', after: 5, inLine: true } },
      { ...THINKS, failure: { kind: 'event', type: 'overloaded_error', after: 4 } },
      { tokens: 3, stopReason: 'refusal' },
      { text: ' ' },
      { tokens: 0 },
      { tokens: 3, unknown: true, stopReason: 'max_tokens' },
    );
    const step = fc.record({ text: fc.constantFrom('hello', '', ' ', 'fake news', '😀'), plan: scenario });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 6 }), async (steps) => {
        const items: PromptItem[] = [];
        let before: ReturnType<typeof lastRequest> | null = null;
        for (const { text, plan } of steps) {
          items.push(userItem(text));
          const { result, sink } = await run(plan, modelRequest(items));
          expect(result.outcome === 'failed' ? result.error.status : null).toBeNull();
          items.push(answered(result, sink));
          const now = lastRequest();
          if (before !== null) expect(now.messages.slice(0, before.messages.length)).toEqual(before.messages);
          if (before !== null) expect(now.system).toBe(before.system);
          before = now;
        }
      }),
      { numRuns: 40, seed: 7 },
    );
  });
});
