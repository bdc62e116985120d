// Editing, asking again, clearing, another model: what leaves a chat, what stays, and what every client sees of it.
import { describe, expect, test } from 'vitest';
import { must } from '../../protocol/assert.ts';
import { uuidToBytes } from '../../protocol/ids.ts';
import { code, EditScene } from './edit-scene.ts';
import { Stage } from './stage.ts';
import { Watcher } from './watcher.ts';

describe('edit', () => {
  test('[P2] what was sent is replaced, what came behind it leaves, and the model sees the new one', async () => {
    const scene = await EditScene.make();
    await scene.talk('one', 'two');
    expect(await scene.texts()).toEqual(['one', 're one', 'two', 're two']);
    const { body } = await scene.edit(3, 'better');
    expect(body).toMatchObject({ outcome: 'started', number: 5 });
    expect(scene.prompt).toEqual(['one', 're one', 'better']);
    await scene.answer('re better');
    expect(await scene.texts()).toEqual(['one', 're one', 'better', 're better']);
    expect(scene.watcher.state.messages.map(({ number }) => number)).toEqual([1, 2, 5, 6]);
    expect(scene.watcher.events).toContainEqual({ kind: 'rewind', from: 3, to: 4 });
    expect(scene.forks).toEqual(['edit']);
  });

  test('[P6] a running turn ends with the edit: nothing of it is shown or kept, its request is given up and paid', async () => {
    const scene = await EditScene.make();
    await scene.send('one');
    await scene.stream('half an ans');
    await scene.texts();
    const before = scene.stage.attempt;
    await scene.edit(1, 'another');
    expect(before.signal.aborted).toBe(true);
    before.sink.blockDelta(0, 'wer');
    before.abort();
    await scene.stage.settle();
    expect(scene.prompt).toEqual(['another']);
    await scene.answer('re another');
    expect(await scene.texts()).toEqual(['another', 're another']);
    const outcomes = scene.watcher.events.flatMap((event) =>
      event.kind === 'turn' && event.type === 'ended' ? [event.outcome] : [],
    );
    expect(outcomes).toEqual(['interrupted', 'completed']);
    const settled = [...scene.stage.tables.attempts.values()].map(({ settlement }) => settlement?.outcome);
    expect(settled).toEqual(['aborted', 'completed']);
  });

  test('[P12] the queue is kept and goes on after the new turn', async () => {
    const scene = await EditScene.make();
    await scene.send('one');
    await scene.send('two');
    await scene.edit(1, 'other');
    expect(scene.row.queue).toHaveLength(1);
    await scene.answer('re other');
    await scene.answer('re two');
    expect(await scene.texts()).toEqual(['other', 're other', 'two', 're two']);
  });

  test('[P12] it works while the turn stops, backs off, or has failed', async () => {
    const scene = await EditScene.make();
    await scene.send('one');
    await scene.ask('chat.stop', { turn: uuidToBytes(must(scene.row.turn, 'it runs').id) });
    expect(scene.row.chat.status).toBe('stopping');
    await scene.edit(1, 'while it stops');
    scene.stage.attempt.fail('overloaded');
    await scene.stage.settle();
    expect(scene.row.turn?.retry).not.toBe(null);
    const number = scene.row.nextNumber - 1;
    await scene.edit(number, 'while it backs off');
    scene.stage.attempt.fail('unauthorized');
    await scene.stage.settle();
    expect(scene.row.chat.status).toBe('error');
    await scene.edit(number + 1, 'after the error');
    expect(scene.row.chat).toMatchObject({ status: 'running', last_error: null });
    await scene.answer('at last');
    expect(await scene.texts()).toEqual(['after the error', 'at last']);
  });

  test('[P3] only what users have sent and what is there is edited; a refusal changes nothing', async () => {
    const scene = await EditScene.make();
    await scene.talk('one', 'two');
    expect(code(await scene.edit(2, 'x'))).toBe('not_editable');
    expect(code(await scene.edit(9, 'x'))).toBe('not_found');
    expect(code(await scene.edit(3, 'x', { model: 'nope' }))).toBe('unknown_model');
    expect(code(await scene.edit(0, ' '))).toBe('bad_args');
    await scene.edit(3, 'better');
    expect(code(await scene.edit(3, 'twice'))).toBe('not_found');
    await scene.answer('re better');
    expect(await scene.texts()).toEqual(['one', 're one', 'better', 're better']);
    await scene.stage.on(scene.chat, 'archive');
    expect(code(await scene.edit(5, 'x'))).toBe('archived');
  });

  test('[P3] the same edit again is the same edit', async () => {
    const scene = await EditScene.make();
    await scene.talk('one');
    const id = scene.stage.newId();
    const args = { number: 1, content: [{ type: 'text', text: 'better' }] };
    const first = await scene.ask('chat.edit', args, id);
    expect(await scene.ask('chat.edit', args, id)).toEqual(first);
    await scene.answer('re better');
    expect(await scene.texts()).toEqual(['better', 're better']);
  });

  test('[P4] a cursor of before the edit hears what left and what came, also after a restart', async () => {
    const scene = await EditScene.make();
    await scene.talk('one', 'two');
    await scene.texts();
    await scene.edit(1, 'better');
    await scene.answer('re better');
    const later = new Stage(scene.stage.tables);
    await later.host.start();
    const cursor = scene.watcher.state;
    const watcher = new Watcher(later, scene.chat);
    watcher.state = cursor;
    await watcher.catchUp();
    expect(watcher.outcome).toBe('snapshot');
    expect(watcher.texts).toEqual(['better', 're better']);
    const fresh = new Watcher(later, scene.chat);
    await fresh.catchUp();
    expect(watcher.shown).toEqual(fresh.shown);
  });
});

