// The client over real sockets, with the two WebSockets that a program in Node may hand it.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket as WsWebSocket } from 'ws';
import { ParleyClient, type ConnectionStatus } from '../../protocol/client/index.ts';
import { SYSTEM_CLOCK } from '../../protocol/client/environment.ts';
import { ScriptedServer } from './scripted-server.ts';
import { CHAT } from './wire.ts';

/** Reconnects wait thousandths of what they would, everything else is real. */
const HASTY_CLOCK = {
  nowMs: () => SYSTEM_CLOCK.nowMs(),
  after: (delayMs: number, task: () => void) => SYSTEM_CLOCK.after(delayMs < 11_000 ? delayMs / 1_000 : delayMs, task),
};

describe.each([
  ['the global WebSocket', undefined],
  ['the package ws', WsWebSocket],
])('[client] over %s', (_, webSocket) => {
  let server: ScriptedServer;
  let client: ParleyClient;

  beforeEach(async () => {
    server = new ScriptedServer();
    await server.start();
    client = new ParleyClient({
      url: server.url,
      credential: 'secret',
      clock: HASTY_CLOCK,
      ...(webSocket === undefined ? {} : { webSocket }),
    });
  });

  afterEach(async () => {
    client.close();
    await server.stop();
  });

  test('[P4] an answer of 400 deltas through 40 cuts is byte-equal and nothing is applied twice', async () => {
    await client.ready();
    const chat = client.chat(CHAT);
    chat.attach();
    await chat.until(({ position }) => position !== null);
    const applied = new Set<number>();
    let events = 0;
    chat.onEvent(({ position }) => {
      applied.add(position.seq);
      events += 1;
    });
    for (let n = 1; n <= 400; n++) {
      server.append(n % 2 === 0 ? `Wörter ${n} ` : '🙂');
      // Sometimes before the bytes have left, sometimes after the client has them, sometimes while it catches up.
      if (n % 10 !== 0) continue;
      if (n % 20 === 0) await chat.until(({ position }) => position?.seq === n);
      const live = status(client, 'live');
      server.cut();
      await live;
    }
    const state = await chat.until(({ position }) => position?.seq === 400);
    expect(state.turn?.blocks[0]?.text).toBe(server.text);
    expect(state.turn?.blocks[0]?.bytes).toBe(Buffer.byteLength(server.text));
    expect([events, applied.size]).toEqual([400, 400]);
    expect(server.outcomes.snapshot).toBe(1);
    expect(server.outcomes.resumed).toBeGreaterThan(10);
  });

  test('[P3] commands whose replies are cut off are sent again, take effect once, and keep their order', async () => {
    await client.ready();
    server.cutReplies = 5;
    const titles = Array.from({ length: 20 }, (_, n) => `title ${n}`);
    const results = await Promise.all(titles.map((title) => client.rename(CHAT, title)));
    expect(results.every(({ id }) => id === CHAT)).toBe(true);
    expect(server.effects).toHaveLength(20);
    expect([...server.commands.values()].some((times) => times > 1)).toBe(true);
    expect(server.hellos).toBe(6);
    expect(client.pendingRequests).toBe(0);
  });

  test('[client] a server that is not there yet, and one that goes away and comes back', async () => {
    const { url } = server;
    await server.stop();
    const waiting = status(client, 'waiting');
    client.connect();
    const { reason } = (await waiting) as ConnectionStatus & { readonly status: 'waiting' };
    expect(reason).toMatch(/connection was lost/);
    client.close();
    server = new ScriptedServer();
    await server.start();
    expect(server.url).not.toBe(url);
    client = new ParleyClient({ url: server.url, credential: 'secret', clock: HASTY_CLOCK });
    await client.ready();
    server.cut();
    await status(client, 'waiting');
    await status(client, 'live');
    await expect(client.models()).resolves.toEqual([{ id: 'm', isDefault: true }]);
  });
});

/** Resolves with the next status of that kind. */
function status(client: ParleyClient, wanted: ConnectionStatus['status']): Promise<ConnectionStatus> {
  return new Promise((resolve) => {
    const stop = client.onStatus((one) => {
      if (one.status !== wanted) return;
      stop();
      resolve(one);
    });
  });
}
