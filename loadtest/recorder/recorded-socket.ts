// A WebSocket that goes to another node each time it is made, and tells what its client attaches with.

import { decodeClientMessage } from '../../protocol/codec.ts';
import type { WebSocketConstructor } from '../../protocol/client/environment.ts';
import type { ClientFrame } from '../../protocol/frames.ts';

export type SocketParts = {
  /** Where to connect now. */
  readonly url: () => string;
  /** Just before it is sent. */
  readonly onAttach: (attach: ClientFrame & { readonly op: 'attach' }) => void;
};

export function recordedWebSocket({ url, onAttach }: SocketParts): WebSocketConstructor {
  return class RecordedWebSocket extends WebSocket {
    constructor(_url: string, protocol: string) {
      super(url(), protocol);
    }

    override send(data: Uint8Array<ArrayBuffer>): void {
      for (const frame of decodeClientMessage(data).frames) if (frame.op === 'attach') onAttach(frame);
      super.send(data);
    }
  };
}

/** The nodes that clients may connect to, as they come and go. */
export class Urls {
  #all: readonly string[] = [];
  #next = 0;

  set(urls: readonly string[]): void {
    this.#all = urls;
  }

  /** Each in its turn: whoever lost its node comes to another one. */
  next(): string {
    const url = this.#all[this.#next % this.#all.length];
    this.#next += 1;
    return url ?? 'ws://127.0.0.1:9';
  }
}
