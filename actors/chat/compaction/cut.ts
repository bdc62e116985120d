// The last resort, without a model: the oldest outputs of tools are cut to their beginning, then messages that alone are
// too long, then the oldest steps leave, until what is left fits. Between settled steps only: a call and its results stay or leave together. What the user has
// asked and has no answer to stays in any case. Pure.

import type { Part } from '../../../protocol/content.ts';
import { sliceUtf8, utf8Length } from '../../../protocol/text.ts';
import type { LedgerItem } from '../../ports.ts';
import { bytesOf, estimatedTokens } from './estimate.ts';
import { COMPACTION_LIMITS } from './limits.ts';

export const CUT_NOTE =
  'Earlier parts of this conversation were left out, because they no longer fit into the context window. Go on with what ' +
  'follows; ask when something that you need is missing.';

const CUT_MARK = '\n[… the rest was left out …]';
/** A message that alone takes so much, or a quarter of all there is room for, is what does not fit. */
const LONG_TEXT_BYTES = 4 * 1024;

export type CutOptions = {
  /** What the items may hold, by estimate. */
  readonly budgetTokens: number;
  /** Messages of users from this number on have no answer yet. */
  readonly from: number;
};

/** What is left, in order; it may be more than the budget when nothing but unanswered messages is left. */
export function cutItems(items: readonly LedgerItem[], { budgetTokens, from }: CutOptions): readonly LedgerItem[] {
  const fits = (some: readonly LedgerItem[]): boolean => estimatedTokens(some) <= budgetTokens;
  // Reasoning is bound to the exact words before it: of a prompt that is cut none may go back.
  let left: readonly LedgerItem[] = items.map((item) => ({ ...item, parts: withoutReasoning(item), provider: null }));
  const lastTools = left.findLastIndex(({ role }) => role === 'tool');
  for (const [index, item] of left.entries()) {
    if (fits(left)) return left;
    if (item.role === 'tool' && index !== lastTools)
      left = left.with(index, { ...item, parts: item.parts.map(cutOutput) });
  }
  const longBytes = Math.max(LONG_TEXT_BYTES, Math.floor(bytesOf(budgetTokens) / 4));
  for (const [index, item] of left.entries()) {
    if (fits(left)) return left;
    const cuts = item.role === 'user' && !isUnanswered(item, from);
    if (cuts) left = left.with(index, { ...item, parts: item.parts.map((part) => cutText(part, longBytes)) });
  }
  for (const unit of unitsOf(left)) {
    if (fits(left)) return left;
    if (!unit.some((item) => isUnanswered(item, from))) left = left.filter((item) => !unit.includes(item));
  }
  return left;
}

/** What a user has said, as it stands in the prompt: by the user or repeated behind a summary. */
export function isUnanswered({ role, sentBy, number }: LedgerItem, from: number): boolean {
  return role === 'user' && sentBy !== null && number >= from;
}

/** Of a chat at rest: the first message that nothing was answered to. */
export function firstUnanswered(items: readonly LedgerItem[]): number {
  const answered = items.findLastIndex(({ role }) => role !== 'user');
  return items[answered + 1]?.number ?? Number.POSITIVE_INFINITY;
}

/** An assistant's item with the results that follow it, anything else alone; the oldest first. */
function unitsOf(items: readonly LedgerItem[]): readonly (readonly LedgerItem[])[] {
  const units: LedgerItem[][] = [];
  for (const item of items) {
    const last = units.at(-1);
    if (item.role === 'tool' && last !== undefined) last.push(item);
    else units.push([item]);
  }
  return units;
}

function withoutReasoning({ parts }: LedgerItem): readonly Part[] {
  return parts.filter(({ type }) => type !== 'reasoning');
}

function cutOutput(part: Part): Part {
  return part.type === 'tool_result' ? cutText(part, COMPACTION_LIMITS.cutOutputBytes) : part;
}

function cutText<P extends Part>(part: P, bytesMax: number): P {
  if (utf8Length(part.text) <= bytesMax + CUT_MARK.length) return part;
  return { ...part, text: `${sliceUtf8(part.text, 0, bytesMax).text}${CUT_MARK}` };
}
