// A fake of OpenAI's Responses API over real HTTP: it streams, validates, caches, runs in the background and fails like the
// real one, on demand.

import type { CacheTotals } from './cache-books.ts';
import { type Endpoint, type Exchange, FakeServer, RECORDED_MAX } from './fake-server.ts';
import { play } from './player.ts';
import { PrefixCache } from './prefix-cache.ts';
import { readResponsesRequest, seal } from './responses-input.ts';
import { type PaidResponse, ResponseRuns } from './responses-runs.ts';
import { RESPONSES_STATUSES } from './responses-statuses.ts';
import { type ResponsesContext, scenarioEvents } from './responses-steps.ts';
import type { Scenario } from './scenario.ts';
import { type Plan, type Protocol, type Refusal, ScenarioEndpoint, type Script } from './scenario-endpoint.ts';

export type ResponsesOptions = {
  /** When given, another key is refused. */
  readonly apiKey?: string;
  /** What a request without a directive gets. */
  readonly defaults?: Partial<Scenario>;
  /** What it seals reasoning with: one that changes takes no reasoning of before. */
  readonly secret?: string;
  /** Tokens of the prompt: more is refused. */
  readonly contextTokens?: number;
  readonly script?: Script;
};

/** What a request for a response that runs already gets instead of it. */
export type Retrieval =
  | { readonly status: number; readonly body: string; readonly headers?: Readonly<Record<string, string>> }
  /** The stream breaks after so many events. */
  | { readonly cutAfter: number }
  /** The response cannot be streamed any more, only read; it is also `in_progress` for ever; or it is gone altogether. */
  | 'unstreamable'
  | 'stuck'
  | 'gone';

const TOO_LONG: Refusal = {
  status: 400,
  type: 'invalid_request_error',
  message: 'Your input exceeds the context window of this model. Please adjust your input and try again.',
  code: 'context_length_exceeded',
};
const SECRET = 'fake-openai';
const PATH = /^\/v1\/responses(?:\/(?<id>[\w-]+)(?<cancel>\/cancel)?)?$/u;

export class ResponsesEndpoint implements Endpoint {
  readonly #options: ResponsesOptions;
  readonly #runs = new ResponseRuns();
  readonly #scenarios: ScenarioEndpoint<ResponsesContext>;
  readonly #retrievals: Retrieval[] = [];
  readonly #cache = new PrefixCache(RECORDED_MAX);

  constructor(options: ResponsesOptions = {}) {
    this.#options = options;
    this.#scenarios = new ScenarioEndpoint(this.#protocol(), options.script);
  }

  /** Every response that was begun, which is to say paid for, in order. */
  get paid(): readonly PaidResponse[] {
    return this.#runs.paid;
  }

  speaks(path: string): boolean {
    return PATH.test(path) || path === '/_fake/paid';
  }

  get cacheTotals(): readonly [protocol: string, totals: CacheTotals] {
    return this.#scenarios.cacheTotals;
  }

  enqueue(...plans: readonly Plan<ResponsesContext>[]): void {
    this.#scenarios.enqueue(...plans);
  }

  /** The next requests for a response that runs already get these. */
  enqueueRetrievals(...retrievals: readonly Retrieval[]): void {
    this.#retrievals.push(...retrievals);
  }

  /** Those that nobody asked for. */
  dropRetrievals(): void {
    this.#retrievals.length = 0;
  }

