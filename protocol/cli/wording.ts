// What happened, in words for a person: one line each, without an end of line.
import { unreachable } from '../assert.ts';
import type { TurnOutcome } from '../content.ts';
import type { ErrorBody, ErrorCode } from '../errors.ts';
import type { CompactionEvent, ForkReason, RetryEvent } from '../events.ts';
import { sanitizeLine } from './sanitize.ts';

/** How a line looks: `dim` is for what can be overlooked, `note` for what must not. */
export type Tone = 'plain' | 'dim' | 'note' | 'error' | 'user';

export type Line = { readonly tone: Tone; readonly text: string };

const CAUSES: Partial<Readonly<Record<ErrorCode, string>>> = {
  model_overloaded: 'the model is overloaded',
  model_rate_limited: 'the model limits the rate of requests',
  model_unavailable: 'the model cannot be reached',
  model_silent: 'the model went silent',
  model_cut: 'the answer broke off',
};

const OUTCOMES: Readonly<Record<Exclude<TurnOutcome, 'completed' | 'error'>, Line>> = {
  stopped: { tone: 'dim', text: 'stopped' },
  interrupted: { tone: 'dim', text: 'interrupted by a newer message' },
  refused: { tone: 'note', text: 'the model refused to answer' },
  max_tokens: { tone: 'note', text: 'the answer was cut off at the limit of tokens: ask it to go on' },
  step_limit: { tone: 'note', text: 'the turn ended at the limit of steps' },
  budget: { tone: 'note', text: 'the turn ended at the limit of its budget' },
};

const FORKS: Readonly<Record<ForkReason, string | null>> = {
  // Its marker says it.
  compaction: null,
  edit: 'the chat was edited: the model reads it anew',
  model: 'another model reads the chat anew',
  tools: 'the tools have changed: the model reads the chat anew',
  clear: 'cleared: from here on the model sees nothing of what was before',
  reasoning: 'earlier thoughts of the model were dropped: it reads the chat anew',
};

/** `the model is overloaded, trying again in 2 s (attempt 2)`. `attempt` in a retry is the one that failed. */
export function describeRetry({
  attempt,
  delay_ms: delayMs,
  error,
}: Omit<RetryEvent, 'kind' | 'turn' | 'step'>): string {
  const cause = CAUSES[error.code] ?? trimmed(error);
  return `${cause}, trying again in ${formatDelay(delayMs)} (attempt ${attempt + 1})`;
}

/** What to say about the end of a turn; null when the answer speaks for itself. */
export function describeEnd(outcome: TurnOutcome, error: ErrorBody | null): Line | null {
  if (outcome === 'completed') return null;
  if (outcome === 'error') return { tone: 'error', text: error === null ? 'The turn failed.' : describeError(error) };
  return OUTCOMES[outcome] ?? { tone: 'note', text: `the turn ended: ${sanitizeLine(outcome)}` };
}

/** Why the next prompt does not begin with the one before it; null where something else says it. */
export function describeFork(reason: ForkReason): string | null {
  return FORKS[reason];
}

/** What to say when the chat is made smaller for its model; null when its marker says it. */
export function describeCompaction(event: CompactionEvent): Line | null {
  if (event.type === 'started') {
    const { context_tokens: held, context_limit_tokens: limit } = event;
    const figures =
      held === null ? '' : `: it holds about ${count(held)}${limit === null ? '' : ` of ${count(limit)}`} tokens`;
    return { tone: 'dim', text: `making the chat smaller for the model${figures}` };
  }
  switch (event.outcome) {
    case 'compacted':
      return null;
    case 'cut':
      return { tone: 'note', text: 'no summary could be made: the model sees only the end of the chat' };
    case 'failed':
      return { tone: 'note', text: 'the chat could not be made smaller: it stays as it was' };
    default:
      return unreachable(event.outcome);
  }
}

/** The sentence of an error and its code, by which documents and logs know it. */
export function describeError(error: ErrorBody): string {
  return `${sanitizeLine(error.message)} [${sanitizeLine(error.code)}]`;
}

/** `connection lost, reconnecting in 1.2 s …`; `reason` is a sentence of the client's. */
export function describeLoss({ retryInMs, reason }: { readonly retryInMs: number; readonly reason: string }): string {
  const why = sanitizeLine(reason).replace(/^The connection was lost \(\d+\)\.?\s*/, '');
  return `connection lost, reconnecting in ${formatDelay(retryInMs)} …${why === '' ? '' : ` ${why}`}`;
}

/** `0.4 s`, `2 s`, `1 min 5 s`. */
export function formatDelay(delayMs: number): string {
  const seconds = delayMs / 1000;
  if (seconds < 10) return `${Number(seconds.toFixed(1))} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  return whole % 60 === 0 ? `${whole / 60} min` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function trimmed(error: ErrorBody): string {
  const sentence = sanitizeLine(error.message).replace(/\.$/, '');
  return sentence.charAt(0).toLowerCase() + sentence.slice(1);
}

function count(tokens: number): string {
  return tokens.toLocaleString('en');
}
