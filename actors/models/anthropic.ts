// Anthropic Messages through the official SDK: one attempt of one step, raw events, our own accumulation.
//
// Retries, waits and watchdogs are the actor's: the SDK retries nothing here, so that every attempt is visible and in
// the ledger. A stream is a success only after `message_stop`: the SDK's loop ends just as quietly when the body was
// cut or the attempt aborted.

import Anthropic from '@anthropic-ai/sdk';

import { AssertionError } from '../../protocol/assert.ts';
import type { AttemptResult, Clock, ModelClient, ModelError, ModelRequest, StepSink } from '../ports.ts';
import { classifyError, modelError, parseRequestId } from './anthropic-errors.ts';
import { guardedFetch } from './anthropic-fetch.ts';
import { anthropicRequest } from './anthropic-request.ts';
import { MessageAccumulator } from './anthropic-stream.ts';

export type AnthropicOptions = {
  readonly apiKey: string;
  /** Null: the provider's own. */
  readonly baseUrl: string | null;
  readonly clock: Clock;
};

const BASE_URL = 'https://api.anthropic.com';
/** For the headers only, as a last resort: the actor's watchdog is shorter and looks at the body too. */
const HEADERS_TIMEOUT_MS = 10 * 60 * 1000;
/** After `message_stop` the body should end at once, which keeps the connection for the next request; else we hang up. */
const DRAIN_MS = 250;
/** It would write parts of the stream to the console, at any level that the environment names. */
const SILENT = { error: ignore, warn: ignore, info: ignore, debug: ignore };

/** A model client for Anthropic. It holds no state between requests: any number of them may run at once. */
export function anthropicModel(options: AnthropicOptions): ModelClient {
  return {
    stream: (request, sink, signal) => new Attempt(options, sink, signal).run(request),
  };
}

function ignore(): void {}

class Attempt {
  readonly #options: AnthropicOptions;
  readonly #sink: StepSink;
  readonly #signal: AbortSignal;
  readonly #message: MessageAccumulator;
  #requestId: string | null = null;

  constructor(options: AnthropicOptions, sink: StepSink, signal: AbortSignal) {
    this.#options = options;
    this.#sink = sink;
    this.#signal = signal;
    this.#message = new MessageAccumulator(sink);
  }

  async run(request: ModelRequest): Promise<AttemptResult> {
    if (this.#signal.aborted) return this.#aborted();
    const body = anthropicRequest(request);
    if (body === null) return this.#failed(modelError('bad_request', 'there is no message to answer'));
    // A controller of its own: the caller's signal may outlive many attempts, and the SDK ties the request to it.
    const controller = new AbortController();
    const abort = (): void => controller.abort();
    this.#signal.addEventListener('abort', abort, { once: true });
    let stopDraining: (() => void) | null = null;
    try {
      const call = this.#client().messages.create(body, { signal: controller.signal });
      const { data: events, response } = await call.withResponse();
      this.#requestId = parseRequestId(response.headers.get('request-id'));
      for await (const event of events) {
        if (this.#signal.aborted) break;
        this.#message.apply(event);
        if (this.#message.complete) stopDraining ??= this.#options.clock.after(DRAIN_MS, abort);
      }
      return this.#ended();
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      if (this.#signal.aborted || this.#message.complete) return this.#ended();
      return this.#failed(classifyError(error, this.#options.clock.nowMs()));
    } finally {
      stopDraining?.();
      this.#signal.removeEventListener('abort', abort);
      controller.abort();
    }
  }

  /**
   * A client for this one attempt, since its `fetch` reports to this attempt's sink (connections are shared all the
   * same). Every option is given: what is left out, the SDK reads from the environment.
   */
  #client(): Anthropic {
    const { apiKey, baseUrl } = this.#options;
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
      logger: SILENT,
      fetch: guardedFetch(apiKey, () => this.#sink.activity()),
    });
  }

  /** The loop is over; how, only what was seen before can tell. Abortion first: it ends the loop like any other end. */
  #ended(): AttemptResult {
    if (this.#signal.aborted) return this.#aborted();
    const usage = this.#message.usage();
    if (!this.#message.complete) return this.#failed(modelError('cut', 'the answer ended before its end'));
    const end = this.#message.end();
    if (end.kind === 'tool_use')
      return this.#failed(modelError('bad_request', 'the model called a tool it was not given'));
    return {
      outcome: 'completed',
      stopReason: end.reason,
      provider: this.#message.provider(),
      usage: usage ?? {
        input_tokens: 0,
        output_tokens: 0,
        cache_read_tokens: 0,
        cache_write_tokens: 0,
        estimated: true,
      },
      requestId: this.#requestId,
    };
  }

  #failed(error: ModelError): AttemptResult {
    return {
      outcome: 'failed',
      error: { ...error, requestId: error.requestId ?? this.#requestId },
      provider: this.#message.provider(),
      usage: this.#message.usage(),
    };
  }

  #aborted(): AttemptResult {
    const provider = this.#message.provider();
    return { outcome: 'aborted', provider, usage: this.#message.usage(), requestId: this.#requestId };
  }
}
