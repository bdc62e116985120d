import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Attached } from '../actors/host/api.ts';
import { errorBody } from '../protocol/errors.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { ChatId } from '../protocol/ids.ts';
import { position } from '../test/gateway/support/fake-host.ts';
import { CHAT, Harness, OTHER_CHAT, START_MS } from '../test/gateway/support/harness.ts';
import type { SocketClient } from '../test/gateway/support/socket-client.ts';
import { GATEWAY_LIMITS } from './limits.ts';

let harness: Harness;

beforeEach(async () => {
  harness = await Harness.start();
});

afterEach(async () => {
  await harness.stop();
});

/** What the client has of a chat, put together from its events; fails on a hole or an overlap. */
function text(client: SocketClient, chat: ChatId): string {
  let seq: number | null = null;
  return client
    .all('event')
    .filter((event) => event.chat === chat)
    .map(({ position, span, event }) => {
      if (seq !== null) expect(position.seq - span).toBe(seq);
      seq = position.seq;
      return event.kind === 'block' && event.type === 'delta' ? event.text : '';
    })
    .join('');
}

describe('attach', () => {
  test('[P4] a cursor in the ring is resumed: just what comes after it, then what is live', async () => {
    const log = harness.host.log(CHAT);
    for (const part of ['a', 'b', 'c', 'd']) log.append(part);
    const client = await harness.live();
    client.send({ op: 'attach', chat: CHAT, cursor: position(1, 2) });
    expect(await client.frame('attached')).toMatchObject({ outcome: 'resumed', position: position(1, 4) });
    await client.frame('event', 2);
    log.append('e');
    await client.frame('event', 3);
    expect(text(client, CHAT)).toBe('cde');
  });

  test('[P4] a cursor at the top is resumed with nothing', async () => {
    harness.host.log(CHAT).append('a');
    const client = await harness.live();
    client.send({ op: 'attach', chat: CHAT, cursor: position(1, 1) }, { op: 'ping' });
    await client.frame('attached');
    client.send({ op: 'ping' });
    await client.frame('heartbeat');
    expect(client.all('event')).toEqual([]);
  });

  test('[P4] a snapshot is pulled piece by piece and events follow from its position', async () => {
    const log = harness.host.log(CHAT);
    log.append('a');
    harness.host.onAttach = (call) => Promise.resolve(harness.host.answer(call, 3));
    const client = await harness.live();
    client.send({ op: 'attach', chat: CHAT, cursor: null });
    await client.frame('attached');
    log.append('b');
    client.send({ op: 'ping' });
    await client.frame('heartbeat');
    expect(client.all('attached')).toHaveLength(1);
    client.send({ op: 'more', chat: CHAT });
    await client.frame('attached', 2);
    expect(client.all('event')).toEqual([]);
    client.send({ op: 'more', chat: CHAT });
    await client.frame('event');
    expect(client.frames.slice(-2)).toMatchObject([
      { op: 'attached', outcome: 'snapshot', position: position(1, 1), piece: { last: true } },
      { op: 'event', position: position(1, 2) },
    ]);
  });

  test('[P4] a chat that is not there is gone, one that cannot be attached now is refused', async () => {
    harness.host.onAttach = (call): Promise<Attached> =>
      Promise.resolve(
        call.chat === CHAT
          ? { outcome: 'gone' }
          : { outcome: 'refused', error: errorBody('unavailable', undefined, 50) },
      );
    const client = await harness.live();
    client.send({ op: 'attach', chat: CHAT, cursor: null }, { op: 'attach', chat: OTHER_CHAT, cursor: null });
    expect(await client.frame('attached')).toMatchObject({ chat: CHAT, outcome: 'gone', position: null });
    expect(await client.frame('refused')).toMatchObject({
      chat: OTHER_CHAT,
      error: { code: 'unavailable', retry_after_ms: 50 },
    });
  });

  test('[gateway] a pull without a snapshot under way is refused, and the chat is let go', async () => {
    const log = harness.host.log(OTHER_CHAT);
    const client = await harness.live();
    client.send({ op: 'attach', chat: OTHER_CHAT, cursor: null });
    await client.frame('attached');
    client.send({ op: 'more', chat: OTHER_CHAT }, { op: 'more', chat: CHAT });
    await client.frame('refused', 2);
    expect(client.all('refused')).toMatchObject([
      { chat: OTHER_CHAT, error: { code: 'not_attached' } },
      { chat: CHAT, error: { code: 'not_attached' } },
    ]);
    expect(log.followers.size).toBe(0);
  });

  test('[gateway] a pull that crosses a re-attach is not refused', async () => {
    const log = harness.host.log(CHAT);
    harness.host.onAttach = (call) => Promise.resolve(harness.host.answer(call, 2));
    const client = await harness.live();
    client.send({ op: 'attach', chat: CHAT, cursor: null });
    await client.frame('attached');
    log.end();
    client.send({ op: 'more', chat: CHAT }, { op: 'ping' });
    await client.frame('heartbeat');
    harness.clock.advance(0);
    await client.frame('attached', 2);
    expect(client.all('refused')).toEqual([]);
  });

  test('[gateway] the answer to a superseded attach is let go, whatever comes first', async () => {
    const log = harness.host.log(CHAT);
    log.append('a');
    const answers: (() => void)[] = [];
    harness.host.onAttach = (call) =>
      new Promise((resolve) => {
        answers.push(() => resolve(harness.host.answer(call)));
      });
    const client = await harness.live();
    client.send(
      { op: 'attach', chat: CHAT, cursor: position(1, 0) },
      { op: 'detach', chat: CHAT },
      { op: 'attach', chat: CHAT, cursor: position(1, 1) },
      { op: 'query', request: 1, name: 'chats.list', args: {} },
    );
    await client.frame('reply');
    expect(answers).toHaveLength(2);
    for (const answer of answers.toReversed()) answer();
    await client.frame('attached');
    log.append('b');
    await client.frame('event');
    expect(client.all('attached')).toMatchObject([{ position: position(1, 1) }]);
    expect(text(client, CHAT)).toBe('b');
    expect(log.followers.size).toBe(1);
    expect(harness.host.detached).toBe(1);
  });

  test('[gateway] after a detach nothing of the chat is sent and its log is let go', async () => {
    const log = harness.host.log(CHAT);
    log.append('a');
    const client = await harness.live();
    client.send({ op: 'attach', chat: CHAT, cursor: null });
    await client.frame('attached');
    client.send({ op: 'detach', chat: CHAT }, { op: 'query', request: 1, name: 'chats.list', args: {} });
    await client.frame('reply');
    log.append('b');
    client.send({ op: 'ping' });
    await client.frame('heartbeat');
    expect(client.all('event')).toEqual([]);
    expect(log.followers.size).toBe(0);
  });

  test('[gateway] attachments are bounded; one that is there may be attached again', async () => {
    const chats = Array.from(
      { length: LIMITS.attachmentsPerSession + 1 },
      (_, i) => `00000000-0000-7000-8000-${String(i).padStart(12, '0')}` as ChatId,
    );
    for (const chat of chats) harness.host.log(chat);
    const client = await harness.live();
    for (const [index, chat] of chats.entries()) {
      client.send({ op: 'attach', chat, cursor: null });
      await client.until(() => client.all('attached').length + client.all('refused').length > index);
    }
    expect(client.all('refused')).toMatchObject([{ chat: chats.at(-1), error: { code: 'too_many' } }]);
    client.send({ op: 'attach', chat: CHAT, cursor: null });
    await client.frame('attached', LIMITS.attachmentsPerSession + 1);
  });

  test('[gateway] when a client leaves, everything that it followed is let go', async () => {
    const logs = [harness.host.log(CHAT), harness.host.log(OTHER_CHAT)];
    const client = await harness.live();
    client.send({ op: 'attach', chat: CHAT, cursor: null }, { op: 'attach', chat: OTHER_CHAT, cursor: null });
    await client.frame('attached', 2);
    await client.close();
    await harness.live();
    expect(logs.map((log) => log.followers.size)).toEqual([0, 0]);
  });
});

