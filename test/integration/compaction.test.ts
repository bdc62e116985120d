// Chats that outgrow the window of their model, on a node as people start it, in front of a fake provider that has a window:
// it refuses what is longer, and what does not pair.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { must } from '../../protocol/assert.ts';
import type { ChatHandle, ChatState, PositionedEvent } from '../../protocol/client/index.ts';
import { startFakeAnthropic, type FakeAnthropic } from '../../loadtest/fakes/anthropic-server.ts';
import type { Script } from '../../loadtest/fakes/scenario-endpoint.ts';
import { Clients } from '../support/clients.ts';
import { NodeProcess } from '../support/node-process.ts';

const WINDOW = 4_000;
const MODEL = 'anthropic/claude-small';
const STEPS = 60;
/** What each step adds, besides its call: about 60 tokens. */
const FILLER = 'so I go on counting, one by one, as I was told to, '.repeat(5);

const clients = new Clients();
let fake: FakeAnthropic;
let node: NodeProcess;
/** Of a summary, between its words. */
let summaryPaceMs = 0;

/** A model that counts with the calculator up to 60. It knows how far it is from its prompt alone. */
const counting: Script = (body, { lastUserText }) => {
  const prompt = JSON.stringify(body);
  const text = lastUserText.includes('The context window of this conversation is about to be cleared')
    ? `## Done\ncount=${counted(prompt)}`
    : null;
  if (text !== null) return { text, paceMs: summaryPaceMs };
  if (!prompt.includes('count to sixty')) return null;
  const count = counted(prompt);
  if (count >= STEPS) return { text: `The count is ${count}.` };
  return { text: FILLER, calls: [{ name: 'calculator', args: `{"expression":"${count}+1"}` }] };
};

/** The highest result, or what a summary says. */
function counted(prompt: string): number {
  const said = [...prompt.matchAll(/count=(\d+)|"tool_result"[^\]]*?"text":"(\d+)"|"content":"(\d+)"/gu)];
  const asked = [...prompt.matchAll(/(\d+)\+1/gu)].map(([, count]) => Number(count));
  const results = said.map(([, a, b, c]) => Number(a ?? b ?? c));
  return Math.max(0, ...results, ...asked.map((count) => (results.length === 0 ? count : 0)));
}

beforeAll(async () => {
  fake = await startFakeAnthropic({ apiKey: 'test', contextTokens: WINDOW, script: counting });
  node = await NodeProcess.start({
    env: {
      ANTHROPIC_API_KEY: 'test',
      ANTHROPIC_BASE_URL: fake.url,
      PARLEY_DEFAULT_MODEL: MODEL,
      PARLEY_CONTEXT_WINDOWS: `${MODEL}=${WINDOW}`,
      PARLEY_RETRY_BASE_MS: '20',
    },
  });
});

afterEach(() => {
  summaryPaceMs = 0;
  clients.closeAll();
});

afterAll(async () => {
  await node.stop();
  await fake.stop();
});

async function newChat(): Promise<{ readonly chat: ChatHandle; readonly events: readonly PositionedEvent[] }> {
  const client = await clients.connect(node.url, node.token);
  const chat = client.chat((await client.createChat({ title: 'small' })).id);
  const events: PositionedEvent[] = [];
  chat.onEvent((event) => void events.push(event));
  chat.attach();
  return { chat, events };
}

async function say(chat: ChatHandle, text: string): Promise<ChatState> {
  const { turn } = await chat.send(text);
  return chat.until(({ lastTurn }) => lastTurn?.turn === turn);
}

function lastWords({ messages }: ChatState): string {
  const parts = messages.findLast(({ role }) => role === 'assistant')?.parts ?? [];
  return parts.map((part) => (part.type === 'text' && 'text' in part ? part.text : '')).join('');
}

function compactions(events: readonly PositionedEvent[]): readonly string[] {
  return events.flatMap(({ event }) =>
    event.kind === 'compaction' ? [event.type === 'started' ? event.source : event.outcome] : [],
  );
}

const compacting = ({ turn }: ChatState): boolean => (turn?.compaction ?? null) !== null;

