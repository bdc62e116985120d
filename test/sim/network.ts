// The network between clients and the node: connections that deliver in order, or are lost with what was in flight.
//
// A connection never reorders, repeats or drops single messages, because TCP does not. What happens instead: it is slow,
// its client takes the bytes slowly, or none for a while, or none ever again, it ends at any message for both or for one
// side, it goes dead without a word.

import type { Clock } from '../../actors/ports.ts';
import type { ClientSocket } from '../../gateway/socket.ts';
import type { WebSocketConstructor, WebSocketLike } from '../../protocol/client/environment.ts';
import type { Faults } from './faults.ts';
import type { SimRandom } from './random.ts';

/** The server's side of a connection: what `gateway/session.ts` is to a socket. */
export type ServerEnd = {
  receive(bytes: Uint8Array): void;
  drained(): void;
  closed(): void;
};

/** Who takes connections. */
export type Server = {
  accept(socket: ClientSocket): ServerEnd;
  /** Since when nothing but the network has kept it from sending what there is; by the clock of the network. */
  readonly sendsSinceMs: number;
};

/** Sees what a client sends, and when it has handled a message. */
export type ClientObserver = { readonly onSend: (bytes: Uint8Array) => void; readonly onHandled: () => void };

type Observer = ClientObserver & { readonly name: string };

const UNOBSERVED: ClientObserver = { onSend: () => undefined, onHandled: () => undefined };

type Message = { readonly way: 'up' | 'down'; readonly bytes: Uint8Array };

export type NetworkOptions = {
  /** One without jumps and sleep: what is on its way stays in order. */
  readonly clock: Clock;
  readonly random: SimRandom;
  readonly faults: Faults;
  /** Called for each message that arrives. */
  readonly onMessage: (message: Message & { readonly name: string }) => void;
  /** A client has noticed that its connection is dead, so long after it died. */
  readonly onNoticed: (name: string, afterMs: number) => void;
  /** The node has sent a message; `sinceMs`: from when on nothing at either side has held it up. */
  readonly onSent: (sent: Sent) => void;
};

export type Sent = {
  readonly link: object;
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly sinceMs: number;
};

/** What a plant may do to the bytes on their way to a client. */
export type Tamper = (bytes: Uint8Array) => Uint8Array;

const ABNORMAL = 1006;
/** After this the server's side of a dead connection is given up. */
export const DEAD_MS = 40_000;
/** What the kernel takes before `bufferedBytes` grows. */
const KERNEL_BYTES = 512;
/** A connection that was ended and whose client does not read is cut after this, with what it had buffered. */
const END_MS = 60_000;

export class Network {
  /** Whoever takes connections just now; a client does not choose. */
  readonly servers = new Set<Server>();
  readonly options: NetworkOptions;
  readonly links = new Set<Link>();
  /** Set by plants only. */
  tamper: Tamper | null = null;

  constructor(options: NetworkOptions) {
    this.options = options;
  }

  /** The WebSocket of one client, which traces call `name`. */
  webSocket(name: string, observer: ClientObserver = UNOBSERVED): SimSocketConstructor & WebSocketConstructor {
    const connect = (socket: SimWebSocket): Link => new Link(this, socket, { ...observer, name });
    return class extends SimWebSocket {
      constructor(_url: string, _protocol: string) {
        super(connect);
      }
    };
  }

  /** Every connection ends, or every one of a server. `client`: the node has died, and nobody there hears of it. */
  dropAll(told: 'both' | 'client', server: Server | null = null): void {
    for (const link of Array.from(this.links)) if (server === null || link.isTo(server)) link.cut(told);
  }

  pickServer(): Server | null {
    const [first = null, ...others] = this.servers;
    return first === null || others.length === 0 ? first : this.options.random.pick([first, ...others]);
  }
}

type Listeners = {
  open: (() => void)[];
  message: ((event: { readonly data: unknown }) => void)[];
  close: ((event: { readonly code: number; readonly reason: string }) => void)[];
  error: ((event: object) => void)[];
};

class SimWebSocket implements WebSocketLike {
  binaryType = 'blob';
  readonly listeners: Listeners = { open: [], message: [], close: [], error: [] };
  readonly #link: Link;

  constructor(connect: (socket: SimWebSocket) => Link) {
    this.#link = connect(this);
  }

  addEventListener<T extends keyof Listeners>(type: T, listener: Listeners[T][number]): void {
    (this.listeners[type] as Listeners[T][number][]).push(listener);
  }

