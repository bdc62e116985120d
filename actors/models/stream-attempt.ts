// Reading one attempt from a provider's stream, as all adapters do it: the SDK makes the request and parses the events,
// `Answer` makes sense of them, and what counts as a success is decided here.
//
// Retries, waits and watchdogs are the actor's: the SDKs retry nothing, so that every attempt is visible and in the
// ledger. A stream is a success only after its terminal event: an SDK's loop ends just as quietly when the body was cut
// or the attempt aborted.

import { AssertionError } from '../../protocol/assert.ts';
import type { Usage } from '../../protocol/content.ts';
import type { AttemptResult, Clock, ModelError, ProviderBlocks, StopReason } from '../ports.ts';
import { modelError, parseRequestId } from './provider-errors.ts';

/** How a complete answer ended. */
export type AnswerEnd =
  | { readonly kind: 'stop'; readonly reason: StopReason }
  | { readonly kind: 'failed'; readonly error: ModelError };

/** What accumulates the events of one attempt. */
export type Answer = {
  /** The terminal event was seen. */
  readonly complete: boolean;
  /** Takes one event of the stream, whatever it is. */
  apply(event: unknown): void;
  end(): AnswerEnd;
  provider(): ProviderBlocks | null;
  /** Null as long as the provider said nothing of it. */
  usage(): Usage | null;
};

export type StreamSource = {
  readonly clock: Clock;
  readonly requestIdHeader: string;
  /** How long the body may go on after the terminal event. */
  readonly drainMs: number;
  /** Sends the request; rejects with whatever its SDK throws. */
  open(signal: AbortSignal): Promise<{ readonly data: AsyncIterable<unknown>; readonly response: Response }>;
  classify(error: unknown, nowMs: number): ModelError;
};

export type StreamEnd =
  | { readonly how: 'complete' | 'aborted' | 'cut'; readonly requestId: string | null }
  | { readonly how: 'failed'; readonly error: ModelError };

/** After the terminal event the body should end at once, which keeps the connection for the next request; else we hang up. */
export const DRAIN_MS = 250;

/** Sends one request and reads its stream to whatever end it has. */
export async function readStream(source: StreamSource, answer: Answer, signal: AbortSignal): Promise<StreamEnd> {
  if (signal.aborted) return { how: 'aborted', requestId: null };
  // A controller of its own: the caller's signal may outlive many attempts, and the SDK ties the request to it.
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  signal.addEventListener('abort', abort, { once: true });
  let stopDraining: (() => void) | null = null;
  let requestId: string | null = null;
  // The loop is over; how, only what was seen before can tell. Abortion first: it ends the loop like any other end.
  const ended = (): StreamEnd => {
    if (signal.aborted) return { how: 'aborted', requestId };
    return { how: answer.complete ? 'complete' : 'cut', requestId };
  };
  try {
    const { data: events, response } = await source.open(controller.signal);
    requestId = parseRequestId(response.headers.get(source.requestIdHeader));
    for await (const event of events) {
      if (signal.aborted) break;
      answer.apply(event);
      if (answer.complete) stopDraining ??= source.clock.after(source.drainMs, abort);
    }
    return ended();
  } catch (error) {
    if (error instanceof AssertionError) throw error;
    if (signal.aborted || answer.complete) return ended();
    const classified = source.classify(error, source.clock.nowMs());
    return { how: 'failed', error: { ...classified, requestId: classified.requestId ?? requestId } };
  } finally {
    stopDraining?.();
    signal.removeEventListener('abort', abort);
    controller.abort();
  }
}

/** What an attempt came to whose stream ended like this. */
export function attemptResult(end: StreamEnd, answer: Answer): AttemptResult {
  const provider = answer.provider();
  const usage = answer.usage();
  if (end.how === 'failed') return { outcome: 'failed', error: end.error, provider, usage };
  const { requestId } = end;
  if (end.how === 'aborted') return { outcome: 'aborted', provider, usage, requestId };
  if (end.how === 'cut') {
    const error = { ...modelError('cut', 'the answer ended before its end'), requestId };
    return { outcome: 'failed', error, provider, usage };
  }
  const answered = answer.end();
  if (answered.kind === 'failed') {
    return { outcome: 'failed', error: { ...answered.error, requestId }, provider, usage };
  }
  return { outcome: 'completed', stopReason: answered.reason, provider, usage: usage ?? NOTHING_SAID, requestId };
}

/** A provider that completes an answer without a word on its usage. */
const NOTHING_SAID: Usage = {
  input_tokens: 0,
  output_tokens: 0,
  cache_read_tokens: 0,
  cache_write_tokens: 0,
  estimated: true,
};
