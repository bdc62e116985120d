// Ports of TCP servers on this machine.

import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { assert } from '../../protocol/assert.ts';

const PORT_MIN = 12_000;
const PORT_MAX = 31_999;
const PORT_TRIES_MAX = 50;

/** Listens on any free port of 127.0.0.1; the port. */
export async function listenAnywhere(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert(typeof address === 'object' && address !== null, 'a TCP server has an address');
  return address.port;
}

/**
 * A port of 127.0.0.1 that was free a moment ago, and that no connection takes by chance: systems give those that go out ports
 * from 32,768 (Linux) or 49,152 up. A server that is killed and started again on it finds it free.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORT_TRIES_MAX; tries += 1) {
    const port = randomInt(PORT_MIN, PORT_MAX + 1);
    if (await isFree(port)) return port;
  }
  throw new Error(`none of ${PORT_TRIES_MAX} ports between ${PORT_MIN} and ${PORT_MAX} is free`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
