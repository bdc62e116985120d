// A cursor at which the client is resumed and nothing fits: when it is named again, and when no longer.

import { describe, expect, test } from 'vitest';
import { errorBody } from '../../protocol/errors.ts';
import type { ServerFrame } from '../../protocol/frames.ts';
import { attached, reconnect, text, type ChatStage } from './chat-stage.ts';
import { at, CHAT, delta, head, resumed, snapshot, streaming } from './wire.ts';

describe('[P5] a loss right behind `resumed`', () => {
  test('[P5] resumed, then refused: the next attach has the cursor, to hear what a crash has taken back', async () => {
    const { server, socket } = await attached();
    socket.take('attach');
    socket.push(streaming(at(1, 5), 'Hello'));
    const second = await reconnect(server);
    second.take('attach');
    second.push(resumed(at(1, 5)));
    second.push({ op: 'refused', chat: CHAT, error: errorBody('unavailable', undefined, 1_000) });
    await server.clock.advance(5_000);
    expect(second.take('attach').cursor).toEqual(at(1, 5));
    server.client.close();
  });

  test('[P5] resumed without anything that fits: once more with the cursor, to hear what is no more', async () => {
    const { server, socket, chat } = await misfit();
    expect(socket.take('attach').cursor).toEqual(at(1, 5));
    socket.push(snapshot(at(2, 3), { head: head({ drop_older: false, retracted: at(1, 4) }) }));
    expect(chat.state).toMatchObject({ position: at(2, 3), turn: null, retracted: at(1, 4) });
    server.client.close();
  });

  test('[P5] resumed twice without anything that fits: without the cursor, and what goes on is not retracted', async () => {
    const { server, socket, chat } = await misfit();
    socket.take('attach');
    socket.push(resumed(at(1, 6)), delta(at(1, 6), 9, 'lost'));
    await server.clock.advance(1_000);
    expect(socket.take('attach').cursor).toBeNull();
    socket.push(streaming(at(1, 6), 'Hello …lost'));
    expect([text(chat), chat.state.retracted]).toEqual(['Hello …lost', null]);
    // Of the new cursor nothing is known yet.
    socket.push(delta(at(1, 8), 99, 'lost'));
    await server.clock.advance(1_000);
    expect(socket.take('attach').cursor).toEqual(at(1, 6));
    server.client.close();
  });

  test('[P5] without the cursor nobody says what is no more: text that the snapshot lacks is retracted all the same', async () => {
    const { server, socket, chat } = await misfit();
    socket.take('attach');
    socket.push(resumed(at(1, 6)), delta(at(1, 6), 9, 'lost'));
    await server.clock.advance(1_000);
    expect(socket.take('attach').cursor).toBeNull();
    const { piece } = streaming(at(2, 3), '') as ServerFrame & {
      readonly op: 'attached';
      readonly outcome: 'snapshot';
    };
    socket.push(snapshot(at(2, 3), { ...piece, last: false }));
    expect(chat.state.retracted).toBeNull();
    socket.push(snapshot(at(2, 3), { head: null, live: [[0, 0, 'Good day']] }));
    expect([text(chat), chat.state.retracted]).toEqual(['Good day', at(1, 0)]);
    // Whatever comes by itself from here on is as of this cursor.
    socket.push(snapshot(at(3, 2), { head: head({ drop_older: false, retracted: at(2, 1) }) }));
    expect(chat.state.retracted).toEqual(at(2, 1));
    server.client.close();
  });

  test('[P5] a refusal or a cut between two resumes that did not help is no way back to the first', async () => {
    const { server, socket } = await misfit();
    socket.take('attach');
    socket.push({ op: 'refused', chat: CHAT, error: errorBody('unavailable') });
    await server.clock.advance(1_000);
    expect(socket.take('attach').cursor).toEqual(at(1, 5));
    socket.push(resumed(at(1, 6)));
    const second = await reconnect(server);
    expect(second.take('attach').cursor).toEqual(at(1, 5));
    second.push(resumed(at(1, 6)), delta(at(1, 6), 9, 'lost'));
    await server.clock.advance(10_000);
    expect(second.take('attach').cursor).toBeNull();
    second.push({ op: 'refused', chat: CHAT, error: errorBody('unavailable') });
    await server.clock.advance(10_000);
    expect(second.take('attach').cursor).toBeNull();
    server.client.close();
  });

  test('[P5] without the cursor a place below it is refused as well, and the next attach lets the server disown it', async () => {
    const { server, socket, chat } = await misfit();
    socket.take('attach');
    socket.push(resumed(at(1, 6)), delta(at(1, 6), 9, 'lost'));
    await server.clock.advance(1_000);
    expect(socket.take('attach').cursor).toBeNull();
    socket.push(snapshot(at(1, 3)));
    expect(chat.state.position).toEqual(at(1, 5));
    await server.clock.advance(1_000);
    expect(socket.take('attach').cursor).toEqual(at(1, 5));
    server.client.close();
  });

  test('[P5] a heartbeat that names the cursor speaks for it: what is lost later is the first loss', async () => {
    const { server, socket } = await attached();
    socket.take('attach');
    socket.push(streaming(at(1, 5), 'Hello'));
    for (let loss = 0; loss < 4; loss++) {
      socket.push(delta(at(1, 7), 9, 'lost'));
      await server.clock.advance(20_000);
      expect(socket.take('attach').cursor).toEqual(at(1, 5));
      socket.push(resumed(at(1, 5)), { op: 'heartbeat', nowMs: 1, positions: [[CHAT, at(1, 5)]] });
    }
    server.client.close();
  });
});

/** It shows text and was resumed at its cursor, where nothing fits. */
async function misfit(): Promise<ChatStage> {
  const stage = await attached();
  const { server, socket } = stage;
  socket.take('attach');
  socket.push(streaming(at(1, 5), 'Hello'));
  socket.push(delta(at(1, 6), 9, 'lost'));
  expect(socket.take('attach').cursor).toEqual(at(1, 5));
  socket.push(resumed(at(1, 6)), delta(at(1, 6), 9, 'lost'));
  await server.clock.advance(1_000);
  return stage;
}
