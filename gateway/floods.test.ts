// More than is allowed, over real sockets: what the client is told, and that nobody else notices.

import { afterEach, describe, expect, test } from 'vitest';
import { CLOSE_CODES } from '../protocol/close-codes.ts';
import { encodeArgs } from '../protocol/codec.ts';
import type { ChatId, CommandId } from '../protocol/ids.ts';
import { CHAT, Harness } from '../test/gateway/support/harness.ts';
import { rawGet, UPGRADE_HEADERS } from '../test/gateway/support/raw-http.ts';
import type { SocketClient } from '../test/gateway/support/socket-client.ts';
import type { Config } from './config.ts';
import { GATEWAY_LIMITS } from './limits.ts';
import { type Share, Shares } from './shares.ts';

let harness: Harness;

afterEach(() => harness.stop());

async function start(overrides: Partial<Config>): Promise<void> {
  harness = await Harness.start(overrides);
}

function upgrade(): ReturnType<typeof rawGet> {
  return rawGet(Number(new URL(harness.url).port), '/v1/ws', UPGRADE_HEADERS);
}

function queries(count: number, first = 1): { op: 'query'; request: number; name: string; args: object }[] {
  return Array.from({ length: count }, (_, i) => ({ op: 'query', request: first + i, name: 'chats.list', args: {} }));
}

async function ask(client: SocketClient, count: number): Promise<{ ok: number; refused: unknown[] }> {
  const before = client.all('reply').length;
  client.send(...(queries(count, before + 1) as Parameters<SocketClient['send']>));
  await client.frame('reply', before + count);
  const replies = client.all('reply').slice(before);
  return {
    ok: replies.filter(({ error }) => error === null).length,
    refused: replies.flatMap(({ error }) => (error === null ? [] : [error])),
  };
}

describe('commands and queries', () => {
  test('[P11] too many of one connection are refused with the time to wait, which is enough; the connection goes on', async () => {
    await start({ commandsPerSecond: 10, commandsBurst: 20 });
    const client = await harness.live();
    const flood = await ask(client, 25);
    expect(flood.ok).toBe(20);
    expect(flood.refused).toHaveLength(5);
    expect(flood.refused[0]).toMatchObject({ code: 'rate_limited', retry: 'later', retry_after_ms: 100 });
    harness.clock.advance(100);
    expect(await ask(client, 1)).toMatchObject({ ok: 1 });
    expect(await ask(client, 1)).toMatchObject({ ok: 0 });
  });

  test('[P11] who goes on regardless is closed, after as many refusals as requests are allowed', async () => {
    await start({ commandsPerSecond: 10, commandsBurst: 20 });
    const client = await harness.live();
    await ask(client, 40);
    client.send(...(queries(1, 41) as Parameters<SocketClient['send']>));
    expect(await client.closed).toMatchObject({ code: CLOSE_CODES.rate_limited });
    expect(client.all('reply')).toHaveLength(40);
    expect(client.all('bye')[0]?.reason).toMatch(/^rate_limited: /);
  });

  test('[P11] a watch and an attach count like them: refused with the time to wait, and nothing is asked or read', async () => {
    await start({ commandsPerSecond: 10, commandsBurst: 4 });
    harness.host.log(CHAT).append('hello');
    const client = await harness.live();
    const attach = { op: 'attach', chat: CHAT, cursor: null } as const;
    client.send(attach, attach, { op: 'watch', request: 1, cursor: 0 }, { op: 'watch', request: 2, cursor: 0 });
    await client.frame('feed');
    client.send(attach, { op: 'watch', request: 3, cursor: 0 });
    await client.frame('reply', 3);
    const refused = { code: 'rate_limited', retry: 'later', retry_after_ms: 100 };
    expect(client.all('refused')).toMatchObject([{ chat: CHAT, error: refused }]);
    expect(client.all('reply')).toMatchObject([
      { request: 1, error: null },
      { request: 2, error: null },
      { request: 3, error: refused },
    ]);
    expect(harness.host.attaches).toHaveLength(2);
    // What is refused is not followed, as it says.
    expect(harness.host.log(CHAT).followers.size).toBe(0);
    harness.clock.advance(100);
    client.send(attach);
    await client.until(() => harness.host.attaches.length === 3);
  });

  test('[P11] a flood of attaches is closed like one of commands', async () => {
    await start({ commandsPerSecond: 10, commandsBurst: 20 });
    const client = await harness.live();
    const attach = { op: 'attach', chat: CHAT, cursor: null } as const;
    client.send(...Array.from({ length: 41 }, () => attach));
    expect(await client.closed).toMatchObject({ code: CLOSE_CODES.rate_limited });
    expect(harness.host.attaches.length).toBeLessThanOrEqual(20);
  });

  test('[P11] the connections of one owner share a rate; coming back is no way around it, and others are not touched', async () => {
    await start({ ownerCommandsPerSecond: 10, ownerCommandsBurst: 30 });
    const [first, second] = [await harness.live(), await harness.live()];
    const other = await harness.live(await harness.token('bob'));
    expect(await ask(first, 20)).toMatchObject({ ok: 20 });
    const shared = await ask(second, 20);
    expect(shared.ok).toBe(10);
    expect(shared.refused[0]).toMatchObject({ code: 'rate_limited', retry_after_ms: 100 });
    await Promise.all([first.close(), second.close()]);
    const back = await harness.live();
    expect(await ask(back, 1)).toMatchObject({ ok: 0 });
    expect(await ask(other, 30)).toMatchObject({ ok: 30 });
    harness.clock.advance(1_000);
    expect(await ask(back, 20)).toMatchObject({ ok: 10 });
  });

  test('[P11] a flood over many connections of one owner leaves another owner every one of its requests', async () => {
    await start({ commandsPerSecond: 50, commandsBurst: 50, ownerCommandsPerSecond: 100, ownerCommandsBurst: 100 });
    const flooders = await Promise.all(Array.from({ length: 20 }, () => harness.live()));
    const bob = await harness.live(await harness.token('bob'));
    const args = { rawArgs: encodeArgs({}), id: CHAT as string as CommandId, name: 'chat.send' };
    for (let round = 1; round <= 40; round++) {
      for (const flooder of flooders) {
        const commands = Array.from({ length: 10 }, (_, i) => ({ op: 'command', request: i + 1, ...args }) as const);
        if (flooder.socket.readyState === flooder.socket.OPEN) flooder.send(...commands);
      }
      expect(await ask(bob, 1)).toMatchObject({ ok: 1 });
    }
    for (const flooder of flooders) expect(await flooder.closed).toMatchObject({ code: CLOSE_CODES.rate_limited });
    // What got through is what one owner may do.
    expect(harness.host.commands.length).toBe(100);
    expect(await ask(bob, 10)).toMatchObject({ ok: 10 });
  });
});

