// Following chats, on a simulated clock: attach, resume, repair.

import { describe, expect, test } from 'vitest';
import { errorBody } from '../../protocol/errors.ts';
import type { PositionedEvent } from '../../protocol/events.ts';
import { CLIENT_LIMITS } from '../../protocol/client/limits.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { attached, reconnect, text } from './chat-stage.ts';
import { FakeServer } from './fake-server.ts';
import { mustUuid } from './ids.ts';
import { at, CHAT, chatValue, delta, event, head, resumed, snapshot, streaming, userMessage } from './wire.ts';

describe('[P4] resume by cursor', () => {
  test('[P4] the first attach has no cursor, the next ones that of the last applied event', async () => {
    const { server, socket, chat } = await attached();
    expect(socket.take('attach')).toMatchObject({ chat: CHAT, cursor: null });
    socket.push(streaming(at(1, 5), 'Hel'));
    socket.push(delta(at(1, 6), 3, 'lo'));
    expect(text(chat)).toBe('Hello');

    const second = await reconnect(server);
    expect(second.take('attach').cursor).toEqual(at(1, 6));
    second.push(resumed(at(1, 7)), delta(at(1, 7), 5, ' you'));
    expect(text(chat)).toBe('Hello you');
    expect(chat.attachment).toEqual({ status: 'following' });
    server.client.close();
  });

  test('[P4] a connection cut between any two frames of an answer leaves the text byte-equal', async () => {
    const { server, chat } = await attached();
    server.socket.push(streaming(at(1, 1), ''));
    const words = Array.from({ length: 200 }, (_, n) => (n % 3 === 0 ? 'häß ' : n % 3 === 1 ? '🙂 ' : 'abc '));
    const log = words.map((word, n) => delta(at(1, n + 2), Buffer.byteLength(words.slice(0, n).join('')), word));
    for (let next = 0; next < log.length; next += 7) {
      server.socket.push(...log.slice(next, next + 7));
      const socket = await reconnect(server);
      const { cursor } = socket.take('attach');
      // A server may send more than what is missing: everything that was applied is dropped.
      socket.push(resumed(at(1, next + 8)), ...log.slice(Math.max(0, (cursor?.seq ?? 0) - 4), next + 7));
    }
    expect(text(chat)).toBe(words.join(''));
    server.client.close();
  });

  test('[P4] pieces are pulled one by one and shown together with the last', async () => {
    const { server, socket, chat } = await attached();
    socket.take('attach');
    socket.push(snapshot(at(1, 9), { last: false, messages: [userMessage(1)] }));
    socket.take('more');
    expect([chat.state.messages, chat.state.position]).toEqual([[], null]);
    socket.push(snapshot(at(1, 9), { last: false, head: null, messages: [userMessage(2)] }));
    socket.take('more');
    socket.push(snapshot(at(1, 9), { head: null, messages: [userMessage(3)] }));
    expect(chat.state.messages.map(({ number }) => number)).toEqual([1, 2, 3]);
    expect(chat.state.position).toEqual(at(1, 9));
    expect(socket.untaken()).toEqual([]);
    server.client.close();
    expect(server.clock.pending).toBe(0);
  });

  test('[P4] a snapshot that was cut is forgotten and asked for again with the old cursor', async () => {
    const { server, socket, chat } = await attached();
    socket.push(snapshot(at(1, 4), { messages: [userMessage(1)] }));
    const second = await reconnect(server);
    second.take('attach');
    second.push(snapshot(at(2, 9), { last: false, messages: [userMessage(2)] }));
    expect(chat.state.staging).not.toBeNull();
    second.cut();
    expect(chat.state.staging).toBeNull();
    const third = await reconnect(server);
    expect(third.take('attach').cursor).toEqual(at(1, 4));
    third.push(resumed(at(1, 4)));
    expect(chat.state.staging).toBeNull();
    expect(chat.state.messages.map(({ number }) => number)).toEqual([1]);
    server.client.close();
  });

  test('[P4] gone is told and not asked again by itself', async () => {
    const { server, socket, chat } = await attached();
    socket.push({ op: 'attached', chat: CHAT, outcome: 'gone', position: null });
    expect(chat.attachment).toEqual({ status: 'gone' });
    const second = await reconnect(server);
    expect(second.untaken()).toEqual(['ping']);
    chat.attach();
    expect(second.untaken()).toEqual(['ping', 'attach']);
    server.client.close();
  });

  test('[P4] an answer of the server by itself, after it changed owners, is taken like any other', async () => {
    const { server, socket, chat } = await attached();
    socket.push(streaming(at(1, 5), 'Hello'));
    socket.push(snapshot(at(2, 3), { head: head({ drop_older: false, retracted: at(1, 4) }) }));
    expect(chat.state).toMatchObject({ position: at(2, 3), turn: null, retracted: at(1, 4) });
    chat.dismissRetracted();
    expect(chat.state.retracted).toBeNull();
    server.client.close();
  });
});

