// The server: uWebSockets.js, behind a few small types. No other file imports it.
//
// What has to be known of it: a socket may not be touched after its close handler ran, not even to ask for its buffer; the
// bytes of a message are only valid inside the handler; `end` runs the close handler before it returns; a port that is
// not opened exclusively is shared silently with another process.

import {
  App,
  DISABLED,
  type HttpRequest,
  type HttpResponse,
  LIBUS_LISTEN_EXCLUSIVE_PORT,
  us_listen_socket_close,
  us_socket_local_port,
  type us_listen_socket,
  type us_socket_context_t,
  type TemplatedApp,
  type WebSocket,
} from 'uWebSockets.js';
import { createServer } from 'node:net';
import { assert, must } from '../protocol/assert.ts';
import { SUBPROTOCOL } from '../protocol/frames.ts';
import { LIMITS } from '../protocol/limits.ts';
import { addressKey, HOST_REFUSED, type Peer, type UpgradeRequest, type Verdict } from './admission.ts';
import { FORWARDED_FOR, type TrustedProxies } from './client-address.ts';
import { type Logger } from './logger.ts';
import type { ClientSocket } from './socket.ts';
import { StartError } from './start-error.ts';

// What the published types leave out.
declare module 'uWebSockets.js' {
  export const LIBUS_LISTEN_EXCLUSIVE_PORT: number;
  export const DISABLED: number;
  interface TemplatedApp {
    listen(
      host: string,
      port: number,
      options: number,
      callback: (listenSocket: us_listen_socket | false) => void,
    ): TemplatedApp;
  }
}

/** What the server tells of a connection. None of the calls may throw. */
export type SocketHandler = {
  receive(bytes: Uint8Array): void;
  receiveText(): void;
  /** A ping or a pong of WebSocket: the server has answered it. */
  receiveControl(): void;
  drained(): void;
  /** The last call. */
  closed(): void;
};

export type HttpAnswer = { readonly status: string; readonly body: string };

export type Traffic = {
  received(bytes: number): void;
  sent(bytes: number): void;
};

export type ServerParts = {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Above this, buffered behind our back, uWS cuts the connection. */
  readonly socketBufferBytesMax: number;
  readonly logger: Logger;
  readonly proxies: TrustedProxies;
  hostAllowed(host: string): boolean;
  judge(request: UpgradeRequest): Verdict;
  /** A connection was accepted, from that address or a proxy's; false cuts it at once. */
  arrive(address: string): boolean;
  /** A connection that was no session has become one, or has ended. */
  leave(): void;
  open(socket: ClientSocket, peer: Peer): SocketHandler;
  /** Follows each `open`, after the handler's last call. */
  closed(peer: Peer, code: number): void;
  /** Told of every WebSocket message. */
  readonly traffic: Traffic;
  /** GET path → its answer, in JSON. */
  readonly pages: Readonly<Record<string, () => Promise<HttpAnswer>>>;
};

export type Server = {
  readonly port: number;
  /** No new connection; the open ones go on. */
  stopListening(): void;
  /** Cuts what is still open. */
  close(): void;
};

export const SOCKET_PATH = '/v1/ws';

/** Pings after 44 s of silence, the end after 60: most proxies cut at 60 s, and the heartbeat comes every 20. */
const IDLE_TIMEOUT_SECONDS = 60;

type UserData = { handler: SocketHandler | null; socket: UwsSocket | null; readonly peer: Peer };

class UwsSocket implements ClientSocket {
  readonly #ws: WebSocket<UserData>;
  readonly #traffic: Traffic;
  #open = true;
  /** Something may be buffered: asking uWS costs a tenth of what sending a message does. */
  #isBuffering = false;

  constructor(ws: WebSocket<UserData>, traffic: Traffic) {
    this.#ws = ws;
    this.#traffic = traffic;
  }

