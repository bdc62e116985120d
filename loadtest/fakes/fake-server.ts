// A fake model server over real HTTP: it listens, hands each request to the protocol of its path and keeps a record of all.

import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';

import type { CacheTotals } from './cache-books.ts';
import { wasHungUp } from './player.ts';

/** One protocol that a server speaks. */
export type Endpoint = {
  /** Asked in their order; the first that says yes answers. */
  speaks(path: string): boolean;
  answer(exchange: Exchange): Promise<void>;
  /** What its prompt cache read so far. */
  readonly cacheTotals: readonly [protocol: string, totals: CacheTotals];
};

export type Exchange = {
  /** From 1, over all protocols. */
  readonly number: number;
  readonly path: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Parsed; null when it is no JSON. */
  readonly body: unknown;
  /** Aborted when the client leaves before the end, or the server stops. */
  readonly gone: AbortSignal;
};

export type RecordedRequest = {
  /** From 1. */
  readonly number: number;
  readonly receivedAtMs: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly rawBody: string;
  readonly body: unknown;
  /** Null as long as it runs. */
  readonly ended: Ended | null;
  readonly closed: Promise<Ended>;
};

/** The server was done, the client left before that, or the server hung up on it. */
export type Ended = { readonly how: 'finished' | 'aborted' | 'hung_up'; readonly atMs: number };

export type AbortedRequest = { readonly request: RecordedRequest; readonly atMs: number };

/** Older ones are forgotten: a server under load must not keep every request. */
export const RECORDED_MAX = 1_000;
const BODY_BYTES_MAX = 32 * 1024 * 1024;

export class FakeServer {
  readonly #endpoints: readonly Endpoint[];
  readonly #server: Server;
  readonly #stopping = new AbortController();
  readonly #requests: Recording[] = [];
  #count = 0;
  #abortWaiters: ((request: AbortedRequest) => void)[] = [];

  constructor(endpoints: readonly Endpoint[]) {
    this.#endpoints = endpoints;
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

  /** What the prompt cache of each protocol read, and could have read, so far. */
  get cache(): Readonly<Record<string, CacheTotals>> {
    return Object.fromEntries(this.#endpoints.map(({ cacheTotals }) => cacheTotals));
  }

  /** The next request that its client leaves before the end, from now on. */
  nextAbort(): Promise<AbortedRequest> {
    return new Promise((resolve) => this.#abortWaiters.push(resolve));
  }

  /** On 127.0.0.1; port 0: any free one. */
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
    const path = new URL(request.url ?? '/', 'http://fake').pathname;
    if (request.method === 'GET' && path === '/_fake/requests') {
      const requests = this.#requests.map(({ number, receivedAtMs, path: asked, ended, body }) => {
        return { number, receivedAtMs, path: asked, ended, body };
      });
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(requests));
      return;
    }
    if (request.method === 'GET' && path === '/_fake/cache') {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(this.cache));
      return;
    }
    const rawBody = await readBody(request);
    const body = parseBody(rawBody);
    const number = ++this.#count;
    const gone = this.#watch(request, response, { number, path, rawBody, body });
    const endpoint = this.#endpoints.find((candidate) => candidate.speaks(path));
    // What a server says that knows nothing of the API: no JSON.
    if (endpoint === undefined) response.writeHead(404, { 'content-type': 'text/plain' }).end('404 page not found\n');
    else await endpoint.answer({ number, path, request, response, body, gone });
  }

  #watch(request: IncomingMessage, response: ServerResponse, received: Received): AbortSignal {
    const left = new AbortController();
    const { promise: closed, resolve } = Promise.withResolvers<Ended>();
    const { headers } = request;
    const recorded: Recording = { ...received, receivedAtMs: Date.now(), headers, ended: null, closed };
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

type Recording = Omit<RecordedRequest, 'ended'> & { ended: Ended | null };
type Received = Pick<RecordedRequest, 'number' | 'path' | 'rawBody' | 'body'>;

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