  send(data: Uint8Array): void {
    this.#link.fromClient(data.slice());
  }

  close(): void {
    this.#link.closedByClient();
  }

  /** Takes nothing from the connection for so long. */
  stopReading(forMs: number): void {
    this.#link.stopReading(forMs);
  }
}

/** A WebSocket of the simulation can do what one on TCP can: not read. */
export type SimSocket = WebSocketLike & { stopReading(forMs: number): void };
type SimSocketConstructor = new (url: string, protocol: string) => SimSocket;

/** One connection. `up` → `down`; a frozen one is up and carries nothing. */
export class Link {
  readonly #network: Network;
  readonly #client: SimWebSocket;
  readonly #observer: Observer;
  #server: Server | null = null;
  #serverEnd: ServerEnd | null = null;
  #isUp = true;
  /** Since when nothing arrives any more; null while it does. */
  #frozenAtMs: number | null = null;
  #serverTold = false;
  #clientTold = false;
  /** When the last message of each direction arrives: nothing overtakes it. */
  #lastUpMs = 0;
  #lastDownMs = 0;
  #buffered = 0;
  /** Bytes that a slow reader takes in a millisecond; 0: all at once. */
  readonly #bytesPerMs: number;
  /** What has arrived and the client does not read; null while it reads. */
  #unread: (() => void)[] | null = null;
  /** From when on everything was read as it came; infinite while it is not. */
  #sinceMs: number;

