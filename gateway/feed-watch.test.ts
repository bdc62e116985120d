import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LIMITS } from '../protocol/limits.ts';
import type { FakeFeedStore } from '../test/gateway/support/fake-feed-store.ts';
import { Harness, HOUR_MS, START_MS } from '../test/gateway/support/harness.ts';
import type { SocketClient } from '../test/gateway/support/socket-client.ts';
import { GATEWAY_LIMITS } from './limits.ts';

let harness: Harness;
let store: FakeFeedStore;

beforeEach(async () => {
  harness = await Harness.start();
  store = harness.feedStore;
});

afterEach(async () => {
  await harness.stop();
});

/** A commit on this node. */
function commit(owner: string, n: number, title?: string): void {
  store.change(owner, n, title);
  harness.feeds.moved(owner);
}

async function watching(client: SocketClient, cursor: number | null): Promise<void> {
  client.send({ op: 'watch', request: 1, cursor });
  await client.frame('feed');
}

function titles(client: SocketClient): readonly (string | null)[] {
  return client.all('feed').flatMap(({ chats }) => chats.map(({ title }) => title));
}

/** Every frame goes on from where the one before has ended. */
function expectContiguous(client: SocketClient): void {
  let cursor = client.all('feed')[0]?.from ?? 0;
  for (const frame of client.all('feed')) {
    if (frame.from !== null) expect(frame.from).toBeLessThanOrEqual(cursor);
    ({ cursor } = frame);
  }
}

