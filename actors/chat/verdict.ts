// Judges how an attempt ended: done, worth another try, or failed for good. Pure; the table is the retry policy.

import { errorBody, type ErrorBody, type ErrorCode } from '../../protocol/errors.ts';
import type { AttemptResult, ModelErrorKind } from '../ports.ts';
import type { Verdict } from './machine.ts';
import type { ChatSettings } from './settings.ts';

type Policy = { readonly code: ErrorCode; readonly retries: boolean };

const POLICY: Readonly<Record<ModelErrorKind, Policy>> = {
  overloaded: { code: 'model_overloaded', retries: true },
  rate_limited: { code: 'model_rate_limited', retries: true },
  unavailable: { code: 'model_unavailable', retries: true },
  silent: { code: 'model_silent', retries: true },
  cut: { code: 'model_cut', retries: true },
  unauthorized: { code: 'model_unauthorized', retries: false },
  spend_limit: { code: 'model_spend_limit', retries: false },
  bad_request: { code: 'model_bad_request', retries: false },
  // Once, without the reasoning; see below.
  reasoning_rejected: { code: 'model_bad_request', retries: false },
  invalid_prompt: { code: 'prompt_invalid', retries: false },
  model_not_found: { code: 'model_not_found', retries: false },
  context_overflow: { code: 'context_overflow', retries: false },
};

export type Judgement = {
  readonly verdict: Verdict;
  readonly error: ErrorBody | null;
  /** Before the next attempt; 0 when there is none. */
  readonly delayMs: number;
};

export type JudgedAttempt = {
  readonly result: AttemptResult;
  /** Tries of the step so far, this one included. */
  readonly attempt: number;
  readonly settings: ChatSettings;
  /** In [0, 1): spreads the waits of many chats. */
  readonly fraction: number;
  /** Some of what providers sent may have gone back: a provider that refuses it is asked once more, without. */
  readonly sendsReasoning: boolean;
};

export function judge({ result, attempt, settings, fraction, sendsReasoning }: JudgedAttempt): Judgement {
  if (result.outcome === 'completed') {
    if (result.stopReason !== 'context_overflow') return { verdict: 'completed', error: null, delayMs: 0 };
    return { verdict: 'failed', error: errorBody('context_overflow'), delayMs: 0 };
  }
  // Nobody asked for this abort: the actor asks for aborts in the state `stopping` only, and on silence.
  if (result.outcome === 'aborted') return { verdict: 'failed', error: errorBody('model_unavailable'), delayMs: 0 };
  const { kind, detail, retryAfterMs } = result.error;
  const { code, retries } = POLICY[kind];
  if (kind === 'reasoning_rejected' && sendsReasoning && attempt < settings.attemptsMax) {
    return { verdict: 'retry', error: errorBody(code, detail), delayMs: 0 };
  }
  if (!retries || attempt >= settings.attemptsMax) {
    return { verdict: 'failed', error: errorBody(code, detail), delayMs: 0 };
  }
  const delayMs = Math.max(backoffMs(attempt, settings, fraction), retryAfterMs ?? 0);
  return { verdict: 'retry', error: errorBody(code, detail, delayMs), delayMs };
}

/** Doubles per attempt up to the ceiling, half of it jitter. */
function backoffMs(attempt: number, settings: ChatSettings, fraction: number): number {
  const full = Math.min(settings.retryCeilingMs, settings.retryBaseMs * 2 ** (attempt - 1));
  return Math.round(full / 2 + (full / 2) * fraction);
}
