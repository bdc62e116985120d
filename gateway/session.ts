// One client connection.
//
// States: `awaitingHello` → `live` → `closing`, or straight to `closing`. A closing session has no attachments and no
// outbox to write to. Frames are handled in the order in which they came; while a credential is verified the frames
// behind it wait in the inbox. Answers of the host come when they come: each one finds out whether the session still
// lives. Every method may be called at any time, also after the socket is gone, and none of them throws.

import { unreachable } from '../protocol/assert.ts';
import { CLOSE_CODES, type CloseReason } from '../protocol/close-codes.ts';
import { encodeReply, encodeServerFrame, type IncomingClientFrame } from '../protocol/codec.ts';
import { type ErrorBody, errorBody } from '../protocol/errors.ts';
import { type ClientFrame, PROTOCOL_VERSION, type ServerFrame } from '../protocol/frames.ts';
import { LIMITS } from '../protocol/limits.ts';
import { parseTraceParent } from '../protocol/trace-parent.ts';
import { Attachments, type AttachmentsOwner } from './attachments.ts';
import { type Bearer, type Credential, refusalBody, sameRights } from './authentication.ts';
import { armExpiry } from './expiry-timer.ts';
import { FeedWatch } from './feed-watch.ts';
import { joinChunks } from './flush.ts';
import type { GatewayLimit, SessionMeasure } from './counts.ts';
import { welcomeFrame } from './hello.ts';
import { Inbox, type Incoming } from './inbox.ts';
import { GATEWAY_LIMITS } from './limits.ts';
import { Outbox } from './outbox.ts';
import { type Admission, encodeAnswer, Requests } from './requests.ts';
import type { SessionContext } from './session-context.ts';
import type { OwnerShare } from './shares.ts';
import type { ClientSocket } from './socket.ts';

type Live = {
  readonly kind: 'live';
  /** Replaced by `auth`, never by another subject's. */
  credential: Credential;
  readonly attachments: Attachments;
  /** Made at the first `watch`. */
  feed: FeedWatch | null;
  readonly requests: Requests;
  readonly share: OwnerShare;
  readonly leaveWheel: () => void;
};

type State = { readonly kind: 'awaitingHello' } | Live | { readonly kind: 'closing' };

export class Session {
  readonly id: string;
  readonly #context: SessionContext;
  readonly #socket: ClientSocket;
  readonly #outbox = new Outbox();
  #state: State = { kind: 'awaitingHello' };
  readonly #inbox = new Inbox();
  /** The inbox is being worked off. */
  #working = false;
  /** Above the soft budget: nothing is sent until the socket says that it has drained. */
  #paused = false;
  /** Heartbeat intervals in a row that found the session paused, with nothing taken by the reader between them. */
  #stalledBeats = 0;
  /** A heartbeat is in the outbox: a second one would say nothing new. */
  #beating = false;
  #cancelDeadline: () => void;

  constructor(id: string, socket: ClientSocket, context: SessionContext) {
    this.id = id;
    this.#socket = socket;
    this.#context = context;
    const { clock, limits, registry } = context;
    this.#cancelDeadline = clock.after(limits.helloTimeoutMs, () => this.#over('helloTimeoutMs', 'hello_timeout'));
    registry.add(this);
  }

  // -------------------------------------------------------------------------------------------- from the socket

