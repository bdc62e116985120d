// Anthropic Messages through the official SDK: one attempt of one step, raw events, our own accumulation.

import Anthropic from '@anthropic-ai/sdk';

import type { AttemptResult, Clock, ModelClient, ModelRequest, StepSink } from '../ports.ts';
import { classifyError } from './anthropic-errors.ts';
import { anthropicHeaders } from './anthropic-headers.ts';
import { anthropicRequest } from './anthropic-request.ts';
import { MessageAccumulator } from './anthropic-stream.ts';
import { guardedFetch } from './guarded-fetch.ts';
import { modelError } from './provider-errors.ts';
import { HEADERS_TIMEOUT_MS, SILENT_LOGGER } from './sdk-options.ts';
import { DRAIN_MS, attemptResult, readStream } from './stream-attempt.ts';

export type AnthropicOptions = {
  readonly apiKey: string;
  /** Null: the provider's own. */
  readonly baseUrl: string | null;
  readonly clock: Clock;
};

const BASE_URL = 'https://api.anthropic.com';

/** A model client for Anthropic. It holds no state between requests: any number of them may run at once. */
export function anthropicModel(options: AnthropicOptions): ModelClient {
  return {
    stream: (request, sink, signal) => stream(options, { request, sink, signal }),
  };
}

type Call = { readonly request: ModelRequest; readonly sink: StepSink; readonly signal: AbortSignal };

async function stream(options: AnthropicOptions, { request, sink, signal }: Call): Promise<AttemptResult> {
  const answer = new MessageAccumulator(sink, request);
  const body = anthropicRequest(request);
  if (body === null) {
    const error = modelError('bad_request', 'there is no message to answer');
    return attemptResult(signal.aborted ? { how: 'aborted', requestId: null } : { how: 'failed', error }, answer);
  }
  const sdk = client(options, request, sink);
  const source = {
    clock: options.clock,
    requestIdHeader: 'request-id',
    drainMs: DRAIN_MS,
    open: (requestSignal: AbortSignal) => open(sdk, body, requestSignal),
    classify: classifyError,
  };
  return attemptResult(await readStream(source, answer, signal), answer);
}

/** The body goes as the text that it is: the SDK would write it anew, and with it what a model had written. */
function open(
  sdk: Anthropic,
  body: string,
  signal: AbortSignal,
): Promise<{ readonly data: AsyncIterable<unknown>; readonly response: Response }> {
  const headers = { 'content-type': 'application/json' };
  const options = { body, headers, signal, stream: true, timeout: HEADERS_TIMEOUT_MS };
  return sdk.post<AsyncIterable<unknown>>('/v1/messages', options).withResponse();
}

/**
 * A client for this one attempt, since its `fetch` reports to this attempt's sink (connections are shared all the
 * same). Every option is given: what is left out, the SDK reads from the environment.
 */
function client({ apiKey, baseUrl }: AnthropicOptions, { trace }: ModelRequest, sink: StepSink): Anthropic {
  return new Anthropic({
    apiKey,
    authToken: null,
    credentials: null,
    config: null,
    profile: null,
    webhookKey: null,
    baseURL: baseUrl ?? BASE_URL,
    timeout: HEADERS_TIMEOUT_MS,
    maxRetries: 0,
    defaultHeaders: {},
    defaultQuery: {},
    fetchOptions: {},
    middleware: [],
    dangerouslyAllowBrowser: false,
    openTelemetry: false,
    logLevel: 'off',
    logger: SILENT_LOGGER,
    fetch: guardedFetch({ headers: anthropicHeaders(apiKey), trace, activity: () => sink.activity() }),
  });
}
