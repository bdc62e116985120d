// A history that is built from results goes back into requests that strict servers accept (P8, P12, models 4.5): one system
// message in front, users and assistants in turns, no fields that only some know, every call with its result.

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { RECOVERY_NOTE } from '../../actors/chat/prompt.ts';
import type { AttemptResult, PromptItem } from '../../actors/ports.ts';
import { must } from '../../protocol/assert.ts';
import { type Scenario, someCalls } from '../../loadtest/fakes/scenario.ts';
import { DIALECTS, chatCompletionsFixture } from './chat-completions-fixture.ts';
import { type RecordingSink, assistantItem, modelRequest, userItem } from './support.ts';
import { answerItem } from './tool-loop.ts';

// vLLM's checks are the strictest.
const { fake, run, begin } = chatCompletionsFixture('vllm');
const fixtures = DIALECTS.map((dialect) => [dialect, chatCompletionsFixture(dialect)] as const);

/** What the ledger keeps of an attempt: the text that was shown; of a refused one nothing. */
function answered(result: AttemptResult, sink: RecordingSink): readonly PromptItem[] {
  if (result.outcome === 'completed' && result.stopReason === 'refusal') return [];
  return [answerItem(result, sink)];
}

type Sent = readonly { readonly role: string; readonly content: string }[];

function sent(): Sent {
  const last = must(fake().requests.at(-1), 'a request was sent');
  return (last.body as { messages: Sent }).messages;
}

const THINKS: Partial<Scenario> = { thinking: { kind: 'signed', tokens: 3 }, tokens: 4 };

describe('round trips', () => {
  test.each(fixtures)('[models 4.5] %s: reasoning is shown and never sent back', async (_, dialect) => {
    const { result, sink } = await dialect.run(THINKS, modelRequest([userItem('a')]));
    expect(sink.blocks[0]?.type).toBe('reasoning');
    const next = await dialect.run(null, modelRequest([userItem('a'), ...answered(result, sink), userItem('b')]));
    expect(next.result.outcome).toBe('completed');
    expect(dialect.fake().requests.at(-1)?.rawBody).not.toContain('thought');
  });

  test('[models 4.5] what was shown goes back byte for byte', async () => {
    const text = '  Größe\r\n\n```ts\n\tx\n```\n 😀 cafe\u0301 \u2028 ';
    const { result, sink } = await run({ text }, modelRequest([userItem('a')]));
    await run(null, modelRequest([userItem(text), ...answered(result, sink), userItem('b')]));
    expect(sent().slice(1, 3)).toEqual([
      { role: 'user', content: text },
      { role: 'assistant', content: text },
    ]);
  });

  test('[models 4.5] texts with reasoning between them are one text; those of a user stay apart', async () => {
    const parts = [
      { type: 'text', text: 'half a sen' },
      { type: 'reasoning', text: 'private' },
      { type: 'text', text: '\n' },
      { type: 'text', text: 'tence' },
    ] as const;
    const user: PromptItem = { role: 'user', parts: [parts[0], parts[3]], provider: null };
    const items = [user, { ...user, role: 'assistant', parts }, userItem('b')] as const;
    expect((await run(null, modelRequest(items))).result.outcome).toBe('completed');
    expect(sent().slice(1)).toEqual([
      { role: 'user', content: 'half a sen\n\ntence' },
      { role: 'assistant', content: 'half a sen\ntence' },
      { role: 'user', content: 'b' },
    ]);
  });

  test('[P12] after a refusal, a stop before any text and a blank answer, roles still alternate', async () => {
    const refused = await run({ tokens: 3, stopReason: 'content_filter' }, modelRequest([userItem('a')]));
    const stopped = begin(
      { ...THINKS, failure: { kind: 'silence', after: 2, pingMs: null } },
      modelRequest([userItem('a')]),
    );
    await stopped.sink.untilDeltas(2);
    stopped.abort();
    const blank = await run({ text: ' ' }, modelRequest([userItem('a')]));
    const items = [
      userItem('a'),
      ...answered(refused.result, refused.sink),
      userItem('b'),
      ...answered(await stopped.result, stopped.sink),
      userItem('c'),
      ...answered(blank.result, blank.sink),
      userItem(' '),
    ];
    expect((await run(null, modelRequest(items))).result.outcome).toBe('completed');
    expect(sent().slice(1)).toEqual([{ role: 'user', content: 'a\n\nb\n\nc\n\n(an empty message)' }]);
  });

  test('[P12] a call that arrived all the same leaves no trace in the next prompt', async () => {
    for (const count of [1, 3]) {
      const { result, sink } = await run({ tokens: 2, calls: someCalls(count) }, modelRequest([userItem('a')]));
      expect(result.outcome).toBe('failed');
      const next = await run(null, modelRequest([userItem('a'), ...answered(result, sink), userItem('b')]));
      expect(next.result.outcome).toBe('completed');
      expect(fake().requests.at(-1)?.rawBody).not.toContain('tool');
    }
  });

  test('[models 4.5] messages of other providers go as text, their blocks and reasoning do not', async () => {
    const foreign: PromptItem = {
      ...assistantItem('public', { provider: 'anthropic', json: new TextEncoder().encode('[{"type":"thinking"}]') }),
      parts: [
        { type: 'reasoning', text: 'private' },
        { type: 'text', text: 'public' },
      ],
    };
    expect((await run(null, modelRequest([userItem('a'), foreign, userItem('b')]))).result.outcome).toBe('completed');
    expect(sent()[2]).toEqual({ role: 'assistant', content: 'public' });
  });

  test('[models 4.1] text that was cut off never ends a prompt, which would be a prefill: a note comes behind it', async () => {
    const items = [userItem('a'), assistantItem('so far', null)];
    expect((await run(null, modelRequest(items))).result).toMatchObject({ outcome: 'failed', error: { status: 400 } });
    const noted = [...items, userItem(RECOVERY_NOTE)];
    expect((await run(null, modelRequest(noted))).result.outcome).toBe('completed');
  });
});