describe('snapshots under way', () => {
  const chats = Array.from(
    { length: LIMITS.attachmentsPerSession },
    (_, i) => `00000000-0000-7000-8000-1${String(i).padStart(11, '0')}` as ChatId,
  );

  beforeEach(() => {
    for (const chat of chats) harness.host.log(chat).append('a');
    harness.host.onAttach = (call) => Promise.resolve(harness.host.answer(call, 2));
  });

  /** All of them attached, as far as a client comes that pulls nothing. */
  async function attachAll(): Promise<SocketClient> {
    const client = await harness.live();
    client.send(...chats.map((chat) => ({ op: 'attach', chat, cursor: null }) as const));
    await client.frame('attached', GATEWAY_LIMITS.snapshotsPerSession);
    client.send({ op: 'ping' });
    await client.frame('heartbeat');
    return client;
  }

  test('[P9] a session holds a few, however many chats it attaches and never pulls', async () => {
    const client = await attachAll();
    expect(GATEWAY_LIMITS.snapshotsPerSession).toBe(4);
    expect(harness.host.attaches).toHaveLength(4);
    expect(client.all('attached')).toHaveLength(4);
    expect(harness.gateway.registry.measure()).toMatchObject({ attachments: 64, snapshots: 4 });
    expect(harness.gateway.counts.limits.get('snapshotsPerSession')).toBe(60);
  });

  test('[P9] the others wait in order: one that is pulled to its end, or let go, makes room for the next', async () => {
    const client = await attachAll();
    const [first, second, third] = chats as [ChatId, ChatId, ChatId];
    client.send({ op: 'more', chat: second });
    await client.frame('attached', 6);
    client.send({ op: 'detach', chat: first });
    await client.frame('attached', 7);
    harness.host.log(third).end();
    await client.frame('attached', 8);
    expect(harness.host.attaches.map(({ chat }) => chat)).toEqual(chats.slice(0, 7));
    // One that stands in the line and is let go costs nothing.
    client.send({ op: 'detach', chat: chats[7] as ChatId }, { op: 'detach', chat: chats[3] as ChatId });
    await client.frame('attached', 9);
    expect(harness.host.attaches.at(-1)?.chat).toBe(chats[8]);
  });

  test('[P9] in the end every chat is followed', async () => {
    const client = await attachAll();
    const pulled = new Set<ChatId>();
    while (pulled.size < chats.length) {
      for (const { chat, ...answer } of client.all('attached')) {
        if (answer.outcome !== 'snapshot' || answer.piece.last || pulled.has(chat)) continue;
        pulled.add(chat);
        client.send({ op: 'more', chat });
      }
      await client.frame('attached', pulled.size + Math.min(chats.length, pulled.size + 4));
    }
    await client.frame('attached', 2 * chats.length);
    expect(harness.gateway.registry.measure()).toMatchObject({ attachments: 64, snapshots: 0 });
  });

  test('[P9] one that is not pulled is let go after a time and says so; a late pull is refused, attaching again goes', async () => {
    const client = await harness.live();
    const [chat] = chats as [ChatId];
    const log = harness.host.log(chat);
    const { timers } = harness.clock;
    client.send({ op: 'attach', chat, cursor: null });
    await client.frame('attached');
    harness.clock.advance(GATEWAY_LIMITS.snapshotPullMs - 1);
    expect(log.followers.size).toBe(1);
    harness.clock.advance(1);
    expect(await client.frame('refused')).toMatchObject({ chat, error: { code: 'not_attached' } });
    expect([log.followers.size, harness.clock.timers]).toEqual([0, timers]);
    expect(harness.gateway.registry.measure()).toMatchObject({ attachments: 0, snapshots: 0 });
    expect(harness.gateway.counts.limits.get('snapshotPullMs')).toBe(1);
    client.send({ op: 'more', chat });
    expect(await client.frame('refused', 2)).toMatchObject({ error: { code: 'not_attached' } });
    client.send({ op: 'attach', chat, cursor: null });
    await client.frame('attached', 2);
    client.send({ op: 'more', chat });
    expect(await client.frame('attached', 3)).toMatchObject({ piece: { last: true } });
    expect(harness.clock.timers).toBe(timers);
  });

  test('[P11] the end of a session ends those in the line as well: the host is not asked for them', async () => {
    const client = await attachAll();
    await client.close();
    const probe = await harness.live();
    probe.send({ op: 'ping' });
    await probe.frame('heartbeat');
    expect(harness.host.attaches).toHaveLength(4);
    expect(chats.map((chat) => harness.host.log(chat).followers.size)).toEqual(chats.map(() => 0));
  });
});