describe('watch', () => {
  test('[feed] the answer is what lies behind the cursor, and an empty frame when nothing does', async () => {
    store.change('ann', 1);
    store.change('ann', 2);
    store.change('bob', 3);
    const [late, early, fresh] = [await harness.live(), await harness.live(), await harness.live()];
    await watching(late, 1);
    expect(await late.frame('reply')).toMatchObject({ request: 1, result: {}, error: null });
    expect(late.all('feed')).toMatchObject([{ from: 1, cursor: 2, more: false, chats: [{ title: 'title 2' }] }]);
    await watching(early, null);
    expect(early.all('feed')).toMatchObject([{ from: 0, cursor: 2, more: false }]);
    expect(titles(early)).toEqual(['title 1', 'title 2']);
    await watching(fresh, 2);
    expect(fresh.all('feed')).toEqual([{ op: 'feed', from: 2, cursor: 2, more: false, chats: [] }]);
  });

  test('[feed] a commit on this node shows at once, on every device of its owner and on no other one', async () => {
    const [phone, desk] = [await harness.live(), await harness.live()];
    const bob = await harness.live(await harness.token('bob'));
    await Promise.all([phone, desk, bob].map((client) => watching(client, 0)));
    commit('ann', 1, 'first');
    await Promise.all([phone, desk].map((client) => client.frame('feed', 2)));
    commit('ann', 1, 'second');
    await Promise.all([phone, desk].map((client) => client.frame('feed', 3)));
    for (const client of [phone, desk]) {
      expect(titles(client)).toEqual(['first', 'second']);
      expectContiguous(client);
    }
    bob.send({ op: 'ping' });
    await bob.frame('heartbeat');
    expect(bob.all('feed')).toHaveLength(1);
  });

  test('[feed] what another node commits shows within a second: one statement looks for all owners', async () => {
    const [ann, bob] = [await harness.live(), await harness.live(await harness.token('bob'))];
    const second = await harness.live();
    await Promise.all([ann, bob, second].map((client) => watching(client, 0)));
    store.change('ann', 1, 'elsewhere');
    expect(store.looks).toEqual([]);
    harness.clock.advance(GATEWAY_LIMITS.feedLookMs);
    await Promise.all([ann, second].map((client) => client.frame('feed', 2)));
    expect([titles(ann), titles(second), titles(bob)]).toEqual([['elsewhere'], ['elsewhere'], []]);
    expect(store.looks).toEqual([2]);
  });

  test('[feed] many commits and many sessions of an owner are one reading', async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => harness.live()));
    await Promise.all(clients.map((client) => watching(client, 0)));
    store.readings.length = 0;
    for (let n = 1; n <= 50; n++) commit('ann', n % 5);
    await Promise.all(clients.map((client) => client.until(() => client.all('feed').at(-1)?.cursor === 50)));
    expect(store.readings).toEqual([0]);
    for (const client of clients) expect(client.all('feed').at(-1)?.chats).toHaveLength(5);
  });

  test('[feed] what is committed while it is read comes next', async () => {
    const client = await harness.live();
    await watching(client, 0);
    const gate = Promise.withResolvers<void>();
    store.gate = gate.promise;
    store.readings.length = 0;
    commit('ann', 1, 'before');
    client.send({ op: 'ping' });
    await client.frame('heartbeat');
    commit('ann', 2, 'meanwhile');
    store.gate = Promise.resolve();
    gate.resolve();
    await client.until(() => titles(client).includes('meanwhile'));
    expect(store.readings).toEqual([0, 1]);
    expectContiguous(client);
  });

  test('[P9] frames are bounded by number and bytes; a long list comes in many, and nobody else waits for it', async () => {
    const long = 'x'.repeat(1_500);
    for (let n = 1; n <= 250; n++) store.change('ann', n, long);
    const [ahead, behind] = [await harness.live(), await harness.live()];
    await watching(ahead, 250);
    behind.send({ op: 'watch', request: 1, cursor: null });
    commit('ann', 1, 'news');
    await ahead.until(() => titles(ahead).includes('news'));
    await behind.until(() => behind.all('feed').at(-1)?.more === false);
    const frames = behind.all('feed');
    for (const { chats } of frames) expect(chats.length).toBeLessThanOrEqual(LIMITS.feedFrameBytes / 1_500);
    expect(new Set(frames.flatMap(({ chats }) => chats.map(({ id }) => id))).size).toBe(250);
    expectContiguous(behind);
  });

  test('[feed] a cursor above everything that was given: the list begins anew', async () => {
    for (let n = 1; n <= 5; n++) store.change('ann', n);
    const client = await harness.live();
    await watching(client, 5);
    store.forget('ann');
    store.change('ann', 9, 'restored');
    harness.clock.advance(GATEWAY_LIMITS.feedLookMs);
    expect(await client.frame('feed', 2)).toMatchObject({ from: null, cursor: 1, chats: [{ title: 'restored' }] });
    commit('ann', 9, 'goes on');
    expect(await client.frame('feed', 3)).toMatchObject({ from: 1, cursor: 2 });
  });

  test('[feed] another watch goes on from its own cursor, and after an unwatch nothing comes', async () => {
    store.change('ann', 1);
    store.change('ann', 2);
    const client = await harness.live();
    await watching(client, 0);
    client.send({ op: 'watch', request: 2, cursor: 1 });
    // The page that was read for the first one holds what lies behind this cursor as well.
    expect(await client.frame('feed', 2)).toMatchObject({ from: 0, cursor: 2 });
    expect(store.readings).toEqual([0]);
    client.send({ op: 'watch', request: 3, cursor: 2 });
    expect(await client.frame('feed', 3)).toMatchObject({ from: 2, cursor: 2, chats: [] });
    client.send({ op: 'unwatch' }, { op: 'ping' });
    await client.frame('heartbeat');
    expect(harness.feeds.stats).toEqual({ owners: 0, followers: 0 });
    commit('ann', 3);
    client.send({ op: 'ping' });
    await client.frame('heartbeat', 2);
    expect(client.all('feed')).toHaveLength(3);
  });

  test('[P11] watching again and again keeps the reading that is under way: it makes no other one', async () => {
    store.change('ann', 1);
    const gate = Promise.withResolvers<void>();
    store.gate = gate.promise;
    const client = await harness.live();
    for (let n = 1; n <= 20; n++) {
      client.send({ op: 'watch', request: n, cursor: 0 }, { op: 'ping' });
      await client.frame('heartbeat', n);
    }
    expect(store.readings).toEqual([0]);
    gate.resolve();
    expect(await client.frame('feed')).toMatchObject({ from: 0, cursor: 1 });
  });

  test('[gateway] after the end of the credential a watch is refused', async () => {
    const client = await harness.live(await harness.token('ann', START_MS + 1_000));
    harness.clock.advance(1_001);
    client.send({ op: 'watch', request: 7, cursor: 0 });
    expect(await client.frame('reply')).toMatchObject({ request: 7, error: { code: 'token_expired' } });
    expect(client.all('feed')).toEqual([]);
  });
});