  send(bytes: Uint8Array): void {
    if (!this.#open) return;
    this.#traffic.sent(bytes.length);
    // One message needs no cork: uWS writes header and payload in one piece by itself.
    const status = this.#ws.send(bytes, true, false);
    this.#isBuffering = status !== 1;
    // 2 is a message dropped for too much in the buffer: a hole in the stream. Our own budget lies far below.
    assert(status !== 2, 'the outbox keeps the socket below its limit');
  }

  bufferedBytes(): number {
    return this.#open && this.#isBuffering ? this.#ws.getBufferedAmount() : 0;
  }

  end(code: number, reason: string): void {
    if (this.#open) this.#ws.end(code, reason);
  }

  /** Called first of all in the close handler: from then on the socket is not touched. */
  markClosed(): void {
    this.#open = false;
  }
}

/** Listens. Throws a `StartError` when that is not possible. */
export async function startServer(parts: ServerParts): Promise<Server> {
  const app = App();
  // 1: a connection was accepted; −1: one that did not become a WebSocket has ended.
  app.filter((res, change) => {
    if (change < 0) parts.leave();
    else if (!parts.arrive(remoteAddress(res))) res.close();
  });
  addSocketRoute(app, parts);
  for (const [path, answer] of Object.entries(parts.pages)) {
    app.get(path, (res, req) => {
      if (!parts.hostAllowed(req.getHeader('host'))) respond(res, '403 Forbidden', HOST_REFUSED);
      else void answerLater(res, answer, parts.logger);
    });
  }
  app.get(SOCKET_PATH, (res) => respond(res, '426 Upgrade Required', 'This is a WebSocket endpoint.'));
  app.any('/*', (res) => respond(res, '404 Not Found', `There is nothing here. The WebSocket is at ${SOCKET_PATH}.`));

  const listening = await new Promise<us_listen_socket | false>((resolve) => {
    app.listen(parts.host, parts.port, LIBUS_LISTEN_EXCLUSIVE_PORT, resolve);
  });
  if (listening === false) {
    app.close();
    throw new StartError(await explainListen(parts.host, parts.port));
  }
  let open: us_listen_socket | null = listening;
  const stopListening = (): void => {
    if (open !== null) us_listen_socket_close(open);
    open = null;
  };
  return {
    port: us_socket_local_port(listening),
    stopListening,
    close: () => {
      stopListening();
      app.close();
    },
  };
}

function addSocketRoute(app: TemplatedApp, parts: ServerParts): void {
  /** An exception that leaves a handler ends the process: a bug of one connection must not. */
  const guarded = (ws: WebSocket<UserData>, run: (handler: SocketHandler) => void): void => {
    const { handler, socket } = ws.getUserData();
    if (handler === null) return;
    try {
      run(handler);
    } catch (error) {
      parts.logger.error('a socket handler failed', { error });
      socket?.end(1011, 'internal');
    }
  };
  app.ws<UserData>(SOCKET_PATH, {
    compression: DISABLED,
    // Between our limit and this one a client gets `too_large`; above it uWS cuts without a word.
    maxPayloadLength: LIMITS.inboundMessageBytes * 2,
    maxBackpressure: parts.socketBufferBytesMax,
    closeOnBackpressureLimit: true,
    idleTimeout: IDLE_TIMEOUT_SECONDS,
    sendPingsAutomatically: true,
    upgrade: (res, req, context) => upgrade(res, req, { context, parts }),
    open: (ws) => {
      parts.leave();
      const socket = new UwsSocket(ws, parts.traffic);
      const data = ws.getUserData();
      data.socket = socket;
      data.handler = parts.open(socket, data.peer);
    },
    message: (ws, message, isBinary) => {
      parts.traffic.received(message.byteLength);
      guarded(ws, (handler) => {
        if (isBinary) handler.receive(new Uint8Array(message));
        else handler.receiveText();
      });
    },
    ping: (ws) => guarded(ws, (handler) => handler.receiveControl()),
    pong: (ws) => guarded(ws, (handler) => handler.receiveControl()),
    drain: (ws) => guarded(ws, (handler) => handler.drained()),
    close: (ws, code) => {
      const { socket, peer } = ws.getUserData();
      socket?.markClosed();
      guarded(ws, (handler) => handler.closed());
      parts.closed(peer, code);
    },
  });
}

function upgrade(
  res: HttpResponse,
  req: HttpRequest,
  { context, parts }: { readonly context: us_socket_context_t; readonly parts: ServerParts },
): void {
  const verdict = parts.judge({
    origin: req.getHeader('origin'),
    host: req.getHeader('host'),
    protocols: req.getHeader('sec-websocket-protocol'),
    address: parts.proxies.clientKey(remoteBytes(res), () => headerLines(req, FORWARDED_FOR)),
  });
  if (!verdict.admitted) {
    respond(res, verdict.status, verdict.body, verdict.retryAfterSeconds);
    return;
  }
  const data: UserData = { handler: null, socket: null, peer: verdict.peer };
  // No extensions are offered back: compression is off.
  res.upgrade(data, req.getHeader('sec-websocket-key'), SUBPROTOCOL, '', context);
}

function remoteAddress(res: HttpResponse): string {
  return addressKey(remoteBytes(res));
}

function remoteBytes(res: HttpResponse): Uint8Array {
  return new Uint8Array(res.getRemoteAddress());
}

/** All of them: `getHeader` gives the first, which may be the client's, before that of a proxy that adds a line. */
function headerLines(req: HttpRequest, name: string): string[] {
  const lines: string[] = [];
  req.forEach((key, value) => {
    if (key === name) lines.push(value);
  });
  return lines;
}

function respond(res: HttpResponse, status: string, body: string, retryAfterSeconds: number | null = null): void {
  res.writeStatus(status).writeHeader('content-type', 'text/plain; charset=utf-8');
  if (retryAfterSeconds !== null) res.writeHeader('retry-after', String(retryAfterSeconds));
  // The connection is closed: a refused client shall not keep it.
  res.end(`${body}\n`, true);
}

async function answerLater(res: HttpResponse, answer: () => Promise<HttpAnswer>, logger: Logger): Promise<void> {
  let aborted = false;
  res.onAborted(() => {
    aborted = true;
  });
  const page = await answer().catch((error: unknown): HttpAnswer => {
    logger.error('a page failed', { error });
    return { status: '500 Internal Server Error', body: '{}' };
  });
  if (aborted) return;
  res.cork(() => {
    res
      .writeStatus(page.status)
      .writeHeader('content-type', 'application/json')
      .writeHeader('cache-control', 'no-store')
      // Kept, it would stand in the way of others: probes connect anew.
      .end(`${page.body}\n`, true);
  });
}

/** uWS says only that it failed; Node says why. */
async function explainListen(host: string, port: number): Promise<string> {
  const probe = createServer();
  const code = await new Promise<string | null>((resolve) => {
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(must(error.code, 'a failed listen has a code')));
    probe.listen({ host, port, exclusive: true }, () => resolve(null));
  });
  probe.close();
  switch (code) {
    case 'EADDRINUSE':
    case null:
      return `Port ${port} of ${host} is taken by another process. Stop that one, or choose another with --port (PARLEY_PORT).`;
    case 'EACCES':
      return `This user may not listen on port ${port}. Choose one above 1023 with --port (PARLEY_PORT).`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `${host} is not an address of this machine. Choose another with --host (PARLEY_HOST).`;
    default:
      return `Cannot listen on ${host}:${port} (${code}). Choose another with --host and --port.`;
  }
}