describe('re-attach', () => {
  test('[P5] a log that ends is attached anew with the cursor, without the client doing anything', async () => {
    const log = harness.host.log(CHAT);
    log.append('a');
    const client = await harness.live();
    client.send({ op: 'attach', chat: CHAT, cursor: position(1, 0) });
    await client.frame('event');
    log.end();
    harness.clock.advance(0);
    await client.frame('attached', 2);
    log.append('b');
    await client.frame('event', 2);
    expect(harness.host.attaches.map((call) => call.cursor)).toEqual([position(1, 0), position(1, 1)]);
    expect(text(client, CHAT)).toBe('ab');
  });

  test('[P5] a log that ends before its attach was answered is attached anew', async () => {
    const log = harness.host.log(CHAT);
    log.append('a');
    harness.host.onAttach = (call) => {
      const answer = Promise.resolve(harness.host.answer(call));
      if (harness.host.attaches.length === 1) log.end();
      return answer;
    };
    const client = await harness.live();
    client.send({ op: 'attach', chat: CHAT, cursor: position(1, 0) });
    await client.frame('attached');
    harness.clock.advance(0);
    await client.frame('event');
    expect(harness.host.attaches).toHaveLength(2);
    expect(text(client, CHAT)).toBe('a');
  });

  test('[P5] a snapshot that is cut off by the end of its log starts over with the cursor from before it', async () => {
    const log = harness.host.log(CHAT);
    log.append('a');
    harness.host.onAttach = (call) => Promise.resolve(harness.host.answer(call, 2));
    const client = await harness.live();
    client.send({ op: 'attach', chat: CHAT, cursor: null });
    await client.frame('attached');
    log.end();
    harness.clock.advance(0);
    await client.frame('attached', 2);
    client.send({ op: 'more', chat: CHAT });
    expect(await client.frame('attached', 3)).toMatchObject({ piece: { last: true } });
    expect(harness.host.attaches.map((call) => call.cursor)).toEqual([null, null]);
  });

  test('[P12] a chat that cannot be followed is given up after a bounded number of tries, with growing waits', async () => {
    const log = harness.host.log(CHAT);
    const client = await harness.live();
    client.send({ op: 'attach', chat: CHAT, cursor: position(1, 0) });
    await client.frame('attached');
    const asked: number[] = [];
    harness.host.onAttach = (call) => {
      asked.push(harness.clock.nowMs() - START_MS);
      return Promise.resolve(harness.host.answer(call));
    };
    for (let round = 2; client.all('refused').length === 0; round++) {
      log.end();
      harness.clock.advance(10_000);
      await client.until(() => client.all('attached').length === round || client.all('refused').length > 0);
      expect(round).toBeLessThan(10);
    }
    expect(client.all('refused')).toMatchObject([{ chat: CHAT, error: { code: 'unavailable', retry: 'later' } }]);
    expect(asked).toHaveLength(6);
    expect(log.followers.size).toBe(0);
  });

  test('[P9] a reader that the ring went past is attached anew with its cursor', async () => {
    const log = harness.host.log(CHAT);
    for (const part of ['a', 'b', 'c']) log.append(part);
    const client = await harness.live();
    let evicted = false;
    harness.host.onAttach = (call) => {
      const answer = harness.host.answer(call);
      // The ring moves on between the answer of the host and the first read.
      if (!evicted) log.floor = 2;
      evicted = true;
      return Promise.resolve(answer);
    };
    client.send({ op: 'attach', chat: CHAT, cursor: position(1, 0) });
    await client.frame('attached');
    client.send({ op: 'ping' });
    await client.frame('heartbeat');
    harness.clock.advance(0);
    expect(await client.frame('attached', 2)).toMatchObject({ outcome: 'snapshot', position: position(1, 3) });
    expect(harness.host.attaches.map((call) => call.cursor)).toEqual([position(1, 0), position(1, 0)]);
  });
});

