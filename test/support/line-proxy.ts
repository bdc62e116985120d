// A TCP line that can be bad: late, stalling, silent, or cut. It stands between a node and what it needs, or before a node.
//
// A lost packet of TCP is seen by an application as a stall until it is sent again, with everything behind it waiting: so
// loss is played as stalls of single pieces, in order. What waits in the line is bounded: the sender is paused above that.

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { SYSTEM_CLOCK } from '../../protocol/client/environment.ts';
import { listenAnywhere } from './port.ts';

export type Weather = {
  /** Each way. */
  readonly delayMs: number;
  /** Of the pieces, this share stalls for that much longer. */
  readonly stallShare: number;
  readonly stallMs: number;
};

export const FAIR: Weather = { delayMs: 0, stallShare: 0, stallMs: 0 };

const WAITING_BYTES_MAX = 1024 * 1024;

export class LineProxy {
  readonly #server: Server;
  readonly #fraction: () => number;
  readonly #links = new Set<Link>();
  #port = 0;
  #weather = FAIR;
  #isCut = false;
  #isSilent = false;

  private constructor(target: { readonly host: string; readonly port: number }, fraction: () => number) {
    this.#fraction = fraction;
    this.#server = createServer((socket) => {
      if (this.#isCut) {
        socket.destroy();
        return;
      }
      const link = new Link(socket, connect(target.port, target.host), () => this.#holdMs());
      this.#links.add(link);
      if (this.#isSilent) link.silence();
      link.onClosed = () => this.#links.delete(link);
    });
  }

  /** `url` is where the line leads; `through` of what was made is the same place by way of the line. */
  static async start(
    url: string,
    fraction: () => number,
  ): Promise<{ readonly line: LineProxy; readonly through: string }> {
    const target = new URL(url);
    const line = new LineProxy({ host: target.hostname, port: Number(target.port) }, fraction);
    line.#port = await listenAnywhere(line.#server);
    target.hostname = '127.0.0.1';
    target.port = String(line.#port);
    return { line, through: target.href };
  }

  get connections(): number {
    return this.#links.size;
  }

  set weather(weather: Weather) {
    this.#weather = weather;
  }

  /** Ends what is open, and refuses what comes, until `heal`. */
  cut(): void {
    this.#isCut = true;
    for (const link of this.#links) link.destroy();
  }

  /** Nothing passes any more, and nobody is told, until `heal`. */
  silence(): void {
    this.#isSilent = true;
    for (const link of this.#links) link.silence();
  }

  heal(): void {
    this.#isCut = false;
    this.#weather = FAIR;
    if (!this.#isSilent) return;
    this.#isSilent = false;
    for (const link of this.#links) link.speak();
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const link of this.#links) link.destroy();
    await closed;
  }

  #holdMs(): number {
    const { delayMs, stallShare, stallMs } = this.#weather;
    if (delayMs === 0 && stallShare === 0) return 0;
    return delayMs + (this.#fraction() < stallShare ? stallMs : 0);
  }
}

class Link {
  onClosed = (): void => {};
  readonly #ways: readonly [Way, Way];

  constructor(client: Socket, server: Socket, holdMs: () => number) {
    this.#ways = [new Way(client, server, holdMs), new Way(server, client, holdMs)];
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => this.destroy());
    }
  }

  silence(): void {
    for (const way of this.#ways) way.silence();
  }

  speak(): void {
    for (const way of this.#ways) way.speak();
  }

  destroy(): void {
    for (const way of this.#ways) way.end();
    this.onClosed();
  }
}

/** One direction: pieces pass in order, each no earlier than the one before. */
class Way {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #holdMs: () => number;
  readonly #waiting: { readonly data: Buffer; readonly dueMs: number }[] = [];
  #waitingBytes = 0;
  #dueMs = 0;
  #cancel: (() => void) | null = null;
  #isSilent = false;

  constructor(from: Socket, to: Socket, holdMs: () => number) {
    this.#from = from;
    this.#to = to;
    this.#holdMs = holdMs;
    from.on('data', (data: Buffer) => this.#take(data));
  }

  silence(): void {
    this.#isSilent = true;
    this.#cancel?.();
    this.#cancel = null;
  }

  speak(): void {
    this.#isSilent = false;
    this.#pass();
  }

  end(): void {
    this.silence();
    this.#waiting.length = 0;
    this.#from.destroy();
  }

  #take(data: Buffer): void {
    this.#dueMs = Math.max(this.#dueMs, performance.now() + this.#holdMs());
    this.#waiting.push({ data, dueMs: this.#dueMs });
    this.#waitingBytes += data.length;
    if (this.#waitingBytes > WAITING_BYTES_MAX) this.#from.pause();
    this.#pass();
  }

  #pass(): void {
    if (this.#isSilent || this.#cancel !== null) return;
    for (let piece = this.#waiting[0]; piece !== undefined; piece = this.#waiting[0]) {
      const leftMs = piece.dueMs - performance.now();
      if (leftMs > 0) {
        this.#cancel = SYSTEM_CLOCK.after(leftMs, () => {
          this.#cancel = null;
          this.#pass();
        });
        return;
      }
      this.#waiting.shift();
      this.#waitingBytes -= piece.data.length;
      this.#to.write(piece.data);
    }
    this.#from.resume();
  }
}