  /** A binary message; `bytes` are read during the call and not kept. */
  receive(bytes: Uint8Array): void {
    if (this.#state.kind === 'closing') return;
    try {
      this.#receive(bytes);
    } catch (error) {
      this.#crash(error);
    }
  }

  receiveText(): void {
    this.close('bad_frame', 'text messages are not part of the protocol');
  }

  /** Pings and pongs of WebSocket cost what frames cost. */
  receiveControl(): void {
    if (this.#state.kind === 'closing') return;
    if (!this.#mayTake(1)) this.#over('framesPerSecond', 'rate_limited', 'too many pings');
  }

  /** The socket has drained: a hint, the budget is looked at again. */
  drained(): void {
    if (this.#state.kind === 'closing') return;
    this.#paused = false;
    this.#stalledBeats = 0;
    this.#context.flusher.mark(this);
  }

  /** The socket is gone, for whatever reason. */
  closed(): void {
    // A reader that answers nothing at all may be cut for its silence before it is given up.
    if (this.#state.kind !== 'closing') this.#leave(this.#paused ? 'slow' : 'gone');
    this.#context.registry.remove(this);
  }

  // ---------------------------------------------------------------------------------------------- from the node

  get measure(): SessionMeasure {
    const state = this.#state;
    const bufferedBytes = this.#socket.bufferedBytes();
    const chats = state.kind === 'live' ? state.attachments : null;
    const held = { outboxBytes: this.#outbox.bytes, attachments: chats?.size ?? 0, snapshots: chats?.places.held ?? 0 };
    return { state: state.kind, paused: this.#paused, bufferedBytes, ...held };
  }

  get bearer(): Bearer | null {
    return this.#state.kind === 'live' ? this.#state.credential.principal : null;
  }

  announceDrain(afterMs: number): void {
    this.#control({ op: 'drain', afterMs });
  }

  /** `detail` goes to the client. What waits in the outbox goes out before `bye`, unless the reader is too slow. */
  close(reason: CloseReason, detail?: string): void {
    if (this.#state.kind === 'closing') return;
    const code = CLOSE_CODES[reason];
    const { limits, logger } = this.#context;
    const waiting = this.#outbox.take(Infinity);
    this.#leave(reason, detail);
    try {
      if (this.#socket.bufferedBytes() < limits.outboxSoftBytes) {
        const text = detail === undefined ? reason : `${reason}: ${detail}`;
        this.#socket.send(joinChunks([...waiting, encodeServerFrame({ op: 'bye', code, reason: text })]));
      }
      this.#socket.end(code, reason);
    } catch (error) {
      logger.warn('a socket could not be closed', { session: this.id, error });
    }
  }

  /**
   * Once per turn of the event loop when marked: control frames first, then what the logs have, in one message. More
   * messages follow only as long as control frames wait and the socket takes them.
   */
  flush(): void {
    try {
      do {
        if (this.#state.kind === 'closing') return;
        const room = this.#context.limits.outboxSoftBytes - this.#socket.bufferedBytes();
        if (room <= 0 && !this.#paused) this.#context.counts.pauses += 1;
        this.#paused = room <= 0;
        if (!this.#paused) this.#send(Math.min(room, GATEWAY_LIMITS.joinedBytes));
      } while (!this.#paused && !this.#outbox.isEmpty);
    } catch (error) {
      this.#crash(error);
    }
  }

  /** Called every heartbeat interval. A reader that takes nothing at all between some of these calls is given up. */
  beat(nowMs: number): void {
    // The timer of the expiry counts a time of its own: when the clock was set forward, it is late by as much.
    const state = this.#state;
    const graceMs = this.#context.limits.tokenGraceMs;
    if (state.kind === 'live' && nowMs >= state.credential.expiresAtMs + graceMs) return this.close('token_expired');
    if (this.#paused) {
      this.#stalledBeats += 1;
      if (this.#stalledBeats > GATEWAY_LIMITS.stalledBeatsMax) {
        this.#over('stalledBeatsMax', 'slow');
        return;
      }
    }
    this.#heartbeat(nowMs);
  }

  // --------------------------------------------------------------------------------------------------- inbound

  #receive(bytes: Uint8Array): void {
    if (bytes.length > LIMITS.inboundMessageBytes) {
      this.#over('inboundMessageBytes', 'too_large', `a message has at most ${LIMITS.inboundMessageBytes} bytes`);
      return;
    }
    const frames = this.#inbox.take(bytes);
    this.#context.counts.framesIn += frames;
    const limit = this.#mayTake(Math.max(1, frames)) ? this.#inbox.full : 'framesPerSecond';
    if (limit !== null) {
      this.#over(limit, 'rate_limited', 'too many frames');
      return;
    }
    void this.#work();
  }

  #mayTake(frames: number): boolean {
    return this.#inbox.mayTake(this.#context.rates.frames, frames, this.#context.clock.nowMs());
  }

  /** Handles the frames of the inbox one after the other; only a credential makes the next ones wait. */
  async #work(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    try {
      for (let next = this.#inbox.next(); next !== null; next = this.#inbox.next()) {
        const verified = this.#handle(next);
        if (verified !== null) await verified;
      }
    } catch (error) {
      this.#crash(error);
    } finally {
      this.#working = false;
    }
  }

  /** A promise when the frames behind this one have to wait for it. */
  #handle(incoming: Incoming): Promise<void> | null {
    const state = this.#state;
    if (state.kind === 'closing') return null;
    if (incoming.kind === 'fault') {
      const { code, message } = incoming.error;
      if (incoming.limit !== null) this.#context.counts.limits.add(incoming.limit);
      this.close(code === 'too_large' ? 'too_large' : 'bad_frame', message);
      return null;
    }
    const { frame, bytes } = incoming;
    if (state.kind === 'live') return this.#handleLive(state, frame, bytes);
    if (frame.op === 'hello') return this.#hello(frame);
    this.close('bad_frame', 'the first frame of a connection is hello');
    return null;
  }

  #handleLive(live: Live, frame: IncomingClientFrame, bytes: number): Promise<void> | null {
    switch (frame.op) {
      case 'hello':
        this.close('bad_frame', 'there is one hello per connection');
        return null;
      case 'auth':
        return this.#auth(live, frame.request, frame.credential);
      case 'attach':
        live.attachments.attach(frame.chat, frame.cursor);
        return null;
      case 'more':
        live.attachments.more(frame.chat);
        return null;
      case 'detach':
        live.attachments.detach(frame.chat);
        return null;
      case 'command':
        this.#request(live, { request: frame.request, bytes }, async (principal) => {
          const { id, name, args, rawArgs } = frame;
          const command = { id, name, args, rawArgs, trace: parseTraceParent(frame.trace) };
          return encodeReply(frame.request, await this.#context.host.command(principal, command));
        });
        return null;
      case 'query':
        this.#request(live, { request: frame.request, bytes }, async (principal) =>
          encodeAnswer(frame.request, await this.#context.host.query(principal, frame.name, frame.args)),
        );
        return null;
      case 'ping':
        this.#heartbeat(this.#context.clock.nowMs());
        return null;
      case 'watch':
        this.#request(live, { request: frame.request, bytes }, async (bearer) => {
          live.feed ??= new FeedWatch(this.#context.feeds, () => this.#wake());
          const error = await live.feed.watch(bearer, frame.cursor ?? 0);
          return encodeAnswer(frame.request, error === null ? { ok: true, result: {} } : { ok: false, error });
        });
        return null;
      case 'unwatch':
        live.feed?.stop();
        return null;
      case 'unknown':
        // Request 0 is the one that nobody made: the frame of an unknown op has no request that could be named.
        this.#refuse(0, errorBody('unknown_op', `op ${frame.number}`));
        return null;
      default:
        return unreachable(frame);
    }
  }

  async #hello(frame: ClientFrame & { readonly op: 'hello' }): Promise<void> {
    if (frame.version !== PROTOCOL_VERSION) {
      this.close('unsupported_version', `this server speaks version ${PROTOCOL_VERSION}`);
      return;
    }
    const { authenticate, registry, wheel, logger } = this.#context;
    const authentication = await authenticate(frame.credential);
    if (this.#state.kind !== 'awaitingHello') return;
    if (authentication.outcome === 'refused') {
      this.close(authentication.code, authentication.detail);
      return;
    }
    const { credential } = authentication;
    const { owner, role } = credential.principal;
    if (registry.outdated(credential.principal)) return this.#hello(frame);
    const share = registry.owners.enter(owner);
    if (share === null) {
      this.#over('sessionsPerOwner', 'too_many', 'this owner has too many open connections');
      return;
    }
    const live: Live = {
      kind: 'live',
      credential,
      attachments: new Attachments(this.#attachmentsOwner(() => live, share)),
      requests: new Requests(this.#context.rates, share),
      share,
      feed: null,
      leaveWheel: wheel.add(this),
    };
    this.#state = live;
    this.#armExpiry(credential.expiresAtMs);
    this.#control(welcomeFrame(this.#context, this.id, credential));
    logger.info('session live', { session: this.id, owner, role, client: frame.client });
  }

  async #auth(live: Live, request: number, token: string): Promise<void> {
    const authentication = await this.#context.authenticate(token);
    if (this.#state !== live) return;
    if (authentication.outcome === 'refused') {
      this.#refuse(request, refusalBody(authentication));
      return;
    }
    const { credential } = authentication;
    if (this.#context.registry.outdated(credential.principal)) return this.#auth(live, request, token);
    const before = live.credential.principal;
    if (credential.principal.owner !== before.owner) {
      this.#refuse(request, errorBody('unauthorized', 'it is of another subject'));
      return;
    }
    live.credential = credential;
    this.#armExpiry(credential.expiresAtMs);
    this.#control({ op: 'reply', request, result: { expires_at: credential.expiresAtMs }, error: null });
    // Other rights: what this client follows is authorised anew, with its cursors.
    if (!sameRights(before, credential.principal)) live.attachments.reattachAll();
  }

  // ---------------------------------------------------------------------------------------------------- live

  #attachmentsOwner(live: () => Live, share: OwnerShare): AttachmentsOwner {
    const { host, clock, random, counts, registry } = this.#context;
    return {
      owners: registry.owners,
      share,
      host,
      counts,
      clock,
      random,
      principal: () => this.#principal(live()),
      admits: (refuse) => this.#admits(live().requests.pass(clock.nowMs()), refuse),
      control: (frame) => this.#control(frame),
      wake: () => this.#wake(),
      crash: (error) => this.#crash(error),
    };
  }

  /** Runs a request within the limits; `run` gives its encoded reply. */
  #request(
    live: Live,
    { request, bytes }: { readonly request: number; readonly bytes: number },
    run: (bearer: Bearer) => Promise<Uint8Array>,
  ): void {
    const principal = this.#principal(live);
    if (principal === null) {
      this.#refuse(request, errorBody('token_expired'));
      return;
    }
    const admission = live.requests.enter(bytes, this.#context.clock.nowMs());
    if (this.#admits(admission, (error) => this.#refuse(request, error)))
      void this.#answer(live, bytes, run(principal));
  }

  #admits(admission: Admission, refuse: (error: ErrorBody) => void): boolean {
    if (admission === 'entered') return true;
    if (admission === 'flood') this.#over('commandsPerSecond', 'rate_limited', 'requests that were refused');
    else {
      this.#context.counts.limits.add(admission.limit);
      refuse(admission.error);
    }
    return false;
  }

  async #answer(live: Live, bytes: number, reply: Promise<Uint8Array>): Promise<void> {
    try {
      const frame = await reply;
      live.requests.leave(bytes);
      if (this.#state === live) this.#queue(frame);
    } catch (error) {
      this.#crash(error);
    }
  }

  /** Whose rights count now; null when the credential is over. */
  #principal(live: Live): Bearer | null {
    return this.#context.clock.nowMs() < live.credential.expiresAtMs ? live.credential.principal : null;
  }

  #armExpiry(expiresAtMs: number): void {
    this.#cancelDeadline();
    const { clock, limits } = this.#context;
    const end = { expiresAtMs, graceMs: limits.tokenGraceMs };
    this.#cancelDeadline = armExpiry(clock, end, () => this.#over('tokenGraceMs', 'token_expired'));
  }

  // -------------------------------------------------------------------------------------------------- outbound

  #refuse(request: number, error: ErrorBody): void {
    this.#control({ op: 'reply', request, result: null, error });
  }

  #control(frame: ServerFrame): void {
    if (this.#state.kind !== 'closing') this.#queue(encodeServerFrame(frame));
  }

  /** With the positions at which this client stands when it has everything that was sent before. */
  #heartbeat(nowMs: number): void {
    if (this.#state.kind !== 'live' || this.#beating) return;
    this.#beating = true;
    const { attachments, feed } = this.#state;
    this.#control({ op: 'heartbeat', nowMs, positions: attachments.settled(), ...feed?.settled() });
  }

  /** Hands a control frame to the next flush, or closes the session when its reader is too slow for what it asks. */
  #queue(frame: Uint8Array): void {
    const { outboxHardBytes } = this.#context.limits;
    const heldBytes = (): number => this.#outbox.bytes + this.#socket.bufferedBytes();
    const isOver = (): boolean => !this.#outbox.isEmpty && heldBytes() + frame.length > outboxHardBytes;
    // Many replies within one turn of the loop say nothing about the reader: they go out now, if the socket takes them.
    if (isOver()) this.flush();
    if (isOver()) this.#over('outboxHardBytes', 'slow');
    if (!this.#isOpen()) return;
    this.#outbox.push(frame);
    this.#wake();
  }

  /** Has the flusher come by, unless the reader has to take what it was sent first. */
  #wake(): void {
    if (!this.#paused && this.#isOpen()) this.#context.flusher.mark(this);
  }

  /** One message of about `bytesMax`. */
  #send(bytesMax: number): void {
    const waiting = this.#outbox.bytes;
    const chunks = this.#outbox.take(bytesMax);
    // Events only behind all that waits: an `attached` comes before the events that it announces.
    if (this.#outbox.isEmpty) {
      this.#beating = false;
      if (this.#state.kind === 'live') {
        const { attachments, feed } = this.#state;
        const fed = feed?.fill(bytesMax - waiting, chunks) ?? 0;
        attachments.fill(bytesMax - waiting - fed, chunks);
        if (attachments.pending || feed?.pending === true) this.#wake();
      }
    }
    // Filling may have ended the session.
    if (chunks.length > 0 && this.#isOpen()) this.#socket.send(joinChunks(chunks));
  }

  // ------------------------------------------------------------------------------------------------------ end

  #isOpen(): boolean {
    return this.#state.kind !== 'closing';
  }

  /** Closes for a limit that was reached. */
  #over(limit: GatewayLimit, reason: CloseReason, detail?: string): void {
    this.#context.counts.limits.add(limit);
    this.close(reason, detail);
  }

  #crash(error: unknown): void {
    if (this.#state.kind === 'closing') return;
    this.#context.logger.error('a session failed', { session: this.id, error });
    this.close('internal');
  }

  /** Lets everything go that the session holds. `gone`: the client or the network ended it. */
  #leave(reason: CloseReason | 'gone', detail?: string): void {
    const state = this.#state;
    this.#state = { kind: 'closing' };
    this.#inbox.clear();
    this.#outbox.clear();
    this.#cancelDeadline();
    const { flusher, registry, logger, clock } = this.#context;
    flusher.forget(this);
    registry.countClosed(reason);
    logger.info('session closed', { session: this.id, reason, detail });
    if (state.kind !== 'live') return;
    state.leaveWheel();
    try {
      state.attachments.stop();
      state.feed?.stop();
    } catch (error) {
      logger.error('a chat could not be let go', { session: this.id, error });
    }
    registry.owners.leave(state.share, clock.nowMs());
  }
}
