// The connection, on a simulated clock: connecting, dying, coming back, and staying authorised.

import { describe, expect, test } from 'vitest';
import { CLOSE_CODES } from '../../protocol/close-codes.ts';
import type { ConnectionStatus } from '../../protocol/client/status.ts';
import { FakeServer } from './fake-server.ts';

describe('[client] connecting', () => {
  test('[client] says hello with the credential and is live after welcome', async () => {
    const server = new FakeServer({ clientName: 'test ✓' });
    const statuses = recordStatuses(server);
    server.client.connect();
    const { socket } = server;
    expect([socket.url, socket.protocol, socket.binaryType]).toEqual(['ws://parley.test', 'parley.v1', 'arraybuffer']);
    expect(socket.frames).toEqual([]);
    socket.accept();
    expect(socket.frames).toEqual([{ op: 'hello', version: 1, credential: 'secret', client: 'test ✓' }]);
    server.welcome();
    expect(statuses).toEqual([
      { status: 'connecting' },
      { status: 'live', session: 'session-1', node: 'node', owner: 'owner' },
    ]);
  });

  test('[client] waits with full jitter between failures and anew after a connection that lived', async () => {
    const server = new FakeServer();
    const waits = recordWaits(server);
    server.client.connect();
    for (let failure = 0; failure < 8; failure++) {
      server.socket.cut();
      await server.clock.advance(10_000);
    }
    expect(waits).toEqual([125, 250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    server.welcome();
    server.socket.cut();
    expect(waits.at(-1)).toBe(5_000);
    await server.clock.advance(10_000);
    const socket = server.welcome();
    await server.clock.advance(10_000);
    socket.cut();
    expect(waits.at(-1)).toBe(125);
    server.client.close();
  });

  test('[client] a server that does not answer in 15 s is tried again, and its late answer ignored', async () => {
    const server = new FakeServer();
    server.client.connect();
    const first = server.socket;
    first.accept();
    await server.clock.advance(15_000);
    expect(server.client.status).toMatchObject({ status: 'waiting', retryInMs: 125 });
    expect(first.closedByClient).toBe(true);
    first.push({ op: 'bye', code: 4501, reason: 'late' });
    first.cut(4501);
    await server.clock.advance(125);
    expect(server.sockets).toHaveLength(2);
    server.welcome();
    expect(server.client.status.status).toBe('live');
    server.client.close();
  });

  test('[client] an error before the socket opened is the end of the attempt, even without a close', async () => {
    const server = new FakeServer();
    server.client.connect();
    server.socket.fail('connection refused');
    expect(server.client.status).toEqual({
      status: 'waiting',
      retryInMs: 125,
      reason: 'The connection was lost (1006). (connection refused)',
    });
    server.client.close();
  });

  test('[client] connect while waiting tries at once', async () => {
    const server = new FakeServer();
    server.client.connect();
    server.socket.cut();
    server.client.connect();
    expect(server.sockets).toHaveLength(2);
    await server.clock.advance(1_000);
    expect(server.sockets).toHaveLength(2);
    server.client.close();
    expect(server.clock.pending).toBe(0);
  });

  test('[client] a URL that cannot be opened ends with a sentence, not with tries for ever', () => {
    const server = new FakeServer({
      webSocket: class {
        constructor() {
          throw new SyntaxError('Invalid URL');
        }
      } as never,
    });
    server.client.connect();
    expect(server.client.status).toEqual({
      status: 'closed',
      code: 1006,
      reason: 'Cannot connect to ws://parley.test: Invalid URL',
    });
    expect(server.clock.pending).toBe(0);
  });

  test('[client] a listener that closes the client is obeyed in every state', async () => {
    for (const wanted of ['connecting', 'live', 'waiting'] as const) {
      const server = new FakeServer();
      server.client.onStatus(({ status }) => {
        if (status === wanted) server.client.close();
      });
      server.client.connect();
      if (wanted !== 'connecting') server.welcome();
      if (wanted === 'waiting') server.socket.cut();
      expect(server.client.status.status).toBe('closed');
      expect(server.clock.pending).toBe(0);
      await server.clock.advance(60_000);
      expect(server.sockets.length).toBe(wanted === 'connecting' ? 0 : 1);
    }
  });

  test('[client] ready resolves when live and rejects with the reason of the end', async () => {
    const server = new FakeServer();
    const ready = server.client.ready();
    server.welcome();
    await expect(ready).resolves.toBeUndefined();
    server.socket.cut();
    const again = server.client.ready();
    server.socket.cut(4501, 'unauthorized');
    await expect(again).rejects.toThrow('The server does not accept the credential.');
  });
});

describe('[client] ends', () => {
  test('[client] close codes from 4500 end it for good with a sentence; connect begins anew', async () => {
    for (const code of [4500, 4501, 4502, 4503, 4504, 4999]) {
      const server = new FakeServer();
      const socket = await server.live();
      socket.cut(code, '');
      expect(server.client.status).toMatchObject({ status: 'closed', code });
      await server.clock.advance(60_000);
      expect(server.sockets).toHaveLength(1);
      expect(server.clock.pending).toBe(0);
      await server.live();
      expect(server.client.status.status).toBe('live');
      server.client.close();
    }
  });

  test('[client] the code of a bye counts, whatever the browser says of the close', async () => {
    const server = new FakeServer();
    const socket = await server.live();
    socket.push({ op: 'bye', code: CLOSE_CODES.revoked, reason: 'revoked' });
    expect(server.client.status).toEqual({ status: 'closed', code: 4504, reason: 'The credential was revoked.' });
  });

  test('[client] every code below 4500 means coming back', async () => {
    for (const code of [1000, 1001, 1006, 1009, 4000, 4001, 4005, 4499]) {
      const server = new FakeServer();
      const socket = await server.live();
      socket.cut(code);
      expect(server.client.status.status).toBe('waiting');
      server.client.close();
    }
  });

  test('[client] a server that limits us gets more distance', async () => {
    const server = new FakeServer();
    const waits = recordWaits(server);
    const socket = await server.live();
    socket.cut(CLOSE_CODES.rate_limited);
    expect(waits).toEqual([1_000]);
    server.client.close();
  });

  test('[client] bytes that are no frames, or text, end the connection and bring a new one', async () => {
    const server = new FakeServer();
    const waits = recordWaits(server);
    (await server.live()).pushBytes(Uint8Array.of(0xc1));
    await server.clock.advance(1_000);
    server.welcome().pushText('hello');
    expect(waits).toEqual([125, 250]);
    server.client.close();
  });

  test('[client] frames of a later version are passed over', async () => {
    const server = new FakeServer();
    const socket = await server.live();
    socket.pushBytes(Uint8Array.of(0x92, 0xcc, 200, 0x01));
    expect(server.client.status.status).toBe('live');
    server.client.close();
  });

  test('[client] a drain keeps the connection until its time, then comes back without a wait of its own', async () => {
    const server = new FakeServer();
    const socket = await server.live();
    await server.clock.advance(15_000);
    socket.push({ op: 'drain', afterMs: 3_000 });
    await server.clock.advance(2_999);
    expect(socket.closedByClient).toBe(false);
    await server.clock.advance(1);
    expect(socket.closedByClient).toBe(true);
    expect(server.sockets).toHaveLength(2);
    server.client.close();
  });

  test('[client] a drain whose server closes at once is honoured', async () => {
    const server = new FakeServer();
    const waits = recordWaits(server);
    const socket = await server.live();
    await server.clock.advance(15_000);
    socket.push({ op: 'drain', afterMs: 3_000 });
    await server.clock.advance(1_000);
    socket.cut(CLOSE_CODES.going_away);
    expect(waits).toEqual([2_000]);
    server.client.close();
  });

  test('[client] drains in a row are slowed down', async () => {
    const server = new FakeServer();
    const waits = recordWaits(server);
    await server.live();
    for (let round = 0; round < 4; round++) {
      server.socket.push({ op: 'drain', afterMs: 0 });
      await server.clock.advance(10_000);
      server.welcome();
    }
    expect(waits).toEqual([0, 250, 500, 1_000]);
    server.client.close();
  });
});

describe('[P5] a dead connection is noticed', () => {
  test('[P5] 25 s without a frame and the connection is given up; any frame counts', async () => {
    const server = new FakeServer();
    const socket = await server.live();
    await server.clock.advance(20_000);
    socket.push({ op: 'heartbeat', nowMs: server.clock.nowMs(), positions: [] });
    await server.clock.advance(24_999);
    expect(server.client.status.status).toBe('live');
    await server.clock.advance(1);
    expect(server.client.status).toMatchObject({ status: 'waiting', reason: expect.stringContaining('silent') });
    expect(socket.closedByClient).toBe(true);
    server.client.close();
  });

  test('[P5] after a sleep of the machine the server gets a moment to be heard', async () => {
    const server = new FakeServer();
    const socket = await server.live();
    socket.take('ping');
    await server.clock.suspend(3_600_000);
    expect(server.client.status.status).toBe('live');
    socket.take('ping');
    socket.push({ op: 'heartbeat', nowMs: server.clock.nowMs(), positions: [] });
    await server.clock.advance(10_000);
    expect(server.client.status.status).toBe('live');
    await server.clock.suspend(3_600_000);
    await server.clock.advance(2_000);
    expect(server.client.status.status).toBe('waiting');
    server.client.close();
  });
});

describe('[client] credentials', () => {
  test('[client] a fresh one is fetched before each connect', async () => {
    let fetched = 0;
    const server = new FakeServer({ credential: async () => `token-${++fetched}` });
    server.client.connect();
    expect(server.sockets).toHaveLength(0);
    await server.clock.advance(0);
    server.socket.accept();
    expect(server.socket.take('hello').credential).toBe('token-1');
    server.socket.cut();
    await server.clock.advance(1_000);
    server.socket.accept();
    expect(server.socket.take('hello').credential).toBe('token-2');
    server.client.close();
  });

  test('[client] a source that fails or hangs is a failed attempt', async () => {
    let calls = 0;
    const server = new FakeServer({
      credential: () => {
        calls += 1;
        if (calls === 1) throw new Error('no network');
        return calls === 2 ? new Promise(() => {}) : Promise.resolve('good');
      },
    });
    server.client.connect();
    await server.clock.advance(0);
    expect(server.client.status).toMatchObject({ status: 'waiting', reason: expect.stringContaining('no network') });
    await server.clock.advance(125);
    expect(server.client.status.status).toBe('connecting');
    await server.clock.advance(15_000 + 250);
    server.welcome();
    expect(server.client.status.status).toBe('live');
    server.client.close();
    expect(server.clock.pending).toBe(0);
  });

  test('[client] refreshes in-band a minute before the end, and again after the end that the server then names', async () => {
    let fetched = 0;
    const server = new FakeServer({ credential: async () => `token-${++fetched}` });
    const socket = await server.live();
    const beat = setBeating(server);
    await beat(3_540_000 - 1);
    expect(socket.untaken()).not.toContain('auth');
    await beat(1);
    const auth = socket.take('auth');
    expect(auth.credential).toBe('token-2');
    const result = { expires_at: server.clock.nowMs() + 600_000 };
    socket.push({ op: 'reply', request: auth.request, result, error: null });
    await beat(540_000 - 1);
    expect(socket.untaken()).not.toContain('auth');
    await beat(1);
    expect(socket.take('auth').credential).toBe('token-3');
    expect(server.sockets).toHaveLength(1);
    server.client.close();
    expect(server.clock.pending).toBe(0);
  });

  test('[client] judges the end by the clock of the server', async () => {
    const server = new FakeServer({ credential: async () => 'token' });
    const aheadMs = 50 * 60_000;
    const socket = await server.live({ expiresAtMs: server.clock.nowMs() + aheadMs + 3_600_000 });
    socket.push({ op: 'heartbeat', nowMs: server.clock.nowMs() + aheadMs, positions: [] });
    const beat = setBeating(server, aheadMs);
    await beat(3_539_000);
    expect(socket.untaken()).not.toContain('auth');
    await beat(2_000);
    expect(socket.untaken()).toContain('auth');
    server.client.close();
  });

  test('[client] a clock that is wrong by hours costs some calls and not a storm', async () => {
    let fetched = 0;
    const server = new FakeServer({
      credential: async () => {
        fetched += 1;
        return 'token';
      },
    });
    const socket = await server.live({ expiresAtMs: server.clock.nowMs() - 7_200_000 });
    for (let second = 0; second < 20; second++) {
      await server.clock.advance(1_000);
      if (!socket.untaken().includes('auth')) continue;
      const { request } = socket.take('auth');
      socket.push({ op: 'reply', request, result: { expires_at: server.clock.nowMs() - 7_200_000 }, error: null });
    }
    expect(fetched).toBeLessThanOrEqual(5);
    server.client.close();
  });

  test('[client] token_expired: a fresh one and back; with a fixed one it ends and says so', async () => {
    let fetched = 0;
    const server = new FakeServer({ credential: async () => `token-${++fetched}` });
    const socket = await server.live();
    socket.cut(CLOSE_CODES.token_expired);
    await server.clock.advance(125);
    server.socket.accept();
    expect(server.socket.take('hello').credential).toBe('token-2');
    server.client.close();

    const same = new FakeServer({ credential: async () => 'the only one' });
    (await same.live()).cut(CLOSE_CODES.token_expired);
    await same.clock.advance(125);
    expect(same.client.status).toMatchObject({ status: 'closed', code: 4004 });

    const fixed = new FakeServer();
    (await fixed.live()).cut(CLOSE_CODES.token_expired);
    expect(fixed.client.status).toEqual({
      status: 'closed',
      code: 4004,
      reason: 'The credential has expired. Get a new one and connect again.',
    });
  });
});

function recordStatuses(server: FakeServer): ConnectionStatus[] {
  const statuses: ConnectionStatus[] = [];
  server.client.onStatus((status) => statuses.push(status));
  return statuses;
}

function recordWaits(server: FakeServer): number[] {
  const waits: number[] = [];
  server.client.onStatus((status) => {
    if (status.status === 'waiting') waits.push(status.retryInMs);
  });
  return waits;
}

/** Moves the clock while the server beats every 20 s. */
function setBeating(server: FakeServer, aheadMs = 0): (ms: number) => Promise<void> {
  return async (ms) => {
    for (let leftMs = ms; leftMs > 0; leftMs -= 20_000) {
      await server.clock.advance(Math.min(leftMs, 20_000));
      server.socket.push({ op: 'heartbeat', nowMs: server.clock.nowMs() + aheadMs, positions: [] });
    }
  };
}
