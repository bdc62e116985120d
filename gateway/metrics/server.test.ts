import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { must } from '../../protocol/assert.ts';
import { Tally } from '../../protocol/measures.ts';
import type { GatewayLimit } from '../counts.ts';
import { GATEWAY_LIMITS } from '../limits.ts';
import { createLogger } from '../logger.ts';
import { serveMetrics } from './server.ts';

const limits = new Tally<GatewayLimit>();
const parts = { logger: createLogger('silent'), limits };
const page = { contentType: 'text/plain', text: () => Promise.resolve('one 1\n') };

describe('the port of the metrics', () => {
  const other = createServer();
  let taken = 0;

  beforeEach(async () => {
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    taken = typeof address === 'object' ? must(address, 'it listens').port : 0;
  });

  afterEach(async () => {
    other.close();
    await once(other, 'close');
  });

  it('[§8] one that was asked for and is taken is one clear line', async () => {
    await expect(serveMetrics({ port: taken, isDefault: false }, page, parts)).rejects.toThrow(
      `The port for metrics, ${taken} of 127.0.0.1, is taken by another process. Choose another with --metrics-port (PARLEY_METRICS_PORT), or "off".`,
    );
  });

  it('[§8] the default one that is taken gives way to a free one, and stops with its connections', async () => {
    const metrics = await serveMetrics({ port: taken, isDefault: true }, page, parts);
    expect(metrics.url).not.toContain(`:${taken}/`);
    expect(await (await fetch(metrics.url)).text()).toBe('one 1\n');
    await metrics.stop();
    await expect(fetch(metrics.url)).rejects.toThrow();
  });

  it('[P11] more connections than a scraper needs are closed and counted', async () => {
    const metrics = await serveMetrics({ port: 0, isDefault: false }, page, parts);
    const port = Number(new URL(metrics.url).port);
    const open = Array.from({ length: GATEWAY_LIMITS.metricsConnections }, () => connect(port, '127.0.0.1'));
    await Promise.all(open.map((socket) => once(socket, 'connect')));
    const oneMore = connect(port, '127.0.0.1');
    await once(oneMore, 'close');
    expect(limits.get('metricsConnections')).toBe(1);
    const closed = open.map((socket) => once(socket, 'close'));
    await metrics.stop();
    await Promise.all(closed);
  });
});
