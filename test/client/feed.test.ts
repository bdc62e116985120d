// The list of one's chats, on a simulated clock: first page, feed, resume, repair.

import { describe, expect, test } from 'vitest';
import { CLIENT_LIMITS } from '../../protocol/client/limits.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ChatSummary } from '../../protocol/content.ts';
import { errorBody } from '../../protocol/errors.ts';
import type { ServerFrame } from '../../protocol/frames.ts';
import { uuidToBytes, type ChatId } from '../../protocol/ids.ts';
import { wireSummary } from '../../protocol/wire-content.ts';
import { FakeServer, type FakeSocket } from './fake-server.ts';
import { chatValue } from './wire.ts';

function chat(n: number, title: string | null = null): ChatSummary {
  const id = `00000000-0000-7000-8000-${n.toString(16).padStart(12, '0')}` as ChatId;
  return { ...chatValue({ id, root: id, title, updated_at: n }), read: 0, unread: 0 };
}

function feed(from: number | null, cursor: number, chats: readonly ChatSummary[] = [], more = false): ServerFrame {
  return { op: 'feed', from, cursor, more, chats };
}

/** Answers the query for a page. */
function page(
  socket: FakeSocket,
  chats: readonly ChatSummary[],
  cursor: number,
  next: ChatSummary | null = null,
): void {
  const { request } = socket.take('query');
  const wireNext = next === null ? null : [next.updated_at, uuidToBytes(next.id)];
  const result = { chats: chats.map(wireSummary), next: wireNext, feed: cursor };
  socket.push({ op: 'reply', request, result, error: null });
}

/** Following, at cursor 7 with the chats 1 and 2. */
async function following(): Promise<{ readonly server: FakeServer; readonly socket: FakeSocket }> {
  const server = new FakeServer();
  const socket = await server.live();
  server.client.feed.watch();
  page(socket, [chat(2), chat(1)], 7);
  await server.clock.advance(0);
  expect(socket.take('watch').cursor).toBe(7);
  socket.push(feed(7, 7));
  expect(server.client.feed.status).toEqual({ status: 'following' });
  return { server, socket };
}

async function reconnect(server: FakeServer): Promise<FakeSocket> {
  server.socket.cut();
  await server.clock.advance(10_000);
  return server.welcome();
}

function titles({ client }: FakeServer): readonly (string | null)[] {
  return [...client.feed.state.chats.values()].map(({ title }) => title);
}

