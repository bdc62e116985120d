// OpenAI Responses through the official SDK: one attempt of one step, raw events, our own accumulation.

import type OpenAI from 'openai';

import type { AttemptResult, Clock, Log, ModelClient, ModelRequest, Random, StepSink } from '../ports.ts';
import { readInBackground } from './openai-background.ts';
import { RunCancels } from './openai-cancels.ts';
import { OPENAI_BASE_URL, OPENAI_REQUEST_ID, openAiClient } from './openai-client.ts';
import { classifyOpenAiError } from './openai-errors.ts';
import { estimatedInputTokens, responsesRequest } from './openai-responses-request.ts';
import { ResponseAccumulator } from './openai-responses-stream.ts';
import { modelError } from './provider-errors.ts';
import { DRAIN_MS, attemptResult, readStream } from './stream-attempt.ts';

export type OpenAiOptions = {
  readonly apiKey: string;
  /** Null: the provider's own. */
  readonly baseUrl: string | null;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
};

/** A model client for OpenAI. Between requests it holds nothing but what it gives up: any number of them may run at once. */
export function openAiModel(options: OpenAiOptions): ModelClient {
  const cancels = new RunCancels(options);
  return {
    stream: (request, sink, signal) => stream(options, { request, sink, signal, cancels }),
    cancel: (ref) => cancels.cancel(client(options, { trace: null }, NOBODY), ref),
    stop: () => cancels.stop(),
  };
}

const NOBODY = { activity: (): void => undefined };

function client(
  { apiKey, baseUrl }: OpenAiOptions,
  request: Pick<ModelRequest, 'trace'>,
  sink: Pick<StepSink, 'activity'>,
): OpenAI {
  return openAiClient({ apiKey, baseUrl: baseUrl ?? OPENAI_BASE_URL }, request, sink);
}

type Call = {
  readonly request: ModelRequest;
  readonly sink: StepSink;
  readonly signal: AbortSignal;
  readonly cancels: RunCancels;
};

async function stream(options: OpenAiOptions, { request, sink, signal, cancels }: Call): Promise<AttemptResult> {
  const { clock } = options;
  const { background, resume } = request;
  const body = responsesRequest(request);
  const answer = new ResponseAccumulator(sink, body === null ? 0 : estimatedInputTokens(body), request);
  if (body === null) {
    const error = modelError('bad_request', 'there is no message to answer');
    return attemptResult(signal.aborted ? { how: 'aborted', requestId: null } : { how: 'failed', error }, answer);
  }
  const sdk = client(options, request, sink);
  const open = (requestSignal: AbortSignal) => sdk.responses.create(body, { signal: requestSignal }).withResponse();
  if (background || resume !== null) {
    const run = { sdk, clock, cancels, sink, answer, signal };
    return attemptResult(await readInBackground(run, resume === null ? open : null), answer);
  }
  const source = { clock, requestIdHeader: OPENAI_REQUEST_ID, drainMs: DRAIN_MS, open, classify: classifyOpenAiError };
  return attemptResult(await readStream(source, answer, signal), answer);
}
