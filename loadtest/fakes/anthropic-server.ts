// A fake of the Anthropic Messages API over real HTTP: it streams, validates, caches and fails like the real one, on
// demand. Tests in the same process enqueue what the next requests get; others put a directive into their message.

import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';

import { hangUp, play, silence, wasHungUp } from './anthropic-player.ts';
import { type Prompt, PromptCache, lastUserText, promptPrefix, readPrompt, sign } from './anthropic-prompt.ts';
import { type Chunks, DEFAULT_SCENARIO, type Failure, type Scenario, parseDirective } from './anthropic-scenario.ts';
import { type Step, type StepContext, scenarioSteps } from './anthropic-steps.ts';

/** What one request gets: parts of a scenario, or a list of steps (made for the request) to be played as they are. */
export type Plan =
  | Partial<Scenario>
  | { readonly steps: (context: StepContext) => Iterable<Step>; readonly chunks?: Chunks }
  /** A response that is no stream. */
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body: string };

export type RecordedRequest = {
  /** From 1. */
  readonly number: number;
  readonly receivedAtMs: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly rawBody: string;
  readonly body: unknown;
  /** Null as long as it runs. */
  readonly ended: Ended | null;
  readonly closed: Promise<Ended>;
};

/** The server was done, the client left before that, or the server hung up on it. */
export type Ended = { readonly how: 'finished' | 'aborted' | 'hung_up'; readonly atMs: number };

export type FakeOptions = {
  /** 0: any free one. */
  readonly port?: number;
  /** When given, another key is refused. */
  readonly apiKey?: string;
  /** What a request without a directive gets. */
  readonly defaults?: Partial<Scenario>;
};

/** Older ones are forgotten: a server under load must not keep every request. */
const RECORDED_MAX = 1_000;
const BODY_BYTES_MAX = 32 * 1024 * 1024;
const SECRET = 'fake-anthropic';

/** Listens on 127.0.0.1. */
export async function startFakeAnthropic(options: FakeOptions = {}): Promise<FakeAnthropic> {
  const fake = new FakeAnthropic(options);
  await fake.listen(options.port ?? 0);
  return fake;
}

export class FakeAnthropic {
  readonly #options: FakeOptions;
  readonly #defaults: Scenario;
  readonly #server: Server;
  readonly #stopping = new AbortController();
  readonly #queue: Plan[] = [];
  readonly #cache = new PromptCache(RECORDED_MAX);
  /** Requests so far by their last user message: `times` counts them. */
  readonly #seen = new Map<string, number>();
  readonly #requests: Recording[] = [];
  #count = 0;
  #abortWaiters: ((request: AbortedRequest) => void)[] = [];

  constructor(options: FakeOptions) {
    this.#options = options;
    this.#defaults = { ...DEFAULT_SCENARIO, ...options.defaults };
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the fake does not listen');
    return `http://127.0.0.1:${address.port}`;
  }

  /** The newest requests for a message, in the order of their arrival. */
  get requests(): readonly RecordedRequest[] {
    return this.#requests;
  }

  /** The next requests get these, one each; what comes after them gets the default or what its directive says. */
  enqueue(...plans: readonly Plan[]): void {
    this.#queue.push(...plans);
  }

