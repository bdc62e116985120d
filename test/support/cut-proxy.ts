// A TCP proxy that breaks connections: after a given number of bytes towards the client both sides are cut, in order (FIN)
// or not (RST), as a seed says. It counts what it carries, and can hold everything back.

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { seeded } from '../../actors/models/seeded.ts';
import { listenAnywhere } from './port.ts';

export type CutProxyOptions = {
  /** Of the node on 127.0.0.1. */
  readonly port: number;
  readonly seed?: number;
};

type Link = { readonly client: Socket; readonly server: Socket };

export class CutProxy {
  bytesToClient = 0;
  bytesToServer = 0;
  connections = 0;
  cuts = 0;
  /** Called after each cut: the place to plan the next one. */
  onCut: () => void = () => {};
  readonly #options: CutProxyOptions;
  readonly #fraction: () => number;
  readonly #server: Server;
  #port = 0;
  readonly #links = new Set<Link>();
  /** Bytes towards the client, over all connections, until the next cut; null: none is planned. */
  #cutAfter: number | null = null;
  #paused = false;

  private constructor(options: CutProxyOptions) {
    this.#options = options;
    this.#fraction = seeded(options.seed ?? 1);
    this.#server = createServer({ allowHalfOpen: false }, (client) => this.#accept(client));
  }

  static async start(options: CutProxyOptions): Promise<CutProxy> {
    const proxy = new CutProxy(options);
    proxy.#port = await listenAnywhere(proxy.#server);
    return proxy;
  }

  /** Where clients connect to reach the node through this proxy. */
  get url(): string {
    return `ws://127.0.0.1:${this.#port}/v1/ws`;
  }

  get cutPlanned(): boolean {
    return this.#cutAfter !== null;
  }

  /** The next cut comes within the `bytesMax` bytes towards the client that follow. */
  cutWithin(bytesMax: number): void {
    this.#cutAfter = 1 + Math.floor(this.#fraction() * bytesMax);
  }

  /** Cuts what is open now. */
  cut(): void {
    for (const link of this.#links) this.#cutLink(link);
  }

  /** Nothing is carried any more, in both directions, until `resume`. */
  pause(): void {
    this.#paused = true;
    for (const { client, server } of this.#links) {
      client.pause();
      server.pause();
    }
  }

  resume(): void {
    this.#paused = false;
    for (const { client, server } of this.#links) {
      client.resume();
      server.resume();
    }
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const { client, server } of this.#links) {
      client.destroy();
      server.destroy();
    }
    await closed;
  }

  #accept(client: Socket): void {
    const server = connect(this.#options.port, '127.0.0.1');
    const link: Link = { client, server };
    this.#links.add(link);
    this.connections += 1;
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      // What breaks one side ends the other.
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        this.#links.delete(link);
        client.destroy();
        server.destroy();
      });
      if (this.#paused) socket.pause();
    }
    client.on('data', (data: Buffer) => {
      this.bytesToServer += data.length;
      this.#carry(client, server, data);
    });
    server.on('data', (data: Buffer) => this.#toClient(link, data));
  }

  #toClient(link: Link, data: Buffer): void {
    if (!this.#links.has(link)) return;
    const left = this.#cutAfter;
    if (left === null || data.length < left) {
      if (left !== null) this.#cutAfter = left - data.length;
      this.bytesToClient += data.length;
      this.#carry(link.server, link.client, data);
      return;
    }
    this.#cutAfter = null;
    this.bytesToClient += left;
    this.#links.delete(link);
    link.client.write(data.subarray(0, left), () => this.#cutLink(link));
  }

  /** With back-pressure: a reader that is slow slows its writer down. */
  #carry(from: Socket, to: Socket, data: Buffer): void {
    if (to.write(data)) return;
    from.pause();
    to.once('drain', () => {
      if (!this.#paused) from.resume();
    });
  }

  /** Cut at once on the node's side; on the client's the bytes before the cut arrive when it is a FIN. */
  #cutLink(link: Link): void {
    const { client, server } = link;
    this.cuts += 1;
    this.#links.delete(link);
    if (this.#fraction() < 0.5) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    } else {
      client.destroy();
      server.destroy();
    }
    this.onCut();
  }
}