describe('retry', () => {
  test('[P12] what the turn made leaves, and the same is asked again', async () => {
    const scene = await EditScene.make();
    await scene.talk('one', 'two');
    const { body } = await scene.ask('chat.retry');
    expect(body).toMatchObject({ outcome: 'started', number: 3 });
    expect(scene.prompt).toEqual(['one', 're one', 'two']);
    await scene.answer('re two, again');
    expect(await scene.texts()).toEqual(['one', 're one', 'two', 're two, again']);
    expect(scene.watcher.state.messages.map(({ number }) => number)).toEqual([1, 2, 3, 5]);
  });

  test('[P12] after an error, with what waits behind it', async () => {
    const scene = await EditScene.make();
    await scene.send('one');
    await scene.send('two');
    await scene.stream('so far');
    scene.stage.attempt.fail('unauthorized');
    await scene.stage.settle();
    expect(scene.row.chat.status).toBe('error');
    await scene.ask('chat.retry');
    expect(scene.prompt).toEqual(['one']);
    await scene.answer('re one');
    await scene.answer('re two');
    expect(await scene.texts()).toEqual(['one', 're one', 'two', 're two']);
  });

  test('[P3] refused while a turn runs, and where there is nothing to answer', async () => {
    const scene = await EditScene.make();
    expect(code(await scene.ask('chat.retry'))).toBe('nothing_to_retry');
    await scene.send('one');
    expect(code(await scene.ask('chat.retry'))).toBe('busy');
    await scene.answer('re one');
    await scene.ask('chat.clear');
    expect(code(await scene.ask('chat.retry'))).toBe('nothing_to_retry');
  });
});

describe('clear', () => {
  test('[P8] prompts begin behind it, people see what was before', async () => {
    const scene = await EditScene.make();
    await scene.talk('one');
    const { body } = await scene.ask('chat.clear');
    expect(body).toMatchObject({ number: 3 });
    await scene.talk('two');
    expect(scene.prompt).toEqual(['two']);
    const texts = await scene.texts();
    expect(texts).toEqual(['one', 're one', expect.stringContaining('Cleared'), 'two', 're two']);
    expect(scene.watcher.state.messages[2]?.role).toBe('system');
  });

  test('[P3] refused while a turn runs, and where the model sees nothing', async () => {
    const scene = await EditScene.make();
    expect(code(await scene.ask('chat.clear'))).toBe('nothing_to_clear');
    await scene.send('one');
    expect(code(await scene.ask('chat.clear'))).toBe('busy');
    await scene.answer('re one');
    await scene.ask('chat.clear');
    expect(code(await scene.ask('chat.clear'))).toBe('nothing_to_clear');
  });

  test('[P8] an edit of what was before it takes it back', async () => {
    const scene = await EditScene.make();
    await scene.talk('one', 'two');
    await scene.ask('chat.clear');
    await scene.edit(3, 'three');
    expect(scene.prompt).toEqual(['one', 're one', 'three']);
    await scene.answer('re three');
    expect(await scene.texts()).toEqual(['one', 're one', 'three', 're three']);
  });
});

describe('set_model', () => {
  test('[P8] the next turn runs on it, the running one keeps its own, and the first request is a fork', async () => {
    const scene = await EditScene.make();
    await scene.texts();
    await scene.send('one');
    await scene.send('two');
    const { body } = await scene.ask('chat.set_model', { model: 'n' });
    expect(body).toMatchObject({ chat: { model: 'n' } });
    expect(scene.row.turn?.model).toBe('m');
    await scene.texts();
    expect(scene.forks).toEqual([]);
    await scene.answer('re one');
    expect(scene.stage.attempt.request.model).toBe('test-2');
    await scene.texts();
    expect(scene.forks).toEqual(['model']);
    await scene.answer('re two');
    await scene.talk('three');
    await scene.texts();
    expect(scene.forks).toEqual(['model']);
    expect(code(await scene.ask('chat.set_model', { model: 'nope' }))).toBe('unknown_model');
  });
});
