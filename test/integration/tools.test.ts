// Tools on a node as people start it: many at once, answers from two devices, and `kill -9` while calls run and wait.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { must } from '../../protocol/assert.ts';
import type { Action, ChatHandle, ChatState, ToolResultPart } from '../../protocol/client/index.ts';
import { Clients } from '../support/clients.ts';
import { NodeProcess } from '../support/node-process.ts';
import { answerText } from '../support/witness.ts';

const COLOR = { name: 'pick_color', description: 'Asks for a color.', schema: { type: 'object' } };
const DEADLINE_MS = 4_000;

const clients = new Clients();
let node: NodeProcess;

beforeAll(async () => {
  node = await NodeProcess.start({ env: { PARLEY_CLIENT_DEADLINE_MS: String(DEADLINE_MS) } });
});

afterEach(() => clients.closeAll());

afterAll(() => node.stop());

/** One chat on two devices. */
async function twoDevices(): Promise<{ readonly chat: ChatHandle; readonly second: ChatHandle }> {
  const [one, two] = await Promise.all([0, 1].map(() => clients.connect(node.url, node.token)));
  const first = must(one, 'there are two');
  const { id } = await first.createChat({ tools: [COLOR] });
  const chat = first.chat(id);
  const second = must(two, 'there are two').chat(id);
  chat.attach();
  second.attach();
  await Promise.all([chat.until(isAtRest), second.until(isAtRest)]);
  return { chat, second };
}

const isAtRest = ({ position, turn }: ChatState): boolean => position !== null && turn === null;
const asks = ({ turn }: ChatState): boolean => (turn?.actions.length ?? 0) > 0;
const isDone = ({ turn, lastTurn }: ChatState): boolean => turn === null && lastTurn !== null;

function actionOf({ turn }: ChatState): Action {
  return must(turn?.actions[0], 'an action waits');
}

function resultsOf({ messages }: ChatState): readonly ToolResultPart[] {
  return messages.flatMap(({ parts }) =>
    parts.filter((part): part is ToolResultPart => part.type === 'tool_result' && 'text' in part),
  );
}

/** Every call has one result (P7). */
function expectPaired({ messages }: ChatState): void {
  const parts = messages.flatMap((message) => message.parts);
  const calls = parts.flatMap((part) => (part.type === 'tool_call' ? [part.call] : []));
  const results = parts.flatMap((part) => (part.type === 'tool_result' ? [part.call] : []));
  expect(calls.length).toBeGreaterThan(0);
  expect(results.toSorted()).toEqual(calls.toSorted());
}

describe('tools', () => {
  test('[P7] ten slow ones of a step run at once', async () => {
    const { chat, second } = await twoDevices();
    let mostOpen = 0;
    second.subscribe(() => {
      const calls = second.state.turn?.calls ?? [];
      // Each says so when it begins: all of them have before the first one is done.
      const shown = calls.filter(({ text, status }) => status === null && text !== '').length;
      mostOpen = Math.max(mostOpen, shown);
    });
    const tools = Array.from({ length: 10 }, (_, i) => `tool=slow:{"ms":${1_500 + i},"text":"t${i}"}`);
    await chat.send(`/script ${tools.join(' ')} pace=0 say=done`);
    const state = await chat.until(isDone);
    expect(mostOpen).toBe(10);
    expect(resultsOf(state).map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 'ok'));
    expectPaired(state);
    expect(state.lastTurn?.outcome).toBe('completed');
  });

  test('[P6] a stop during them settles all of them', async () => {
    const { chat, second } = await twoDevices();
    await chat.send('/script tool=slow:{"ms":50000} tool=slow:{"ms":50000} tool=pick_color pace=0');
    await second.until(({ turn }) => (turn?.calls.length ?? 0) === 3);
    await second.stop();
    const state = await chat.until(isDone);
    expect(state.lastTurn?.outcome).toBe('stopped');
    expectPaired(state);
    expect(resultsOf(state).every(({ status }) => status !== 'ok')).toBe(true);
  });

  test.each([
    ['while calls run', '/script tool=slow:{"ms":50000} tool=slow:{"ms":50000} pace=0', false],
    ['while a call waits for somebody', '/script tool=risky:{"what":"it"} tool=pick_color pace=0', true],
  ] as const)('[P7] [P12] an edit %s settles them, and is answered', async (_when, script, isAsked) => {
    const { chat, second } = await twoDevices();
    const sent = await chat.send(script);
    await second.until((state) => (isAsked ? asks(state) : state.turn?.calls.length === 2));
    await second.edit({ number: sent.outcome === 'started' ? sent.number : 0, text: '/script say=edited pace=0' });
    const isEdited = (state: ChatState): boolean => isDone(state) && answerText(state).includes('edited');
    const [one, two] = await Promise.all([chat.until(isEdited), second.until(isEdited)]);
    expect(one.lastTurn?.outcome).toBe('completed');
    for (const { messages } of [one, two]) {
      expect(messages.flatMap(({ parts }) => parts).filter(({ type }) => type.startsWith('tool'))).toEqual([]);
    }
    // What was asked for then can be answered no more.
    await expect(second.toolResult({ call: 'script_1', output: 'red' })).rejects.toMatchObject({ code: 'not_waiting' });
    await chat.send('/script tool=clock pace=0 say=on');
    expectPaired(await chat.until((state) => isDone(state) && answerText(state).includes('on')));
  });

  test('[P12] two devices answer one approval at once: the first counts, the other is told', async () => {
    const { chat, second } = await twoDevices();
    await chat.send('/script tool=risky:{"what":"it"} pace=0 say=done');
    const [one, two] = await Promise.all([chat.until(asks), second.until(asks)]);
    const answers = await Promise.allSettled([chat.approve(actionOf(one)), second.deny(actionOf(two))]);
    const refused = answers.filter((answer) => answer.status === 'rejected');
    expect(refused).toHaveLength(1);
    expect(refused[0]?.reason).toMatchObject({ code: 'not_waiting' });
    const state = await chat.until(isDone);
    expectPaired(state);
    expect(['ok', 'denied']).toContain(resultsOf(state)[0]?.status);
  });

  test('[P12] a node that dies while a call waits: its deadline still comes', async () => {
    const { chat } = await twoDevices();
    await chat.send('/script tool=pick_color pace=0 say=done');
    await chat.until(asks);
    await node.kill();
    await node.restart();
    const state = await chat.until(isDone);
    expect(resultsOf(state).map(({ status }) => status)).toEqual(['timeout']);
    expect(state.lastTurn?.outcome).toBe('completed');
    expectPaired(state);
  });

  test('[P7] a node that dies while calls run: what is idempotent runs again, the others are unknown', async () => {
    const { chat } = await twoDevices();
    await chat.send('/script tool=slow:{"ms":3000,"text":"again"} tool=risky:{"what":"it","ms":50000} pace=0 say=done');
    await chat.approve(actionOf(await chat.until(asks)));
    await chat.until(({ turn }) => turn !== null && turn.actions.length === 0 && turn.calls.length === 2);
    await node.kill();
    await node.restart();
    const state = await chat.until(isDone);
    const statuses = resultsOf(state).map(({ status, text }) => (status === 'ok' ? text : status));
    expect(statuses.toSorted()).toEqual(['again', 'unknown']);
    expectPaired(state);
  });
});
