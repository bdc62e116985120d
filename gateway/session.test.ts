import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLOSE_CODES } from '../protocol/close-codes.ts';
import { encodeBody, encodeClientFrame } from '../protocol/codec.ts';
import type { CommandId } from '../protocol/ids.ts';
import { LIMITS } from '../protocol/limits.ts';
import { CHAT, Harness, HOUR_MS, START_MS } from '../test/gateway/support/harness.ts';

const COMMAND = {
  op: 'command',
  id: '00000000-0000-7000-8000-00000000000a' as CommandId,
  name: 'chat.send',
  rawArgs: encodeBody({}),
} as const;

let harness: Harness;

beforeEach(async () => {
  harness = await Harness.start();
});

afterEach(async () => {
  await harness.stop();
});

describe('hello', () => {
  test('[gateway] a good hello is welcomed with the owner, the heartbeat and the end of the credential', async () => {
    const client = await harness.live();
    expect(await client.frame('welcome')).toMatchObject({
      version: 1,
      node: 'node-1',
      owner: 'ann',
      heartbeatMs: LIMITS.heartbeatMs,
      expiresAtMs: START_MS + HOUR_MS,
    });
  });

  test('[gateway] frames that come with hello in one message are handled behind it, in order', async () => {
    harness.host.log(CHAT).append('hello');
    const client = await harness.open();
    const credential = await harness.token();
    client.send(
      { op: 'hello', version: 1, credential, client: 'test' },
      { op: 'query', request: 1, name: 'chats.list', args: {} },
      { op: 'attach', chat: CHAT, cursor: null },
    );
    await client.frame('attached');
    expect(client.frames.map((frame) => frame.op)).toEqual(['welcome', 'reply', 'attached']);
  });

  test('[gateway] before hello every other frame ends the connection', async () => {
    const client = await harness.open();
    client.send({ op: 'ping' });
    expect(await client.closed).toEqual({ code: CLOSE_CODES.bad_frame, reason: 'bad_frame' });
    expect(client.all('bye')).toMatchObject([{ code: CLOSE_CODES.bad_frame }]);
  });

  test('[gateway] a second hello ends the connection', async () => {
    const client = await harness.live();
    client.send({ op: 'hello', version: 1, credential: await harness.token(), client: 'test' });
    expect(await client.closed).toMatchObject({ code: CLOSE_CODES.bad_frame });
  });

  test('[gateway] without a hello the connection is closed when the time is over, not before', async () => {
    const client = await harness.open();
    harness.clock.advance(LIMITS.helloTimeoutMs - 1);
    expect(harness.gateway.registry.size).toBe(1);
    harness.clock.advance(1);
    expect(await client.closed).toMatchObject({ code: CLOSE_CODES.hello_timeout });
  });

  test('[gateway] a version that is not spoken, a wrong credential and an expired one have close codes of their own', async () => {
    const outcomes = [
      { version: 2, credential: await harness.token() },
      { version: 1, credential: 'x.y.z' },
      { version: 1, credential: await harness.token('ann', START_MS - 1) },
    ].map(async ({ version, credential }) => {
      const client = await harness.open();
      client.send({ op: 'hello', version, credential, client: 'test' });
      return (await client.closed).reason;
    });
    expect(await Promise.all(outcomes)).toEqual(['unsupported_version', 'unauthorized', 'token_expired']);
  });

  test('[gateway] an owner has a bounded number of connections, others are not touched by it', async () => {
    await harness.stop();
    harness = await Harness.start({ sessionsPerOwner: 2 });
    const first = await harness.live();
    await harness.live();
    const third = await harness.open();
    third.send({ op: 'hello', version: 1, credential: await harness.token(), client: 'test' });
    expect(await third.closed).toMatchObject({ code: CLOSE_CODES.too_many });
    await harness.live(await harness.token('bob'));
    await first.close();
    await harness.live();
  });
});

