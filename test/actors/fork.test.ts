// A new chat that begins with the messages of another up to one.
import { describe, expect, test } from 'vitest';
import { must } from '../../protocol/assert.ts';
import { uuidFromBytes, type ChatId } from '../../protocol/ids.ts';
import { code, EditScene } from './edit-scene.ts';
import type { Answer } from './stage.ts';
import { Watcher } from './watcher.ts';

function chatOf({ body }: Answer): ChatId {
  const { chat } = body as { readonly chat: { readonly id: Uint8Array } };
  return must(uuidFromBytes<ChatId>(chat.id), 'a chat has an id');
}

describe('fork', () => {
  test('[P8] what is said in it goes on from there, while the other one goes on by itself', async () => {
    const scene = await EditScene.make();
    await scene.talk('one', 'two');
    await scene.send('three');
    const answer = await scene.ask('chat.fork', { number: 2, title: 'aside' });
    expect(answer.body).toMatchObject({ number: 2, chat: { title: 'aside', status: 'waiting' } });
    const aside = new EditScene(scene.stage, chatOf(answer));
    const running = scene.stage.attempt;
    await aside.send('other two');
    expect(aside.prompt).toEqual(['one', 're one', 'other two']);
    await aside.answer('re other two');
    expect(await aside.texts()).toEqual(['one', 're one', 'other two', 're other two']);
    running.complete();
    await scene.stage.settle();
    expect((await scene.texts()).slice(0, 5)).toEqual(['one', 're one', 'two', 're two', 'three']);
    expect(aside.forks).toEqual([]);
  });

  test('[P3] the same command makes one chat, and one that ends with a question can be asked again', async () => {
    const scene = await EditScene.make();
    await scene.talk('one');
    const id = scene.stage.newId();
    const first = await scene.ask('chat.fork', { number: 1 }, id);
    expect(await scene.ask('chat.fork', { number: 1 }, id)).toEqual(first);
    const aside = new EditScene(scene.stage, chatOf(first));
    await aside.ask('chat.retry');
    await aside.answer('another answer');
    expect(await aside.texts()).toEqual(['one', 'another answer']);
    expect(code(await scene.ask('chat.fork', { number: 9 }))).toBe('not_found');
    expect(code(await scene.ask('chat.fork', { number: 'x' }))).toBe('bad_args');
    expect(scene.stage.tables.chats.size).toBe(2);
  });

  test('[P4] a client that opens it gets what it begins with', async () => {
    const scene = await EditScene.make();
    await scene.talk('one', 'two');
    const watcher = new Watcher(scene.stage, chatOf(await scene.ask('chat.fork', { number: 4 })));
    await watcher.catchUp();
    expect(watcher.texts).toEqual(['one', 're one', 'two', 're two']);
    expect(watcher.state.hasOlder).toBe(false);
  });
});
