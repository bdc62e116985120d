// A TCP connection that speaks HTTP and WebSocket by hand: what libraries would not send, and nothing hidden of what
// comes back. Frames are read with a second implementation of msgpack, not with ours.

import { decodeMulti } from '@msgpack/msgpack';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { must } from '../../protocol/assert.ts';

/** A whole upgrade request. */
export const UPGRADE = [
  'GET /v1/ws HTTP/1.1',
  'Host: 127.0.0.1',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Protocol: parley.v1',
  '\r\n',
].join('\r\n');

export const OPCODES = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export type WsFrame = {
  readonly opcode: number;
  readonly payload?: Uint8Array;
  readonly fin?: boolean;
  /** The three reserved bits as a number. */
  readonly reserved?: number;
  readonly masked?: boolean;
  /** What the header says, when that is not the length of the payload. */
  readonly length?: bigint;
};

/** The bytes of a WebSocket frame, with a mask of zeroes where there is one. */
export function wsFrame(frame: WsFrame): Buffer {
  const { opcode, payload = new Uint8Array(0), fin = true, reserved = 0, masked = true } = frame;
  const length = frame.length ?? BigInt(payload.length);
  const first = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  const mask = masked ? 0x80 : 0;
  const size = length < 126n ? 0 : length < 65_536n ? 2 : 8;
  const header = Buffer.alloc(2 + size + (masked ? 4 : 0));
  header[0] = first;
  header[1] = mask | (size === 0 ? Number(length) : size === 2 ? 126 : 127);
  if (size === 2) header.writeUInt16BE(Number(length), 2);
  if (size === 8) header.writeBigUInt64BE(length, 2);
  return Buffer.concat([header, payload]);
}

/** A message as clients send it. */
export function binaryMessage(payload: Uint8Array): Buffer {
  return wsFrame({ opcode: OPCODES.binary, payload });
}

/** How the connection ended; `code` is that of the other side's close frame, null without one. */
export type End = {
  readonly code: number | null;
  /** `deadline`: it did not, and was torn off at this side. */
  readonly how: 'fin' | 'reset' | 'deadline';
};

/** Of a whole connection: what hangs shows as such, and not as the time-out of the test. */
const DEADLINE_MS = 60_000;

/** States: TCP is open → upgraded (`upgrade`) → ended, by either side. */
export class RawConnection {
  /** Frames of the protocol in order, as plain arrays. */
  readonly frames: (readonly unknown[])[] = [];
  /** Control frames of WebSocket that are no close, by opcode. */
  readonly controls: number[] = [];
  /** What came before the upgrade. */
  head = '';
  readonly ended: Promise<End>;
  readonly #socket: Socket;
  #upgraded = false;
  #bytes: Buffer = Buffer.alloc(0);
  #code: number | null = null;
  #over = false;
  #look: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    let how: End['how'] = 'fin';
    const late = (): void => {
      how = 'deadline';
      socket.destroy();
    };
    const deadline = AbortSignal.timeout(DEADLINE_MS);
    deadline.addEventListener('abort', late);
    socket.on('error', () => (how = 'reset'));
    socket.on('data', (data: Buffer) => this.#take(data));
    this.ended = new Promise((resolve) => {
      socket.on('close', () => {
        deadline.removeEventListener('abort', late);
        this.#over = true;
        resolve({ code: this.#code, how });
        this.#look();
      });
    });
  }

  /** `from`: another address of the loopback network, such as 127.0.0.2. */
  static async open(port: number, from = '127.0.0.1'): Promise<RawConnection> {
    const socket = connect({ port, host: '127.0.0.1', localAddress: from });
    await once(socket, 'connect');
    return new RawConnection(socket);
  }

  /** Open and upgraded. */
  static async upgraded(port: number, from?: string): Promise<RawConnection> {
    const connection = await RawConnection.open(port, from);
    connection.write(UPGRADE);
    await connection.until(() => connection.isUpgraded);
    return connection;
  }

  get isUpgraded(): boolean {
    return this.#upgraded;
  }

  get isOver(): boolean {
    return this.#over;
  }

  /** `HTTP/1.1 101 Switching Protocols` → 101; 0 as long as there is none. */
  get status(): number {
    return Number(/^HTTP\/1\.1 (\d{3})/.exec(this.head)?.[1] ?? 0);
  }

  write(bytes: Uint8Array | string): void {
    if (!this.#over) this.#socket.write(bytes);
  }

  /** Resolves when the system has taken the bytes, or the connection is over. */
  async flush(bytes: Uint8Array | string): Promise<void> {
    if (this.#over) return;
    const taken = await new Promise<boolean>((resolve) => {
      this.#socket.write(bytes, (error) => resolve(!error));
    });
    if (!taken) await this.ended;
  }

  send(payload: Uint8Array): void {
    this.write(binaryMessage(payload));
  }

  /** Resolves when the test holds or the connection is over; one at a time. */
  async until(test: () => boolean): Promise<void> {
    if (test() || this.#over) return;
    await new Promise<void>((resolve) => {
      this.#look = () => {
        if (!test() && !this.#over) return;
        this.#look = () => {};
        resolve();
      };
    });
  }

  /** Without a close frame; `reset` tells the other side rudely. */
  async destroy(how: 'fin' | 'reset' = 'fin'): Promise<void> {
    if (how === 'reset') this.#socket.resetAndDestroy();
    else this.#socket.destroy();
    await this.ended;
  }

  #take(data: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? data : Buffer.concat([this.#bytes, data]);
    if (!this.#upgraded) this.#readHead();
    if (this.#upgraded) while (this.#readFrame());
    this.#look();
  }

  #readHead(): void {
    this.head += this.#bytes.toString('latin1');
    this.#bytes = Buffer.alloc(0);
    const end = this.head.indexOf('\r\n\r\n');
    if (end === -1 || this.status !== 101) return;
    this.#upgraded = true;
    this.#bytes = Buffer.from(this.head.slice(end + 4), 'latin1');
    this.head = this.head.slice(0, end);
  }

  /** One frame of WebSocket, when it is whole; servers neither mask nor, here, fragment. */
  #readFrame(): boolean {
    const bytes = this.#bytes;
    if (bytes.length < 2) return false;
    const short = must(bytes[1], 'there are two bytes');
    const offset = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (bytes.length < offset) return false;
    const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
    if (bytes.length < offset + length) return false;
    const payload = bytes.subarray(offset, offset + length);
    this.#bytes = bytes.subarray(offset + length);
    this.#frame(must(bytes[0], 'there are two bytes'), payload);
    return true;
  }

  #frame(first: number, payload: Buffer): void {
    const opcode = first & 0x0f;
    if (first === (0x80 | OPCODES.binary)) {
      for (const value of decodeMulti(payload)) this.frames.push(value as readonly unknown[]);
    } else if (first === (0x80 | OPCODES.close)) this.#code = payload.length >= 2 ? payload.readUInt16BE(0) : null;
    else this.controls.push(opcode);
  }
}