describe('[P1] epochs', () => {
  test('[P1] an answer of a lower epoch than the cursor is refused and asked for again, unless the cursor is disowned', async () => {
    const { server, socket, chat } = await attached();
    socket.push(snapshot(at(3, 5)));
    const second = await reconnect(server);
    second.take('attach');
    second.push(resumed(at(2, 9)));
    expect(chat.attachment.status).toBe('resting');
    await server.clock.advance(10_000);
    second.take('attach');
    second.push(snapshot(at(2, 9), { messages: [userMessage(9)] }));
    expect(chat.state.position).toEqual(at(3, 5));
    await server.clock.advance(10_000);
    expect(second.take('attach').cursor).toEqual(at(3, 5));
    second.push(snapshot(at(2, 9), { head: head({ disowned: true, drop_older: false }) }));
    expect(chat.state.position).toEqual(at(2, 9));
    server.client.close();
  });

  test('[P1] events of an epoch that is over are dropped', async () => {
    const { server, socket, chat } = await attached();
    socket.push(snapshot(at(3, 5)));
    socket.push(event(at(2, 6), { kind: 'chat', chat: chatValue({ title: 'stale' }) }));
    expect(chat.state.chat?.title).toBeNull();
    expect(chat.attachment.status).toBe('following');
    server.client.close();
  });

  test('[P2] over a sealed epoch the client goes on, over a lost one it attaches again', async () => {
    const { server, socket, chat } = await attached();
    socket.take('attach');
    socket.push(streaming(at(1, 5), 'Hello'));
    socket.push(event(at(2, 1), { kind: 'epoch', after: at(1, 5) }), delta(at(2, 2), 5, '!'));
    expect(text(chat)).toBe('Hello!');
    socket.push(event(at(3, 1), { kind: 'epoch', after: null }));
    expect(socket.take('attach').cursor).toEqual(at(2, 2));
    server.client.close();
  });
});

describe('[P5] losses are noticed and repaired', () => {
  test('[P5] a gap: attach again with the cursor, one at a time', async () => {
    const { server, socket, chat } = await attached();
    socket.take('attach');
    socket.push(streaming(at(1, 5), 'Hello'));
    socket.push(delta(at(1, 8), 9, 'lost'), delta(at(1, 9), 13, 'more'));
    expect(socket.take('attach').cursor).toEqual(at(1, 5));
    expect(socket.untaken()).toEqual([]);
    expect(text(chat)).toBe('Hello');
    socket.push(resumed(at(1, 9)), delta(at(1, 7), 5, ' ab'), delta(at(1, 8), 8, 'c'));
    expect(text(chat)).toBe('Hello');
    server.client.close();
  });

  test('[P5] gaps in a row are repaired with growing distance, not in a storm', async () => {
    const { server, socket } = await attached();
    socket.push(streaming(at(1, 5), 'Hello'));
    let attaches = 0;
    for (let second = 0; second < 120; second++) {
      socket.push({ op: 'heartbeat', nowMs: server.clock.nowMs(), positions: [] });
      socket.push(delta(at(1, 900 + second), 9_000, 'lost'));
      await server.clock.advance(1_000);
      if (!socket.untaken().includes('attach')) continue;
      attaches += 1;
      socket.take('attach');
      socket.push(resumed(at(1, 5)));
    }
    expect(attaches).toBeGreaterThan(15);
    expect(attaches).toBeLessThan(40);
    server.client.close();
  });

  test('[P5] a heartbeat that names another position is a loss, one that names the own is not', async () => {
    const { server, socket } = await attached();
    socket.take('attach');
    socket.push(snapshot(at(1, 5)));
    socket.push({ op: 'heartbeat', nowMs: 1, positions: [[CHAT, at(1, 5)]] });
    expect(socket.untaken()).toEqual([]);
    socket.push({ op: 'heartbeat', nowMs: 1, positions: [[CHAT, at(1, 6)]] });
    expect(socket.take('attach').cursor).toEqual(at(1, 5));
    server.client.close();
  });

  test('[P5] a chat of which heartbeats are silent, without events, is attached again', async () => {
    const { server, socket } = await attached();
    socket.take('attach');
    socket.push(streaming(at(1, 5), ''));
    const silent = { op: 'heartbeat', nowMs: 1, positions: [] } as const;
    socket.push(silent, silent, delta(at(1, 6), 0, 'a'), silent, silent);
    expect(socket.untaken()).toEqual([]);
    socket.push(silent);
    expect(socket.take('attach').cursor).toEqual(at(1, 6));
    server.client.close();
  });

  test('[P5] an attach or a pull without an answer is asked again', async () => {
    const { server, socket, chat } = await attached();
    socket.take('attach');
    await beating(server, CLIENT_LIMITS.attachTimeoutMs + 1_000);
    socket.take('attach');
    socket.push(snapshot(at(1, 9), { last: false }));
    await beating(server, CLIENT_LIMITS.attachTimeoutMs + 1_000);
    socket.take('attach');
    socket.push(snapshot(at(1, 9)));
    expect(chat.attachment.status).toBe('following');
    server.client.close();
  });

  test('[P5] events of an unknown kind move the cursor and nothing else', async () => {
    const { server, socket, chat } = await attached();
    socket.take('attach');
    socket.push(streaming(at(1, 5), 'a'));
    // [event, chat, 1, 6, 1, kind 99, nil]
    const chatBytes = [0xc4, 16, ...Buffer.from(CHAT.replaceAll('-', ''), 'hex')];
    socket.pushBytes(Uint8Array.from([0x97, 36, ...chatBytes, 1, 6, 1, 99, 0xc0]));
    socket.push(delta(at(1, 7), 1, 'b'));
    expect(text(chat)).toBe('ab');
    expect(socket.untaken()).toEqual([]);
    server.client.close();
  });
});

