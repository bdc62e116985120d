// `kill -9` of the node in the middle of a turn, seen by a client that stays, one that comes back and one that is new.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ChatHandle, ChatState } from '../../protocol/client/index.ts';
import { scriptedText } from '../../actors/models/script-text.ts';
import { SocketClient } from '../gateway/support/socket-client.ts';
import { Clients } from '../support/clients.ts';
import { NodeProcess } from '../support/node-process.ts';
import { answerText, sharedState, Witness } from '../support/witness.ts';

const PROMPT = '/script deltas=1300 pace=4ms unicode=1';
const EXPECTED = scriptedText(PROMPT);

const NEVER_JOURNALED = { PARLEY_JOURNAL_EVERY_MS: '60000' };

let node: NodeProcess;
const clients = new Clients();

beforeAll(async () => {
  node = await NodeProcess.start({ env: { PARLEY_DRAIN_TIMEOUT_MS: '300', PARLEY_DRAIN_SPREAD_MS: '100' } });
});

afterEach(() => clients.closeAll());

afterAll(() => node.stop());

describe.each([
  { journal: 'every 500 ms', env: {}, survives: true, losesNothing: false },
  { journal: 'never before the crash', env: NEVER_JOURNALED, survives: false, losesNothing: false },
  { journal: 'before it is shown', env: { PARLEY_JOURNAL: 'shown' }, survives: true, losesNothing: true },
])('kill -9 in mid-stream, the text journaled $journal', ({ env, survives, losesNothing }) => {
  test('[P2][P4][P5] every client ends equal to a fresh one, and text that is no more was retracted', async () => {
    await node.kill();
    await node.restart(env);
    const stays = await clients.connect(node.url, node.token);
    const chat = await stays.createChat({ title: 'crash' });
    const stayed = watch(new Witness(stays, stays.chat(chat.id)));
    const returns = await clients.connect(node.url, node.token);
    const returned = watch(new Witness(returns, returns.chat(chat.id)));
    await Promise.all([stayed, returned].map(({ handle }) => handle.until(({ position }) => position !== null)));

    const { turn } = await stays.send(chat.id, { text: PROMPT });
    await returned.handle.until(showing(1_000));
    returns.close();
    const [leftWith, leftAt] = [returned.shown, returned.handle.state.position];
    // A second and more of stream behind the one that left: what it saw was journaled twice over.
    await stayed.handle.until(showing(leftWith.length + 4_000));
    await node.kill();
    const crashedWith = stayed.longest;
    expect(EXPECTED.startsWith(crashedWith)).toBe(true);

    await node.restart();
    const ended = await stayed.handle.until(isOver);
    expect(ended.lastTurn).toEqual({ turn, outcome: 'completed', error: null });
    expect(ended.chat?.last_error).toBeNull();
    await returns.ready();
    await returned.handle.until(isOver);
    const fresh = (await clients.connect(node.url, node.token)).chat(chat.id);
    fresh.attach();
    const truth = await fresh.until(isOver);

    for (const witness of [stayed, returned]) {
      expect(witness.faults).toEqual([]);
      expect(sharedState(witness.handle.state)).toEqual(sharedState(truth));
    }
    const text = answerText(truth);
    const keptText = firstAnswer(truth);
    console.info(JSON.stringify({ shown: crashedWith.length, kept: survives ? keptText.length : 0, end: text.length }));
    if (survives) expect([EXPECTED.startsWith(keptText), keptText.length > leftWith.length]).toEqual([true, true]);
    else expect(text).toBe(EXPECTED);
    if (losesNothing) expect(keptText.startsWith(crashedWith)).toBe(true);
    // Nothing of what the one that stayed had shown may have gone without a word, and no word be said for nothing.
    const changedUnderIt = !survives || keptText.length < crashedWith.length;
    expect(stayed.handle.state.retracted !== null).toBe(changedUnderIt);
    expect(returned.handle.state.retracted !== null).toBe(!survives);
    expect(returned.outcomes).toEqual({ resumed: 0, snapshot: 2, gone: 0 });
    expect(leftAt?.epoch).toBeLessThan(truth.position?.epoch ?? 0);

    // The chat goes on (P12).
    await stays.send(chat.id, { text: '/script say="and on" pace=0' });
    const next = await fresh.until((state) => isOver(state) && answerText(state) === 'and on');
    expect(next.chat?.status).toBe('waiting');
  });
});

test('[P4] a client that was cut off before it saw anything comes back after a crash', async () => {
  const client = await clients.connect(node.url, node.token);
  const chat = await client.createChat();
  const empty = client.chat(chat.id);
  empty.attach();
  await empty.until(({ position }) => position !== null);
  client.close();
  await node.kill();
  await node.restart();
  await client.ready();
  await client.send(chat.id, { text: '/script say="hello" pace=0' });
  const state = await empty.until((now) => isOver(now) && answerText(now) === 'hello');
  expect(state.messages.map(({ number, role }) => [number, role])).toEqual([
    [1, 'user'],
    [2, 'assistant'],
  ]);
});

test.each([
  ['the node', 'node'],
  ['npm, as a supervisor does', 'npm'],
] as const)('[P4] SIGTERM to %s in mid-stream: told to come back, and the turn is taken up', async (_, to) => {
  const client = await clients.connect(node.url, node.token);
  const bystander = await SocketClient.live(node.url, node.token);
  const told: string[] = [];
  client.onStatus((status) => {
    if (status.status === 'waiting') told.push(status.reason);
  });
  const chat = await client.createChat();
  const witness = watch(new Witness(client, client.chat(chat.id)));
  await client.send(chat.id, { text: PROMPT });
  await witness.handle.until(showing(2_000));
  const exit = await node.terminate(to);
  expect(exit.stderr).toContain('"msg":"node down"');
  if (to === 'node') expect([exit.code, exit.signal]).toEqual([0, null]);
  expect(told[0]).toMatch(/going away/);
  await bystander.closed;
  expect(bystander.frames.map(({ op }) => op).filter((op) => op === 'drain' || op === 'bye')).toEqual(['drain', 'bye']);
  const shown = witness.longest;
  await node.restart();
  const state = await witness.handle.until(isOver);
  // Everything that was shown was journaled before the node left: nothing is taken back.
  expect(witness.faults).toEqual([]);
  expect(state.retracted).toBeNull();
  expect(answerText(state).startsWith(shown)).toBe(true);
  expect(state.lastTurn?.outcome).toBe('completed');
});

function watch(witness: Witness): Witness {
  witness.handle.attach();
  return witness;
}

function showing(chars: number): (state: ChatState) => boolean {
  return (state) => answerText(state).length >= chars;
}

function isOver({ turn, messages, chat }: ChatHandle['state']): boolean {
  return turn === null && chat?.status === 'waiting' && messages.at(-1)?.role === 'assistant';
}

/** What was kept of the step that the crash interrupted. */
function firstAnswer({ messages }: ChatState): string {
  const part = messages.find(({ role }) => role === 'assistant')?.parts[0];
  return part !== undefined && 'text' in part ? part.text : '';
}
