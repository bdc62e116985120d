// A client of the wire without any cleverness: it sends what it is told and keeps what it gets.
import { WebSocket } from 'ws';
import {
  decodeServerMessage,
  encodeClientFrame,
  joinFrames,
  type OutgoingClientFrame,
} from '../../../protocol/codec.ts';
import { type ServerFrame, SUBPROTOCOL } from '../../../protocol/frames.ts';

export type Closed = { readonly code: number; readonly reason: string };
type Watcher = { readonly test: () => boolean; readonly resolve: () => void };

export class SocketClient {
  readonly frames: ServerFrame[] = [];
  /** WebSocket messages that came: joined frames are one. */
  messages = 0;
  readonly closed: Promise<Closed>;
  readonly socket: WebSocket;
  /** By which the system tells this connection from others; 0 before it is open. */
  localPort = 0;
  readonly #watchers = new Set<Watcher>();

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.binaryType = 'nodebuffer';
    socket.on('message', (data: Buffer) => {
      this.messages += 1;
      this.frames.push(...decodeServerMessage(new Uint8Array(data)));
      this.#look();
    });
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    socket.on('upgrade', (response) => {
      this.localPort = response.socket.localPort ?? 0;
    });
    socket.on('error', () => {});
  }

  static async open(url: string, headers: Readonly<Record<string, string>> = {}): Promise<SocketClient> {
    const socket = new WebSocket(url, [SUBPROTOCOL], { headers, perMessageDeflate: false });
    const client = new SocketClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    return client;
  }

  /** Open, hello, welcome. */
  static async live(url: string, credential: string): Promise<SocketClient> {
    const client = await SocketClient.open(url);
    client.send({ op: 'hello', version: 1, credential, client: 'test' });
    await client.frame('welcome');
    return client;
  }

  /** In one WebSocket message. */
  send(...frames: OutgoingClientFrame[]): void {
    this.socket.send(joinFrames(frames.map(encodeClientFrame)));
  }

  all<Op extends ServerFrame['op']>(op: Op): (ServerFrame & { readonly op: Op })[] {
    return this.frames.filter((frame): frame is ServerFrame & { readonly op: Op } => frame.op === op);
  }

  /** Resolves when the test holds; it is asked after each message. */
  async until(test: () => boolean): Promise<void> {
    if (test()) return;
    await new Promise<void>((resolve) => {
      this.#watchers.add({ test, resolve });
    });
  }

  /** The `count`-th frame of that op. */
  async frame<Op extends ServerFrame['op']>(op: Op, count = 1): Promise<ServerFrame & { readonly op: Op }> {
    await this.until(() => this.all(op).length >= count);
    const frame = this.all(op)[count - 1];
    if (frame === undefined) throw new Error(`no ${op}`);
    return frame;
  }

  async close(): Promise<void> {
    this.socket.terminate();
    await this.closed;
  }

  #look(): void {
    for (const watcher of this.#watchers) {
      if (!watcher.test()) continue;
      this.#watchers.delete(watcher);
      watcher.resolve();
    }
  }
}
