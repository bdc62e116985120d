// The server's side of a client under test, without a network: every socket that the client opens is handed to the test,
// which accepts it, answers it, or cuts it. Frames pass through the real codec in both directions.

import { SESSION_LIMITS } from '../../protocol/limits.ts';
import { assert, must } from '../../protocol/assert.ts';
import { decodeClientMessage, encodeServerFrame, joinFrames, type IncomingClientFrame } from '../../protocol/codec.ts';
import type { WebSocketConstructor, WebSocketLike } from '../../protocol/client/environment.ts';
import { ParleyClient, type ClientOptions } from '../../protocol/client/client.ts';
import type { ClientFrame, ServerFrame } from '../../protocol/frames.ts';
import { SimClock } from './sim-clock.ts';

type Listener = (event: never) => void;
type FrameOf<Op extends ClientFrame['op']> = ClientFrame & { readonly op: Op };
export type OfServer<Op extends ServerFrame['op']> = ServerFrame & { readonly op: Op };

const HOUR_MS = 3_600_000;

export class FakeSocket implements WebSocketLike {
  binaryType = 'blob';
  readonly url: string;
  readonly protocol: string;
  /** Everything that the client sent. */
  readonly frames: IncomingClientFrame[] = [];
  closedByClient = false;
  readonly #listeners = new Map<string, Listener[]>();
  /** The first frame that `take` has not handed out. */
  #next = 0;

  constructor(url: string, protocol: string) {
    this.url = url;
    this.protocol = protocol;
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  send(data: Uint8Array): void {
    if (this.closedByClient) return;
    const { frames, error } = decodeClientMessage(data);
    assert(error === null, `the client sends frames: ${error?.message}`);
    this.frames.push(...frames);
  }

  close(): void {
    this.closedByClient = true;
  }

  /** The next frame of that op which was not taken yet; those before it are passed over. */
  take<Op extends ClientFrame['op']>(op: Op): FrameOf<Op> {
    const at = this.frames.findIndex((frame, index) => index >= this.#next && frame.op === op);
    assert(at !== -1, `the client has sent ${op}; it sent ${this.#rest()}`);
    this.#next = at + 1;
    return this.frames[at] as FrameOf<Op>;
  }

  /** The ops that were not taken yet. */
  untaken(): string[] {
    return this.frames.slice(this.#next).map(({ op }) => op);
  }

  accept(): void {
    this.#emit('open', {});
  }

  /** Sends the frames in one message. */
  push(...frames: readonly ServerFrame[]): void {
    this.pushBytes(joinFrames(frames.map(encodeServerFrame)));
  }

  pushBytes(bytes: Uint8Array): void {
    this.#emit('message', { data: new Uint8Array(bytes).buffer });
  }

  pushText(text: string): void {
    this.#emit('message', { data: text });
  }

  cut(code = 1006, reason = ''): void {
    this.#emit('close', { code, reason });
  }

  /** What Node 22 does when nobody listens: an error without a close. */
  fail(message: string): void {
    this.#emit('error', { message });
  }

  #emit(type: string, event: object): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event as never);
  }

  #rest(): string {
    return this.untaken().join(', ') || 'nothing';
  }
}

/** A client on a simulated clock, and the sockets that it opens. */
export class FakeServer {
  readonly clock = new SimClock();
  readonly sockets: FakeSocket[] = [];
  /** What `random.fraction` gives. */
  fraction = 0.5;
  readonly client: ParleyClient;
  #byte = 0;

  constructor(options: Partial<ClientOptions> = {}) {
    const { sockets } = this;
    const webSocket: WebSocketConstructor = class extends FakeSocket {
      constructor(url: string, protocol: string) {
        super(url, protocol);
        sockets.push(this);
      }
    };
    this.client = new ParleyClient({
      url: 'ws://parley.test',
      credential: 'secret',
      clock: this.clock,
      random: {
        bytes: (length) => new Uint8Array(length).fill(++this.#byte),
        fraction: () => this.fraction,
      },
      webSocket,
      ...options,
    });
  }

  /** The newest socket. */
  get socket(): FakeSocket {
    return must(this.sockets.at(-1), 'the client has opened a socket');
  }

  /** Accepts the newest socket and answers its hello. */
  welcome(changes: Partial<OfServer<'welcome'>> = {}): FakeSocket {
    const { socket } = this;
    socket.accept();
    socket.take('hello');
    socket.push({
      op: 'welcome',
      version: 1,
      session: `session-${this.sockets.length}`,
      node: 'node',
      owner: 'owner',
      heartbeatMs: 20_000,
      expiresAtMs: this.clock.nowMs() + HOUR_MS,
      limits: SESSION_LIMITS,
      ...changes,
    });
    return socket;
  }

  /** Connects up to `live`. */
  async live(changes: Partial<OfServer<'welcome'>> = {}): Promise<FakeSocket> {
    this.client.connect();
    await this.clock.advance(0);
    return this.welcome(changes);
  }
}
