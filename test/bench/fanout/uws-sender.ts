// The baseline of the fan-out: uWebSockets.js in a loop, with nothing around it. Each turn of the event loop it sends the
// next recorded message to every socket.

import { must } from '../../../protocol/assert.ts';
import { type BareSocket, listenBare } from '../support/bare-uws.ts';
import { serve } from '../support/child.ts';
import { Turns } from './turns.ts';

/** As the node's own budget: a socket that has more than this buffered is waited for. */
const SOFT_BYTES = 64 * 1024;

const turns = new Turns();
const sockets = new Set<BareSocket>();
/** Sockets with more than that. */
const behind = new Set<BareSocket>();

serve({ listen, start, cpuMs: () => turns.cpuMs() });

function listen(port: number): Promise<void> {
  return listenBare(port, {
    opened: (socket) => {
      sockets.add(socket);
    },
    drained: (socket) => {
      if (socket.getBufferedAmount() < SOFT_BYTES) behind.delete(socket);
      if (behind.size === 0) turns.goOn();
    },
    closed: (socket) => {
      sockets.delete(socket);
      behind.delete(socket);
    },
  });
}

function start(messages: readonly Uint8Array[]): void {
  turns.run(messages.length, (turn) => {
    const message = must(messages[turn], 'a turn has a message');
    for (const socket of sockets) {
      const status = socket.send(message, true, false);
      if (status !== 1 && socket.getBufferedAmount() >= SOFT_BYTES) behind.add(socket);
    }
    return behind.size === 0;
  });
}