  constructor(network: Network, client: SimWebSocket, observer: Observer) {
    this.#network = network;
    this.#observer = observer;
    this.#client = client;
    const { clock, random, faults } = network.options;
    this.#bytesPerMs = faults.strikes('slowReader') ? random.pick([0.1, 0.3, 1, 5]) : 0;
    this.#sinceMs = this.#bytesPerMs === 0 ? clock.nowMs() : Infinity;
    network.links.add(this);
    clock.after(random.int(1, 20), () => this.#open());
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  isTo(server: Server): boolean {
    return this.#server === server;
  }

  /** What the node's side has been given and the kernel has not taken. */
  get bufferedBytes(): number {
    return Math.max(0, this.#buffered - KERNEL_BYTES);
  }

  /** Ends the connection; what is in flight is lost. `told`: who hears of it at once. */
  cut(told: 'both' | 'client' = 'both'): void {
    if (!this.#isUp) return;
    this.#leave();
    const { clock, random } = this.#network.options;
    clock.after(random.int(0, 200), () => this.#tellClient(ABNORMAL, ''));
    if (told === 'both') clock.after(random.int(0, 2_000), () => this.#tellServer());
  }

  /** Nothing arrives any more, and nobody is told. */
  freeze(): void {
    const { clock, onNoticed } = this.#network.options;
    this.#frozenAtMs = clock.nowMs();
    clock.after(DEAD_MS, () => {
      if (this.#isUp) onNoticed(this.#observer.name, clock.nowMs() - (this.#frozenAtMs ?? 0));
      this.#leave();
      this.#tellServer();
    });
  }

  /** The client takes nothing for so long; what comes is buffered, at the node's side too. */
  stopReading(forMs: number): void {
    if (this.#unread !== null || !this.#isUp) return;
    const { clock } = this.#network.options;
    this.#unread = [];
    this.#sinceMs = Infinity;
    clock.after(forMs, () => {
      const unread = this.#unread ?? [];
      this.#unread = null;
      if (this.#bytesPerMs === 0) this.#sinceMs = clock.nowMs();
      for (const read of unread) this.#read(read);
    });
  }

  fromClient(bytes: Uint8Array): void {
    if (!this.#isUp) return;
    this.#observer.onSend(bytes);
    this.#lastUpMs = Math.max(this.#lastUpMs, this.#arrivalMs());
    this.#deliver(this.#lastUpMs, { way: 'up', bytes }, () => this.#serverEnd?.receive(bytes));
  }

  closedByClient(): void {
    if (!this.#isUp) return;
    this.#clientTold = true;
    const { clock, random, onNoticed } = this.#network.options;
    this.#leave();
    if (this.#frozenAtMs === null) clock.after(random.int(0, 50), () => this.#tellServer());
    else onNoticed(this.#observer.name, clock.nowMs() - this.#frozenAtMs);
  }

  #open(): void {
    const { options } = this.#network;
    if (!this.#isUp) return;
    const server = this.#network.pickServer();
    if (server === null || options.faults.strikes('connectFails')) {
      this.#leave();
      for (const listener of this.#client.listeners.error) listener({});
      this.#tellClient(ABNORMAL, '');
      return;
    }
    this.#server = server;
    this.#serverEnd = server.accept({
      send: (bytes) => this.#fromServer(bytes.slice()),
      bufferedBytes: () => this.bufferedBytes,
      end: (code, reason) => this.#endByServer(code, reason),
    });
    for (const listener of this.#client.listeners.open) listener();
  }

  #fromServer(bytes: Uint8Array): void {
    if (!this.#isUp) return;
    const { clock } = this.#network.options;
    const fastMs = Math.max(this.#lastDownMs, this.#arrivalMs());
    const takesMs = this.#bytesPerMs === 0 ? 0 : Math.ceil(bytes.length / this.#bytesPerMs);
    this.#lastDownMs = Math.max(fastMs, Math.max(this.#lastDownMs, clock.nowMs()) + takesMs);
    const isBuffered = takesMs > 0 || this.#unread !== null;
    if (isBuffered) this.#buffered += bytes.length;
    const sinceMs = Math.max(this.#sinceMs, this.#server?.sendsSinceMs ?? 0);
    this.#network.options.onSent({ link: this, name: this.#observer.name, bytes, sinceMs });
    const arrivesMs = this.#lastDownMs;
    clock.after(arrivesMs - clock.nowMs(), () => {
      this.#read(() => {
        if (isBuffered) this.#unbuffer(bytes.length);
        this.#take({ way: 'down', bytes }, () => this.#toClient(bytes));
      });
    });
  }

  #toClient(bytes: Uint8Array): void {
    const { tamper, options } = this.#network;
    const { buffer } = tamper === null ? bytes : tamper(bytes).slice();
    for (const listener of this.#client.listeners.message) listener({ data: buffer });
    this.#observer.onHandled();
    if (options.faults.strikes('readerStops')) this.stopReading(options.random.pick([300, 3_000, 15_000, 40_000]));
  }

  /** Now, or when the client reads again. */
  #read(read: () => void): void {
    if (this.#unread === null) read();
    else this.#unread.push(read);
  }

  #unbuffer(bytes: number): void {
    this.#buffered -= bytes;
    if (this.#isUp && this.#frozenAtMs === null) this.#serverEnd?.drained();
  }

  #endByServer(code: number, reason: string): void {
    if (!this.#isUp) return;
    const { clock, random } = this.#network.options;
    this.#lastDownMs = Math.max(this.#lastDownMs, this.#arrivalMs());
    clock.after(this.#lastDownMs - clock.nowMs(), () => {
      this.#read(() => {
        if (!this.#isUp) return;
        this.#leave();
        if (this.#frozenAtMs === null) this.#tellClient(code, reason);
      });
    });
    clock.after(this.#lastDownMs - clock.nowMs() + END_MS, () => {
      if (this.#isUp && this.#unread !== null) this.cut('client');
    });
    clock.after(this.#lastDownMs - clock.nowMs() + random.int(0, 100), () => this.#tellServer());
  }

  #deliver(atMs: number, message: Message, deliver: () => void): void {
    const { clock } = this.#network.options;
    clock.after(atMs - clock.nowMs(), () => this.#take(message, deliver));
  }

  /** Hands a message over, unless the connection has ended on the way or ends just now. */
  #take(message: Message, deliver: () => void): void {
    const { faults, onMessage } = this.#network.options;
    if (!this.#isUp || this.#frozenAtMs !== null) return;
    if (faults.strikes('cut')) return this.cut();
    if (faults.strikes('halfOpen')) return this.freeze();
    onMessage({ ...message, name: this.#observer.name });
    deliver();
  }

  #arrivalMs(): number {
    const { clock, random, faults } = this.#network.options;
    return clock.nowMs() + (faults.strikes('messageSlow') ? random.int(100, 2_000) : random.int(1, 15));
  }

  #leave(): void {
    this.#isUp = false;
    this.#network.links.delete(this);
  }

  #tellClient(code: number, reason: string): void {
    if (this.#clientTold) return;
    this.#clientTold = true;
    for (const listener of this.#client.listeners.close) listener({ code, reason });
  }

  #tellServer(): void {
    if (this.#serverTold) return;
    this.#serverTold = true;
    this.#serverEnd?.closed();
  }
}
