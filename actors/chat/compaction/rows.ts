// The rows that a compaction leaves: the summary, which only the model sees and with which prompts begin from then on; the
// marker for the user, a call and its result; and what goes on behind the summary, for the model once more. Pure.

import type { ToolResultPart } from '../../../protocol/content.ts';
import type { CompactionSource } from '../../../protocol/events.ts';
import type { LedgerItem, NewMessage } from '../../ports.ts';
import { CUT_NOTE, cutItems, firstUnanswered, isUnanswered } from './cut.ts';
import { estimatedTokens } from './estimate.ts';
import { summaryText } from './summary.ts';
import { thresholdPercent, usagePercent, type Window } from './threshold.ts';

/** What a prompt begins with from now on. */
export type Compacted = {
  readonly kind: 'summary' | 'cut';
  /** For the user: the summary as the model wrote it, or that parts were left out. */
  readonly summary: string;
  /** The first row that the model sees. */
  readonly text: string;
  /** Behind it, as they stood in the prompt before. */
  readonly left: readonly LedgerItem[];
};

export type NewRow = Pick<NewMessage, 'role' | 'visibility' | 'parts' | 'createdBy'>;

/** The name of the call that the user sees. */
export const MARKER_TOOL = 'chat_summarized';

/** What may stay verbatim of a chat at rest: a quarter of the window, so that something is gained. */
const LEFT_AT_REST_PERCENT = 25;

export function summarised(summary: string, items: readonly LedgerItem[], from: number): Compacted {
  const left = items.filter((item) => isUnanswered(item, from));
  return { kind: 'summary', summary, text: summaryText(summary), left };
}

export function cut(items: readonly LedgerItem[], from: number, budgetTokens: number): Compacted {
  return { kind: 'cut', summary: CUT_NOTE, text: CUT_NOTE, left: cutItems(items, { budgetTokens, from }) };
}

/** From which number on messages of users have no answer yet. `turnFrom`: of the turn that runs; null: none is answered. */
export function unansweredFrom(items: readonly LedgerItem[], turnFrom: number | null): number {
  if (turnFrom !== null) return turnFrom;
  const from = firstUnanswered(items);
  const verbatim = estimatedTokens(items.filter((item) => isUnanswered(item, from)));
  const fits = verbatim * 100 <= estimatedTokens(items) * LEFT_AT_REST_PERCENT;
  return fits ? from : Number.POSITIVE_INFINITY;
}

/** What the model will see, by estimate. */
export function tokensLeft({ text, left }: Compacted): number {
  return estimatedTokens([{ role: 'user', parts: [{ type: 'text', text }], provider: null }, ...left]);
}

export function firstRow({ text }: Compacted): NewRow {
  return { role: 'user', visibility: 'model', parts: [{ type: 'text', text }], createdBy: null };
}

/** One row per result: the prompt joins those of a step. */
export function leftRows({ left }: Compacted): readonly NewRow[] {
  return left.flatMap(({ role, parts, sentBy }): readonly NewRow[] =>
    role === 'tool'
      ? parts.map((part) => ({ role, visibility: 'model', parts: [part], createdBy: null }))
      : [{ role, visibility: 'model', parts, createdBy: sentBy }],
  );
}

export type MarkerFigures = {
  readonly source: CompactionSource;
  /** What the latest request held; null: the provider never said. */
  readonly contextTokens: number | null;
  readonly window: Window;
};

export function markerRows(call: string, compacted: Compacted, figures: MarkerFigures): readonly NewRow[] {
  const { source, contextTokens, window } = figures;
  const result = {
    summary: compacted.summary,
    source,
    threshold_percent: thresholdPercent(window),
    usage_percent: contextTokens === null ? null : usagePercent(contextTokens, window),
    context_tokens: contextTokens,
    context_limit_tokens: window.contextWindow,
  };
  const part: ToolResultPart = { type: 'tool_result', call, status: 'ok', text: JSON.stringify(result) };
  return [
    {
      role: 'assistant',
      visibility: 'user',
      parts: [{ type: 'tool_call', call, name: MARKER_TOOL, text: '{}' }],
      createdBy: null,
    },
    { role: 'tool', visibility: 'user', parts: [part], createdBy: null },
  ];
}
