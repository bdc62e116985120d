import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLOSE_CODES } from '../protocol/close-codes.ts';
import { LIMITS } from '../protocol/limits.ts';
import { position } from '../test/gateway/support/fake-host.ts';
import { CHAT, Harness, OTHER_CHAT, testConfig } from '../test/gateway/support/harness.ts';
import { GATEWAY_LIMITS } from './limits.ts';
import type { SocketClient } from '../test/gateway/support/socket-client.ts';

const KIB = 1024;

let harness: Harness;

beforeEach(async () => {
  harness = await Harness.start();
});

afterEach(async () => {
  await harness.stop();
});

function received(client: SocketClient): string {
  return client
    .all('event')
    .map(({ event }) => (event.kind === 'block' && event.type === 'delta' ? event.text : ''))
    .join('');
}

async function attached(client: SocketClient): Promise<void> {
  harness.host.log(CHAT);
  client.send({ op: 'attach', chat: CHAT, cursor: position(1, 0) });
  expect(await client.frame('attached')).toMatchObject({ outcome: 'resumed' });
}

/** Appends until the reader takes nothing more: the buffers of the system are full and the session has paused. */
async function fill(probe: SocketClient): Promise<number> {
  const log = harness.host.log(CHAT);
  let quiet = 0;
  let appended = 0;
  const beats = probe.all('heartbeat').length;
  for (let round = beats + 1; quiet < 5; round++) {
    const before = log.reads;
    log.append('z'.repeat(32 * KIB));
    appended += 1;
    probe.send({ op: 'ping' });
    await probe.frame('heartbeat', round);
    quiet = log.reads === before ? quiet + 1 : 0;
    if (appended > 2_000) throw new Error('the reader never stopped');
  }
  expect(log.reads).toBeGreaterThan(5);
  return appended;
}

describe('joined frames', () => {
  test('[P9] what is appended within one turn of the loop is one WebSocket message, for each follower', async () => {
    const log = harness.host.log(CHAT);
    const clients = [await harness.live(), await harness.live()];
    for (const client of clients) await attached(client);
    const before = clients.map((client) => client.messages);
    for (let i = 0; i < 100; i++) log.append(`${i} `);
    await Promise.all(clients.map((client) => client.frame('event', 100)));
    expect(clients.map((client, i) => client.messages - (before[i] ?? 0))).toEqual([1, 1]);
  });

  test('[P9] control frames come before events, in the same message', async () => {
    const log = harness.host.log(CHAT);
    log.append('a');
    const client = await harness.live();
    const before = client.messages;
    client.send({ op: 'ping' }, { op: 'attach', chat: CHAT, cursor: position(1, 0) });
    await client.frame('event');
    expect(client.frames.map((frame) => frame.op)).toEqual(['welcome', 'heartbeat', 'attached', 'event']);
    expect(client.messages - before).toBe(1);
  });

  test('[P9] a session to which everything was sent is left alone until there is more', async () => {
    const log = harness.host.log(CHAT);
    log.append('a');
    const client = await harness.live();
    await attached(client);
    await client.frame('event');
    client.send({ op: 'ping' });
    await client.frame('heartbeat');
    const { reads } = log;
    for (let round = 2; round < 6; round++) {
      client.send({ op: 'ping' });
      await client.frame('heartbeat', round);
    }
    expect(log.reads).toBe(reads);
  });

  test('[P9] a chat with much to send does not keep the others of its session waiting', async () => {
    for (let i = 0; i < 200; i++) harness.host.log(CHAT).append('x'.repeat(8 * KIB));
    harness.host.log(OTHER_CHAT).append('y');
    const client = await harness.live();
    client.send(
      { op: 'attach', chat: CHAT, cursor: position(1, 0) },
      { op: 'attach', chat: OTHER_CHAT, cursor: position(1, 0) },
    );
    await client.frame('event', 201);
    const place = client.all('event').findIndex((event) => event.chat === OTHER_CHAT);
    expect(place).toBeLessThan(20);
  });
});