describe('[client] refusals', () => {
  test('[client] are waited out as the server says, or end the attachment', async () => {
    const { server, socket, chat } = await attached();
    socket.take('attach');
    socket.push({ op: 'refused', chat: CHAT, error: errorBody('unavailable', undefined, 3_000) });
    await server.clock.advance(3_124);
    expect(socket.untaken()).toEqual([]);
    await server.clock.advance(1);
    socket.take('attach');
    socket.push({ op: 'refused', chat: CHAT, error: errorBody('not_attached') });
    await server.clock.advance(1_000);
    socket.take('attach');
    socket.push({ op: 'refused', chat: CHAT, error: errorBody('forbidden') });
    expect(chat.attachment).toEqual({ status: 'refused', error: errorBody('forbidden') });
    await server.clock.advance(20_000);
    expect(socket.untaken()).toEqual([]);
    server.client.close();
  });
});

describe('[client] handles', () => {
  test('[client] one handle a chat; detached it keeps its state and hears nothing more', async () => {
    const { server, socket, chat } = await attached();
    expect(server.client.chat(CHAT)).toBe(chat);
    socket.push(streaming(at(1, 5), 'a'));
    chat.detach();
    socket.take('detach');
    socket.push(delta(at(1, 6), 1, 'b'));
    expect(text(chat)).toBe('a');
    chat.attach();
    expect(socket.take('attach').cursor).toEqual(at(1, 5));
    server.client.close();
  });

  test('[client] listeners are called once a message, events once each and after the state has them', async () => {
    const { server, socket, chat } = await attached();
    socket.push(streaming(at(1, 5), 'a'));
    let changes = 0;
    const seen: [PositionedEvent['position'], string | undefined][] = [];
    chat.subscribe(() => (changes += 1));
    chat.onEvent(({ position }) => seen.push([position, text(chat)]));
    const frames = [delta(at(1, 6), 1, 'b'), delta(at(1, 6), 1, 'b'), delta(at(1, 7), 2, 'c')];
    socket.push(...frames);
    expect(changes).toBe(1);
    expect(seen).toEqual([
      [at(1, 6), 'ab'],
      [at(1, 7), 'abc'],
    ]);
    socket.push(...frames);
    expect([changes, seen.length]).toEqual([1, 2]);
    server.client.close();
  });

  test('[client] a listener may detach, close or subscribe from within', async () => {
    const { server, socket, chat } = await attached();
    socket.push(streaming(at(1, 5), 'a'));
    const stop = chat.onEvent(() => {
      stop();
      server.client.close();
    });
    socket.push(delta(at(1, 6), 1, 'b'), delta(at(1, 7), 2, 'c'));
    expect(text(chat)).toBe('ab');
    expect(server.client.status.status).toBe('closed');
    expect(server.clock.pending).toBe(0);
  });

  test('[client] until and reached resolve with the state, and reject when the chat is lost', async () => {
    const { server, socket, chat } = await attached();
    const reached = chat.reached(at(1, 6));
    socket.push(streaming(at(1, 5), 'a'));
    socket.push(delta(at(1, 6), 1, 'b'));
    await expect(reached).resolves.toBeUndefined();
    const ended = chat.until(({ turn }) => turn === null);
    const outcome = { kind: 'turn', type: 'ended', turn: chat.state.turn?.turn, outcome: 'stopped', error: null };
    socket.push(event(at(1, 7), outcome as never));
    await expect(ended).resolves.toMatchObject({ lastTurn: { outcome: 'stopped' } });
    const lost = chat.reached(at(9, 9));
    chat.detach();
    await expect(lost).rejects.toMatchObject({ kind: 'not_followed' });
    server.client.close();
  });

  test('[client] older pages come in front; a second wish joins the first', async () => {
    const { server, socket, chat } = await attached();
    socket.push(snapshot(at(1, 5), { head: head({ has_older: true }), messages: [userMessage(8), userMessage(9)] }));
    const pages = [chat.loadOlder(2), chat.loadOlder(2)];
    await server.clock.advance(0);
    const query = socket.take('query');
    expect(query).toMatchObject({ name: 'messages', args: { before: 8, limit: 2 } });
    expect(socket.untaken()).toEqual([]);
    const messages = [wire(7), wire(6)];
    socket.push({ op: 'reply', request: query.request, result: { messages, has_more: true }, error: null });
    await expect(Promise.all(pages)).resolves.toEqual([true, true]);
    expect(chat.state.messages.map(({ number }) => number)).toEqual([6, 7, 8, 9]);
    server.client.close();
  });

  test('[client] large parts are fetched by themselves, in slices, newest first', async () => {
    const { server, socket, chat } = await attached();
    const large = (number: number) => ({ ...userMessage(number), parts: [{ type: 'text' as const, bytes: 8 }] });
    socket.push(snapshot(at(1, 5), { messages: [large(1), large(2), userMessage(3)] }));
    const asked: unknown[] = [];
    for (let slice = 0; slice < 4; slice++) {
      await server.clock.advance(0);
      const { request, name, args } = socket.take('query');
      expect(socket.untaken()).toEqual([]);
      asked.push([name, args['number'], args['part'], args['offset']]);
      const offset = args['offset'] === 0 ? 0 : 4;
      const result = { offset, text: offset === 0 ? '🙂' : 'abcd', bytes: 8, more: offset === 0 };
      socket.push({ op: 'reply', request, result, error: null });
    }
    await server.clock.advance(0);
    expect(asked).toEqual([
      ['messages.part', 2, 0, 0],
      ['messages.part', 2, 0, 4],
      ['messages.part', 1, 0, 0],
      ['messages.part', 1, 0, 4],
    ]);
    expect(chat.state.messages.map(({ parts }) => parts[0])).toEqual([
      { type: 'text', text: '🙂abcd' },
      { type: 'text', text: '🙂abcd' },
      { type: 'text', text: 'message 3' },
    ]);
    server.client.close();
  });

  test('[client] a part that could not be fetched is fetched when the chat is attached again', async () => {
    const { server, socket, chat } = await attached();
    const message = { ...userMessage(1), parts: [{ type: 'text' as const, bytes: 4 }] };
    socket.push(snapshot(at(1, 5), { messages: [message] }));
    await server.clock.advance(0);
    const { request } = socket.take('query');
    socket.push({ op: 'reply', request, result: null, error: errorBody('not_found') });
    await server.clock.advance(60);
    expect(socket.untaken()).toEqual([]);
    const second = await reconnect(server);
    second.push(resumed(at(1, 5)));
    await server.clock.advance(0);
    const again = second.take('query');
    const result = { offset: 0, text: 'long', bytes: 4, more: false };
    second.push({ op: 'reply', request: again.request, result, error: null });
    await server.clock.advance(0);
    expect(chat.state.messages[0]?.parts).toEqual([{ type: 'text', text: 'long' }]);
    server.client.close();
  });

  test('[P11] as many chats as a session may follow, and as many handles as are kept', async () => {
    const server = new FakeServer();
    await server.live();
    const idOf = (n: number) => mustUuid<typeof CHAT>(`00000000-0000-7000-8000-${String(n).padStart(12, '0')}`);
    const attachedChats = Array.from({ length: LIMITS.attachmentsPerSession }, (_, n) => server.client.chat(idOf(n)));
    for (const chat of attachedChats) chat.attach();
    const one = server.client.chat(idOf(1_000));
    expect(() => one.attach()).toThrow(/at most 64 chats/);
    for (let n = 2_000; n < 2_400; n++) server.client.chat(idOf(n));
    expect(attachedChats.every((chat) => server.client.chat(chat.id) === chat)).toBe(true);
    attachedChats[0]?.detach();
    expect(() => one.attach()).toThrow(/Ask the client/);
    server.client.chat(idOf(1_000)).attach();
    server.client.close();
  });
});

async function beating(server: FakeServer, ms: number): Promise<void> {
  for (let leftMs = ms; leftMs > 0; leftMs -= 1_000) {
    await server.clock.advance(1_000);
    server.socket.push({ op: 'heartbeat', nowMs: server.clock.nowMs(), positions: [] });
  }
}

/** A message in its wire form. */
function wire(number: number): unknown {
  return { ...userMessage(number), id: new Uint8Array(16) };
}
