// One logical connection to the server: it connects, says hello, notices death, and comes back.
//
// States: `idle` → `fetching` (the credential) → `opening` (the socket) → `greeting` (hello sent) → `live` → `waiting` →
// `fetching` … ; `closed` from anywhere: by `close()`, by a close code of 4500 to 4999, or by a credential that cannot be
// renewed. Invariants: there is one socket at most, and whatever comes from an older one is ignored; every state but
// `idle`, `live` and `closed` has a deadline; nothing is buffered here: what cannot be sent now is the caller's to keep.

import { CLOSE_CODES, reconnects } from '../close-codes.ts';
import { decodeServerMessage, encodeClientFrame, type OutgoingClientFrame } from '../codec.ts';
import { PROTOCOL_VERSION, SUBPROTOCOL, type ServerFrame } from '../frames.ts';
import { LIMITS } from '../limits.ts';
import { ProtocolError } from '../protocol-error.ts';
import { cleanText, sliceUtf8 } from '../text.ts';
import { fullJitterMs } from './backoff.ts';
import type { ClientClock, ClientRandom, WebSocketConstructor, WebSocketLike } from './environment.ts';
import { CLIENT_LIMITS } from './limits.ts';
import { describeClose, type ConnectionStatus } from './status.ts';
import { TokenRefresh } from './token-refresh.ts';

export type CredentialSource = string | (() => Promise<string>);

export type ConnectionOptions = {
  readonly url: string;
  readonly credential: CredentialSource;
  readonly clientName: string;
  readonly clock: ClientClock;
  readonly random: ClientRandom;
  readonly webSocket: WebSocketConstructor;
};

export type ConnectionListener = {
  onStatus(status: ConnectionStatus): void;
  /** A new session: the server knows nothing of attachments and requests yet. */
  onUp(): void;
  /** The session is over; what it had not answered will not be answered. */
  onDown(): void;
  /** The frames of one message, in order. */
  onFrames(frames: readonly ServerFrame[]): void;
};

type Live = {
  readonly kind: 'live';
  readonly socket: WebSocketLike;
  readonly sinceMs: number;
  readonly silenceMs: number;
  readonly refresh: TokenRefresh | null;
};

type State =
  | { readonly kind: 'idle' | 'fetching' | 'waiting' | 'closed' }
  | { readonly kind: 'opening' | 'greeting'; readonly socket: WebSocketLike }
  | Live;

type Welcome = ServerFrame & { readonly op: 'welcome' };

/** How a connection ended; codes below 1000 never come from a socket. */
type Ending = { readonly code: number; readonly reason: string };

