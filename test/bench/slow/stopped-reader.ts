// The reader that stops: it follows a chat, asks for more than all buffers on the way hold, and reads none of it until it
// is told to. Then everything that it missed has to come, without a hole.

import { readFileSync } from 'node:fs';
import { decodeServerMessage, encodeClientFrame } from '../../../protocol/codec.ts';
import { PROTOCOL_VERSION, SUBPROTOCOL } from '../../../protocol/frames.ts';
import { uuidToBytes, type ChatId } from '../../../protocol/ids.ts';
import { LIMITS } from '../../../protocol/limits.ts';
import { decodeProtocol, Positions } from '../fanout/checker.ts';
import { RawSocket } from '../support/raw-socket.ts';

export type StoppedReaderPlan = {
  readonly port: number;
  readonly path: string;
  readonly credential: string;
  readonly chat: ChatId;
  /** A chat whose first message is larger than a slice. */
  readonly big: ChatId;
};

/** Between the soft budget of a session (64 KiB) and its hard one (1 MiB): paused, and not yet closed. */
const OVER_BYTES = 512 * 1024;

export class StoppedReader {
  readonly #socket: RawSocket;
  readonly #positions = new Positions(null);
  readonly #followed = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  readonly #plan: StoppedReaderPlan;
  #isStopped = false;
  /** Bytes that came since it has stopped: when it reads again, nearly all of them. */
  bytesAfter = 0;

  constructor(plan: StoppedReaderPlan) {
    this.#plan = plan;
    const { port, path } = plan;
    const onPayload = (payload: Buffer, begin: number, end: number): void => this.#read(payload.subarray(begin, end));
    this.#socket = new RawSocket({ port, path, protocol: SUBPROTOCOL }, onPayload, (what) => this.#fail(what));
    this.#ended.promise.catch(() => undefined);
  }

  /** Follows the chat and stops reading, with as much on its way as the system and its session hold for it. */
  async stop(): Promise<void> {
    const { credential, chat, big } = this.#plan;
    await this.#socket.opened;
    this.#send({ op: 'hello', version: PROTOCOL_VERSION, credential, client: 'bench' });
    this.#send({ op: 'attach', chat, cursor: null });
    await this.#followed.promise;
    this.#socket.pause();
    this.#isStopped = true;
    const args = { chat: uuidToBytes(big), number: 1, part: 0 };
    const slices = Math.ceil((systemBytes() + OVER_BYTES) / LIMITS.partSliceBytes);
    for (let request = 1; request <= slices; request++) {
      this.#send({ op: 'query', request, name: 'messages.part', args });
    }
  }

  /** Reads again; resolves when the end of the turn has come. */
  async goOn(): Promise<void> {
    this.#socket.resume();
    await this.#ended.promise;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #send(frame: Parameters<typeof encodeClientFrame>[0]): void {
    this.#socket.send(encodeClientFrame(frame));
  }

  #read(payload: Uint8Array): void {
    if (this.#isStopped) this.bytesAfter += payload.length;
    const fault = this.#positions.follow(decodeProtocol(payload));
    if (fault !== null) return this.#fail(`the stopped reader: ${fault}`);
    for (const frame of decodeServerMessage(payload)) {
      if (frame.op === 'attached') this.#followed.resolve();
      if (frame.op === 'event' && frame.event.kind === 'turn' && frame.event.type === 'ended') this.#ended.resolve();
    }
  }

  #fail(what: string): void {
    this.#ended.reject(new Error(what));
    this.#followed.reject(new Error(what));
  }
}

/** What the system takes for one connection on loopback before a socket of the node's is full. */
export function systemBytes(): number {
  const last = (path: string, at: number): number =>
    Number(readFileSync(`/proc/sys/net/ipv4/${path}`, 'utf8').trim().split(/\s+/)[at]);
  return last('tcp_wmem', 2) + last('tcp_rmem', 1);
}
