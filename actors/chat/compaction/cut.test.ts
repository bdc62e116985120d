import { describe, expect, it } from 'vitest';
import type { OwnerId } from '../../../protocol/ids.ts';
import type { LedgerItem } from '../../ports.ts';
import { cutItems, firstUnanswered } from './cut.ts';
import { estimatedTokens } from './estimate.ts';

const ADA = 'ada' as OwnerId;
const BLOCKS = { provider: 'anthropic', json: new Uint8Array(400) };

const said = (number: number, text: string): LedgerItem => ({
  number,
  role: 'user',
  sentBy: ADA,
  parts: [{ type: 'text', text }],
  provider: null,
});
const note = (number: number, text: string): LedgerItem => ({ ...said(number, text), sentBy: null });
const answer = (number: number, text: string): LedgerItem => ({
  number,
  role: 'assistant',
  sentBy: null,
  parts: [
    { type: 'reasoning', text: 'hm' },
    { type: 'text', text },
  ],
  provider: BLOCKS,
});
/** A step that calls, and its result. */
const step = (number: number, output: string): readonly LedgerItem[] => [
  {
    number,
    role: 'assistant',
    sentBy: null,
    parts: [{ type: 'tool_call', call: `c${number}`, name: 'look', text: '{}' }],
    provider: BLOCKS,
  },
  {
    number: number + 1,
    role: 'tool',
    sentBy: null,
    parts: [{ type: 'tool_result', call: `c${number}`, status: 'ok', text: output }],
    provider: null,
  },
];
const numbers = (items: readonly LedgerItem[]): readonly number[] => items.map(({ number }) => number);

describe('cutting', () => {
  const long = 'o'.repeat(4_000);
  const chat = [note(1, 'summary'), said(2, 'look around'), ...step(3, long), ...step(5, long), ...step(7, long)];

  it('[compaction] first the oldest outputs are cut, the newest last of all', () => {
    const cut = cutItems(chat, { budgetTokens: 1_500, from: 2 });
    expect(numbers(cut)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(cut.map(({ parts }) => parts[0]?.text.length ?? 0).filter((length) => length > 1_000)).toEqual([4_000]);
    expect(cut[7]?.parts[0]?.text).toBe(long);
    expect(estimatedTokens(cut)).toBeLessThanOrEqual(1_500);
  });

  it('[P7] then whole steps leave, oldest first: no call without its result, no result without its call', () => {
    const cut = cutItems(chat, { budgetTokens: 1_050, from: 2 });
    expect(numbers(cut)).toEqual([2, 7, 8]);
  });

  it('[compaction] what has no answer stays, whatever the budget is', () => {
    const steered = [...chat, said(9, 'and hurry')];
    expect(numbers(cutItems(steered, { budgetTokens: 0, from: 2 }))).toEqual([2, 9]);
    expect(numbers(cutItems(steered, { budgetTokens: 0, from: 9 }))).toEqual([9]);
  });

  it('[P8] reasoning and the blocks of the provider are of no use behind another prefix: they go', () => {
    const cut = cutItems([said(1, 'hi'), answer(2, 'hello'), said(3, 'again')], { budgetTokens: 1_000, from: 3 });
    expect(cut.map(({ provider }) => provider)).toEqual([null, null, null]);
    expect(cut[1]?.parts).toEqual([{ type: 'text', text: 'hello' }]);
  });

  it('[compaction] at rest nothing was answered to what came behind the last answer', () => {
    expect(firstUnanswered([said(1, 'a'), answer(2, 'b'), said(3, 'c'), said(4, 'd')])).toBe(3);
    expect(firstUnanswered([said(1, 'a'), answer(2, 'b')])).toBe(Number.POSITIVE_INFINITY);
    expect(firstUnanswered([said(1, 'a')])).toBe(1);
  });
});
