// A WebSocket client that costs next to nothing: RFC 6455 by hand over node:net, without copies where there can be none.
//
// What measures a sender must be cheaper than the sender: Node's own client and `ws` take longer for a message than a
// gateway does. Only what a server of ours sends is understood: unfragmented binary and text messages, ping, close.

import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { assert } from '../../../protocol/assert.ts';

export type RawSocketOptions = {
  readonly port: number;
  readonly path: string;
  /** Empty: none is asked for. */
  readonly protocol: string;
};

/** `bytes` from `begin` to `end` hold the payload; they are overwritten after the call. */
export type OnPayload = (bytes: Buffer, begin: number, end: number) => void;

const OPCODE = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
const READ_BYTES = 256 * 1024;

/** All sockets of a process read into it, one at a time. */
const readBuffer = Buffer.alloc(READ_BYTES);

/** handshaking → open → closed. A fault ends the process that measures: `onFault`. */
export class RawSocket {
  readonly #socket: Socket;
  readonly #onPayload: OnPayload;
  readonly #onFault: (what: string) => void;
  readonly #opened = Promise.withResolvers<void>();
  #isOpen = false;
  /** The beginning of what has not arrived whole. */
  #rest = Buffer.alloc(0);

  constructor(options: RawSocketOptions, onPayload: OnPayload, onFault: (what: string) => void) {
    this.#onPayload = onPayload;
    this.#onFault = onFault;
    this.#socket = connect({
      host: '127.0.0.1',
      port: options.port,
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (length, buffer) => {
          this.#receive(Buffer.from(buffer.buffer, buffer.byteOffset, length));
          return true;
        },
      },
    });
    this.#socket.on('connect', () => this.#socket.write(upgradeRequest(options)));
    this.#socket.on('error', (error) => this.#fail(error.message));
    this.#socket.on('close', () => this.#fail('the server closed the connection'));
  }

  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  send(payload: Uint8Array): void {
    this.#write(OPCODE.binary, payload);
  }

  /** Takes nothing from the connection until `resume`: the buffers of both systems fill, then those of the server. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  destroy(): void {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }

  #fail(what: string): void {
    this.#opened.reject(new Error(what));
    this.#onFault(what);
  }

  #receive(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (!this.#isOpen) {
      const head = bytes.indexOf('\r\n\r\n');
      if (head < 0) {
        this.#rest = Buffer.from(bytes);
        return;
      }
      if (!bytes.subarray(0, 12).equals(Buffer.from('HTTP/1.1 101'))) {
        this.#fail(`the upgrade was refused: ${bytes.subarray(0, head).toString('latin1')}`);
        return;
      }
      this.#isOpen = true;
      this.#opened.resolve();
      bytes = bytes.subarray(head + 4);
    }
    const used = this.#messages(bytes);
    this.#rest = used === bytes.length ? EMPTY : Buffer.from(bytes.subarray(used));
  }

  /** Handles the messages that are whole; gives where the first one begins that is not. */
  #messages(bytes: Buffer): number {
    let at = 0;
    while (at + 2 <= bytes.length) {
      const short = byteAt(bytes, at + 1) & 0x7f;
      const header = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (at + header > bytes.length) break;
      const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6);
      const begin = at + header;
      if (begin + length > bytes.length) break;
      this.#message(byteAt(bytes, at), bytes, { begin, end: begin + length });
      at = begin + length;
    }
    return at;
  }

  #message(first: number, bytes: Buffer, { begin, end }: { readonly begin: number; readonly end: number }): void {
    const opcode = first & 0x0f;
    if (first === (0x80 | OPCODE.binary) || first === (0x80 | OPCODE.text)) this.#onPayload(bytes, begin, end);
    else if (opcode === OPCODE.ping) this.#write(OPCODE.pong, bytes.subarray(begin, end));
    else this.#fail(`a message of the kind ${first.toString(16)}: ${bytes.subarray(begin + 2, end).toString('utf8')}`);
  }

  /** Masked, as a client has to; by zeros, which leave the payload as it is. */
  #write(opcode: number, payload: Uint8Array): void {
    assert(payload.length < 0x10000, 'a client of a benchmark says little');
    const header = Buffer.alloc(payload.length < 126 ? 6 : 8);
    header[0] = 0x80 | opcode;
    header[1] = 0x80 | (payload.length < 126 ? payload.length : 126);
    if (payload.length >= 126) header.writeUInt16BE(payload.length, 2);
    this.#socket.write(Buffer.concat([header, payload]));
  }
}

const EMPTY = Buffer.alloc(0);

function byteAt(bytes: Buffer, index: number): number {
  return bytes[index] ?? 0;
}

function upgradeRequest({ port, path, protocol }: RawSocketOptions): string {
  const lines = [
    `GET ${path} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    'Sec-WebSocket-Version: 13',
    ...(protocol === '' ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}