test('[compaction] a loop of 60 steps passes the window, is compacted in its middle and ends with the right answer', async () => {
  const { chat, events } = await newChat();
  const state = await say(chat, 'Please count to sixty.');
  expect(state.lastTurn).toMatchObject({ outcome: 'completed' });
  expect(lastWords(state)).toBe('The count is 60.');
  const done = compactions(events);
  expect(done.length).toBeGreaterThanOrEqual(2);
  expect(new Set(done)).toEqual(new Set(['automatic', 'compacted']));
  const marker = state.messages.find(({ role, parts }) => role === 'tool' && JSON.stringify(parts).includes('summary'));
  expect(JSON.stringify(marker)).toContain('context_limit_tokens');
  // Nothing was deleted: every call and its result are still to be read.
  const calls = events.flatMap(({ event }) =>
    event.kind === 'tool' && event.type === 'settled' ? [event.status] : [],
  );
  expect(calls).toEqual(Array.from({ length: STEPS }, () => 'ok'));
}, 120_000);

describe('a request that the provider refuses as too long', () => {
  test.each([0, 1, 2, 5, 9])(
    '[compaction] in step %i of a turn: the step is asked again and the turn completes',
    async (step) => {
      const { chat, events } = await newChat();
      await say(chat, 'fake: tokens=150');
      const calls = 'steps=10 call=calculator args="{\\"expression\\":\\"6*7\\"}" echo=1';
      const state = await say(chat, `In chat ${chat.id}. fake: ${calls} fail=too_long fail_step=${step}`);
      expect(state.lastTurn).toMatchObject({ outcome: 'completed' });
      expect(lastWords(state)).toBe('42');
      expect(compactions(events).slice(0, 2)).toEqual(['overflow', 'compacted']);
    },
  );

  test('[P12] a message that does not fit even alone is an error that says so, and the next short one works', async () => {
    const { chat } = await newChat();
    await say(chat, 'fake: tokens=20');
    const failed = await say(chat, `${'much too long '.repeat(1_500)} fake: tokens=3`);
    expect(failed.lastTurn).toMatchObject({ outcome: 'error', error: { code: 'context_overflow', retry: 'never' } });
    const state = await say(chat, 'fake: tokens=3');
    expect(state.lastTurn).toMatchObject({ outcome: 'completed' });
    expect(state.chat).toMatchObject({ status: 'waiting', last_error: null });
  });
});

describe('while the summary is written', () => {
  const beginSlow = async (): Promise<Awaited<ReturnType<typeof newChat>>> => {
    const made = await newChat();
    await say(made.chat, 'fake: tokens=200');
    summaryPaceMs = 5_000;
    await made.chat.compact();
    await made.chat.until(compacting);
    return made;
  };

  test('[P6] a stop ends it at once, the chat is as it was, and what was sent meanwhile is answered', async () => {
    const { chat } = await beginSlow();
    const { turn } = await chat.send('fake: tokens=3');
    await chat.stop();
    const state = await chat.until(({ lastTurn }) => lastTurn?.turn === turn);
    expect(state.lastTurn).toMatchObject({ outcome: 'completed' });
    expect(state.messages.filter(({ role }) => role === 'tool')).toEqual([]);
  });

  test('[compaction] asked for twice at once it runs once; a queue goes on behind it', async () => {
    const { chat, events } = await newChat();
    await say(chat, 'fake: tokens=200');
    summaryPaceMs = 300;
    const asked = await Promise.all([chat.compact(), chat.compact()]);
    expect(asked.map(({ outcome }) => outcome).toSorted()).toEqual(['running', 'started']);
    const { turn } = await chat.send('fake: tokens=3');
    const state = await chat.until(({ lastTurn }) => lastTurn?.turn === turn);
    expect(state.lastTurn).toMatchObject({ outcome: 'completed' });
    expect(compactions(events)).toEqual(['manual', 'compacted']);
  });

  test('[P12] kill -9: the next start runs it again, and the chat goes on behind the summary', async () => {
    const { chat } = await beginSlow();
    const id = chat.id;
    await node.kill();
    summaryPaceMs = 0;
    await node.restart();
    const client = await clients.connect(node.url, node.token);
    const again = client.chat(id);
    again.attach();
    const state = await again.until(({ turn, position }) => position !== null && turn === null);
    expect(state.messages.some(({ role }) => role === 'tool')).toBe(true);
    expect((await say(again, 'fake: tokens=3')).lastTurn).toMatchObject({ outcome: 'completed' });
    const last = must(fake.requests.at(-1), 'the model was asked');
    expect(JSON.stringify(last.body)).toContain('summary of the earlier conversation');
  });
});
