// The outbox: commands and queries until their reply has come, over as many connections as that takes.
//
// A request is `waiting` (to be sent), `sent` (the live connection owes a reply) or `resting` (refused for the moment,
// waiting again after a back-off). Invariants: a command keeps its id and the bytes of its args through all tries, so it
// takes effect once (P3); requests are sent in the order in which they were made, unless one rests; each send has a
// request number of its own, so that a late or repeated reply to an earlier one is recognised and dropped. Bounds: see
// `pendingRequests`, `pendingBytes`, `sentRequests`, `sentBytes`. A lost connection is no try: it says nothing of the
// request; errors of the moment and missing replies are tries, at most `requestTriesMax`.

import { encodeArgs } from '../codec.ts';
import { errorBody } from '../errors.ts';
import type { Args, ServerFrame } from '../frames.ts';
import type { CommandId } from '../ids.ts';
import { ProtocolError } from '../protocol-error.ts';
import { resendDelayMs } from './backoff.ts';
import type { Connection } from './connection.ts';
import type { ClientClock, ClientRandom } from './environment.ts';
import { clientError, CommandError } from './errors.ts';
import { CLIENT_LIMITS } from './limits.ts';

type Reply = ServerFrame & { readonly op: 'reply' };

/** A command has an id, a query has none. */
type Request = {
  readonly id: CommandId | null;
  readonly name: string;
  readonly args: Args;
  readonly rawArgs: Uint8Array;
  /** The same for all tries. */
  readonly trace: string | null;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  tries: number;
  state:
    | { readonly kind: 'waiting' }
    | { readonly kind: 'sent'; readonly request: number; readonly cancel: () => void }
    | { readonly kind: 'resting'; readonly cancel: () => void };
};

type RequestsOptions = {
  readonly connection: Pick<Connection, 'send' | 'isLive' | 'nextRequest' | 'refreshCredential'>;
  readonly clock: ClientClock;
  readonly random: ClientRandom;
  /** Asked for each command. */
  readonly traceParent: () => string | null;
};

export class Requests {
  readonly #options: RequestsOptions;
  /** In the order in which they were made. */
  readonly #pending = new Set<Request>();
  readonly #sent = new Map<number, Request>();
  #pendingBytes = 0;
  #sentBytes = 0;

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** Resolves with the result; rejects with a `CommandError` or a `ClientError`. */
  command(id: CommandId, name: string, args: Args): Promise<unknown> {
    return this.#add(id, name, args);
  }

  /** The same for a query. */
  query(name: string, args: Args): Promise<unknown> {
    return this.#add(null, name, args);
  }

  onUp(): void {
    this.#pump();
  }

  /** What was sent is sent again over the next connection. */
  onDown(): void {
    for (const request of this.#sent.values()) this.#unsend(request);
  }

  /** A reply that nobody waits for (any more) is dropped. */
  onReply({ request: number, result, error }: Reply): void {
    const request = this.#sent.get(number);
    if (request === undefined) return;
    this.#unsend(request);
    if (error === null) {
      this.#settle(request);
      request.resolve(result);
    } else {
      if (error.code === 'token_expired') this.#options.connection.refreshCredential();
      this.#tryAgain(request, error);
    }
    this.#pump();
  }

  /** The connection has ended for good: whoever waits is told. */
  rejectAll(reason: string): void {
    const all = [...this.#pending];
    for (const request of all) {
      if (request.state.kind === 'sent') this.#unsend(request);
      else if (request.state.kind === 'resting') request.state.cancel();
      this.#settle(request);
    }
    for (const request of all) request.reject(clientError('closed', reason));
  }

  #add(id: CommandId | null, name: string, args: Args): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const rawArgs = encodeOrReject(args, reject);
      if (rawArgs === null) return;
      const full =
        this.#pending.size >= CLIENT_LIMITS.pendingRequests ||
        this.#pendingBytes + rawArgs.length > CLIENT_LIMITS.pendingBytes;
      if (full) {
        reject(
          clientError('outbox_full', `${this.#pending.size} requests wait for a reply already; this one was not sent.`),
        );
        return;
      }
      this.#pendingBytes += rawArgs.length;
      const trace = id === null ? null : this.#options.traceParent();
      this.#pending.add({ id, name, args, rawArgs, trace, resolve, reject, tries: 0, state: { kind: 'waiting' } });
      this.#pump();
    });
  }

  /** Sends what waits, as far as the window allows. */
  #pump(): void {
    for (const request of this.#pending) {
      if (!this.#options.connection.isLive || this.#sent.size >= CLIENT_LIMITS.sentRequests) return;
      if (request.state.kind !== 'waiting') continue;
      // One request may always be under way, however large it is.
      if (this.#sent.size > 0 && this.#sentBytes + request.rawArgs.length > CLIENT_LIMITS.sentBytes) return;
      this.#send(request);
    }
  }

  #send(request: Request): void {
    const { connection, clock } = this.#options;
    const { id, name, args, rawArgs, trace } = request;
    const number = connection.nextRequest();
    const cancel = clock.after(CLIENT_LIMITS.replyTimeoutMs, () => {
      this.#unsend(request);
      this.#tryAgain(request, errorBody('unknown_outcome', 'no reply came'));
      this.#pump();
    });
    request.state = { kind: 'sent', request: number, cancel };
    this.#sent.set(number, request);
    this.#sentBytes += rawArgs.length;
    connection.send(
      id === null
        ? { op: 'query', request: number, name, args }
        : { op: 'command', request: number, id, name, rawArgs, ...(trace === null ? {} : { trace }) },
    );
  }

  #tryAgain(request: Request, error: Reply['error'] & object): void {
    const { clock, random } = this.#options;
    request.tries += 1;
    const delayMs = resendDelayMs(error, request.tries, random);
    if (delayMs === null) {
      this.#settle(request);
      request.reject(new CommandError(error));
      return;
    }
    const cancel = clock.after(delayMs, () => {
      request.state = { kind: 'waiting' };
      this.#pump();
    });
    request.state = { kind: 'resting', cancel };
  }

  #unsend(request: Request): void {
    if (request.state.kind !== 'sent') return;
    request.state.cancel();
    this.#sent.delete(request.state.request);
    this.#sentBytes -= request.rawArgs.length;
    request.state = { kind: 'waiting' };
  }

  #settle(request: Request): void {
    if (this.#pending.delete(request)) this.#pendingBytes -= request.rawArgs.length;
  }
}

/** The args as they will go over the wire; null, with the promise rejected, when the protocol has no form for them. */
function encodeOrReject(args: Args, reject: (error: Error) => void): Uint8Array | null {
  try {
    return encodeArgs(args);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    reject(new CommandError(errorBody(error.code, error.message)));
    return null;
  }
}
