// Ports of TCP servers on this machine.

import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { assert } from '../../protocol/assert.ts';

/** Listens on any free port of 127.0.0.1; the port. */
export async function listenAnywhere(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert(typeof address === 'object' && address !== null, 'a TCP server has an address');
  return address.port;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listenAnywhere(server);
  server.close();
  await once(server, 'close');
  return port;
}
