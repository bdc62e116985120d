import { createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLOSE_CODES } from '../protocol/close-codes.ts';
import { LIMITS } from '../protocol/limits.ts';
import { Harness } from '../test/gateway/support/harness.ts';
import { rawGet, UPGRADE_HEADERS } from '../test/gateway/support/raw-http.ts';
import type { Config } from './config.ts';

let harness: Harness;
let port: number;

async function restart(overrides: Partial<Config>): Promise<void> {
  await harness.stop();
  await start(overrides);
}

async function start(overrides: Partial<Config> = {}): Promise<void> {
  harness = await Harness.start(overrides);
  port = Number(new URL(harness.url).port);
}

function upgrade(headers: Readonly<Record<string, string>> = {}): Promise<{ readonly status: number }> {
  return rawGet(port, '/v1/ws', { ...UPGRADE_HEADERS, ...headers });
}

beforeEach(() => start());
afterEach(() => harness.stop());

describe('upgrade', () => {
  test('[gateway] the subprotocol is required and given back', async () => {
    const good = await rawGet(port, '/v1/ws', { ...UPGRADE_HEADERS, 'sec-websocket-protocol': 'chat, parley.v1' });
    expect(good.status).toBe(101);
    expect(good.headers.get('sec-websocket-protocol')).toBe('parley.v1');
    expect(good.headers.has('sec-websocket-extensions')).toBe(false);
    const bad = await rawGet(port, '/v1/ws', { ...UPGRADE_HEADERS, 'sec-websocket-protocol': 'parley.v2' });
    expect(bad).toMatchObject({ status: 400, body: 'The WebSocket subprotocol must be parley.v1.\n' });
    expect(await upgrade({ 'sec-websocket-protocol': '' })).toMatchObject({ status: 400 });
  });

  test('[gateway] a page of another origin may not connect; none, the own one and the listed ones may', async () => {
    expect(await upgrade()).toMatchObject({ status: 101 });
    expect(await upgrade({ origin: `http://127.0.0.1:${port}` })).toMatchObject({ status: 101 });
    for (const origin of ['https://evil.example', 'null', `http://127.0.0.1:${port + 1}`, 'http://127.0.0.1']) {
      expect(await upgrade({ origin })).toMatchObject({ status: 403 });
    }
    await restart({ allowedOrigins: ['https://app.example'] });
    expect(await upgrade({ origin: 'https://app.example' })).toMatchObject({ status: 101 });
    expect(await upgrade({ origin: 'https://app.example.evil.example' })).toMatchObject({ status: 403 });
    expect(await upgrade({ origin: 'http://app.example' })).toMatchObject({ status: 403 });
  });

  test('[gateway] on a loopback address only loopback names are answered, on every path (DNS rebinding)', async () => {
    for (const host of ['localhost', `localhost:${port}`, '127.0.0.1', `[::1]:${port}`, 'LOCALHOST']) {
      expect(await upgrade({ host })).toMatchObject({ status: 101 });
    }
    for (const host of [
      'evil.example',
      `evil.example:${port}`,
      '',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
    ]) {
      expect(await upgrade({ host, origin: `http://${host}` })).toMatchObject({ status: 403 });
      expect(await rawGet(port, '/healthz', { host })).toMatchObject({ status: 403 });
    }
    await restart({ allowedHosts: ['chat.example'] });
    expect(await upgrade({ host: `chat.example:${port}` })).toMatchObject({ status: 101 });
    expect(await upgrade({ host: 'localhost' })).toMatchObject({ status: 101 });
  });

  test('[P11] connections of an address come from a bucket; then 429 says when to come back', async () => {
    await restart({ addressConnectsPerSecond: 1, addressConnectsBurst: 3 });
    for (let i = 0; i < 3; i++) expect(await upgrade()).toMatchObject({ status: 101 });
    const refused = await rawGet(port, '/v1/ws', UPGRADE_HEADERS);
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('1');
    harness.clock.advance(1_000);
    expect(await upgrade()).toMatchObject({ status: 101 });
  });

  test('[P11] open connections are bounded; then 503 says when to come back', async () => {
    await restart({ sessionsMax: 2 });
    await harness.live();
    const second = await harness.live();
    const refused = await rawGet(port, '/v1/ws', UPGRADE_HEADERS);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('5');
    await second.close();
    expect(await upgrade()).toMatchObject({ status: 101 });
  });

  test('[gateway] other paths and plain requests say what is there', async () => {
    expect(await rawGet(port, '/')).toMatchObject({ status: 404 });
    expect(await rawGet(port, '/v1/other', UPGRADE_HEADERS)).toMatchObject({ status: 404 });
    expect(await rawGet(port, '/v1/ws')).toMatchObject({ status: 426 });
  });
});