describe('feed', () => {
  test('[feed] the first page brings the cursor, the feed goes on from it, and the listeners hear once per message', async () => {
    const { server, socket } = await following();
    let calls = 0;
    server.client.feed.subscribe(() => (calls += 1));
    socket.push(feed(7, 8, [chat(1, 'one')]), feed(8, 9, [chat(3, 'three')]));
    expect([titles(server), server.client.feed.state.cursor, calls]).toEqual([[null, 'one', 'three'], 9, 1]);
    server.client.close();
    expect(server.clock.pending).toBe(0);
  });

  test('[P4] after a lost connection it watches from its cursor: the last frame that was applied', async () => {
    const { server, socket } = await following();
    socket.push(feed(7, 9, [chat(1, 'one')], true));
    const second = await reconnect(server);
    expect(second.take('watch').cursor).toBe(9);
    // A frame that reaches back brings what is there already once more.
    second.push(feed(8, 12, [chat(1, 'one'), chat(2, 'two')]));
    expect([titles(server), server.client.feed.state.cursor]).toEqual([['two', 'one'], 12]);
    expect(second.untaken()).not.toContain('query');
    server.client.close();
  });

  test('[P4] a connection lost while the first page is fetched: it is fetched again, and nothing is watched before', async () => {
    const server = new FakeServer();
    const socket = await server.live();
    server.client.feed.watch();
    socket.take('query');
    const second = await reconnect(server);
    page(second, [chat(1)], 3);
    await server.clock.advance(0);
    expect(second.take('watch').cursor).toBe(3);
    server.client.close();
  });

  test('[P5] a frame that goes on from where this client is not: it watches again, at once and then with a back-off', async () => {
    const { server, socket } = await following();
    socket.push(feed(9, 10, [chat(3)]));
    expect(socket.take('watch').cursor).toBe(7);
    expect(titles(server)).toEqual([null, null]);
    socket.push(feed(7, 10, [chat(3)]));
    socket.push(feed(11, 12, [chat(3)]));
    expect(socket.untaken()).not.toContain('watch');
    await server.clock.advance(CLIENT_LIMITS.backoffBaseMs);
    expect(socket.take('watch').cursor).toBe(10);
    server.client.close();
  });

  test('[P5] a heartbeat that names another cursor, or none three times in a row, means a loss', async () => {
    const { server, socket } = await following();
    const beat = async (cursor: number | null): Promise<void> => {
      await server.clock.advance(LIMITS.heartbeatMs);
      const frame = { op: 'heartbeat', nowMs: server.clock.nowMs(), positions: [] } as const;
      socket.push(cursor === null ? frame : { ...frame, feed: cursor });
    };
    await beat(7);
    await beat(null);
    await beat(null);
    await beat(7);
    expect(socket.untaken()).not.toContain('watch');
    await beat(8);
    expect(socket.take('watch').cursor).toBe(7);
    socket.push(feed(7, 8, [chat(1)]));
    for (let quietMs = 0; quietMs <= CLIENT_LIMITS.repairQuietMs; quietMs += LIMITS.heartbeatMs) await beat(8);
    for (let n = 0; n <= CLIENT_LIMITS.silentBeatsMax; n++) await beat(null);
    expect(socket.take('watch').cursor).toBe(8);
    server.client.close();
  });

  test('[P5] a watch without an answer is repeated', async () => {
    const { server, socket } = await following();
    socket.push(feed(9, 10));
    socket.take('watch');
    for (let leftMs = CLIENT_LIMITS.attachTimeoutMs + 1_000; leftMs > 0; leftMs -= 1_000) {
      await server.clock.advance(1_000);
      socket.push({ op: 'heartbeat', nowMs: server.clock.nowMs(), positions: [] });
    }
    expect(socket.take('watch').cursor).toBe(7);
    server.client.close();
  });

  test('[feed] a refusal of the moment is repeated, one for good is shown', async () => {
    const { server, socket } = await following();
    socket.push(feed(9, 10));
    const { request } = socket.take('watch');
    socket.push({ op: 'reply', request, result: null, error: errorBody('rate_limited', undefined, 5_000) });
    await server.clock.advance(5_000 + CLIENT_LIMITS.backoffMaxMs);
    const again = socket.take('watch');
    const error = errorBody('forbidden');
    socket.push({ op: 'reply', request: again.request, result: null, error });
    expect(server.client.feed.status).toEqual({ status: 'refused', error });
    server.client.close();
  });

  test('[feed] a server that was set back: the list begins anew', async () => {
    const { server, socket } = await following();
    socket.push(feed(null, 2, [chat(5, 'five')]));
    expect([titles(server), server.client.feed.state.cursor]).toEqual([['five'], 2]);
    socket.push(feed(2, 3, [chat(6, 'six')]));
    expect(titles(server)).toEqual(['five', 'six']);
    server.client.close();
  });

  test('[feed] older pages add what is not there yet; one that overlaps a change does not undo it', async () => {
    const server = new FakeServer();
    const socket = await server.live();
    server.client.feed.watch();
    page(socket, [chat(4)], 7, chat(4));
    await server.clock.advance(0);
    socket.take('watch');
    const more = server.client.feed.loadMore();
    expect(server.client.feed.loadMore()).toBe(more);
    socket.push(feed(7, 8, [chat(2, 'changed')]));
    const { request, args } = socket.take('query');
    expect(args['after']).toEqual([4, uuidToBytes(chat(4).id)]);
    const chats = [chat(3), chat(2, 'as it was')].map(wireSummary);
    socket.push({ op: 'reply', request, result: { chats, next: null, feed: 8 }, error: null });
    expect(await more).toBe(false);
    expect(new Set(titles(server))).toEqual(new Set(['changed', null]));
    expect(titles(server)).toHaveLength(3);
    expect(server.client.feed.state.cursor).toBe(8);
    server.client.close();
  });

  test('[feed] unwatched, nothing comes; watched again, it goes on from the cursor', async () => {
    const { server, socket } = await following();
    server.client.feed.unwatch();
    socket.take('unwatch');
    socket.push(feed(7, 8, [chat(3)]));
    expect(server.client.feed.state.cursor).toBe(7);
    server.client.feed.watch();
    expect(socket.take('watch').cursor).toBe(7);
    server.client.close();
  });
});
