// The loop of requests and tools, on simulated time and the store in memory.

import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { PromptItem } from '../../actors/ports.ts';
import { must } from '../../protocol/assert.ts';
import type { Action, ToolResultPart, ToolStatus } from '../../protocol/content.ts';
import { uuidToBytes, type ChatId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { utf8Length } from '../../protocol/text.ts';
import { actionsOf } from '../../actors/chat/tool-calls.ts';
import { BUILTIN_TOOLS } from '../../actors/tools/builtin.ts';
import { defineTool } from '../../actors/tools/tool.ts';
import { QUIET, Stage } from './stage.ts';
import { Watcher } from './watcher.ts';

const COLOR = { name: 'pick_color', description: 'Asks for a color.', schema: '{"type":"object"}' };

/** Every call that a message holds has exactly one result (P7), and no message of a tool answers nothing. */
function expectPaired(stage: Stage, chat: ChatId): void {
  const messages = must(stage.tables.chats.get(chat), 'the chat is there').messages;
  const calls = messages.flatMap(({ parts, step, turn }) =>
    parts.flatMap((part) => (part.type === 'tool_call' ? [`${turn} ${step} ${part.call}`] : [])),
  );
  const results = messages.flatMap(({ parts, step, turn }) =>
    parts.flatMap((part) => (part.type === 'tool_result' ? [`${turn} ${step} ${part.call}`] : [])),
  );
  expect(results.toSorted()).toEqual(calls.toSorted());
}

function resultsOf(stage: Stage, chat: ChatId): readonly ToolResultPart[] {
  const messages = must(stage.tables.chats.get(chat), 'the chat is there').messages;
  return messages.flatMap(({ parts }) => parts.filter((part) => part.type === 'tool_result'));
}

function statuses(stage: Stage, chat: ChatId): readonly ToolStatus[] {
  return resultsOf(stage, chat).map(({ status }) => status);
}

function statusOf(stage: Stage, chat: ChatId): string {
  return must(stage.tables.chats.get(chat), 'the chat is there').chat.status;
}

function actions(stage: Stage, chat: ChatId): readonly Action[] {
  return actionsOf([...must(stage.tables.chats.get(chat), 'the chat is there').calls.values()]);
}

function lastTurn(stage: Stage, chat: ChatId): string | undefined {
  return stage.tables.chats.get(chat)?.chat.last_turn?.outcome;
}

describe('the loop of tools', () => {
  let stage = new Stage();
  afterEach(() => {
    stage = new Stage();
  });

  const begin = async (): Promise<ChatId> => {
    const chat = await stage.create();
    await stage.send(chat, 'hello');
    await stage.settle();
    return chat;
  };
  const answer = (chat: ChatId, action: Action, allow: boolean, always = false) =>
    stage.command('tool.approve', { chat: uuidToBytes(chat), call: action.call, hash: action.hash, allow, always });

  it('[P7] a call runs, its result goes back to the model, and the turn goes on', async () => {
    const chat = await begin();
    expect(stage.attempt.request.tools.map(({ name }) => name)).toEqual(['calculator', 'clock', 'risky', 'slow']);
    stage.attempt.call(['calculator', '{"expression":"6*7"}'], ['clock', '']);
    await stage.settle();
    expect(stage.attempts).toHaveLength(2);
    expect(stage.attempt.request.items.at(-1)).toMatchObject({
      role: 'tool',
      parts: [
        { type: 'tool_result', call: 'c0', status: 'ok', text: '42' },
        { type: 'tool_result', call: 'c1', status: 'ok' },
      ],
    });
    stage.attempt.complete();
    await stage.settle();
    expect(lastTurn(stage, chat)).toBe('completed');
    expectPaired(stage, chat);
  });

  it('[P7] results are committed as they settle and returned in the order of the calls, in one item', async () => {
    const chat = await begin();
    stage.attempt.call(['slow', '{"ms":300,"text":"first"}'], ['slow', '{"ms":100,"text":"second"}']);
    await stage.settle();
    await stage.clock.runFor(150);
    await stage.settle();
    expect(resultsOf(stage, chat).map(({ text }) => text)).toEqual(['second']);
    expect(stage.attempts).toHaveLength(1);
    await stage.clock.runFor(200);
    await stage.settle();
    expect(resultsOf(stage, chat).map(({ text }) => text)).toEqual(['second', 'first']);
    const tool = must(stage.attempt.request.items.at(-1), 'the results are there');
    expect(tool.parts.map(({ text }) => text)).toEqual(['first', 'second']);
  });

  it('[P8] the request of each step begins with the one before it', async () => {
    await begin();
    for (let step = 0; step < 4; step++) {
      stage.attempt.call(['clock', '{}'], ['calculator', `{"expression":"${step}+1"}`]);
      await stage.settle();
    }
    stage.attempt.complete();
    await stage.settle();
    const ledger = (items: readonly PromptItem[]): readonly string[] => items.map((item) => JSON.stringify(item));
    const requests = stage.attempts.map(({ request }) => request);
    expect(requests).toHaveLength(5);
    for (const [i, next] of requests.slice(1).entries()) {
      const before = must(requests[i], 'there is one before');
      expect(next.tools).toEqual(before.tools);
      expect(next.system).toEqual(before.system);
      expect(ledger(next.items).slice(0, before.items.length)).toEqual(ledger(before.items));
      expect(next.items.length).toBeGreaterThan(before.items.length);
    }
  });

  it('[P7] arguments that are wrong, and tools that do not exist, come back as errors that say what is wrong', async () => {
    const chat = await begin();
    stage.attempt.call(
      ['calculator', '{"expression":'],
      ['calculator', '{"expr":"1"}'],
      ['nonsense', '{}'],
      ['calculator', '{"expression":"1/"}'],
      ['calculator', '{"expression":"1","extra":1}'],
    );
    await stage.settle();
    expect(statuses(stage, chat)).toEqual(['error', 'error', 'error', 'error', 'error']);
    const [cut, shape, unknown] = resultsOf(stage, chat).map(({ text }) => text);
    expect(cut).toMatch(/not valid JSON/);
    expect(shape).toMatch(/expression/);
    expect(unknown).toMatch(/calculator, clock, risky, slow/);
    expect(stage.attempts).toHaveLength(2);
    expectPaired(stage, chat);
  });

  it.each(['end_turn', 'max_tokens', 'refusal'] as const)(
    '[P7] nothing runs unless the stop reason says tool use: %s',
    async (reason) => {
      const chat = await begin();
      const { sink } = stage.attempt;
      for (const [index, args] of ['{}', '{"ms":'].entries()) {
        sink.blockStart(index, 'tool_call', { call: `c${index}`, name: 'clock' });
        sink.blockDelta(index, args);
        if (index === 0) sink.blockEnd(index);
      }
      stage.attempt.complete(reason);
      await stage.settle();
      // The call that was not finished is none; of a refused answer nothing is left for the model.
      expect(statuses(stage, chat)).toEqual(reason === 'refusal' ? [] : ['error']);
      expect(stage.attempts).toHaveLength(1);
      expectPaired(stage, chat);
      await stage.send(chat, 'again');
      await stage.settle();
      expect(stage.attempts).toHaveLength(2);
    },
  );

  it('[P12] at the limit of steps the model is asked once more, with tools that it may not call', async () => {
    stage = new Stage(undefined, undefined, undefined, { settings: { stepsMax: 2 } });
    const chat = await begin();
    for (let step = 0; step < 2; step++) {
      stage.attempt.call(['clock', '{}']);
      await stage.settle();
    }
    const { request } = stage.attempt;
    expect(request.toolChoice).toBe('none');
    expect(request.tools.length).toBeGreaterThan(0);
    expect(request.items.at(-1)).toMatchObject({ role: 'user', parts: [{ text: /limit of steps/ }] });
    stage.attempt.call(['clock', '{}']);
    await stage.settle();
    expect(lastTurn(stage, chat)).toBe('step_limit');
    expect(statuses(stage, chat)).toEqual(['ok', 'ok', 'error']);
    expectPaired(stage, chat);
  });

  it('[P7] a tool that crashes is an error for the model, and the chat goes on', async () => {
    stage = new Stage(undefined, undefined, QUIET);
    const chat = await begin();
    stage.attempt.call(['slow', '{"ms":0,"fail":true}']);
    await stage.settle();
    await stage.clock.runFor(1);
    await stage.settle();
    expect(statuses(stage, chat)).toEqual(['error']);
    expect(stage.attempts).toHaveLength(2);
  });

  it('[P2] who comes while a tool runs sees all that it has given so far, as who has followed does', async () => {
    const talker = defineTool({
      name: 'talker',
      description: 'Says how far it is.',
      args: z.strictObject({}),
      timeoutMs: 10_000,
      run: async (_args, { clock, sink }) => {
        sink.progress('é one, ');
        await new Promise<void>((resolve) => clock.after(100, resolve));
        sink.progress('two, ');
        return new Promise(() => undefined);
      },
    });
    stage = new Stage(undefined, undefined, undefined, { tools: [talker] });
    const chat = await begin();
    const watcher = new Watcher(stage, chat);
    stage.attempt.call(['talker', '{}']);
    await stage.settle();
    for (const waitMs of [50, 100]) {
      await stage.clock.runFor(waitMs);
      await watcher.catchUp();
    }
    const fresh = new Watcher(stage, chat);
    await fresh.catchUp();
    expect(watcher.state.turn?.calls).toMatchObject([{ call: 'c0', text: 'é one, two, ', bytes: 13 }]);
    expect(fresh.shown).toEqual(watcher.shown);
  });

  it('[tools] output over its limit is cut between code points, and says so', async () => {
    const chat = await begin();
    stage.attempt.call(['slow', '{"ms":0,"text":"é🙂","repeat":100000}']);
    await stage.settle();
    await stage.clock.runFor(1);
    await stage.settle();
    const [result] = resultsOf(stage, chat);
    expect(utf8Length(result?.text ?? '')).toBeLessThanOrEqual(LIMITS.toolOutputBytes);
    expect(result?.text).toMatch(/^(é🙂)+é?\n\[cut: \d+ of 600000 bytes left out\]$/);
  });

  it('[P6] a stop settles every call, what ran too, and the queue goes on', async () => {
    const chat = await begin();
    stage.attempt.call(['slow', '{"ms":10000}'], ['slow', '{"ms":20000}'], ['risky', '{"what":"it"}']);
    await stage.settle();
    await stage.send(chat, 'later');
    const turn = must(stage.tables.chats.get(chat)?.turn, 'a turn runs');
    await stage.command('chat.stop', { chat: uuidToBytes(chat), turn: uuidToBytes(turn.id) });
    await stage.settle();
    await stage.clock.runFor(1);
    await stage.settle();
    expectPaired(stage, chat);
    expect(statuses(stage, chat).every((status) => status !== 'ok')).toBe(true);
    expect(lastTurn(stage, chat)).toBe('stopped');
  });

  it('[tools] a call that needs the leave of its owner waits for it, and runs then', async () => {
    const chat = await begin();
    stage.attempt.call(['risky', '{"what":"it"}']);
    await stage.settle();
    expect(statusOf(stage, chat)).toBe('requires_action');
    const [action] = actions(stage, chat);
    const asked = must(action, 'an action waits');
    expect(asked).toMatchObject({ type: 'approval', call: 'c0', name: 'risky', args: '{"what":"it"}' });
    const other = await answer(chat, { ...asked, hash: 'another' }, true);
    expect(other).toMatchObject({ ok: false, body: { code: 'not_waiting' } });
    expect(await answer(chat, asked, true)).toMatchObject({ ok: true, body: { outcome: 'running' } });
    await stage.settle();
    await stage.clock.runFor(1);
    await stage.settle();
    expect(resultsOf(stage, chat)).toMatchObject([{ status: 'ok', text: 'did it' }]);
    expect(await answer(chat, asked, false)).toMatchObject({ ok: false, body: { code: 'not_waiting' } });
    expect(stage.attempts).toHaveLength(2);
  });

  it('[tools] an approval is of the tool as it was shown: one that has changed since is not run', async () => {
    const chat = await begin();
    stage.attempt.call(['risky', '{"what":"it"}']);
    await stage.settle();
    const asked = must(actions(stage, chat)[0], 'an action waits');
    const changed = BUILTIN_TOOLS.map((tool) => (tool.name === 'risky' ? { ...tool, description: 'Another.' } : tool));
    stage = new Stage(stage.tables, undefined, undefined, { tools: changed });
    await stage.host.start();
    expect(await answer(chat, asked, true)).toMatchObject({ ok: true, body: { outcome: 'settled', status: 'error' } });
    await stage.settle();
    expect(resultsOf(stage, chat)).toMatchObject([{ text: expect.stringContaining('changed since') as string }]);
  });

  it('[tools] two answers at once: the first one counts', async () => {
    const chat = await begin();
    stage.attempt.call(['risky', '{"what":"it"}']);
    await stage.settle();
    const asked = must(actions(stage, chat)[0], 'an action waits');
    const [first, second] = await Promise.all([answer(chat, asked, false), answer(chat, asked, true)]);
    expect(first).toMatchObject({ ok: true, body: { outcome: 'settled', status: 'denied' } });
    expect(second).toMatchObject({ ok: false, body: { code: 'not_waiting' } });
    expect(statuses(stage, chat)).toEqual(['denied']);
  });

  it('[tools] always: the next call of the tool in this chat does not ask', async () => {
    const chat = await begin();
    stage.attempt.call(['risky', '{"what":"it"}']);
    await stage.settle();
    await answer(chat, must(actions(stage, chat)[0], 'an action waits'), true, true);
    for (let i = 0; i < 2; i++) {
      await stage.settle();
      await stage.clock.runFor(1);
      await stage.settle();
      if (i === 0) stage.attempt.call(['risky', '{"what":"more"}']);
    }
    expect(statuses(stage, chat)).toEqual(['ok', 'ok']);
    const other = await begin();
    stage.attempt.call(['risky', '{"what":"there"}']);
    await stage.settle();
    expect(actions(stage, other)).toHaveLength(1);
  });

  it('[P12] what nobody answers times out', async () => {
    const chat = await begin();
    stage.attempt.call(['risky', '{"what":"it"}']);
    await stage.settle();
    expect(stage.tables.chats.get(chat)?.wakeAtMs).toBe(stage.clock.nowMs() + 30 * 60_000);
    await stage.clock.runFor(30 * 60_000);
    await stage.settle();
    expect(statuses(stage, chat)).toEqual(['timeout']);
    expect(stage.attempts).toHaveLength(2);
    expect(stage.tables.chats.get(chat)?.wakeAtMs).toBeNull();
  });

  it('[tools] a message instead of an answer denies what waits, and goes into the turn', async () => {
    const chat = await stage.create(undefined, { tools: [COLOR] });
    await stage.send(chat, 'hello');
    await stage.settle();
    stage.attempt.call(['risky', '{"what":"it"}'], ['pick_color', '{}']);
    await stage.settle();
    expect(actions(stage, chat).map(({ type }) => type)).toEqual(['approval', 'result']);
    const turn = must(stage.tables.chats.get(chat)?.turn, 'a turn runs').id;
    const sent = await stage.send(chat, 'do something else');
    expect(sent).toMatchObject({ ok: true, body: { outcome: 'queued', turn: uuidToBytes(turn) } });
    await stage.settle();
    expect(statuses(stage, chat)).toEqual(['denied', 'denied']);
    expect(stage.attempts).toHaveLength(2);
    const roles = stage.attempt.request.items.map(({ role }) => role);
    expect(roles).toEqual(['user', 'assistant', 'tool', 'user']);
    expectPaired(stage, chat);
  });

  it("[tools] a client's tool waits for its result, from any device, once", async () => {
    const chat = await stage.create(undefined, { tools: [COLOR] });
    await stage.send(chat, 'hello');
    await stage.settle();
    expect(stage.attempt.request.tools.map(({ name }) => name)).toContain('pick_color');
    stage.attempt.call(['pick_color', '{"of":["red"]}'], ['clock', '{}']);
    await stage.settle();
    const give = (output: string) =>
      stage.command('tool.result', { chat: uuidToBytes(chat), call: 'c0', output, is_error: false });
    const [first, second] = await Promise.all([give('red'), give('blue')]);
    expect(first).toMatchObject({ ok: true, body: { outcome: 'settled', status: 'ok' } });
    expect(second).toMatchObject({ ok: false, body: { code: 'not_waiting' } });
    await stage.settle();
    const tool = must(stage.attempt.request.items.at(-1), 'the results are there');
    expect(tool.parts).toMatchObject([{ call: 'c0', text: 'red' }, { call: 'c1' }]);
  });

  it('[tools] tools of clients are checked when they are declared', async () => {
    const bad = async (tools: unknown): Promise<void> => {
      expect(await stage.command('chats.create', { tools })).toMatchObject({ ok: false, body: { code: 'bad_args' } });
    };
    await bad('none');
    await bad([COLOR, COLOR]);
    await bad([{ ...COLOR, name: 'clock' }]);
    await bad([{ ...COLOR, name: 'not a name' }]);
    await bad([{ ...COLOR, schema: '{"type":' }]);
    await bad([{ ...COLOR, schema: '{"type":"string"}' }]);
    await bad(Array.from({ length: LIMITS.clientTools + 1 }, (_, i) => ({ ...COLOR, name: `t${i}` })));
  });
});

describe('steering', () => {
  const stage = new Stage();

  it('[actors 4.7] a message that steers goes in before the next request; without one it is the next turn', async () => {
    const chat = await stage.create();
    await stage.send(chat, 'hello');
    await stage.settle();
    await stage.send(chat, 'for later');
    await stage.send(chat, 'use blue', 'steer');
    await stage.send(chat, 'and green', 'steer');
    const queue = must(stage.tables.chats.get(chat), 'the chat is there').queue;
    expect(queue.map(({ parts }) => parts[0]?.text)).toEqual(['use blue', 'and green', 'for later']);
    stage.attempt.call(['clock', '{}']);
    await stage.settle();
    const texts = stage.attempt.request.items.map(({ parts }) => parts[0]?.text);
    expect(texts.slice(-2)).toEqual(['use blue', 'and green']);
    await stage.send(chat, 'too late', 'steer');
    stage.attempt.complete();
    await stage.settle();
    expect(stage.attempt.request.items.at(-1)?.parts[0]?.text).toBe('too late');
    stage.attempt.complete();
    await stage.settle();
    expect(stage.attempt.request.items.at(-1)?.parts[0]?.text).toBe('for later');
  });

  it('[actors 4.7] one that is held for its edit stays out of the next request, and goes in when it is given back', async () => {
    const chat = await stage.create();
    await stage.send(chat, 'hello');
    await stage.settle();
    await stage.send(chat, 'use blue', 'steer');
    const id = uuidToBytes(must(stage.tables.chats.get(chat)?.queue[0], 'it waits').id);
    const edit = (args: Readonly<Record<string, unknown>>) =>
      stage.command('queue.edit', { chat: uuidToBytes(chat), id, ...args });
    await edit({ hold: true });
    stage.attempt.call(['clock', '{}']);
    await stage.settle();
    expect(stage.attempt.request.items.at(-1)?.role).toBe('tool');
    await edit({ content: [{ type: 'text', text: 'use red' }] });
    stage.attempt.call(['clock', '{}']);
    await stage.settle();
    expect(stage.attempt.request.items.at(-1)?.parts).toMatchObject([{ text: 'use red' }]);
    expect(stage.tables.chats.get(chat)?.queue).toEqual([]);
  });

  it('[actors 4.7] at rest it is a message like any other', async () => {
    const chat = await stage.create();
    expect(await stage.send(chat, 'hello', 'steer')).toMatchObject({ ok: true, body: { outcome: 'started' } });
  });
});

describe('after a crash', () => {
  it('[P7] what ran is unknown, what is idempotent runs again with the same key', async () => {
    const first = new Stage();
    const chat = await first.create();
    await first.send(chat, 'hello');
    await first.settle();
    first.attempt.call(['slow', '{"ms":5000}'], ['risky', '{"what":"a","ms":5000}']);
    await first.settle();
    const asked = must(actions(first, chat)[0], 'an action waits');
    await first.command('tool.approve', { chat: uuidToBytes(chat), call: asked.call, hash: asked.hash, allow: true });
    await first.settle();
    const keys = [...must(first.tables.chats.get(chat), 'the chat').calls.values()].map(({ key }) => key);
    const second = new Stage(first.tables);
    await second.host.start();
    await second.settle();
    expect(statuses(second, chat)).toEqual(['unknown']);
    expect([...must(second.tables.chats.get(chat), 'the chat').calls.values()].map(({ key }) => key)).toEqual(keys);
    await second.clock.runFor(5_000);
    await second.settle();
    expect(statuses(second, chat)).toEqual(['unknown', 'ok']);
    expect(second.attempts).toHaveLength(1);
    expectPaired(second, chat);
  });

  it('[P12] a call that waits waits on, and its deadline still comes', async () => {
    const first = new Stage();
    const chat = await first.create(undefined, { tools: [COLOR] });
    await first.send(chat, 'hello');
    await first.settle();
    first.attempt.call(['pick_color', '{}']);
    await first.settle();
    const second = new Stage(first.tables);
    await second.host.start();
    await second.settle();
    expect(statusOf(second, chat)).toBe('requires_action');
    await second.clock.runFor(5 * 60_000);
    await second.settle();
    expect(statuses(second, chat)).toEqual(['timeout']);
    expect(second.attempts).toHaveLength(1);
  });

  it('[P7] calls of an answer that was lost in the middle are settled, those that were not finished are gone', async () => {
    const first = new Stage();
    const chat = await first.create();
    await first.send(chat, 'hello');
    await first.settle();
    const { sink } = first.attempt;
    sink.blockStart(0, 'text');
    sink.blockDelta(0, 'Let me see.');
    sink.blockEnd(0);
    sink.blockStart(1, 'tool_call', { call: 'c1', name: 'clock' });
    sink.blockDelta(1, '{}');
    sink.blockEnd(1);
    sink.blockStart(2, 'tool_call', { call: 'c2', name: 'clock' });
    sink.blockDelta(2, '{');
    await first.clock.runFor(600);
    await first.settle();
    const second = new Stage(first.tables);
    await second.host.start();
    await second.settle();
    expectPaired(second, chat);
    expect(resultsOf(second, chat)).toMatchObject([{ call: 'c1', status: 'interrupted' }]);
    const roles = second.attempt.request.items.map(({ role }) => role);
    expect(roles).toEqual(['user', 'assistant', 'tool', 'user']);
  });
});