describe('attachments', () => {
  test('[P11] the connections of one owner follow a bounded number of chats; one that is let go frees a place', async () => {
    await start({ attachmentsPerOwner: 3 });
    const chats = Array.from({ length: 4 }, (_, i) => `00000000-0000-7000-8000-00000000000${i}` as ChatId);
    for (const chat of chats) harness.host.log(chat).append('hello');
    const [first, second] = [await harness.live(), await harness.live()];
    const bob = await harness.live(await harness.token('bob'));
    const attach = (client: SocketClient, from: number, to: number): void =>
      client.send(...chats.slice(from, to).map((chat) => ({ op: 'attach', chat, cursor: null }) as const));
    attach(first, 0, 2);
    await first.frame('attached', 2);
    attach(second, 2, 4);
    await second.frame('attached');
    expect(await second.frame('refused')).toMatchObject({ error: { code: 'too_many', retry_after_ms: 1_000 } });
    attach(bob, 0, 3);
    await bob.frame('attached', 3);
    await first.close();
    attach(second, 3, 4);
    await second.frame('attached', 2);
  });
});

describe('connections', () => {
  test('[P11] an address has a bounded number of connections; one more is 429 with Retry-After, before anything is built', async () => {
    await start({ sessionsPerAddress: 2 });
    const first = await harness.live();
    await harness.live();
    const refused = await upgrade();
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('5');
    expect(harness.gateway.registry.size).toBe(2);
    await first.close();
    await harness.live();
  });

  test('[P11] the connects of all addresses share a bucket; more are 503 with the time to wait, before anything is built', async () => {
    await start({ nodeConnectsPerSecond: 2, nodeConnectsBurst: 3 });
    for (let i = 0; i < 3; i++) await harness.live();
    const refused = await upgrade();
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(harness.gateway.registry.size).toBe(3);
    harness.clock.advance(1_000);
    await harness.live();
  });

  test('[P11] an address that comes with bad credentials again and again is 429 with Retry-After, for a while', async () => {
    await start({ addressRefusalsPerSecond: 1, addressRefusalsBurst: 3 });
    for (let i = 0; i < 3; i++) {
      const client = await harness.open();
      client.send({ op: 'hello', version: 1, credential: 'guess', client: 'test' });
      expect(await client.closed).toMatchObject({ code: CLOSE_CODES.unauthorized });
    }
    const refused = await upgrade();
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('1');
    harness.clock.advance(1_000);
    await harness.live();
  });
});

describe('what is remembered', () => {
  test('[P11] of addresses and owners without a connection is bounded; those with one stay, unused ones go at once', () => {
    type Counted = Share & { usedUntilMs: number };
    const shares = new Shares<Counted>(
      (key) => ({ key, sessions: 0, usedUntilMs: 1_000 }),
      (share, nowMs) => share.usedUntilMs <= nowMs,
    );
    const live = shares.findOrMake('live');
    shares.enter(live);
    for (let i = 0; i < GATEWAY_LIMITS.idleSharesMax + 100; i++) shares.findOrMake(`idle ${i}`);
    expect(shares.size).toBe(GATEWAY_LIMITS.idleSharesMax + 1);
    expect([shares.find('live'), shares.find('idle 0')]).toEqual([live, null]);
    shares.leave(live, 500);
    expect(shares.find('live')).toBe(live);
    shares.enter(live);
    shares.leave(live, 1_000);
    expect(shares.find('live')).toBeNull();
  });
});
