// Leaving is not stopping, and stopping reaches the provider: seen by a fake Anthropic server in this very process, so that
// one clock measures both ends.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type FakeAnthropic, startFakeAnthropic } from '../../loadtest/fakes/anthropic-server.ts';
import { DEFAULT_SCENARIO, scenarioDeltas } from '../../loadtest/fakes/scenario.ts';
import { must } from '../../protocol/assert.ts';
import type { ChatHandle, ChatState, PositionedEvent, TurnId } from '../../protocol/client/index.ts';
import { Clients } from '../support/clients.ts';
import { NodeProcess } from '../support/node-process.ts';
import { answerText } from '../support/witness.ts';

const STOP_MS = 100;
const ROUNDS = 5;

const clients = new Clients();
let fake: FakeAnthropic;
let node: NodeProcess;

beforeAll(async () => {
  fake = await startFakeAnthropic({ apiKey: 'test' });
  node = await NodeProcess.start({
    env: { ANTHROPIC_API_KEY: 'test', ANTHROPIC_BASE_URL: fake.url, PARLEY_RETRY_BASE_MS: '60000' },
  });
});

afterEach(() => clients.closeAll());

afterAll(async () => {
  await node.stop();
  await fake.stop();
});

describe('[P6] leaving is not stopping', () => {
  test('[P6] every client leaves in mid-turn: the provider is read to the end, and who comes later sees it all', async () => {
    const { chat, devices } = await twoDevices();
    await chat.send('fake: tokens=300 pace=4ms');
    await Promise.all(devices.map((device) => device.until(showing(200))));
    clients.closeAll();
    const request = must(fake.requests.at(-1), 'the turn has a request');
    expect((await request.closed).how).toBe('finished');
    const late = (await clients.connect(node.url, node.token)).chat(chat.id);
    late.attach();
    const state = await late.until(isAtRest);
    expect(answerText(state)).toBe(scenarioDeltas({ ...DEFAULT_SCENARIO, tokens: 300 }).join(''));
    expect(state.messages.at(-1)?.interrupted).toBeUndefined();
  });
});

describe('[P6] stop from a second device', () => {
  test(`[P6] aborts the provider's request within ${STOP_MS} ms, and nothing of the turn comes after its end`, async () => {
    const tookMs: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const { chat, second, events } = await twoDevices();
      const { turn } = await chat.send('fake: tokens=2000 pace=2ms');
      await second.until(showing(300));
      const aborted = fake.nextAbort().then(() => performance.now());
      const askedAt = performance.now();
      const stopped = second.stop();
      tookMs.push((await aborted) - askedAt);
      expect(await stopped).toEqual({ outcome: 'stopping' });
      const state = await chat.until(isAtRest);
      expect(state.lastTurn).toEqual({ turn, outcome: 'stopped', error: null });
      expectKept(state, turn);
      expectNothingAfterTheEnd(events, turn);
      await expectGoesOn(chat);
      // Nothing came with the next turn either.
      expectNothingAfterTheEnd(events, turn);
    }
    const sorted = tookMs.toSorted((a, b) => a - b).map(Math.round);
    console.info(JSON.stringify({ stopMs: sorted, median: sorted[Math.floor(ROUNDS / 2)] }));
    expect(Math.max(...tookMs)).toBeLessThanOrEqual(STOP_MS);
  });

  test('[P6] stopping twice, from both devices, and again later, is no error', async () => {
    const { chat, second } = await twoDevices();
    const { turn } = await chat.send('fake: tokens=2000 pace=2ms');
    await Promise.all([chat.until(showing(50)), second.until(showing(50))]);
    const both = await Promise.all([chat.stop(), second.stop()]);
    for (const stopped of both) expect(['stopping', 'not_running']).toContain(stopped?.outcome);
    await chat.until(isAtRest);
    const client = await clients.connect(node.url, node.token);
    expect(await client.stop(chat.id, turn)).toEqual({ outcome: 'not_running' });
    await expectGoesOn(chat);
  });

  test.each([
    ['before the first byte of the answer', 'fake: fail=silence'],
    ['while the provider says nothing in the middle', 'fake: tokens=50 fail=silence@20'],
    ['while the provider sends nothing but pings', 'fake: tokens=50 fail=silence@20 ping=20ms'],
  ])('[P6][P12] %s', async (_, prompt) => {
    const { chat, second } = await twoDevices();
    const requests = fake.requests.length;
    await chat.send(prompt);
    await second.until(({ turn }) => turn !== null && turn.attempt === 1);
    if (prompt.includes('@')) await second.until(showing(50));
    else await requestCame(requests);
    const aborted = fake.nextAbort();
    await second.stop();
    await aborted;
    const state = await chat.until(isAtRest);
    expect(state.lastTurn?.outcome).toBe('stopped');
    await expectGoesOn(chat);
  });

  test('[P6][P12] while the turn waits for its next try: it ends at once, and no try follows', async () => {
    const { chat, second } = await twoDevices();
    await chat.send('fake: fail=529 times=9');
    await second.until(({ turn }) => turn?.retry !== null && turn?.retry !== undefined);
    const requests = fake.requests.length;
    await second.stop();
    const state = await chat.until(isAtRest);
    expect(state.lastTurn?.outcome).toBe('stopped');
    await expectGoesOn(chat);
    expect(fake.requests.length).toBe(requests + 1);
  });
});