  /** The next request that its client leaves before the end, from now on. */
  nextAbort(): Promise<AbortedRequest> {
    return new Promise((resolve) => this.#abortWaiters.push(resolve));
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  /** Hangs up on everybody. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.socket?.setNoDelay(true);
    if (request.method === 'GET' && request.url === '/_fake/requests') {
      const requests = this.#requests.map(({ number, receivedAtMs, ended, body }) => {
        return { number, receivedAtMs, ended, body };
      });
      respond(response, 200, requests);
      return;
    }
    const rawBody = await readBody(request);
    const id = `req_fake_${String(++this.#count).padStart(6, '0')}`;
    response.setHeader('request-id', id);
    const body = parseBody(rawBody);
    const gone = this.#watch(request, response, { rawBody, body });
    const fault = this.#headerFault(request);
    if (fault !== null) {
      refuse(response, id, fault);
      return;
    }
    const prompt = readPrompt(body, SECRET);
    if (typeof prompt === 'string') {
      refuse(response, id, { status: 400, type: 'invalid_request_error', message: prompt });
      return;
    }
    const context = this.#context(prompt, body);
    const plan = this.#queue.shift();
    if (plan !== undefined && 'steps' in plan) {
      await stream(response, plan.steps(context), { chunks: plan.chunks ?? 'event', gone });
    } else if (plan !== undefined && 'body' in plan) {
      response.writeHead(plan.status, { 'content-type': 'application/json', ...plan.headers }).end(plan.body);
    } else {
      await this.#act(plan ?? null, { prompt, context, response, gone, id });
    }
  }

  async #act(plan: Partial<Scenario> | null, exchange: Exchange): Promise<void> {
    const { prompt, context, response, gone, id } = exchange;
    const text = lastUserText(prompt);
    const parsed = plan === null ? parseDirective(text, this.#defaults) : { scenario: { ...this.#defaults, ...plan } };
    if ('fault' in parsed) {
      refuse(response, id, { status: 400, type: 'invalid_request_error', message: parsed.fault });
      return;
    }
    const { scenario } = parsed;
    const fails = plan !== null || this.#countSeen(text) <= scenario.times;
    const failure = fails ? scenario.failure : null;
    if (failure !== null && (await failBefore(failure, exchange))) return;
    await stream(response, scenarioSteps(scenario, context, fails), { chunks: scenario.chunks, gone });
  }

  #context(prompt: Prompt, body: unknown): StepContext {
    const prefix = promptPrefix(prompt);
    return {
      messageId: `msg_fake_${this.#count}`,
      model: prompt.model,
      usage: this.#cache.account(prompt, body),
      maxTokens: prompt.maxTokens,
      sign: (thinking) => sign(thinking, prefix, SECRET),
    };
  }

  #headerFault(request: IncomingMessage): Refusal | null {
    const { authorization, 'x-api-key': header } = request.headers;
    const key = authorization?.replace(/^Bearer /u, '') ?? header;
    const message = 'my secret prompt: invalid x-api-key';
    if (key === undefined || (this.#options.apiKey ?? key) !== key) {
      return { status: 401, type: 'authentication_error', message };
    }
    if (request.method !== 'POST' || request.url !== '/v1/messages') {
      return { status: 404, type: 'not_found_error', message: 'not found' };
    }
    if (request.headers['anthropic-version'] !== undefined) return null;
    return { status: 400, type: 'invalid_request_error', message: 'anthropic-version: header is required' };
  }

  #countSeen(text: string): number {
    const count = (this.#seen.get(text) ?? 0) + 1;
    this.#seen.delete(text);
    this.#seen.set(text, count);
    for (const oldest of this.#seen.keys()) {
      if (this.#seen.size <= RECORDED_MAX) break;
      this.#seen.delete(oldest);
    }
    return count;
  }

  /** Records the request; the signal is aborted when its client leaves before the end, or the server stops. */
  #watch(request: IncomingMessage, response: ServerResponse, { rawBody, body }: Received): AbortSignal {
    const left = new AbortController();
    const { promise: closed, resolve } = Promise.withResolvers<Ended>();
    const { headers } = request;
    const recorded: Recording = {
      number: this.#count,
      receivedAtMs: Date.now(),
      headers,
      rawBody,
      body,
      ended: null,
      closed,
    };
    this.#requests.push(recorded);
    if (this.#requests.length > RECORDED_MAX) this.#requests.shift();
    response.once('close', () => {
      const byServer = wasHungUp(response) || this.#stopping.signal.aborted;
      const how = response.writableFinished ? 'finished' : byServer ? 'hung_up' : 'aborted';
      recorded.ended = { how, atMs: Date.now() };
      left.abort();
      resolve(recorded.ended);
      if (how === 'aborted') this.#tellAborted({ request: recorded, atMs: recorded.ended.atMs });
    });
    return AbortSignal.any([left.signal, this.#stopping.signal]);
  }

  #tellAborted(aborted: AbortedRequest): void {
    const waiters = this.#abortWaiters;
    this.#abortWaiters = [];
    for (const resolve of waiters) resolve(aborted);
  }
}

export type AbortedRequest = { readonly request: RecordedRequest; readonly atMs: number };

type Recording = Omit<RecordedRequest, 'ended'> & { ended: Ended | null };

type Received = { readonly rawBody: string; readonly body: unknown };

type Exchange = {
  readonly prompt: Prompt;
  readonly context: StepContext;
  readonly response: ServerResponse;
  readonly gone: AbortSignal;
  readonly id: string;
};

type Refusal = {
  readonly status: number;
  readonly type: string;
  readonly message: string;
  readonly code?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
};

/** Failures that come before the stream; false when this one comes later. */
async function failBefore(failure: Failure, { response, gone, id }: Exchange): Promise<boolean> {
  if (failure.kind === 'status') {
    refuse(response, id, failure);
    return true;
  }
  if (failure.kind === 'reset' && failure.after === null) {
    hangUp(response, 'RST');
    return true;
  }
  if (failure.kind === 'silence' && failure.after === null) {
    await silence(null, { response, gone });
    return true;
  }
  return false;
}

async function stream(
  response: ServerResponse,
  steps: Iterable<Step>,
  { chunks, gone }: { readonly chunks: Chunks; readonly gone: AbortSignal },
): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
  response.flushHeaders();
  await play(steps, { response, chunks, gone });
}

function refuse(response: ServerResponse, id: string, refusal: Refusal): void {
  const { status, type, message, code = null, headers = {} } = refusal;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  const details = code === null ? null : { error_code: code };
  respond(response, status, { type: 'error', error: { type, message, details }, request_id: id });
}

function respond(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function readBody(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > BODY_BYTES_MAX) throw new Error('the request is too large');
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

function parseBody(rawBody: string): unknown {
  try {
    return JSON.parse(rawBody);
  } catch {
    return null;
  }
}
