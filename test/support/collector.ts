// A collector of traces (OTLP over HTTP, JSON): keeps what it was sent, or does not answer at all.

import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { listenAnywhere } from './port.ts';

export type CollectedSpan = {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly kind: number;
  readonly attributes: readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[];
};

type Body = {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly CollectedSpan[] }[] }[];
};

export class Collector {
  readonly spans: CollectedSpan[] = [];
  readonly requests: { readonly path: string; readonly headers: IncomingHttpHeaders; readonly body: string }[] = [];
  /** From now on it takes requests and never answers. */
  silent = false;
  readonly #server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      if (this.silent) return;
      this.requests.push({ path: request.url ?? '', headers: request.headers, body });
      const { resourceSpans } = JSON.parse(body) as Body;
      this.spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)));
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      for (const watcher of this.#watchers) watcher();
    });
  });
  readonly #watchers = new Set<() => void>();
  url = '';

  static async start(): Promise<Collector> {
    const collector = new Collector();
    collector.url = `http://127.0.0.1:${await listenAnywhere(collector.#server)}/v1/traces`;
    return collector;
  }

  /** Resolves when as many spans of that name and trace have come; gives them. */
  async collected(traceId: string, name: string, count: number): Promise<readonly CollectedSpan[]> {
    for (;;) {
      const found = this.spans.filter((span) => span.traceId === traceId && span.name === name);
      if (found.length >= count) return found;
      await new Promise<void>((resolve) => {
        const watcher = (): void => {
          this.#watchers.delete(watcher);
          resolve();
        };
        this.#watchers.add(watcher);
      });
    }
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}