describe('heartbeat', () => {
  test('[P5] it comes every 20 s and tells where each followed chat stands', async () => {
    const log = harness.host.log(CHAT);
    log.append('a');
    const client = await harness.live();
    client.send({ op: 'attach', chat: CHAT, cursor: position(1, 0) });
    await client.frame('event');
    harness.clock.advance(LIMITS.heartbeatMs);
    expect(await client.frame('heartbeat')).toMatchObject({ positions: [[CHAT, position(1, 1)]] });
    harness.clock.advance(LIMITS.heartbeatMs);
    await client.frame('heartbeat', 2);
    expect(client.all('heartbeat')).toHaveLength(2);
  });

  test('[P5] its positions never run ahead of what was sent before it', async () => {
    const log = harness.host.log(CHAT);
    const client = await harness.live();
    harness.host.onQuery = () => {
      log.append('x');
      return Promise.resolve({ ok: true, result: null });
    };
    client.send({ op: 'attach', chat: CHAT, cursor: position(1, 0) });
    await client.frame('attached');
    for (let round = 1; round <= 50; round++) {
      // The append, by the query, and the ping fall into one turn of the loop, before anything of it is sent.
      client.send({ op: 'query', request: round, name: 'chats.list', args: {} }, { op: 'ping' });
      await client.frame('heartbeat', round);
      if (round % 2 === 0) await client.frame('event', round);
    }
    let seq = 0;
    let told = 0;
    for (const frame of client.frames) {
      if (frame.op === 'event') seq = frame.position.seq;
      if (frame.op !== 'heartbeat') continue;
      for (const [, at] of frame.positions) {
        expect(at.seq).toBe(seq);
        told += 1;
      }
    }
    client.send({ op: 'ping' });
    expect((await client.frame('heartbeat', 51)).positions).toEqual([[CHAT, position(1, 50)]]);
    expect(told).toBe(0);
  });

  test('[gateway] the heartbeats of many sessions share one timer and are spread over the interval', async () => {
    const clients = await Promise.all(Array.from({ length: 40 }, () => harness.live()));
    // One timer for the wheel, one for the expiry of each credential.
    expect(harness.clock.timers).toBe(clients.length + 1);
    harness.clock.advance(LIMITS.heartbeatMs);
    const beats = await Promise.all(clients.map((client) => client.frame('heartbeat')));
    const times = new Set(beats.map((beat) => beat.nowMs));
    expect(times.size).toBe(20);
  });
});
