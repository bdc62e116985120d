// A process of readers that read: they follow one chat after the other, check every position, and measure how old each
// delta is when it comes.

import { decodeServerMessage, encodeClientFrame } from '../../../protocol/codec.ts';
import { PROTOCOL_VERSION, SUBPROTOCOL } from '../../../protocol/frames.ts';
import type { ChatId } from '../../../protocol/ids.ts';
import { type Decoded, DecodedMessages, decodeProtocol, Positions } from '../fanout/checker.ts';
import { serve } from '../support/child.ts';
import { RawSocket } from '../support/raw-socket.ts';
import { Latencies, nowMs, readStamps } from './stamps.ts';

export type ReceiverPlan = {
  readonly port: number;
  readonly path: string;
  readonly sockets: number;
  readonly credential: string;
};

export type Heard = { readonly counts: Uint32Array; readonly deltas: number; readonly fault: string | null };

const sockets: RawSocket[] = [];
const stamps = new WeakMap<Decoded, readonly number[]>();
const decoded = new DecodedMessages((payload) => {
  const message = decodeProtocol(payload);
  stamps.set(message, stampsOf(payload));
  return message;
});
let latencies = new Latencies();
let fault: string | null = null;

serve({ connect, attach, heard });

async function connect({ port, path, sockets: count, credential }: ReceiverPlan): Promise<void> {
  for (let i = 0; i < count; i++) {
    const positions = new Positions(null);
    const socket = new RawSocket(
      { port, path, protocol: SUBPROTOCOL },
      (payload, begin, end) => {
        const atMs = nowMs();
        const message = decoded.of(payload, begin, end);
        for (const sentMs of stamps.get(message) ?? []) latencies.add(atMs - sentMs);
        fault ??= positions.follow(message);
      },
      fail,
    );
    sockets.push(socket);
    // One after the other: a burst would overflow the queue of the listener.
    await socket.opened;
    socket.send(encodeClientFrame({ op: 'hello', version: PROTOCOL_VERSION, credential, client: 'bench' }));
  }
}

function attach(chat: ChatId): void {
  for (const socket of sockets) socket.send(encodeClientFrame({ op: 'attach', chat, cursor: null }));
}

/** What came since it was asked last. */
function heard(): Heard {
  const { counts, total } = latencies;
  latencies = new Latencies();
  return { counts, deltas: total, fault };
}

function fail(what: string): void {
  fault ??= what;
}

function stampsOf(payload: Uint8Array): readonly number[] {
  return decodeServerMessage(payload).flatMap((frame) =>
    frame.op === 'event' && frame.event.kind === 'block' && frame.event.type === 'delta'
      ? readStamps(frame.event.text)
      : [],
  );
}
