// The share of prompts that the providers' caches read, over long loops and long chats, held against the fakes' own books
// (P8): whatever an append-only prompt could have read was read.

import { describe, expect, test } from 'vitest';

import type { PromptItem } from '../../actors/ports.ts';
import type { Usage } from '../../protocol/content.ts';
import type { CacheTotals } from '../../loadtest/fakes/cache-books.ts';
import { must } from '../../protocol/assert.ts';
import { anthropicFixture } from './anthropic-fixture.ts';
import { responsesFixture } from './responses-fixture.ts';
import { type Step, TOOLS, runTurn } from './tool-loop.ts';

/** As long as real ones: a prompt below the minimum of a cache is not cached. */
const SYSTEM = ['You are a careful assistant. '.repeat(200)];

type Books = Readonly<Record<string, CacheTotals>>;
const anthropic = anthropicFixture();
const responses = responsesFixture();
const FIXTURES = [
  ['anthropic', anthropic, (): Books => anthropic.fake().cache, 0],
  // Counted in steps of 128 tokens, and a token may lie across the end of the prompt before.
  ['openai', responses, (): Books => responses.fake().cache, 130],
] as const;

function usageOf({ result }: Step): Usage {
  return must(result.usage, 'a fake counts');
}

function promptTokens({ input_tokens, cache_read_tokens, cache_write_tokens }: Usage): number {
  return input_tokens + cache_read_tokens + cache_write_tokens;
}

/** What the fake wrote down since. */
function since(before: CacheTotals | undefined, now: CacheTotals | undefined): Omit<CacheTotals, 'readShare'> {
  const a = must(now, 'it keeps books');
  const grown = (key: 'requests' | 'prompt' | 'read' | 'written' | 'readable'): number => a[key] - (before?.[key] ?? 0);
  const prompt = grown('prompt');
  const readable = grown('readable');
  const figures = { requests: grown('requests'), read: grown('read'), written: grown('written') };
  return { ...figures, prompt, readable, readableShare: readable / prompt };
}

/** Each step reads what the one before it had sent; the books of the provider say the same. */
function expectAllRead(steps: readonly Step[], books: ReturnType<typeof since>, rounding: number): void {
  for (const [i, step] of steps.entries()) {
    const before = steps[i - 1];
    if (before === undefined) continue;
    const read = usageOf(step).cache_read_tokens;
    expect(read).toBeLessThanOrEqual(promptTokens(usageOf(before)));
    expect(read).toBeGreaterThanOrEqual(promptTokens(usageOf(before)) - rounding);
  }
  expect(books.requests).toBe(steps.length);
  expect(books.read).toBe(books.readable);
  // Of prompts that grow by about the same each time: nearly all of it, but for the first one.
  const allowed = steps.slice(0, -1).reduce((sum, step) => sum + promptTokens(usageOf(step)), 0);
  expect(books.readable).toBeGreaterThanOrEqual(allowed - rounding * steps.length);
  expect(books.readableShare).toBeGreaterThan(0.85);
}

describe.each(FIXTURES)('the cache of %s', (name, fixture, books, rounding) => {
  const request = { tools: TOOLS, system: SYSTEM };

  test('[P8] a loop of 25 steps with 12 calls each, more blocks a step than a breakpoint looks back over', async () => {
    const before = books()[name];
    const { steps } = await runTurn(fixture, `fake: thinking=2 tokens=3 steps=24 calls=12 text="loop of ${name}"`, {
      request,
    });
    expect(steps).toHaveLength(25);
    expectAllRead(steps, since(before, books()[name]), rounding);
  });

  test('[P8] a chat of 22 turns, every third of them with tools', async () => {
    const before = books()[name];
    const steps: Step[] = [];
    let items: readonly PromptItem[] = [];
    for (let turn = 0; turn < 22; turn++) {
      const calls = turn % 3 === 0 ? 'calls=2' : '';
      const ran = await runTurn(fixture, `turn ${turn} of ${name}. fake: tokens=9 thinking=1 ${calls}`, {
        items,
        request,
      });
      steps.push(...ran.steps);
      ({ items } = ran);
    }
    expect(steps).toHaveLength(30);
    expectAllRead(steps, since(before, books()[name]), rounding);
  });
});

describe('what the books are for', () => {
  test('[P8] a prompt whose beginning changes could have read nothing; one without its key could have, and did not', async () => {
    const before = books(responses.fake().cache);
    await runTurn(responses, 'first. fake: tokens=2', { request: { system: ['one '.repeat(2_000)] } });
    await runTurn(responses, 'first. fake: tokens=2', { request: { system: ['two '.repeat(2_000)] } });
    expect(since(before, books(responses.fake().cache))).toMatchObject({ requests: 2, read: 0, readable: 0 });
    const chat = '018f0000-0000-7000-8000-00000000000f' as never;
    await runTurn(responses, 'first. fake: tokens=2', { request: { system: ['two '.repeat(2_000)], chat } });
    const books3 = since(before, books(responses.fake().cache));
    expect(books3.read).toBe(0);
    expect(books3.readable).toBeGreaterThan(1_024);
  });
});

function books(cache: Books): CacheTotals | undefined {
  return cache['openai'];
}
