// A node that goes down in the middle of a turn: the turn is left between two steps, and goes on at whoever has the chat next.

import { describe, expect, test } from 'vitest';
import { must } from '../../protocol/assert.ts';
import { uuidToBytes, type ChatId } from '../../protocol/ids.ts';
import { QUIET, Stage } from './stage.ts';
import { Watcher } from './watcher.ts';

const COLOR = { name: 'pick_color', description: 'Asks for a color.', schema: '{"type":"object"}' };

type Scene = { readonly stage: Stage; readonly chat: ChatId; readonly watcher: Watcher };

/** A turn runs; somebody follows it. */
async function running(): Promise<Scene> {
  const stage = new Stage(undefined, undefined, QUIET);
  const chat = await stage.create(undefined, { tools: [COLOR] });
  await stage.send(chat, 'hello');
  await stage.settle();
  const watcher = new Watcher(stage, chat);
  await watcher.catchUp();
  return { stage, chat, watcher };
}

/** The node has gone, and the next one has come. Who followed comes back with what it has. */
async function nextNode({ stage, chat, watcher }: Scene): Promise<Scene> {
  const next = new Stage(stage.tables, undefined, QUIET);
  const back = new Watcher(next, chat);
  back.state = watcher.state;
  await next.host.start();
  await next.settle();
  return { stage: next, chat, watcher: back };
}

const row = ({ stage, chat }: Scene) => must(stage.tables.chats.get(chat), 'the chat exists');

async function expectAgreed({ stage, chat, watcher }: Scene): Promise<void> {
  await watcher.catchUp();
  const fresh = new Watcher(stage, chat);
  await fresh.catchUp();
  expect(watcher.shown).toEqual(fresh.shown);
}

describe('a turn of which the node goes down', () => {
  test('[actors 4.23] is left behind its step, asks no further one, and goes on with the next request elsewhere', async () => {
    const scene = await running();
    const drained = scene.stage.host.drain();
    scene.stage.attempt.call(['slow', '{"ms":500}'], ['clock', '{}']);
    await scene.stage.settle();
    await scene.stage.clock.runFor(500);
    await drained;
    scene.watcher.readOn();
    expect(scene.stage.attempts).toHaveLength(1);
    expect(row(scene)).toMatchObject({ turn: { step: 2, attempt: 0 }, ownerNode: null, chat: { status: 'running' } });
    const next = await nextNode(scene);
    expect(next.stage.attempts).toHaveLength(1);
    expect(next.stage.attempt.request.items.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool']);
    await expectAgreed(next);
    // Nothing was taken back, nobody began anew, and no recovery was counted.
    expect(next.watcher.outcome).toBe('resumed');
    expect(next.watcher.state.retracted).toBeNull();
    expect(row(next).turn?.recoveries).toBe(0);
    next.stage.attempt.complete();
    await next.stage.settle();
    expect(row(next).chat.last_turn).toMatchObject({ outcome: 'completed' });
    await expectAgreed(next);
  });

  test('[actors 4.23] takes what steers into the step that the next node asks; what is queued has its turn after it', async () => {
    const scene = await running();
    await scene.stage.send(scene.chat, 'also', 'steer');
    await scene.stage.send(scene.chat, 'then');
    const drained = scene.stage.host.drain();
    scene.stage.attempt.call(['clock', '{}']);
    await drained;
    scene.watcher.readOn();
    const next = await nextNode(scene);
    await expectAgreed(next);
    expect(next.stage.attempt.request.items.at(-1)?.parts).toMatchObject([{ text: 'also' }]);
    next.stage.attempt.complete();
    await next.stage.settle();
    expect(next.stage.attempt.request.items.at(-1)?.parts).toMatchObject([{ text: 'then' }]);
    await expectAgreed(next);
  });

  test('[actors 4.23] a chat that has to be compacted first is compacted by the next node', async () => {
    const scene = await running();
    scene.stage.contextWindow = 1_000;
    const drained = scene.stage.host.drain();
    const { sink } = scene.stage.attempt;
    sink.blockStart(0, 'tool_call', { call: 'c0', name: 'clock' });
    sink.blockDelta(0, '{}');
    sink.blockEnd(0);
    const usage = {
      input_tokens: 900,
      output_tokens: 1,
      cache_read_tokens: 0,
      cache_write_tokens: 0,
      estimated: false,
    };
    scene.stage.attempt.end({ outcome: 'completed', stopReason: 'tool_use', provider: null, usage, requestId: null });
    await drained;
    scene.watcher.readOn();
    const next = new Stage(scene.stage.tables, undefined, QUIET);
    next.contextWindow = 1_000;
    const back = new Watcher(next, scene.chat);
    back.state = scene.watcher.state;
    await next.host.start();
    await next.settle();
    expect(next.purposes().at(-1)).toBe('compaction');
    await expectAgreed({ stage: next, chat: scene.chat, watcher: back });
  });

  test('[P12] while a call waits for a client: the chat is given up as it is, and the answer comes to the next one', async () => {
    const scene = await running();
    const drained = scene.stage.host.drain();
    scene.stage.attempt.call(['pick_color', '{}']);
    await drained;
    const { stage, chat } = await nextNode(scene);
    expect(row({ ...scene, stage }).chat.status).toBe('requires_action');
    const args = { chat: uuidToBytes(chat), call: 'c0', output: 'red', is_error: false };
    expect(await stage.command('tool.result', args)).toMatchObject({ ok: true });
    await stage.settle();
    expect(stage.attempt.request.items.at(-1)?.role).toBe('tool');
  });
});
