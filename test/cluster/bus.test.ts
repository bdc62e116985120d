// Both buses, by the one contract: NATS over a server of its own.

import type { LocalBus } from '../../actors/cluster/local-bus.ts';
import { LocalHub } from '../../actors/cluster/local-bus.ts';
import { NatsBus } from '../../actors/cluster/nats-bus.ts';
import { createLogger } from '../../gateway/logger.ts';
import { SystemClock } from '../../gateway/system-ports.ts';
import { assert } from '../../protocol/assert.ts';
import { NatsServer } from '../support/nats.ts';
import { busContract } from './bus-contract.ts';

busContract('in process', async () => {
  const hub = new LocalHub();
  const ends: LocalBus[] = [];
  const all = (connected: boolean): Promise<void> => {
    for (const end of ends) end.setConnected(connected);
    return Promise.resolve();
  };
  return {
    join: () => {
      const end = hub.join();
      ends.push(end);
      return Promise.resolve(end);
    },
    cut: () => all(false),
    mend: () => all(true),
    stop: () => Promise.resolve(),
  };
});

busContract('NATS', async () => {
  const server = await NatsServer.start();
  return {
    join: async () => {
      const settings = { url: server.url, name: 'test', tls: null };
      const bus = new NatsBus(settings, new SystemClock(), createLogger('silent'));
      assert(await bus.open(), 'the server runs');
      return bus;
    },
    cut: () => server.kill(),
    mend: () => server.up(),
    stop: () => server.kill(),
  };
});
