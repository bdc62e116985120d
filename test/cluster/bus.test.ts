// All buses, by the one contract: NATS over a server of its own, that of the simulation without its faults.

import type { LocalBus } from '../../actors/cluster/local-bus.ts';
import { LocalHub } from '../../actors/cluster/local-bus.ts';
import type { Clock } from '../../actors/ports.ts';
import { NatsBus } from '../../actors/cluster/nats-bus.ts';
import { createLogger } from '../../gateway/logger.ts';
import { SystemClock } from '../../gateway/system-ports.ts';
import { assert } from '../../protocol/assert.ts';
import { type SimBus, SimHub } from '../sim/bus.ts';
import { SimRandom } from '../sim/random.ts';
import { NatsServer } from '../support/nats.ts';
import { busContract } from './bus-contract.ts';

/** Each wait is over at the next turn, in the order in which they began. */
const AT_ONCE: Clock = {
  nowMs: () => 0,
  after: (_delayMs, task) => {
    queueMicrotask(task);
    return () => undefined;
  },
};

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

busContract('simulated', async () => {
  const hub = new SimHub({ clock: AT_ONCE, random: new SimRandom(1), faults: { strikes: () => false } });
  const ends: SimBus[] = [];
  return {
    join: () => {
      const end = hub.join({ run: (task) => task() });
      ends.push(end);
      return Promise.resolve(end);
    },
    cut: () => {
      for (const end of ends) {
        end.cut();
        end.notice();
      }
      return Promise.resolve();
    },
    mend: () => {
      for (const end of ends) end.mend();
      return Promise.resolve();
    },
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