describe('the request', () => {
  test('[models 4.5] its shape: one system message, plain strings, usage asked for, and nothing that only some know', async () => {
    const request = modelRequest([userItem('hello')], { system: ['one', ' ', 'two'], maxOutputTokens: null });
    await run(null, request);
    expect(fake().requests.at(-1)?.body).toEqual({
      model: request.model,
      messages: [
        { role: 'system', content: 'one\n\ntwo' },
        { role: 'user', content: 'hello' },
      ],
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  test('[models 4.5] a blank system prompt is left out, and the name of the model goes as it is', async () => {
    await run(null, modelRequest([userItem('hello')], { system: [' \n'], model: 'meta-llama/Llama-3:latest@x' }));
    expect(sent()).toEqual([{ role: 'user', content: 'hello' }]);
    expect(fake().requests.at(-1)?.body).toMatchObject({ model: 'meta-llama/Llama-3:latest@x' });
  });

  test('[P8] what was said before stays the beginning of what is said next; strict servers refuse none of it', async () => {
    const scenario = fc.constantFrom<Partial<Scenario>>(
      { tokens: 2 },
      THINKS,
      { ...THINKS, failure: { kind: 'cut', after: 2, inLine: false } },
      { ...THINKS, failure: { kind: 'cut', after: 5, inLine: true } },
      { ...THINKS, failure: { kind: 'event', type: '503', after: 4 } },
      { tokens: 3, stopReason: 'content_filter' },
      { tokens: 2, words: { refusal: '1' } },
      { tokens: 2, calls: someCalls(2), words: { ids: 'absent' } },
      { text: ' ' },
      { tokens: 0 },
      { tokens: 3, unknown: true, stopReason: 'length' },
    );
    const step = fc.record({ text: fc.constantFrom('hello', '', ' ', 'fake news', '😀'), plan: scenario });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 6 }), async (steps) => {
        const items: PromptItem[] = [];
        let before = '';
        for (const { text, plan } of steps) {
          items.push(userItem(text));
          const { result, sink } = await run(plan, modelRequest(items));
          expect(result.outcome === 'failed' ? result.error.status : null).toBeNull();
          items.push(...answered(result, sink));
          const now = sent()
            .map(({ role, content }) => `${role}: ${content}`)
            .join('\n');
          expect(now.startsWith(before)).toBe(true);
          before = now;
        }
      }),
      { numRuns: 15, seed: 7 },
    );
  });
});