describe('bytes that are not of the protocol', () => {
  test('[gateway] garbage, an empty message and a text message end the connection', async () => {
    for (const message of [Buffer.from([0xc1]), Buffer.alloc(0), 'hello']) {
      const client = await harness.live();
      client.socket.send(message);
      expect(await client.closed).toMatchObject({ code: CLOSE_CODES.bad_frame });
    }
  });

  test('[gateway] frames before a faulty one still count', async () => {
    const client = await harness.live();
    const good = encodeClientFrame({ ...COMMAND, request: 1 });
    client.socket.send(Buffer.concat([good, Buffer.from([0xc1])]));
    expect(await client.closed).toMatchObject({ code: CLOSE_CODES.bad_frame });
    expect(harness.host.commands).toHaveLength(1);
  });

  test('[gateway] a message over the limit is too_large', async () => {
    const client = await harness.live();
    client.socket.send(Buffer.alloc(LIMITS.inboundMessageBytes + 1, 0xc0));
    expect(await client.closed).toMatchObject({ code: CLOSE_CODES.too_large });
  });

  test('[gateway] an unknown op is answered and the connection goes on', async () => {
    const client = await harness.live();
    client.socket.send(Buffer.from([0x91, 0x1e]));
    expect(await client.frame('reply')).toMatchObject({ request: 0, error: { code: 'unknown_op' } });
    client.send({ op: 'ping' });
    await client.frame('heartbeat');
  });
});

describe('requests', () => {
  test('[gateway] commands and queries are answered under their request ids', async () => {
    const client = await harness.live();
    client.send({ ...COMMAND, request: 7 }, { op: 'query', request: 8, name: 'chats.list', args: {} });
    await client.frame('reply', 2);
    expect(client.all('reply')).toEqual(
      expect.arrayContaining([
        { op: 'reply', request: 7, result: { did: 'chat.send' }, error: null },
        { op: 'reply', request: 8, result: { asked: 'chats.list' }, error: null },
      ]),
    );
  });

  test('[gateway] requests in flight are bounded; the one too many is refused and the others are answered', async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    harness.host.onCommand = async () => {
      await held;
      return { ok: true, body: encodeBody(null) };
    };
    const client = await harness.live();
    const requests = Array.from({ length: LIMITS.requestsPerSession + 1 }, (_, request) => ({ ...COMMAND, request }));
    client.send(...requests.slice(0, 200));
    client.send(...requests.slice(200));
    expect(await client.frame('reply')).toMatchObject({
      request: LIMITS.requestsPerSession,
      error: { code: 'too_many', retry: 'later' },
    });
    release();
    await client.frame('reply', LIMITS.requestsPerSession + 1);
    expect(client.all('reply').filter((reply) => reply.error === null)).toHaveLength(LIMITS.requestsPerSession);
  });

  test('[gateway] more frames per second than allowed close the connection', async () => {
    await harness.stop();
    harness = await Harness.start({ framesPerSecond: 10, framesBurst: 20 });
    const client = await harness.live();
    client.send(...Array.from({ length: 19 }, () => ({ op: 'ping' }) as const));
    await client.frame('heartbeat');
    client.send({ op: 'ping' });
    expect(await client.closed).toMatchObject({ code: CLOSE_CODES.rate_limited });
  });

  test('[gateway] a bug in the host ends this session only', async () => {
    const bystander = await harness.live(await harness.token('bob'));
    harness.host.onCommand = () => Promise.reject(new Error('a bug'));
    const client = await harness.live();
    client.send({ ...COMMAND, request: 1 });
    expect(await client.closed).toMatchObject({ code: CLOSE_CODES.internal });
    expect(harness.logLines.some((line) => line.includes('a session failed'))).toBe(true);
    bystander.send({ op: 'ping' });
    await bystander.frame('heartbeat');
  });

  test('[gateway] an answer that comes after the client has left is dropped', async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const asked = new Promise<void>((resolve) => {
      harness.host.onCommand = async () => {
        resolve();
        await held;
        return { ok: true, body: encodeBody(null) };
      };
    });
    const client = await harness.live();
    client.send({ ...COMMAND, request: 1 });
    await asked;
    await client.close();
    release();
    await harness.live();
    expect(harness.logLines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  });
});