describe('slow readers', () => {
  test('[P9] a reader that stops reading is paused, nobody else waits, and it gets everything later', async () => {
    const [slow, fast, probe] = [await harness.live(), await harness.live(), await harness.live()];
    await attached(slow);
    slow.socket.pause();
    const appended = await fill(probe);
    await attached(fast);
    await fast.frame('event', appended);
    expect(harness.gateway.registry.closed.size).toBe(0);
    expect(harness.gateway.counts.pauses).toBe(1);
    expect([...harness.gateway.counts.limits.counts].filter(([, times]) => times > 0)).toEqual([]);
    slow.socket.resume();
    await slow.frame('event', appended);
    expect(received(slow)).toBe(received(fast));
    const seqs = slow.all('event').map((event) => event.position.seq);
    expect(seqs).toEqual(Array.from({ length: appended }, (_, i) => i + 1));
  });

  test('[P9] a paused reader that the ring went past goes on with what the host gives for its cursor', async () => {
    const log = harness.host.log(CHAT);
    const [slow, probe] = [await harness.live(), await harness.live()];
    await attached(slow);
    slow.socket.pause();
    const appended = await fill(probe);
    log.floor = appended;
    slow.socket.resume();
    // The re-attach is a task of the clock, which stands still: it is moved as often as messages come.
    for (let round = appended + 1; slow.all('attached').length < 2; round++) {
      harness.clock.advance(0);
      probe.send({ op: 'ping' });
      await probe.frame('heartbeat', round);
    }
    const last = slow.all('event').at(-1);
    expect(harness.host.attaches[1]?.cursor).toEqual(last?.position);
    log.append('end');
    await slow.until(() => received(slow).endsWith('end'));
  });

  test('[P9] a client that asks without reading is closed as slow at the hard budget, another is not touched', async () => {
    const reply = 'r'.repeat(48 * KIB);
    harness.host.onQuery = () => Promise.resolve({ ok: true, result: reply });
    const [slow, fast] = [await harness.live(), await harness.live(await harness.token('bob'))];
    slow.socket.pause();
    for (let request = 1; harness.gateway.registry.closed.size === 0; request++) {
      slow.send({ op: 'query', request, name: 'messages', args: {} });
      fast.send({ op: 'query', request, name: 'messages', args: {} });
      await fast.frame('reply', request);
      if (request > 1_500) throw new Error('the reader was never closed');
    }
    expect([...harness.gateway.registry.closed]).toEqual([['slow', 1]]);
    expect(harness.gateway.registry.size).toBe(1);
    slow.socket.resume();
    expect(await slow.closed).toEqual({ code: CLOSE_CODES.slow, reason: 'slow' });
    fast.send({ op: 'ping' });
    await fast.frame('heartbeat');
  });

  test('[P9] one reply larger than the hard budget does not close a client that reads', async () => {
    const reply = 'r'.repeat(3 * 1024 * KIB);
    harness.host.onQuery = () => Promise.resolve({ ok: true, result: reply });
    const client = await harness.live();
    client.send({ op: 'query', request: 1, name: 'messages', args: {} });
    expect((await client.frame('reply')).result).toHaveLength(reply.length);
    expect(harness.gateway.registry.closed.size).toBe(0);
  });

  test('[P9] many replies within one turn of the loop do not close a client that reads', async () => {
    const reply = 'r'.repeat(200 * KIB);
    harness.host.onQuery = () => Promise.resolve({ ok: true, result: reply });
    const client = await harness.live();
    client.send(
      ...Array.from({ length: 10 }, (_, request) => ({ op: 'query', request, name: 'messages', args: {} }) as const),
    );
    await client.frame('reply', 10);
    expect(harness.gateway.registry.closed.size).toBe(0);
  });

  test('[P9] what waits goes out in messages that a slow line carries within the silence a client allows', async () => {
    const frameBytes = 20 * KIB;
    harness.host.onQuery = () => Promise.resolve({ ok: true, result: 'r'.repeat(frameBytes) });
    const client = await harness.live();
    const sizes: number[] = [];
    client.socket.on('message', (data: Buffer) => sizes.push(data.length));
    const queries = Array.from(
      { length: 30 },
      (_, i) => ({ op: 'query', request: i + 1, name: 'x', args: {} }) as const,
    );
    client.send(...queries);
    await client.frame('reply', 30);
    expect(client.all('reply').map(({ request }) => request)).toEqual(queries.map(({ request }) => request));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(GATEWAY_LIMITS.joinedBytes);
    // Joined all the same: three of these frames fit.
    expect(sizes.length).toBe(10);
  });

  test('[P9] what is held for a reader that asks without reading stays within the hard budget', async () => {
    const { outboxHardBytes } = testConfig();
    harness.host.onQuery = () => Promise.resolve({ ok: true, result: 'r'.repeat(48 * KIB) });
    const [slow, probe] = [await harness.live(), await harness.live(await harness.token('bob'))];
    slow.socket.pause();
    const { registry } = harness.gateway;
    let heldMost = 0;
    for (let round = 1; registry.closed.size === 0; round++) {
      slow.send({ op: 'query', request: round, name: 'x', args: {} });
      probe.send({ op: 'ping' });
      await probe.frame('heartbeat', round);
      heldMost = Math.max(heldMost, registry.measure().heldBytesMax);
      if (round > 1_500) throw new Error('the reader was never closed');
    }
    expect(heldMost).toBeGreaterThan(outboxHardBytes - 100 * KIB);
    expect(heldMost).toBeLessThanOrEqual(outboxHardBytes);
    expect(registry.measure()).toMatchObject({ outboxBytes: 0, heldBytesMax: 0 });
  });

  test('[P9] heartbeats do not pile up in front of a paused reader', async () => {
    const [slow, probe] = [await harness.live(), await harness.live()];
    await attached(slow);
    slow.socket.pause();
    const rounds = await fill(probe);
    for (let i = 0; i < 100; i++) slow.send({ op: 'ping' });
    slow.send({ op: 'query', request: 1, name: 'chats.list', args: {} });
    probe.send({ op: 'ping' });
    await probe.frame('heartbeat', rounds + 1);
    slow.socket.resume();
    await slow.frame('reply');
    expect(slow.all('heartbeat')).toHaveLength(1);
  });

  test('[P9] a reader that takes nothing at all is closed as slow at the third heartbeat', async () => {
    const [slow, probe] = [await harness.live(), await harness.live()];
    await attached(slow);
    slow.socket.pause();
    await fill(probe);
    harness.clock.advance(2 * LIMITS.heartbeatMs);
    expect(harness.gateway.registry.closed.size).toBe(0);
    harness.clock.advance(LIMITS.heartbeatMs);
    expect([...harness.gateway.registry.closed]).toEqual([['slow', 1]]);
    slow.socket.resume();
    expect(await slow.closed).toMatchObject({ code: CLOSE_CODES.slow });
  });

  test('[P9] a reader that takes something now and then is not given up', async () => {
    const log = harness.host.log(CHAT);
    const [slow, probe] = [await harness.live(), await harness.live()];
    await attached(slow);
    slow.socket.pause();
    await fill(probe);
    for (let round = 0; round < 5; round++) {
      harness.clock.advance(LIMITS.heartbeatMs);
      // The system's buffers hide what a reader takes, until they have room: then the log is read again.
      const { reads } = log;
      slow.socket.resume();
      await slow.until(() => log.reads > reads);
      slow.socket.pause();
      await fill(probe);
    }
    expect(harness.gateway.registry.closed.size).toBe(0);
  });
});
