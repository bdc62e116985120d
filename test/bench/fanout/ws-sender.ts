// The usual way, as the second baseline: `ws`, and each event a text message of JSON. The JSON of an event is made once
// for all its readers, which many servers do not even do.

import { type WebSocket, WebSocketServer } from 'ws';
import { must } from '../../../protocol/assert.ts';
import { decodeServerMessage } from '../../../protocol/codec.ts';
import { serve } from '../support/child.ts';
import { Turns } from './turns.ts';

/** Turns that may be on their way to the readers. */
const TURNS_AHEAD = 8;

const turns = new Turns();
let server: WebSocketServer | null = null;
/** The last message of a turn to a socket, given to the operating system or not yet. */
let unsent = 0;

serve({ listen, start, cpuMs: () => turns.cpuMs() });

function listen(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server = new WebSocketServer({ host: '127.0.0.1', port, perMessageDeflate: false });
    server.on('listening', resolve);
    server.on('error', reject);
  });
}

function start(messages: readonly Uint8Array[]): void {
  const eventsOf = messages.map((message) => decodeServerMessage(message).filter((frame) => frame.op === 'event'));
  const sockets: readonly WebSocket[] = [...must(server, 'it listens').clients];
  const sent = (): void => {
    unsent -= 1;
    if (unsent < sockets.length * TURNS_AHEAD) turns.goOn();
  };
  turns.run(eventsOf.length, (turn) => {
    const events = must(eventsOf[turn], 'a turn has events');
    for (const [i, { chat, position, span, event }] of events.entries()) {
      const json = Buffer.from(JSON.stringify({ op: 'event', chat, position, span, event }));
      const isLast = i === events.length - 1;
      for (const socket of sockets) {
        if (isLast) socket.send(json, { binary: false }, sent);
        else socket.send(json, { binary: false });
      }
      if (isLast) unsent += sockets.length;
    }
    return unsent < sockets.length * TURNS_AHEAD;
  });
}