  async answer(exchange: Exchange): Promise<void> {
    const { request, response } = exchange;
    const url = new URL(request.url ?? '/', 'http://fake');
    if (url.pathname === '/_fake/paid') {
      respond(exchange, 200, this.paid);
      return;
    }
    const { id, cancel } = PATH.exec(url.pathname)?.groups ?? {};
    if (id === undefined) return this.#scenarios.answer(exchange);
    response.setHeader('x-request-id', `req_fake_${String(exchange.number).padStart(6, '0')}`);
    const refusal = this.#keyFault(request.headers.authorization);
    if (refusal !== null) return refuse(exchange, refusal);
    if (!this.#runs.has(id)) return refuse(exchange, notFound(id));
    if (cancel !== undefined) return respond(exchange, 200, this.#runs.cancel(id));
    return this.#retrieve(id, url.searchParams, exchange);
  }

  async #retrieve(id: string, query: URLSearchParams, exchange: Exchange): Promise<void> {
    this.#runs.noteRetrieval(id);
    const { response, gone } = exchange;
    const plan = this.#retrievals.shift();
    if (plan === 'gone') return refuse(exchange, notFound(id));
    if (typeof plan === 'object' && 'body' in plan) {
      response.writeHead(plan.status, { 'content-type': 'application/json', ...plan.headers }).end(plan.body);
      return;
    }
    if (query.get('stream') !== 'true') return respond(exchange, 200, this.#runs.resource(id));
    if (plan === 'stuck') this.#runs.stick(id);
    if (plan === 'unstreamable' || plan === 'stuck') {
      const message = 'This response can no longer be streamed because it is more than 5 minutes old.';
      return refuse(exchange, { status: 400, type: 'invalid_request_error', message });
    }
    const after = Number(query.get('starting_after') ?? -1);
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.flushHeaders();
    const stage = { response, chunks: 'event', gone, ping: new Uint8Array() } as const;
    const steps = this.#runs.stream(id, after);
    return play(typeof plan === 'object' ? take(steps, plan.cutAfter) : steps, stage);
  }

  #protocol(): Protocol<ResponsesContext> {
    return {
      name: 'openai',
      cache: () => this.#cache.books.totals,
      speaks: (path) => PATH.test(path),
      requestIdHeader: 'x-request-id',
      vocabulary: { statuses: RESPONSES_STATUSES, words: { code: /^\w{1,64}$/u } },
      ping: new TextEncoder().encode(': keep-alive\n\n'),
      defaults: this.#options.defaults ?? {},
      receive: ({ number, method, headers, body }) => {
        const fault = this.#keyFault(headers.authorization);
        if (fault !== null) return fault;
        if (method !== 'POST') return { status: 405, type: 'invalid_request_error', message: 'Method not allowed' };
        const request = readResponsesRequest(body, this.#options.secret ?? SECRET);
        if (!('conversation' in request)) return request;
        const usage = this.#cache.account(`${request.model} ${request.cacheKey || number}`, request.prompt);
        if (usage.inputTokens > (this.#options.contextTokens ?? Number.POSITIVE_INFINITY)) return TOO_LONG;
        const context: ResponsesContext = {
          ...request,
          ...usage,
          id: `resp_${String(number).padStart(6, '0')}`,
          seal: (reasoning) => seal(reasoning, this.#options.secret ?? SECRET),
        };
        return { context, conversation: request.conversation };
      },
      refusalBody,
      message: (scenario, context) =>
        this.#runs.begin(context, scenarioEvents(scenario, context), context.background ? scenario.paceMs : 0),
      errorEvent: (type) => {
        const data = { type: 'error', code: type, message: 'my secret prompt broke it', param: null };
        return [{ do: 'event', event: 'error', data }];
      },
    };
  }

  #keyFault(authorization: string | undefined): Refusal | null {
    const key = authorization?.replace(/^Bearer /u, '');
    if (key !== undefined && key === (this.#options.apiKey ?? key)) return null;
    const message = 'Incorrect API key provided: my secret prompt';
    return { status: 401, type: 'invalid_request_error', message, code: 'invalid_api_key' };
  }
}

/** A server that speaks this protocol, for tests. */
export class FakeResponses extends FakeServer {
  readonly endpoint: ResponsesEndpoint;

  constructor(options: ResponsesOptions = {}) {
    const endpoint = new ResponsesEndpoint(options);
    super([endpoint]);
    this.endpoint = endpoint;
  }

  /** What `OPENAI_BASE_URL` has to be. */
  get baseUrl(): string {
    return `${this.url}/v1`;
  }
}

/** Listens on 127.0.0.1; port 0: any free one. */
export async function startFakeResponses(
  options: ResponsesOptions & { readonly port?: number } = {},
): Promise<FakeResponses> {
  const fake = new FakeResponses(options);
  await fake.listen(options.port ?? 0);
  return fake;
}

function notFound(id: string): Refusal {
  return { status: 404, type: 'invalid_request_error', message: `Response with id '${id}' not found.` };
}

function refusalBody({ type, message, code = null }: Refusal): unknown {
  return { error: { message, type, param: null, code } };
}

function refuse(exchange: Exchange, refusal: Refusal): void {
  respond(exchange, refusal.status, refusalBody(refusal));
}

function respond({ response }: Exchange, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function* take<T>(values: Iterable<T>, count: number): Generator<T> {
  let taken = 0;
  for (const value of values) {
    if (taken++ >= count) return;
    yield value;
  }
}
