// Judges how a try of a compaction ended: kept, tried again, replaced by a cut, or given up. Pure; the table is its retry
// policy. What a provider said about its failure goes into the ledger and to the user, never into a prompt.

import { errorBody, type ErrorBody } from '../../../protocol/errors.ts';
import type { AttemptResult, LedgerItem } from '../../ports.ts';
import type { Judgement } from '../verdict.ts';
import { estimatedTokens } from './estimate.ts';
import { COMPACTION_LIMITS } from './limits.ts';
import { budgetTokens, gainsNothing, type CompactionVerdict, type RunningCompaction } from './record.ts';
import { cut, summarised, tokensLeft, unansweredFrom, type Compacted } from './rows.ts';
import type { Window } from './threshold.ts';

export type CompactionJudgement = {
  readonly verdict: CompactionVerdict;
  readonly compacted: Compacted | null;
  readonly error: ErrorBody | null;
  readonly delayMs: number;
};

export type CompactionTry = {
  readonly running: RunningCompaction;
  /** The turn is nothing but this. */
  readonly isAlone: boolean;
  /** Of the attempt; null: a cut asks nobody. */
  readonly result: AttemptResult | null;
  /** As the attempt is judged by itself; of a cut: nothing. */
  readonly judgement: Judgement | null;
  readonly summary: string;
  /** The prompt as it was; null: it could not be read. */
  readonly items: readonly LedgerItem[] | null;
  /** The number of the turn's first message; null: it has none. */
  readonly turnFrom: number | null;
  readonly window: Window;
};

/** For the user: there is nothing left that could make room. */
const DOES_NOT_FIT = 'what was sent last does not fit, not even alone: send a shorter message';

export function judgeCompaction(one: CompactionTry): CompactionJudgement {
  return one.running.kind === 'cut' ? judgeCut(one) : judgeSummary(one);
}

function judgeSummary(one: CompactionTry): CompactionJudgement {
  const { result, items, summary, judgement, running, turnFrom } = one;
  const isFull =
    (result?.outcome === 'failed' && result.error.kind === 'context_overflow') ||
    (result?.outcome === 'completed' && result.stopReason === 'context_overflow');
  const triesLeft = running.tries < COMPACTION_LIMITS.compactionTries;
  const error = judgement?.error ?? null;
  if (isFull && triesLeft) return { verdict: 'again', compacted: null, error, delayMs: 0 };
  if (judgement?.verdict === 'retry' && triesLeft) {
    return { verdict: 'later', compacted: null, error, delayMs: judgement.delayMs };
  }
  const isWritten = result?.outcome === 'completed' && result.stopReason !== 'refusal' && !isFull && summary !== '';
  if (!isWritten || items === null) return useless(one, error ?? errorBody('model_unavailable', 'no summary came'));
  const compacted = summarised(summary, items, unansweredFrom(items, turnFrom));
  if (gainsNothing(estimatedTokens(items), tokensLeft(compacted))) return useless(one, null);
  return { verdict: 'done', compacted, error: null, delayMs: 0 };
}

/** `error` null: it is there, and gains nothing. */
function useless({ running, isAlone }: CompactionTry, error: ErrorBody | null): CompactionJudgement {
  const verdict = running.source === 'overflow' ? 'cut' : isAlone && error !== null ? 'failed' : 'skipped';
  return { verdict, compacted: null, error, delayMs: 0 };
}

function judgeCut({ items, turnFrom, window, running }: CompactionTry): CompactionJudgement {
  if (items === null) {
    return { verdict: 'failed', compacted: null, error: errorBody('model_unavailable', 'no history'), delayMs: 0 };
  }
  const present = estimatedTokens(items);
  const budget = budgetTokens(present, window, running) ?? present;
  const compacted = cut(items, unansweredFrom(items, turnFrom), budget);
  if (gainsNothing(present, tokensLeft(compacted))) {
    return { verdict: 'failed', compacted: null, error: errorBody('context_overflow', DOES_NOT_FIT), delayMs: 0 };
  }
  return { verdict: 'done', compacted, error: null, delayMs: 0 };
}
