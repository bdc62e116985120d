// A TCP proxy that is a slow line: towards the client it carries so many bytes a second and no more. What it has not carried
// it does not read, so that the node's buffers fill as they would.

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { listenAnywhere } from './port.ts';

export type SlowLineOptions = {
  /** Of the node on 127.0.0.1. */
  readonly port: number;
  readonly bytesPerSecond: number;
};

const TICK_MS = 50;

export class SlowLine {
  connections = 0;
  bytesToClient = 0;
  readonly #options: SlowLineOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #port = 0;

  private constructor(options: SlowLineOptions) {
    this.#options = options;
    this.#server = createServer((client) => this.#accept(client));
  }

  static async start(options: SlowLineOptions): Promise<SlowLine> {
    const line = new SlowLine(options);
    line.#port = await listenAnywhere(line.#server);
    return line;
  }

  /** Where clients connect to reach the node over this line. */
  get url(): string {
    return `ws://127.0.0.1:${this.#port}/v1/ws`;
  }

  /** Cuts what is open now. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    await closed;
  }

  #accept(client: Socket): void {
    this.connections += 1;
    const node = connect(this.#options.port, '127.0.0.1');
    const carrier = new Carrier(node, client, (bytes) => (this.bytesToClient += bytes));
    carrier.start((this.#options.bytesPerSecond * TICK_MS) / 1000);
    for (const socket of [client, node]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      // What breaks one side ends the other.
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        carrier.stop();
        this.#sockets.delete(socket);
        client.destroy();
        node.destroy();
      });
    }
    client.on('data', (data: Buffer) => node.write(data));
  }
}

/** Holds one chunk that was read from the node until all of it is with the client. */
class Carrier {
  #held = Buffer.alloc(0);
  #isStopped = false;
  readonly #node: Socket;
  readonly #client: Socket;
  readonly #onCarried: (bytes: number) => void;

  constructor(node: Socket, client: Socket, onCarried: (bytes: number) => void) {
    this.#node = node;
    this.#client = client;
    this.#onCarried = onCarried;
    node.on('data', (data: Buffer) => {
      this.#held = Buffer.concat([this.#held, data]);
      node.pause();
    });
  }

  /** Carries so many bytes per tick until it is stopped. */
  start(bytes: number): void {
    if (this.#isStopped) return;
    this.#carry(bytes);
    AbortSignal.timeout(TICK_MS).addEventListener('abort', () => this.start(bytes));
  }

  stop(): void {
    this.#isStopped = true;
  }

  #carry(bytes: number): void {
    const part = this.#held.subarray(0, bytes);
    this.#held = this.#held.subarray(part.length);
    if (part.length > 0) this.#client.write(part);
    this.#onCarried(part.length);
    if (this.#held.length === 0) this.#node.resume();
  }
}
