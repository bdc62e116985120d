// A response in the background: it goes on at the provider while nobody listens, and costs once however often it is
// listened to. A stream of it that breaks is taken up behind the last event that came, by this attempt or, after a
// crash, by the next activation's; past the time for which the provider streams it again, it is read whole.

import type OpenAI from 'openai';

import type { Abandoned } from '../background-run.ts';
import type { Clock, ModelError, StepSink } from '../ports.ts';
import { OPENAI_REQUEST_ID } from './openai-client.ts';
import { classifyOpenAiError } from './openai-errors.ts';
import type { ResponseAccumulator } from './openai-responses-stream.ts';
import { modelError } from './provider-errors.ts';
import { DRAIN_MS, readStream, type StreamEnd, type StreamSource } from './stream-attempt.ts';

/** Streams in a row that bring nothing new, before the response is given up. */
const EMPTY_STREAMS_MAX = 6;
/** Doubles up to the ceiling: about 8 s in all. */
const AGAIN_BASE_MS = 250;
const AGAIN_CEILING_MS = 4_000;
/** Reading a response that still runs, where it cannot be streamed any more: the actor's watchdog is what bounds it. */
const POLL_MS = 2_000;
const CANCEL_TRIES = 3;
const CANCEL_TIMEOUT_MS = 10_000;

export type BackgroundRun = {
  readonly sdk: OpenAI;
  readonly clock: Clock;
  readonly sink: StepSink;
  readonly answer: ResponseAccumulator;
  readonly signal: AbortSignal;
};

/** Reads a response to its end, over as many streams as that takes. `create`: null when the response is there already. */
export async function readInBackground(run: BackgroundRun, create: StreamSource['open'] | null): Promise<StreamEnd> {
  const end = await readOn(run, create);
  const { ref } = run.answer;
  const abandoned = run.signal.reason === ('abandoned' satisfies Abandoned);
  if (ref !== null && !run.answer.complete && !abandoned) cancelRun(run.sdk, run.clock, ref);
  return end;
}

async function readOn(run: BackgroundRun, create: StreamSource['open'] | null): Promise<StreamEnd> {
  const { answer, clock, signal } = run;
  let open = create;
  for (let empty = 0; ; empty++) {
    const before = answer.sequence;
    const end = await readStream(sourceOf(run, open ?? retrieval(run)), answer, signal);
    if (end.how === 'complete' || end.how === 'aborted') return end;
    // Nothing is known of the response yet, so there is nothing to take up.
    if (answer.ref === null) return end;
    if (isGone(end)) return readWhole(run, end);
    if (isFinal(end)) return end;
    if (answer.sequence > before) empty = 0;
    if (empty >= EMPTY_STREAMS_MAX) return end;
    open = null;
    await pause(clock, Math.min(AGAIN_CEILING_MS, AGAIN_BASE_MS * 2 ** empty), signal);
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
  try {
    while (!signal.aborted) {
      const response = await sdk.responses.retrieve(answer.ref ?? '', {}, { signal });
      if (response.status !== 'queued' && response.status !== 'in_progress') {
        answer.applyWhole(response);
        return { how: 'complete', requestId: null };
      }
      await pause(clock, POLL_MS, signal);
    }
  } catch (error) {
    if (!signal.aborted) return { how: 'failed', error: goneError(classifyOpenAiError(error, clock.nowMs()), end) };
  }
  return { how: 'aborted', requestId: null };
}

/** The provider does not stream the response any more, or does not have it. */
function isGone(end: StreamEnd): boolean {
  return end.how === 'failed' && (end.error.status === 400 || end.error.status === 404);
}

/** No further stream would fare better. */
function isFinal(end: StreamEnd): boolean {
  return end.how === 'failed' && (end.error.kind === 'unauthorized' || end.error.kind === 'spend_limit');
}

/** That a response is gone says nothing of the prompt or the model: a new attempt may well succeed. */
function goneError(error: ModelError, end: StreamEnd): ModelError {
  if (error.status !== 400 && error.status !== 404) return error;
  const requestId = end.how === 'failed' ? end.error.requestId : null;
  return { ...modelError('unavailable', 'the provider no longer has the response'), status: error.status, requestId };
}

/** Resolves after the time, or as soon as the attempt is aborted. */
function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(delayMs, done);
    signal.addEventListener('abort', done, { once: true });
  });
}

/**
 * Gives up a response: to cancel one twice, or one that is over, changes nothing. Nobody waits for it, and a failure
 * has no other consequence than its price.
 */
export function cancelRun(sdk: OpenAI, clock: Clock, ref: string, tries = CANCEL_TRIES): void {
  sdk.responses.cancel(ref, { timeout: CANCEL_TIMEOUT_MS }).then(
    () => undefined,
    () => {
      if (tries > 1) clock.after(AGAIN_BASE_MS, () => cancelRun(sdk, clock, ref, tries - 1));
    },
  );
}