/** A chat that is open on two devices; `events` are those of the first. */
async function twoDevices(): Promise<{
  readonly chat: ChatHandle;
  readonly second: ChatHandle;
  readonly devices: readonly ChatHandle[];
  readonly events: readonly PositionedEvent[];
}> {
  const [one, two] = await Promise.all([0, 1].map(() => clients.connect(node.url, node.token)));
  const first = must(one, 'there are two');
  const { id } = await first.createChat();
  const chat = first.chat(id);
  const second = must(two, 'there are two').chat(id);
  const events: PositionedEvent[] = [];
  chat.onEvent((event) => void events.push(event));
  for (const device of [chat, second]) {
    device.attach();
    await device.until(({ position }) => position !== null);
  }
  return { chat, second, devices: [chat, second], events };
}

/** Resolves when the provider has one more request. */
async function requestCame(before: number): Promise<void> {
  while (fake.requests.length <= before) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}

function showing(chars: number): (state: ChatState) => boolean {
  return (state) => answerText(state).length >= chars;
}

function isAtRest({ turn, chat, messages }: ChatState): boolean {
  return turn === null && chat?.status === 'waiting' && messages.length > 0;
}

function expectKept(state: ChatState, turn: TurnId): void {
  const kept = must(state.messages.at(-1), 'what was streamed is kept');
  expect(kept).toMatchObject({ role: 'assistant', turn, interrupted: true });
  const whole = scenarioDeltas({ ...DEFAULT_SCENARIO, tokens: 2_000 }).join('');
  const text = answerText(state);
  expect([whole.startsWith(text), text.length >= 300, text.length < whole.length]).toEqual([true, true, true]);
}

function expectNothingAfterTheEnd(events: readonly PositionedEvent[], turn: TurnId): void {
  const end = events.findIndex(({ event }) => event.kind === 'turn' && event.type === 'ended' && event.turn === turn);
  expect(end).toBeGreaterThan(0);
  const next = events.findIndex(({ event }, at) => at > end && event.kind === 'turn' && event.type === 'started');
  const after = events.slice(end + 1, next === -1 ? undefined : next).map(({ event }) => event.kind);
  expect(after.filter((kind) => kind === 'block' || kind === 'step')).toEqual([]);
}

async function expectGoesOn(chat: ChatHandle): Promise<void> {
  const { turn } = await chat.send('fake: tokens=3');
  const state = await chat.until(({ lastTurn }) => lastTurn?.turn === turn);
  expect(state.lastTurn?.outcome).toBe('completed');
  expect(answerText(state)).toBe('token1 token2 token3 ');
}
