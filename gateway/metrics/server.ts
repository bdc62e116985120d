// `GET /metrics` on a loopback port of its own: what it tells is for whoever runs the node, and a scrape must not share
// the port, the limits or the fate of the clients. Node's own server serves: a scrape comes every few seconds.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import { must } from '../../protocol/assert.ts';
import { namesLoopback } from '../admission.ts';
import type { Tally } from '../../protocol/measures.ts';
import type { GatewayLimit } from '../counts.ts';
import { GATEWAY_LIMITS } from '../limits.ts';
import type { Logger } from '../logger.ts';
import { StartError } from '../start-error.ts';

const HOST = '127.0.0.1';
export const METRICS_PORT_DEFAULT = 7078;

/** What is served. */
type Page = { readonly contentType: string; text(): Promise<string> };

export type MetricsPort = {
  /** 0: any free one. */
  readonly port: number;
  /** Nobody asked for this one: another will do when it is taken. */
  readonly isDefault: boolean;
};

/** Listens. Throws a `StartError` when the port that was asked for cannot be had. */
export async function serveMetrics(
  { port, isDefault }: MetricsPort,
  page: Page,
  { logger, limits }: { readonly logger: Logger; readonly limits: Tally<GatewayLimit> },
): Promise<{ readonly url: string; readonly stop: () => Promise<void> }> {
  const { metricsRequestMs, metricsConnections } = GATEWAY_LIMITS;
  const server = createServer({ requestTimeout: metricsRequestMs, headersTimeout: metricsRequestMs });
  server.maxConnections = metricsConnections;
  server.on('drop', () => limits.add('metricsConnections'));
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    answer(page, request, response).catch((error: unknown) => {
      logger.error('a scrape failed', { error });
      response.destroy();
    });
  });
  const taken = await listen(server, port);
  if (taken !== null && isDefault) await listen(server, 0);
  else if (taken !== null) throw new StartError(explain(taken, port));
  const address = server.address();
  const at = typeof address === 'object' ? must(address, 'a server that listens has an address').port : port;
  return {
    url: `http://${HOST}:${at}/metrics`,
    stop: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Null, or the code of what stood against it. */
async function listen(server: Server, port: number): Promise<string | null> {
  const failed = once(server, 'error').then(([error]) => (error as NodeJS.ErrnoException).code ?? 'unknown');
  server.listen({ host: HOST, port, exclusive: true });
  return Promise.race([failed, once(server, 'listening').then(() => null)]);
}

function explain(code: string, port: number): string {
  const what =
    code === 'EADDRINUSE' ? 'is taken by another process' : code === 'EACCES' ? 'needs more rights' : `fails (${code})`;
  return `The port for metrics, ${port} of ${HOST}, ${what}. Choose another with --metrics-port (PARLEY_METRICS_PORT), or "off".`;
}

async function answer(page: Page, request: IncomingMessage, response: ServerResponse): Promise<void> {
  // No keep-alive for a request that is refused: what follows it is not to be read.
  if (!namesLoopback(request.headers.host ?? '')) return refuse(response, 403, 'This host name is not allowed here.');
  if (request.url?.split('?')[0] !== '/metrics') return refuse(response, 404, 'There is /metrics only.');
  if (request.method !== 'GET') return refuse(response, 405, 'GET only.');
  const text = await page.text();
  response.writeHead(200, { 'content-type': page.contentType, 'cache-control': 'no-store' }).end(text);
}

function refuse(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' }).end(`${body}\n`);
}
