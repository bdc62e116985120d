// A receiver process of the fan-out: many sockets that check all they get, and count it.

import { encodeClientFrame } from '../../../protocol/codec.ts';
import { PROTOCOL_VERSION, SUBPROTOCOL } from '../../../protocol/frames.ts';
import type { ChatId } from '../../../protocol/ids.ts';
import { serve } from '../support/child.ts';
import { RawSocket } from '../support/raw-socket.ts';
import { decodeJson, DecodedMessages, decodeProtocol, type Loop, Positions } from './checker.ts';

export type ReceiverPlan = {
  readonly port: number;
  readonly path: string;
  readonly sockets: number;
  readonly form: 'parley' | 'json';
  /** Null: nobody has to be greeted, a bare server sends to whoever is there. */
  readonly session: { readonly credential: string; readonly chats: readonly ChatId[] } | null;
  /** A recorded stream that is sent over and over; null: positions only grow. */
  readonly loop: Loop | null;
};

export type Received = {
  readonly events: number;
  readonly messages: number;
  readonly bytes: number;
  /** Messages that no other socket of this process had got before. */
  readonly decodes: number;
  readonly cpuMs: number;
  readonly fault: string | null;
};

let events = 0;
let messages = 0;
let bytes = 0;
let fault: string | null = null;
let decoded = new DecodedMessages(decodeProtocol);
const sockets: RawSocket[] = [];
/** What one socket gets, while it is recorded. */
let recorded: Uint8Array[] | null = null;

function fail(what: string): void {
  fault ??= what;
}

serve({
  connect: async (plan: ReceiverPlan) => {
    await connect(plan);
    nap();
  },
  received,
  record,
  recorded: () => recorded,
});

/**
 * Reading one message at a time costs as much as sending it, and with two cores the readers would be what limits. So a
 * receiver looks once every few milliseconds and finds several messages per socket; latency is not what is measured here.
 */
const NAP_MS = 4;
const napping = new Int32Array(new SharedArrayBuffer(4));

function nap(): void {
  Atomics.wait(napping, 0, 0, NAP_MS);
  setImmediate(nap);
}

async function connect(plan: ReceiverPlan): Promise<void> {
  decoded = new DecodedMessages(plan.form === 'json' ? decodeJson : decodeProtocol);
  for (let i = 0; i < plan.sockets; i++) {
    const positions = new Positions(plan.loop);
    const isRecorded = i === 0;
    const socket = new RawSocket(
      { port: plan.port, path: plan.path, protocol: plan.session === null ? '' : SUBPROTOCOL },
      (payload, begin, end) => {
        const message = decoded.of(payload, begin, end);
        events += message.events;
        messages += 1;
        bytes += end - begin;
        const wrong = positions.follow(message);
        if (wrong !== null) fail(wrong);
        if (isRecorded && recorded !== null) recorded.push(new Uint8Array(payload.subarray(begin, end)));
      },
      fail,
    );
    sockets.push(socket);
    // One after the other: a burst would overflow the queue of the listener.
    await socket.opened;
    if (plan.session !== null) greet(socket, plan.session);
  }
}

function greet(socket: RawSocket, { credential, chats }: NonNullable<ReceiverPlan['session']>): void {
  socket.send(encodeClientFrame({ op: 'hello', version: PROTOCOL_VERSION, credential, client: 'bench' }));
  for (const chat of chats) socket.send(encodeClientFrame({ op: 'attach', chat, cursor: null }));
}

function received(): Received {
  const { user, system } = process.cpuUsage();
  return { events, messages, bytes, decodes: decoded.decodes, cpuMs: (user + system) / 1000, fault };
}

function record(): void {
  recorded = [];
}
