// A response in the background: it goes on at the provider while nobody listens, and costs once however often it is
// listened to. A stream of it that breaks is taken up behind the last event that came, by this attempt or, after a
// crash, by the next activation's; past the time for which the provider streams it again, it is read whole.

import type OpenAI from 'openai';

import { AssertionError } from '../../protocol/assert.ts';
import type { Abandoned } from '../background-run.ts';
import type { Clock, ModelError, ModelErrorKind, StepSink } from '../ports.ts';
import type { RunCancels } from './openai-cancels.ts';
import { OPENAI_REQUEST_ID } from './openai-client.ts';
import { classifyOpenAiError } from './openai-errors.ts';
import type { ResponseAccumulator } from './openai-responses-stream.ts';
import { pause } from './pause.ts';
import { modelError } from './provider-errors.ts';
import { DRAIN_MS, readStream, type StreamEnd, type StreamSource } from './stream-attempt.ts';

/**
 * How long a provider that is away, or has no room, is waited for since the last event that came. What it runs is paid and
 * goes on meanwhile, so to give it up is to pay twice: this is longer than the windows of rate limits (1 min) and a
 * restart, and about as long as a response can be streamed at all (5 min).
 */
const AWAY_MAX_MS = 5 * 60 * 1000;
/** Failures in a row of any other kind. */
const FAILURES_MAX = 6;
/** Doubles up to the ceiling: 15.75 s over the first six waits, about 34 tries in all of `AWAY_MAX_MS`. */
const AGAIN_BASE_MS = 250;
const AGAIN_CEILING_MS = 10_000;
/** Reading a response that still runs, where it cannot be streamed any more. */
const POLL_MS = 2_000;
/**
 * How long it is read so. Each answer is a sign of life to the actor's watchdog, which therefore never ends it. The longest
 * answer, 128,000 tokens, takes 43 min at 50 tokens a second.
 */
const WHOLE_MAX_MS = 45 * 60 * 1000;

export type BackgroundRun = {
  readonly sdk: OpenAI;
  readonly clock: Clock;
  readonly cancels: RunCancels;
  readonly sink: StepSink;
  readonly answer: ResponseAccumulator;
  readonly signal: AbortSignal;
};

/** Reads a response to its end, over as many streams as that takes. `create`: null when the response is there already. */
export async function readInBackground(run: BackgroundRun, create: StreamSource['open'] | null): Promise<StreamEnd> {
  const end = await readOn(run, create);
  const { ref } = run.answer;
  const abandoned = run.signal.reason === ('abandoned' satisfies Abandoned);
  if (ref !== null && !run.answer.complete && !abandoned) run.cancels.cancel(run.sdk, ref);
  return end;
}

async function readOn(run: BackgroundRun, create: StreamSource['open'] | null): Promise<StreamEnd> {
  const { answer, clock, signal } = run;
  const trouble = new Trouble();
  let open = create;
  for (;;) {
    const before = answer.sequence;
    const end = await readStream(sourceOf(run, open ?? retrieval(run)), answer, signal);
    if (end.how === 'complete' || end.how === 'aborted') return end;
    // Nothing is known of the response yet, so there is nothing to take up.
    if (answer.ref === null) return end;
    if (isGone(end)) return readWhole(run, end);
    if (answer.sequence > before) trouble.over();
    const waitMs = trouble.waitMs(end.how === 'failed' ? end.error : CUT, clock.nowMs());
    if (waitMs === null) return end;
    open = null;
    await pause(clock, waitMs, signal);
  }
}

type Failure = Pick<ModelError, 'kind' | 'retryAfterMs'>;

/** A stream that ended quietly before its end. */
const CUT: Failure = { kind: 'cut', retryAfterMs: null };

/** Failures in a row, without anything new between them: how long to wait after each, and when to give up. */
class Trouble {
  #failures = 0;
  /** Of the first one; null: there is none. */
  #sinceMs: number | null = null;

  over(): void {
    this.#failures = 0;
    this.#sinceMs = null;
  }

  /** Null: no further try. The last one is at the deadline, however much later the provider would like it. */
  waitMs({ kind, retryAfterMs }: Failure, nowMs: number): number | null {
    this.#sinceMs ??= nowMs;
    const leftMs = this.#sinceMs + AWAY_MAX_MS - nowMs;
    if (isFinal(kind) || leftMs <= 0) return null;
    if (!isPassing(kind) && this.#failures >= FAILURES_MAX) return null;
    const backoffMs = Math.min(AGAIN_CEILING_MS, AGAIN_BASE_MS * 2 ** this.#failures);
    this.#failures += 1;
    return Math.min(leftMs, Math.max(backoffMs, retryAfterMs ?? 0));
  }
}

function sourceOf({ clock }: BackgroundRun, open: StreamSource['open']): StreamSource {
  return { clock, requestIdHeader: OPENAI_REQUEST_ID, drainMs: DRAIN_MS, open, classify: classifyOpenAiError };
}

/** The stream of the response behind the last event that came. */
function retrieval({ sdk, answer }: BackgroundRun): StreamSource['open'] {
  return (signal) => {
    const after = answer.sequence < 0 ? {} : { starting_after: answer.sequence };
    const query = { stream: true, include_obfuscation: false, ...after } as const;
    return sdk.responses.retrieve(answer.ref ?? '', query, { signal }).withResponse();
  };
}

/** The response itself, once it is over; `end` is why it could not be streamed. */
async function readWhole(run: BackgroundRun, end: StreamEnd): Promise<StreamEnd> {
  const { sdk, answer, clock, signal } = run;
  const deadlineMs = clock.nowMs() + WHOLE_MAX_MS;
  const trouble = new Trouble();
  while (!signal.aborted) {
    let waitMs: number | null = POLL_MS;
    try {
      const response = await sdk.responses.retrieve(answer.ref ?? '', {}, { signal });
      if (response.status !== 'queued' && response.status !== 'in_progress') {
        answer.applyWhole(response);
        return { how: 'complete', requestId: null };
      }
      trouble.over();
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      if (signal.aborted) break;
      const failure = classifyOpenAiError(error, clock.nowMs());
      waitMs = isUnknown(failure) ? null : trouble.waitMs(failure, clock.nowMs());
      if (waitMs === null) return { how: 'failed', error: goneError(failure, end) };
    }
    if (clock.nowMs() >= deadlineMs) return { how: 'failed', error: modelError('silent', 'the response does not end') };
    await pause(clock, waitMs, signal);
  }
  return { how: 'aborted', requestId: null };
}

/** The provider does not stream the response any more, or does not have it. */
function isGone(end: StreamEnd): boolean {
  return end.how === 'failed' && isUnknown(end.error);
}

function isUnknown({ status }: ModelError): boolean {
  return status === 400 || status === 404;
}

/** No further request would fare better. */
function isFinal(kind: ModelErrorKind): boolean {
  return kind === 'unauthorized' || kind === 'spend_limit';
}

/** Says something of the provider's hour, nothing of the response. */
function isPassing(kind: ModelErrorKind): boolean {
  return kind === 'unavailable' || kind === 'rate_limited' || kind === 'overloaded' || kind === 'cut';
}

/** That a response is gone says nothing of the prompt or the model: a new attempt may well succeed. */
function goneError(error: ModelError, end: StreamEnd): ModelError {
  if (!isUnknown(error)) return error;
  const requestId = end.how === 'failed' ? end.error.requestId : null;
  return { ...modelError('unavailable', 'the provider no longer has the response'), status: error.status, requestId };
}