/** The code for an end without a close frame (RFC 6455 §7.4.1). */
const ABNORMAL = 1006;
/** Codes that ask for more distance: the back-off begins at a ceiling of 2 s. */
const CROWDED: ReadonlySet<number> = new Set([CLOSE_CODES.rate_limited, CLOSE_CODES.too_many]);
const CROWDED_ATTEMPT = 3;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #listener: ConnectionListener;
  readonly #clientName: string;
  #state: State = { kind: 'idle' };
  #status: ConnectionStatus = { status: 'idle' };
  /** The deadline of the state, or of the silence while live. */
  #cancelDeadline: () => void = () => {};
  #cancelDrain: () => void = () => {};
  /** When the server wants us back after a `drain`, in our time. */
  #drainAtMs: number | null = null;
  /** Failures since the last connection that lived for a while. */
  #attempt = 0;
  /** Grows with each connect, so that a credential that comes late is recognised. */
  /** The one of the last hello, and that one once the server has called it expired. */
  #credential: string | null = null;
  #expired: string | null = null;
  #round = 0;
  #lastFrameMs = 0;
  #serverOffsetMs = 0;
  #requests = 0;

  constructor(options: ConnectionOptions, listener: ConnectionListener) {
    this.#options = options;
    this.#listener = listener;
    this.#clientName = sliceUtf8(cleanText(options.clientName), 0, LIMITS.clientNameBytes).text;
  }

  get status(): ConnectionStatus {
    return this.#status;
  }

  get isLive(): boolean {
    return this.#state.kind === 'live';
  }

  /** The server's time as far as known (from heartbeats), else our own. Unix ms. */
  serverNowMs(): number {
    return this.#options.clock.nowMs() + this.#serverOffsetMs;
  }

  /** A request number that no other request of this client has. */
  nextRequest(): number {
    this.#requests += 1;
    return this.#requests;
  }

  /** Connects at once: from the start, after an end, or instead of waiting on. */
  connect(): void {
    const { kind } = this.#state;
    if (kind !== 'idle' && kind !== 'waiting' && kind !== 'closed') return;
    if (kind === 'closed') this.#attempt = 0;
    this.#connect();
  }

  /** Ends for good; `connect` begins anew. */
  close(): void {
    this.#end(null, 'Closed by the application.');
  }

  /** False when the connection is not live: nothing was sent and nothing is kept. */
  send(frame: OutgoingClientFrame): boolean {
    if (this.#state.kind !== 'live') return false;
    this.#state.socket.send(encode(frame));
    return true;
  }

  /** The server refuses the credential: get a fresh one over the open connection, where there is a way. */
  refreshCredential(): void {
    if (this.#state.kind === 'live') this.#state.refresh?.now();
  }

  // ---------------------------------------------------------------------------------------------- connecting

  #connect(): void {
    const round = ++this.#round;
    this.#drainAtMs = null;
    this.#enter({ kind: 'fetching' }, { status: 'connecting' });
    const current = (): boolean => round === this.#round && this.#state.kind === 'fetching';
    // Whoever heard of it may have closed the client meanwhile.
    if (!current()) return;
    this.#deadline(CLIENT_LIMITS.connectTimeoutMs, () => this.#lost({ code: ABNORMAL, reason: 'timed out' }));
    const { credential } = this.#options;
    if (typeof credential === 'string') {
      this.#open(credential);
      return;
    }
    void fetchCredential(credential).then(
      (fresh) => current() && this.#open(fresh),
      (error: unknown) =>
        current() && this.#lost({ code: ABNORMAL, reason: `no credential: ${describeFailure(error)}` }),
    );
  }

  #open(credential: string): void {
    if (credential === this.#expired) {
      // The source has no other one: asking again would only be refused again.
      const text = describeClose(CLOSE_CODES.token_expired, '');
      this.#end(CLOSE_CODES.token_expired, `${text} Get a new one and connect again.`);
      return;
    }
    this.#credential = credential;
    let hello: Uint8Array<ArrayBuffer>;
    let socket: WebSocketLike;
    try {
      hello = encode({ op: 'hello', version: PROTOCOL_VERSION, credential, client: this.#clientName });
      socket = new this.#options.webSocket(this.#options.url, SUBPROTOCOL);
    } catch (error) {
      // A bad URL, a forbidden port, insecure from a secure page, or a credential that is no text: waiting heals none.
      this.#end(ABNORMAL, `Cannot connect to ${this.#options.url}: ${describeFailure(error)}`);
      return;
    }
    socket.binaryType = 'arraybuffer';
    this.#state = { kind: 'opening', socket };
    const current = (): boolean => 'socket' in this.#state && this.#state.socket === socket;
    let failure = '';
    socket.addEventListener('open', () => {
      if (!current()) return;
      this.#state = { kind: 'greeting', socket };
      socket.send(hello);
    });
    socket.addEventListener('message', ({ data }) => {
      if (current()) this.#receive(data);
    });
    socket.addEventListener('error', (event) => {
      failure = 'message' in event && typeof event.message === 'string' ? event.message : '';
      // Node 22 sends no `close` for a socket that never opened (undici 6); any other one still has a code to tell.
      if (current() && this.#state.kind === 'opening') this.#lost({ code: ABNORMAL, reason: failure });
    });
    socket.addEventListener('close', ({ code, reason }) => {
      if (current()) this.#lost({ code, reason: reason === '' ? failure : reason });
    });
  }

  #welcome(socket: WebSocketLike, { version, session, node, owner, heartbeatMs, expiresAtMs }: Welcome): void {
    if (version !== PROTOCOL_VERSION) {
      this.#end(CLOSE_CODES.unsupported_version, describeClose(CLOSE_CODES.unsupported_version, ''));
      return;
    }
    const { clock, credential } = this.#options;
    const silenceMs = Math.min(heartbeatMs, CLIENT_LIMITS.heartbeatMaxMs) + CLIENT_LIMITS.silenceSlackMs;
    const refresh =
      typeof credential === 'string'
        ? null
        : new TokenRefresh(
            {
              clock,
              fetch: () => fetchCredential(credential),
              sendAuth: (fresh) => this.#sendAuth(fresh),
              serverOffsetMs: () => this.#serverOffsetMs,
            },
            expiresAtMs,
          );
    this.#enter(
      { kind: 'live', socket, sinceMs: clock.nowMs(), silenceMs, refresh },
      { status: 'live', session, node, owner },
    );
    if (!this.isLive) return;
    this.#watchSilence(silenceMs, false);
    // The answer is a heartbeat: with the server's time, by which ids of commands are judged.
    this.send({ op: 'ping' });
    this.#listener.onUp();
  }

  #sendAuth(credential: string): number {
    const request = this.nextRequest();
    this.send({ op: 'auth', request, credential });
    return request;
  }

  // -------------------------------------------------------------------------------------------------- frames

  #receive(data: unknown): void {
    this.#lastFrameMs = this.#options.clock.nowMs();
    let frames: readonly ServerFrame[];
    try {
      if (!(data instanceof ArrayBuffer)) throw new ProtocolError('bad_frame', 'a message that is not binary');
      frames = decodeServerMessage(new Uint8Array(data));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      // Whatever it was, its events are missing now; a new connection brings them again.
      this.#lost({ code: ABNORMAL, reason: `not understood: ${error.message}` });
      return;
    }
    const bye = frames.findIndex(({ op }) => op === 'bye');
    const passed = (bye === -1 ? frames : frames.slice(0, bye)).filter((frame) => this.#isForListener(frame));
    if (passed.length > 0) this.#listener.onFrames(passed);
    const last = frames[bye];
    // The last replies come in front of a `bye`, in one message; and a browser may not tell the code of the close.
    if (last?.op === 'bye') this.#lost(last);
  }

  /** Handles what concerns the connection; true for what does not. */
  #isForListener(frame: ServerFrame): boolean {
    const state = this.#state;
    if (state.kind === 'greeting' && frame.op === 'welcome') this.#welcome(state.socket, frame);
    if (state.kind !== 'live') return false;
    switch (frame.op) {
      case 'heartbeat':
        this.#learnServerTime(frame.nowMs, state.refresh);
        return true;
      case 'drain':
        this.#drain(Math.min(frame.afterMs, CLIENT_LIMITS.drainMaxMs));
        return false;
      case 'reply':
        return state.refresh?.takeReply(frame) !== true;
      default:
        return true;
    }
  }

  #learnServerTime(serverNowMs: number, refresh: TokenRefresh | null): void {
    const offsetMs = serverNowMs - this.#options.clock.nowMs();
    const moved = Math.abs(offsetMs - this.#serverOffsetMs) > CLIENT_LIMITS.clockMovedMs;
    this.#serverOffsetMs = offsetMs;
    if (moved) refresh?.replan();
  }

  /** The old connection is used until the time has come: what the server still sends is welcome. */
  #drain(afterMs: number): void {
    this.#drainAtMs = this.#options.clock.nowMs() + afterMs;
    this.#cancelDrain();
    this.#cancelDrain = this.#options.clock.after(afterMs, () => {
      this.#lost({ code: CLOSE_CODES.going_away, reason: 'drained' });
    });
  }

  #watchSilence(delayMs: number, wasLate: boolean): void {
    const { clock } = this.#options;
    const dueMs = clock.nowMs() + delayMs;
    this.#deadline(delayMs, () => {
      const state = this.#state;
      if (state.kind !== 'live') return;
      const leftMs = this.#lastFrameMs + state.silenceMs - clock.nowMs();
      if (leftMs > 0) {
        this.#watchSilence(leftMs, false);
      } else if (!wasLate && clock.nowMs() - dueMs > CLIENT_LIMITS.lateTimerMs) {
        // The machine slept: what the server sent meanwhile may lie in the socket, unread (centrifugal/centrifuge-js#423).
        this.send({ op: 'ping' });
        this.#watchSilence(CLIENT_LIMITS.wakeGraceMs, true);
      } else {
        this.#lost({ code: ABNORMAL, reason: 'the server went silent' });
      }
    });
  }

  // ----------------------------------------------------------------------------------------------------- ends

  #lost({ code, reason }: Ending): void {
    const { kind } = this.#state;
    if (kind === 'closed' || kind === 'idle' || kind === 'waiting') return;
    const text = describeClose(code, reason);
    this.#expired = code === CLOSE_CODES.token_expired ? this.#credential : null;
    const cannotRenew = code === CLOSE_CODES.token_expired && typeof this.#options.credential === 'string';
    if (!reconnects(code) || cannotRenew) {
      this.#end(code, cannotRenew ? `${text} Get a new one and connect again.` : text);
      return;
    }
    const retryInMs = this.#retryInMs(code);
    this.#enter({ kind: 'waiting' }, { status: 'waiting', retryInMs, reason: text });
    if (this.#state.kind === 'waiting') this.#deadline(retryInMs, () => this.#connect());
  }

  #retryInMs(code: number): number {
    const { clock, random } = this.#options;
    const nowMs = clock.nowMs();
    const wasStable = this.#state.kind === 'live' && nowMs - this.#state.sinceMs >= CLIENT_LIMITS.stableMs;
    if (wasStable) this.#attempt = 0;
    if (CROWDED.has(code)) this.#attempt = Math.max(this.#attempt, CROWDED_ATTEMPT);
    const drainMs = this.#drainAtMs === null ? null : Math.max(0, this.#drainAtMs - nowMs);
    const attempt = this.#attempt;
    this.#attempt += 1;
    // A drain is spread by the server already; only one that follows another too soon is slowed down here.
    if (drainMs !== null && attempt === 0) return drainMs;
    return Math.max(drainMs ?? 0, fullJitterMs(attempt, random));
  }

  #end(code: number | null, reason: string): void {
    if (this.#state.kind === 'closed') return;
    this.#enter({ kind: 'closed' }, { status: 'closed', code, reason });
  }

  /** Leaves the old state with its socket and timers, and reports in the order down, status. */
  #enter(next: State, status: ConnectionStatus): void {
    const before = this.#state;
    this.#cancelDeadline();
    this.#state = next;
    this.#status = status;
    if (next.kind !== 'live') {
      this.#cancelDrain();
      if (before.kind === 'live') before.refresh?.stop();
      if ('socket' in before) before.socket.close();
      if (before.kind === 'live') this.#listener.onDown();
    }
    if (this.#status === status) this.#listener.onStatus(status);
  }

  #deadline(delayMs: number, task: () => void): void {
    this.#cancelDeadline();
    this.#cancelDeadline = this.#options.clock.after(delayMs, task);
  }
}

/** A copy: the types of browsers ask for bytes that are surely not shared between threads. */
function encode(frame: OutgoingClientFrame): Uint8Array<ArrayBuffer> {
  return new Uint8Array(encodeClientFrame(frame));
}

/** A source that throws, instead of rejecting, is the same. */
async function fetchCredential(source: () => Promise<string>): Promise<string> {
  return await source();
}

function describeFailure(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
