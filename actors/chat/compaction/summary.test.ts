import { describe, expect, it } from 'vitest';
import type { PromptItem } from '../../ports.ts';
import { estimatedTokens } from './estimate.ts';
import { summaryItems, summaryText } from './summary.ts';

const text = (role: PromptItem['role'], words: string): PromptItem => ({
  role,
  parts: [{ type: 'text', text: words }],
  provider: null,
});
const call = (name: string, args: string): PromptItem => ({
  role: 'assistant',
  parts: [
    { type: 'reasoning', text: 'secret thought' },
    { type: 'tool_call', call: 'c1', name, text: args },
  ],
  provider: null,
});
const result = (output: string): PromptItem => ({
  role: 'tool',
  parts: [{ type: 'tool_result', call: 'c1', status: 'ok', text: output }],
  provider: null,
});
const CHAT = [text('user', 'Count the cats.'), call('look', '{"where":"garden"}'), result('two cats')];

describe('the request for a summary', () => {
  it('[compaction] is the chat’s own with one item of the user behind it, so that what the provider has cached is of use', () => {
    const items = summaryItems(CHAT, null);
    expect(items.slice(0, -1)).toEqual(CHAT);
    expect(items.at(-1)?.role).toBe('user');
    for (const heading of ['Goal', 'Done', 'In progress', 'Remains', 'Facts', 'Names']) {
      expect(items.at(-1)?.parts[0]?.text).toContain(`## ${heading}`);
    }
    expect(summaryItems(CHAT, 10_000)).toEqual(items);
  });

  it('[compaction] a chat that does not fit is one transcript within the budget: its beginning, and the newest of it', () => {
    const long = [
      ...CHAT,
      ...Array.from({ length: 200 }, (_, n) => text('user', `line ${n} `.repeat(50))),
      text('user', 'the last one'),
    ];
    const items = summaryItems(long, 5_000);
    expect(items).toHaveLength(1);
    expect(items[0]?.role).toBe('user');
    const [{ text: words } = { text: '' }] = items[0]?.parts ?? [];
    expect(words).toContain('Count the cats.');
    expect(words).toContain('the last one');
    expect(words).not.toContain('line 3 ');
    // The instruction is about 350 tokens on top.
    expect(estimatedTokens(items)).toBeLessThan(5_500);
  });

  it('[compaction] one message larger than the budget is cut in its middle, at code points', () => {
    const items = summaryItems([text('user', `begin${'🜁'.repeat(50_000)}end`)], 1_000);
    const words = items[0]?.parts[0]?.text ?? '';
    expect(words.isWellFormed()).toBe(true);
    expect(words).toContain('begin');
    expect(words).toContain('end');
    expect(estimatedTokens(items)).toBeLessThan(1_500);
  });

  it('[compaction] calls and results are words of the transcript, reasoning is not', () => {
    const filler = Array.from({ length: 50 }, () => text('user', 'x'.repeat(1_000)));
    const words = summaryItems([...filler, ...CHAT], 2_000)[0]?.parts[0]?.text ?? '';
    expect(words).toContain('[calls look with {"where":"garden"}]');
    expect(words).toContain('[result, ok: two cats]');
    expect(words).not.toContain('secret thought');
  });

  it('[compaction] the summary says of itself what it is', () => {
    expect(summaryText('Cats: two.')).toMatch(
      /^The following is a summary of the earlier conversation[^]*\n\nCats: two\.$/u,
    );
  });
});
