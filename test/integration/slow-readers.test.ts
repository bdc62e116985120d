// Readers that are slow or stop, against a node of its own over real sockets: what it holds for them, what the others
// notice, and that nothing is lost.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { scriptedText } from '../../actors/models/script-text.ts';
import type { ParleyClient } from '../../protocol/client/index.ts';
import { CLOSE_CODES } from '../../protocol/close-codes.ts';
import { uuidToBytes, type ChatId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { comparePositions, type Position } from '../../protocol/position.ts';
import { rawGet } from '../gateway/support/raw-http.ts';
import { SocketClient } from '../gateway/support/socket-client.ts';
import { Clients } from '../support/clients.ts';
import { NodeProcess } from '../support/node-process.ts';
import { SlowLine } from '../support/slow-line.ts';
import { sharedState, Witness } from '../support/witness.ts';

const KIB = 1024;
const OTHERS = 199;
/** The defaults of the node: what it may hold for one reader. */
const HARD_BYTES = 1024 * KIB;
const SOFT_BYTES = 64 * KIB;

/** Answers of the query that fills buffers here. */
const QUERIES = 'parley_queries_total{name="messages.part",outcome="ok"}';

const clients = new Clients();
const sockets: SocketClient[] = [];
let node: NodeProcess;
let client: ParleyClient;
/** A chat whose first message is larger than a slice of `messages.part`. */
let big: ChatId;

beforeAll(async () => {
  node = await NodeProcess.start({
    env: {
      PARLEY_METRICS_PORT: '0',
      PARLEY_SESSIONS_PER_OWNER: '1000',
      PARLEY_ADDRESS_CONNECTS_PER_SECOND: '1000',
      PARLEY_ADDRESS_CONNECTS_BURST: '1000',
    },
  });
  client = await clients.connect(node.url, node.token);
  big = (await client.createChat({ title: 'big' })).id;
  await client.send(big, { text: `${'big '.repeat(15_000)}\n/script say=ok pace=0` });
});

afterEach(async () => {
  await Promise.all(sockets.splice(0).map((socket) => socket.close()));
});

afterAll(async () => {
  clients.closeAll();
  await node.stop();
});

async function follower(chat: ChatId, cursor: Position | null = null): Promise<SocketClient> {
  const socket = await SocketClient.live(node.url, node.token);
  sockets.push(socket);
  socket.send({ op: 'attach', chat, cursor });
  await socket.frame('attached');
  return socket;
}

/**
 * Stops reading, and asks until `enough`, one after the other: the system's buffers are filled first, then those of the
 * session. Many questions at once would pass its hard budget before anybody could look.
 */
async function stopAndAsk(socket: SocketClient, enough: () => Promise<boolean>): Promise<void> {
  socket.socket.pause();
  const args = { chat: uuidToBytes(big), number: 1, part: 0 };
  const before = await metric(QUERIES);
  for (let request = 1; !(await enough()); request++) {
    socket.send({ op: 'query', request, name: 'messages.part', args });
    while ((await metric(QUERIES)) < before + request && !(await enough()));
    if (request > 1_000) throw new Error('it has room for everything');
  }
}

async function metric(name: string): Promise<number> {
  const port = /http:\/\/127\.0\.0\.1:(\d+)\/metrics/.exec(node.stdout)?.[1];
  const { body } = await rawGet(Number(port), '/metrics', { connection: 'close' });
  const line = body.split('\n').find((one) => one.startsWith(`${name} `));
  // What has not happened yet is not there.
  return line === undefined ? 0 : Number(line.slice(name.length + 1));
}

/** The text of all deltas, which must follow each other without a hole from `after` on. */
function contiguousText(socket: SocketClient, after: Position | null): string {
  let last = after;
  let text = '';
  for (const frame of socket.frames) {
    if (frame.op === 'attached' && frame.outcome === 'snapshot') last = frame.position;
    if (frame.op !== 'event') continue;
    const { position, span, event } = frame;
    if (last !== null && last.epoch === position.epoch) {
      expect(position.seq - span).toBeLessThanOrEqual(last.seq);
      expect(comparePositions(position, last)).toBeGreaterThan(0);
    }
    last = position;
    if (event.kind === 'block' && event.type === 'delta') text += event.text;
  }
  return text;
}

/** The text of the message that the model's answer has become. */
function answer(socket: SocketClient): string {
  const messages = socket.all('event').flatMap(({ event }) => (event.kind === 'message' ? [event.message] : []));
  const parts = messages.find(({ role }) => role === 'assistant')?.parts ?? [];
  return parts.map((part) => ('text' in part ? part.text : '')).join('');
}

function hasEnded(socket: SocketClient): boolean {
  // Asked after each message, so it looks at the newest frames only: nothing but the chat itself comes behind the end.
  return socket.frames
    .slice(-8)
    .some((frame) => frame.op === 'event' && frame.event.kind === 'turn' && frame.event.type === 'ended');
}

function lastPosition(socket: SocketClient): Position {
  const last = socket.frames.findLast((frame) => frame.op === 'event' || frame.op === 'attached');
  if (last === undefined || !('position' in last) || last.position === null) throw new Error('it has no position');
  return last.position;
}

/** The node says that it has closed this session for being slow. */
async function closedAsSlow(socket: SocketClient): Promise<void> {
  const { session } = await socket.frame('welcome');
  await node.logged((line) => [session, '"session closed"', '"slow"'].every((part) => line.includes(part)));
}

function residentBytes(): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${node.pid}/status`, 'utf8'))?.[1]) * KIB;
}

/** Whether the node still has a descriptor for the connection: the system may know it for a while after that. */
function isHeld({ localPort }: SocketClient): boolean {
  const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0');
  const ends = [`:${hex(node.port)}`, `:${hex(localPort)}`] as const;
  const rows = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((row) => row.trim().split(/\s+/));
  const row = rows.find(([, local = '', remote = '']) => local.endsWith(ends[0]) && remote.endsWith(ends[1]));
  // Without a descriptor a socket has no inode.
  return row !== undefined && row[9] !== '0';
}

describe('one of two hundred', () => {
  const prompt = '/script deltas=1000 pace=2ms unicode=1';

  test('[P9] a reader that stops is held within its budget, the others get everything, it goes on without loss', async () => {
    const { id } = await client.createChat({ title: 'two hundred' });
    const others: SocketClient[] = [];
    for (let i = 0; i < OTHERS; i++) others.push(await follower(id));
    const stopped = await follower(id);
    const before = residentBytes();
    let heldMost = 0;
    const look = async (): Promise<number> => {
      const held = await metric('parley_session_held_max_bytes');
      heldMost = Math.max(heldMost, held);
      return held;
    };
    // Paused, and some way to the hard budget.
    await stopAndAsk(stopped, async () => (await look()) > 4 * SOFT_BYTES);
    await client.send(id, { text: prompt });
    while (!others.every(hasEnded)) await look();
    const grownBytes = residentBytes() - before;
    expect(hasEnded(stopped)).toBe(false);
    expect(await look()).toBeGreaterThan(4 * SOFT_BYTES);

    stopped.socket.resume();
    await stopped.until(() => hasEnded(stopped));
    console.info(JSON.stringify({ heldMost, grownBytes }));
    expect(heldMost).toBeLessThanOrEqual(HARD_BYTES);
    // The turn itself, two hundred sessions at work, and garbage that nobody has collected yet.
    expect(grownBytes).toBeLessThan(128 * KIB * KIB);
    const expected = scriptedText(prompt);
    for (const other of others) expect([contiguousText(other, null), answer(other)]).toEqual([expected, expected]);
    // What it was behind on came merged: by then the message stood in the place of its deltas.
    expect(expected.startsWith(contiguousText(stopped, null))).toBe(true);
    expect(answer(stopped)).toBe(expected);
    expect(stopped.all('event').length).toBeLessThan((others[0]?.all('event').length ?? 0) / 2);
    expect(await metric('parley_session_held_max_bytes')).toBeLessThan(SOFT_BYTES);
  });

  test('[P9] one that asks on without reading is closed with 4001 behind what is buffered, and resumes losslessly', async () => {
    const { id } = await client.createChat({ title: 'hard budget' });
    const [stopped, other] = [await follower(id), await follower(id)];
    await client.send(id, { text: prompt });
    await stopped.until(() => contiguousText(stopped, null).length > 100);
    let heldMost = 0;
    const closed = closedAsSlow(stopped);
    let isClosed = false;
    void closed.then(() => {
      isClosed = true;
    });
    await stopAndAsk(stopped, async () => {
      heldMost = Math.max(heldMost, await metric('parley_session_held_max_bytes'));
      return isClosed;
    });
    expect(heldMost).toBeGreaterThan(SOFT_BYTES);
    expect(heldMost).toBeLessThanOrEqual(HARD_BYTES);
    await other.until(() => hasEnded(other));
    expect(contiguousText(other, null)).toBe(scriptedText(prompt));

    stopped.socket.resume();
    expect(await stopped.closed).toEqual({ code: CLOSE_CODES.slow, reason: 'slow' });
    const cursor = lastPosition(stopped);
    const resumed = await follower(id, cursor);
    await resumed.until(() => resumed.all('attached')[0]?.outcome === 'snapshot' || hasEnded(resumed));
    contiguousText(resumed, cursor);
    // The message stands in the ring for its deltas, and the cursor lies within them: it is the message that comes.
    expect([resumed.all('attached')[0]?.outcome, answer(resumed)]).toEqual(['resumed', scriptedText(prompt)]);
  });
});

describe('slow lines', () => {
  test.concurrent(
    '[P9] a reader that never reads again, and never asks, is given up and its socket freed',
    { timeout: 200_000 },
    async () => {
      const stopped = await follower(big);
      expect(isHeld(stopped)).toBe(true);
      await stopAndAsk(stopped, async () => (await metric('parley_session_held_max_bytes')) > SOFT_BYTES);
      const stoppedMs = performance.now();
      await closedAsSlow(stopped);
      await untilTrue(() => !isHeld(stopped));
      console.info(JSON.stringify({ freedAfterMs: Math.round(performance.now() - stoppedMs) }));
    },
  );

  test.concurrent(
    '[P9] a chat of 2 MB opens over a line of 20 KB/s while it streams, in one go',
    { timeout: 300_000 },
    async () => {
      const line = await SlowLine.start({ port: node.port, bytesPerSecond: 20 * KIB });
      onTestFinished(() => line.stop());
      const { id } = await client.createChat({ title: '2 MB' });
      const bytes = await fill(id);
      expect(bytes).toBeGreaterThan(2 * KIB * KIB);
      const steady = new Witness(client, client.chat(id));
      steady.handle.attach();
      await steady.handle.until(({ position }) => position !== null);
      await client.send(id, { text: '/script deltas=6000 pace=10ms' });
      const slow = clients.make(line.url, node.token);
      slow.connect();
      await slow.ready();
      const witness = new Witness(slow, slow.chat(id));
      let pieces = 0;
      slow.onFrame((frame) => {
        if (frame.op === 'attached') pieces += 1;
      });
      const startMs = performance.now();
      witness.handle.attach();
      await witness.handle.until(({ position }) => position !== null);
      const openedMs = Math.round(performance.now() - startMs);
      await Promise.all([steady, witness].map(({ handle }) => handle.until(({ turn }) => turn === null)));
      console.info(JSON.stringify({ bytes, openedMs, pieces, bytesToClient: line.bytesToClient }));
      expect(pieces).toBeGreaterThan(2);
      expect(witness.outcomes).toEqual({ resumed: 0, snapshot: 1, gone: 0 });
      expect([witness.faults, line.connections]).toEqual([[], 1]);
      const [has, wants] = [witness.handle.state, steady.handle.state];
      const newest = wants.messages.slice(-has.messages.length);
      expect(sharedState(has)).toMatchObject({ ...(sharedState(wants) as object), messages: has.messages });
      expect(has.messages.map(({ number }) => number)).toEqual(newest.map(({ number }) => number));
    },
  );
});

/** Some two megabytes in messages with parts of every size, each answered; how many bytes it was. */
async function fill(chat: ChatId): Promise<number> {
  const sizes = [100, 4 * KIB, 11 * KIB, LIMITS.inlinePartBytes - 100, 40 * KIB];
  const handle = client.chat(chat);
  handle.attach();
  let bytes = 0;
  for (let i = 0; i < 32; i++) {
    const content = sizes.map((size) => ({ type: 'text', text: `${i} `.padEnd(size, 'abcdefg ') }) as const);
    const args = { chat: uuidToBytes(chat), content: [...content, { type: 'text', text: '/script say=ok pace=0' }] };
    const { turn } = (await client.command('chat.send', args)) as { readonly turn: Uint8Array };
    expect(turn).toHaveLength(16);
    bytes += sizes.reduce((sum, size) => sum + size, 0);
    await handle.until((state) => state.turn === null && state.messages.length >= 2 * (i + 1));
  }
  handle.detach();
  return bytes;
}

/** Looks now and then: nobody tells when a process has closed a descriptor. */
async function untilTrue(holds: () => boolean): Promise<void> {
  while (!holds()) await once(AbortSignal.timeout(200), 'abort');
}