describe('what can go wrong', () => {
  test('[P5] the heartbeat says where a client must stand, once it was sent everything', async () => {
    const client = await harness.live();
    client.send({ op: 'ping' });
    expect(await client.frame('heartbeat')).not.toHaveProperty('feed');
    await watching(client, 0);
    commit('ann', 1);
    await client.frame('feed', 2);
    client.send({ op: 'ping' });
    expect(await client.frame('heartbeat', 2)).toMatchObject({ feed: 1 });
    const gate = Promise.withResolvers<void>();
    store.gate = gate.promise;
    commit('ann', 2);
    client.send({ op: 'ping' });
    expect(await client.frame('heartbeat', 3)).not.toHaveProperty('feed');
    gate.resolve();
    await client.frame('feed', 3);
  });

  test('[feed] a database that does not answer: what was missed comes when it does', async () => {
    const client = await harness.live();
    await watching(client, 0);
    store.isAway = true;
    commit('ann', 1);
    client.send({ op: 'ping' });
    await client.frame('heartbeat');
    harness.clock.advance(GATEWAY_LIMITS.feedLookMs);
    client.send({ op: 'ping' });
    await client.frame('heartbeat', 2);
    store.isAway = false;
    harness.clock.advance(GATEWAY_LIMITS.feedLookMs);
    expect(await client.frame('feed', 2)).toMatchObject({ from: 0, cursor: 1 });
  });

  test('[P9] a paused reader has nothing read for it, and gets what it lacks as it is then', async () => {
    const [slow, probe] = [await harness.live(), await harness.live(await harness.token('bob'))];
    await watching(slow, 0);
    slow.socket.pause();
    harness.host.onQuery = () => Promise.resolve({ ok: true, result: 'r'.repeat(60_000) });
    const request = (n: number): void => slow.send({ op: 'query', request: n, name: 'messages', args: {} });
    // Until its socket and ours are full: a reply more would wait in the outbox.
    for (let n = 1, read = -1; store.readings.length > read || n < 20; n++) {
      read = store.readings.length;
      request(n);
      commit('ann', 1, `title ${n}`);
      probe.send({ op: 'ping' });
      await probe.frame('heartbeat', n);
      if (n > 1_000) throw new Error('the reader was never paused');
    }
    slow.socket.resume();
    const last = store.change('ann', 2, 'the end');
    harness.feeds.moved('ann');
    await slow.until(() => slow.all('feed').at(-1)?.cursor === last);
    expectContiguous(slow);
    expect(titles(slow)).toContain('the end');
  });

  test('[P11] sessions that end leave no feed and no timer behind', async () => {
    const client = await harness.live(await harness.token('ann', START_MS + HOUR_MS));
    const { timers } = harness.clock;
    await watching(client, 0);
    expect(harness.feeds.stats).toEqual({ owners: 1, followers: 1 });
    const probe = await harness.live(await harness.token('bob'));
    await client.close();
    for (let round = 1; harness.feeds.stats.owners > 0; round++) {
      probe.send({ op: 'ping' });
      await probe.frame('heartbeat', round);
    }
    harness.clock.advance(GATEWAY_LIMITS.feedLookMs);
    probe.send({ op: 'ping' });
    await probe.until(() => probe.all('heartbeat').length > 0);
    expect(harness.feeds.stats).toEqual({ owners: 0, followers: 0 });
    expect(harness.clock.timers).toBeLessThanOrEqual(timers + 1);
  });
});