describe('credentials on an open connection', () => {
  test('[gateway] a clock that is set forward ends a credential within one heartbeat, whatever its timer says', async () => {
    const client = await harness.live();
    harness.clock.jump(2 * HOUR_MS);
    client.send({ op: 'query', request: 1, name: 'chats.list', args: {} });
    expect(await client.frame('reply')).toMatchObject({ error: { code: 'token_expired' } });
    harness.clock.advance(LIMITS.heartbeatMs);
    expect(await client.closed).toMatchObject({ code: CLOSE_CODES.token_expired });
  });

  test('[gateway] an expired credential refuses commands and attaches at once, and closes after the grace', async () => {
    const client = await harness.live(await harness.token('ann', START_MS + 60_000));
    harness.clock.advance(60_000);
    client.send({ ...COMMAND, request: 1 }, { op: 'attach', chat: CHAT, cursor: null });
    expect(await client.frame('reply')).toMatchObject({ request: 1, error: { code: 'token_expired' } });
    expect(await client.frame('refused')).toMatchObject({ error: { code: 'token_expired' } });
    expect(harness.host.commands).toEqual([]);
    expect(harness.host.attaches).toEqual([]);
    harness.clock.advance(10_000);
    expect(await client.closed).toMatchObject({ code: CLOSE_CODES.token_expired });
  });

  test('[gateway] auth with the same subject extends the connection, also within the grace', async () => {
    const client = await harness.live(await harness.token('ann', START_MS + 60_000));
    harness.clock.advance(65_000);
    client.send(
      { op: 'auth', request: 1, credential: await harness.token('ann', START_MS + 2 * HOUR_MS) },
      { ...COMMAND, request: 2 },
    );
    await client.frame('reply', 2);
    expect(client.all('reply')).toMatchObject([
      { request: 1, result: { expires_at: START_MS + 2 * HOUR_MS } },
      { request: 2, error: null },
    ]);
    harness.clock.advance(HOUR_MS);
    expect(harness.gateway.registry.size).toBe(1);
    harness.clock.advance(HOUR_MS);
    expect(await client.closed).toMatchObject({ code: CLOSE_CODES.token_expired });
  });

  test('[gateway] auth with another subject or a bad credential is refused and changes nothing', async () => {
    const client = await harness.live();
    client.send(
      { op: 'auth', request: 1, credential: await harness.token('bob') },
      { op: 'auth', request: 2, credential: 'nonsense' },
      { ...COMMAND, request: 3 },
    );
    await client.frame('reply', 3);
    expect(client.all('reply')).toMatchObject([
      { request: 1, error: { code: 'unauthorized' } },
      { request: 2, error: { code: 'unauthorized' } },
      { request: 3, error: null },
    ]);
    expect(harness.host.commands[0]?.principal.owner).toBe('ann');
  });

  test('[gateway] auth with other rights authorises what is followed anew, with the cursors', async () => {
    harness.host.log(CHAT).append('hello');
    const client = await harness.live(await harness.token('ann', START_MS + HOUR_MS, { role: 'auditor' }));
    client.send({ op: 'attach', chat: CHAT, cursor: null });
    await client.frame('attached');
    client.send({ op: 'auth', request: 1, credential: await harness.token() });
    await client.frame('reply');
    harness.clock.advance(0);
    expect(await client.frame('attached', 2)).toMatchObject({ outcome: 'resumed', position: { epoch: 1, seq: 1 } });
    expect(harness.host.attaches.map((call) => call.viewer.role)).toEqual(['auditor', 'member']);
  });

  test('[gateway] no credential gets into a log', async () => {
    const token = await harness.token();
    await harness.live(token);
    const client = await harness.open();
    client.send({ op: 'hello', version: 1, credential: `${token}x`, client: 'test' });
    await client.closed;
    const [, , signature = ''] = token.split('.');
    expect(harness.logLines.length).toBeGreaterThan(1);
    expect(harness.logLines.join('')).not.toContain(signature);
  });
});
