// What of compaction has to survive in a turn, and what follows from it: when one is due, which remedy comes next for a
// request that did not fit, and when compacting is given up because it gains nothing. Pure.

import type { CompactionSource } from '../../../protocol/events.ts';
import { COMPACTION_LIMITS } from './limits.ts';
import { reachesThreshold, type Window } from './threshold.ts';

/** How a try ended; judged by `judgement.ts`. */
export type CompactionVerdict =
  /** Its rows are kept; the step is asked. */
  | 'done'
  /** At once, with less shown to the model. */
  | 'again'
  /** After a wait. */
  | 'later'
  /** Without the model. */
  | 'cut'
  /** The chat goes on as it is. */
  | 'skipped'
  /** It cannot go on. */
  | 'failed';

export type RunningCompaction = {
  readonly source: CompactionSource;
  /** `summary`: by the model. `cut`: without one. */
  readonly kind: 'summary' | 'cut';
  /** Tries of the summary so far, the one that runs included. */
  readonly tries: number;
  /** How often what the model is shown, or what is left, was halved because it did not fit. */
  readonly halvings: number;
};

export type CompactionRecord = {
  /** Null: none runs. */
  readonly running: RunningCompaction | null;
  /** A command asks for one at the next boundary between steps. */
  readonly requested: boolean;
  /** What was done for the request of `step` after it did not fit: a summary is 1, each cut one more. */
  readonly step: number;
  readonly remedies: number;
  /** What the request held before the latest compaction, until the next one tells what it gained. */
  readonly beforeTokens: number | null;
  /** The turn is nothing but this compaction. */
  readonly isAlone: boolean;
  /** It gained nothing: none follows by itself in this turn. */
  readonly isSpent: boolean;
};

export const NO_COMPACTION: CompactionRecord = {
  running: null,
  requested: false,
  step: 0,
  remedies: 0,
  beforeTokens: null,
  isAlone: false,
  isSpent: false,
};

/** A summary and the cuts after it. */
export const REMEDIES_MAX = 1 + COMPACTION_LIMITS.cutsPerStep;

/** Of the request of `step`, which did not fit. */
export function remediesOf(record: CompactionRecord, step: number): number {
  return record.step === step ? record.remedies : 0;
}

/** `tokens`: of the latest request; null: there was none. */
export function isDue(record: CompactionRecord, tokens: number | null, window: Window): boolean {
  if (record.running !== null) return true;
  if (tokens === null) return false;
  return record.requested || (!record.isSpent && reachesThreshold(tokens, window));
}

export type Beginning = {
  readonly source: CompactionSource;
  readonly step: number;
  /** Nothing was answered yet since the prompt began: there is nothing to summarise. */
  readonly isFresh: boolean;
};

/** Begins one, or goes on with the one that runs. */
export function begun(record: CompactionRecord, { source, step, isFresh }: Beginning): CompactionRecord {
  const { running } = record;
  if (running !== null) return { ...record, running: { ...running, tries: running.tries + 1 } };
  if (source !== 'overflow') {
    return { ...record, requested: false, running: { source, kind: 'summary', tries: 1, halvings: 0 } };
  }
  const remedies = Math.max(isFresh ? 1 : 0, remediesOf(record, step));
  const kind = remedies === 0 ? 'summary' : 'cut';
  // What did not fit is not sent again as it was.
  const halvings = Math.max(1, remedies);
  return { ...record, requested: false, step, remedies: remedies + 1, running: { source, kind, tries: 1, halvings } };
}

/** The step that follows tells what was gained. */
export function judged(record: CompactionRecord, tokens: number): CompactionRecord {
  if (record.beforeTokens === null || tokens === 0) return record;
  const isSpent = gainsNothing(record.beforeTokens, tokens);
  return { ...record, beforeTokens: null, isSpent: record.isSpent || isSpent };
}

export function gainsNothing(before: number, after: number): boolean {
  return after * 100 >= before * COMPACTION_LIMITS.gainPercentMax;
}

/** What may be shown to the model, or left: by halves of what fits, or of what there is. Null: no bound is known. */
export function budgetTokens(
  present: number,
  { contextWindow }: Pick<Window, 'contextWindow'>,
  { kind, halvings }: Pick<RunningCompaction, 'kind' | 'halvings'>,
): number | null {
  // The second cut leaves the bare messages of the turn.
  if (kind === 'cut' && halvings > 1) return 0;
  if (halvings === 0) {
    return contextWindow === null ? null : contextWindow - summaryTokensMax({ contextWindow });
  }
  return Math.floor(Math.min(present, contextWindow ?? present) / 2 ** halvings);
}

/** A summary has its place in the window too. */
export function summaryTokensMax({ contextWindow }: Pick<Window, 'contextWindow'>): number {
  const { summaryTokens } = COMPACTION_LIMITS;
  return contextWindow === null ? summaryTokens : Math.min(summaryTokens, Math.floor(contextWindow / 4));
}
