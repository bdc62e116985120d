// What an attach is answered, frame by frame, for every kind of cursor: one of three outcomes, and never silence.

import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { comparePositions } from '../../protocol/client/index.ts';
import type { ChatId, Position, ServerFrame } from '../../protocol/client/index.ts';
import { must } from '../../protocol/assert.ts';
import type { Epoch } from '../../protocol/ids.ts';
import { SocketClient } from '../gateway/support/socket-client.ts';
import { Clients } from '../support/clients.ts';
import { NodeProcess } from '../support/node-process.ts';

type Attached = ServerFrame & { readonly op: 'attached' };

let node: NodeProcess;
const clients = new Clients();
const sockets: SocketClient[] = [];

beforeAll(async () => {
  node = await NodeProcess.start();
});

afterEach(async () => {
  clients.closeAll();
  await Promise.all(sockets.splice(0).map((socket) => socket.close()));
});

afterAll(() => node.stop());

async function socket(subject = 'dev'): Promise<SocketClient> {
  const opened = await SocketClient.live(node.url, await node.tokenFor(subject));
  sockets.push(opened);
  return opened;
}

/** The first answer to an attach with this cursor, on a connection of its own. */
async function attach(chat: ChatId, cursor: Position | null): Promise<{ answer: Attached; over: SocketClient }> {
  const over = await socket();
  over.send({ op: 'attach', chat, cursor });
  return { answer: await over.frame('attached'), over };
}

/** A chat with one answered message, at rest, and where its log ends. */
async function answeredChat(): Promise<{ readonly id: ChatId; readonly top: Position }> {
  const client = await clients.connect(node.url, await node.tokenFor('dev'));
  const { id } = await client.createChat();
  const handle = client.chat(id);
  handle.attach();
  await handle.send('/script say="first answer" pace=0');
  const { position } = await handle.until(({ lastTurn }) => lastTurn !== null);
  return { id, top: must(position, 'a state with an ended turn has a position') };
}

/** The next message is seen by whoever was attached like this, with nothing left out. */
async function expectToGoOn(chat: ChatId, over: SocketClient, from: Position): Promise<void> {
  const client = await clients.connect(node.url, await node.tokenFor('dev'));
  await client.send(chat, { text: '/script say="second answer" pace=0' });
  await over.until(() => over.all('event').some(({ event }) => event.kind === 'turn' && event.type === 'ended'));
  let last = from;
  for (const { position, span } of over.all('event')) {
    expect(comparePositions(position, last)).toBeGreaterThan(0);
    if (position.epoch === last.epoch) expect(position.seq - span).toBeLessThanOrEqual(last.seq);
    last = position;
  }
}

describe('[P4] attach', () => {
  test('[P4] without a cursor: a snapshot with everything', async () => {
    const { id } = await answeredChat();
    const { answer } = await attach(id, null);
    expect(answer).toMatchObject({ outcome: 'snapshot', piece: { last: true, head: { disowned: false, live: null } } });
    expect(answer.outcome === 'snapshot' && answer.piece.messages.map(({ role }) => role)).toEqual([
      'user',
      'assistant',
    ]);
  });

  test('[P4] at the top: resumed with nothing, and what comes next follows', async () => {
    const { id, top } = await answeredChat();
    const { answer, over } = await attach(id, top);
    expect(answer).toMatchObject({ outcome: 'resumed', position: top });
    expect(over.all('event')).toEqual([]);
    await expectToGoOn(id, over, top);
  });

  test('[P4] before the first event: resumed with all of them, contiguous', async () => {
    const { id, top } = await answeredChat();
    const start = { epoch: top.epoch, seq: 0 };
    const { answer, over } = await attach(id, start);
    expect(answer).toMatchObject({ outcome: 'resumed', position: top });
    await over.until(() => over.all('event').at(-1)?.position.seq === top.seq);
    let last = 0;
    for (const { position, span } of over.all('event')) {
      expect([position.seq - span <= last, position.seq > last]).toEqual([true, true]);
      last = position.seq;
    }
  });

  test('[P4] before the first event of an empty chat, and the first message comes', async () => {
    const client = await clients.connect(node.url, await node.tokenFor('dev'));
    const { id } = await client.createChat();
    const { answer, over } = await attach(id, null);
    expect(answer).toMatchObject({ outcome: 'snapshot', piece: { messages: [] } });
    const at = must(answer.position, 'a snapshot has a position');
    await over.close();
    const again = await attach(id, at);
    expect(again.answer).toMatchObject({ outcome: 'resumed', position: at });
    await expectToGoOn(id, again.over, at);
  });

  test.each([
    ['the same epoch', (top: Position) => ({ epoch: top.epoch, seq: top.seq + 100 })],
    ['a higher epoch', (top: Position) => ({ epoch: (top.epoch + 5) as Epoch, seq: 3 })],
  ])('[P4] above the known top, in %s: a snapshot that says so, and the chat goes on', async (_, above) => {
    const { id, top } = await answeredChat();
    const { answer, over } = await attach(id, above(top));
    expect(answer).toMatchObject({ outcome: 'snapshot', piece: { last: true, head: { disowned: true } } });
    const at = must(answer.position, 'a snapshot has a position');
    expect(comparePositions(at, top)).toBeGreaterThanOrEqual(0);
    await expectToGoOn(id, over, at);
  });

  test('[P4] a chat that does not exist and one of somebody else: gone, and not to be told apart', async () => {
    const { id } = await answeredChat();
    const stranger = await socket('stranger');
    const nowhere = randomUUID() as string as ChatId;
    stranger.send({ op: 'attach', chat: id, cursor: null }, { op: 'attach', chat: nowhere, cursor: null });
    await stranger.frame('attached', 2);
    expect(stranger.all('attached').map(({ outcome, position }) => [outcome, position])).toEqual([
      ['gone', null],
      ['gone', null],
    ]);
  });

  test.each([
    ['SIGTERM', () => node.terminate()],
    ['kill -9', () => node.kill()],
  ])('[P4] old cursors after %s and a restart: an explicit outcome each, and the chat goes on', async (_, end) => {
    const { id, top } = await answeredChat();
    const middle = { epoch: top.epoch, seq: 2 };
    await end();
    await node.restart();
    const answers = await Promise.all([attach(id, top), attach(id, middle), attach(id, null)]);
    expect(answers.map(({ answer }) => answer.outcome)).not.toContain('gone');
    const [fromTop, fromMiddle, fromNothing] = answers.map(({ answer }) => answer) as [Attached, Attached, Attached];
    // Nothing came after the top, so nothing is sent again.
    if (fromTop.outcome === 'snapshot') expect(fromTop.piece.messages).toEqual([]);
    if (fromMiddle.outcome === 'snapshot') {
      expect(fromMiddle.piece.head?.drop_older).toBe(false);
      expect(fromMiddle.piece.messages.map(({ number }) => number)).toEqual([2]);
    }
    expect(fromNothing.outcome === 'snapshot' && fromNothing.piece.messages.map(({ number }) => number)).toEqual([
      1, 2,
    ]);
    const last = must(answers[2], 'there are three');
    await expectToGoOn(id, last.over, must(last.answer.position, 'a snapshot has a position'));
  });
});
