// A client that costs next to nothing, so that a storm of them is the node's to bear: it follows chats, keeps its cursors,
// and knows nothing of what it is sent but the positions.

import { decodeServerMessage, encodeClientFrame } from '../../protocol/codec.ts';
import { PROTOCOL_VERSION, SUBPROTOCOL, type ServerFrame } from '../../protocol/frames.ts';
import type { ChatId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import { RawSocket } from '../bench/support/raw-socket.ts';

export type StormClientOptions = {
  readonly port: number;
  readonly credential: string;
  readonly chats: readonly ChatId[];
  /** It was cut, refused or closed, and not by us. */
  readonly onFault: (what: string) => void;
};

export class StormClient {
  readonly #options: StormClientOptions;
  readonly #cursors = new Map<ChatId, Position>();
  readonly #awaited = new Set<ChatId>();
  #socket: RawSocket | null = null;
  #whenAttached = (): void => {};

  constructor(options: StormClientOptions) {
    this.#options = options;
  }

  /** Connects and attaches with its cursors; resolves when every chat is answered. */
  connect(): Promise<void> {
    const { port, credential, chats } = this.#options;
    const hello = encodeClientFrame({ op: 'hello', version: PROTOCOL_VERSION, credential, client: 'storm' });
    const attaches = chats.map((chat) =>
      encodeClientFrame({ op: 'attach', chat, cursor: this.#cursors.get(chat) ?? null }),
    );
    for (const chat of chats) this.#awaited.add(chat);
    const onPayload = (bytes: Buffer, begin: number, end: number): void => {
      for (const frame of decodeServerMessage(bytes.subarray(begin, end))) this.#onFrame(frame);
    };
    const socket = new RawSocket({ port, path: '/v1/ws', protocol: SUBPROTOCOL }, onPayload, (what) =>
      this.#fail(what),
    );
    this.#socket = socket;
    socket.opened.then(
      () => socket.send(Buffer.concat([hello, ...attaches])),
      () => undefined,
    );
    return new Promise((resolve) => {
      this.#whenAttached = resolve;
    });
  }

  cut(): void {
    this.#socket?.destroy();
    this.#socket = null;
  }

  /** Nobody waits for it any more. */
  #fail(what: string): void {
    this.#options.onFault(what);
    this.#whenAttached();
  }

  #onFrame(frame: ServerFrame): void {
    switch (frame.op) {
      case 'event':
      case 'skipped':
        this.#cursors.set(frame.chat, frame.position);
        return;
      case 'attached':
        return this.#onAttached(frame);
      case 'refused':
        return this.#fail(`refused: ${frame.error.code}`);
      case 'bye':
        return this.#fail(`closed with ${frame.code}: ${frame.reason}`);
      default:
        return;
    }
  }

  #onAttached(frame: ServerFrame & { readonly op: 'attached' }): void {
    if (frame.outcome === 'gone') return this.#fail('gone');
    if (frame.outcome === 'snapshot') {
      this.#cursors.set(frame.chat, frame.position);
      if (!frame.piece.last) {
        this.#socket?.send(encodeClientFrame({ op: 'more', chat: frame.chat }));
        return;
      }
    }
    if (this.#awaited.delete(frame.chat) && this.#awaited.size === 0) this.#whenAttached();
  }
}