describe('messages', () => {
  test('[gateway] a message far above the limit is cut without being read', async () => {
    const client = await harness.live();
    client.socket.send(Buffer.alloc(LIMITS.inboundMessageBytes * 2 + 1));
    expect((await client.closed).code).toBe(1006);
    await harness.live();
  });

  test('[gateway] a frame split over many packets is one frame', async () => {
    const client = await harness.open();
    const credential = await harness.token();
    client.send({ op: 'hello', version: 1, credential, client: 'test' });
    await client.frame('welcome');
    // A masked binary message of one ping `[8]`, byte by byte.
    const masked = Buffer.from([0x82, 0x82, 0, 0, 0, 0, 0x91, 0x08]);
    const { _socket: raw } = client.socket as unknown as { readonly _socket: Socket };
    for (const byte of masked) raw.write(Buffer.from([byte]));
    await client.frame('heartbeat');
  });
});

describe('health', () => {
  test('[gateway] healthz says that the process lives, readyz whether it can serve and why not', async () => {
    expect(await rawGet(port, '/healthz')).toMatchObject({ status: 200, body: '{"alive":true}\n' });
    expect(await rawGet(port, '/readyz')).toMatchObject({
      status: 200,
      body: '{"ready":true,"reasons":[],"sessions":0}\n',
    });
    harness.notReady = ['the database cannot be reached'];
    expect(await rawGet(port, '/readyz')).toMatchObject({
      status: 503,
      body: '{"ready":false,"reasons":["the database cannot be reached"],"sessions":0}\n',
    });
    harness.notReady = [];
    harness.gateway.drain();
    expect(await rawGet(port, '/readyz')).toMatchObject({ status: 503 });
    expect(await rawGet(port, '/healthz')).toMatchObject({ status: 200 });
  });
});

describe('start and stop', () => {
  test('[gateway] a taken port is an error that says what to do, also when another node has it', async () => {
    await expect(Harness.start({ port })).rejects.toThrow(`Port ${port} of 127.0.0.1 is taken by another process.`);
    const other = createServer();
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    if (address === null || typeof address === 'string') throw new Error('it listens on a port');
    await expect(Harness.start({ port: address.port })).rejects.toThrow(/--port \(PARLEY_PORT\)/);
    other.close();
  });

  test('[gateway] an address that is not of this machine is an error that says what to do', async () => {
    await expect(Harness.start({ host: '192.0.2.1' })).rejects.toThrow(
      /192\.0\.2\.1 is not an address of this machine/,
    );
  });

  test('[gateway] a drain tells the clients when to come back and refuses new ones', async () => {
    const client = await harness.live();
    harness.gateway.drain();
    const { afterMs } = await client.frame('drain');
    expect(afterMs).toBeGreaterThanOrEqual(0);
    expect(afterMs).toBeLessThan(5_000);
    const refused = await rawGet(port, '/v1/ws', UPGRADE_HEADERS);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('5');
    client.send({ op: 'query', request: 1, name: 'chats.list', args: {} });
    await client.frame('reply');
  });

  test('[gateway] a stop closes the sessions with going_away, what they were owed comes before', async () => {
    const client = await harness.live();
    let answer = (): void => {};
    harness.host.onQuery = () =>
      new Promise((resolve) => {
        answer = () => resolve({ ok: true, result: 'owed' });
      });
    client.send({ op: 'query', request: 1, name: 'chats.list', args: {} }, { op: 'ping' });
    await client.frame('heartbeat');
    answer();
    // It reaches the session within this turn of the loop, before anything is flushed.
    for (let hops = 0; hops < 8; hops++) await Promise.resolve();
    const stopped = harness.gateway.stop();
    expect(await client.closed).toEqual({ code: CLOSE_CODES.going_away, reason: 'going_away' });
    expect(client.frames.slice(-2)).toMatchObject([
      { op: 'reply', result: 'owed' },
      { op: 'bye', code: CLOSE_CODES.going_away, reason: 'going_away' },
    ]);
    harness.clock.advance(1_000);
    await stopped;
  });
});
