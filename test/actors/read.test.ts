// The read position of a chat, and whose feed moves with what.
import { describe, expect, test } from 'vitest';
import { must } from '../../protocol/assert.ts';
import type { ChatSummary } from '../../protocol/content.ts';
import { uuidToBytes, type ChatId, type OwnerId } from '../../protocol/ids.ts';
import { Stage, eventsOf, type Answer } from './stage.ts';

const ADA = { owner: 'ada' as OwnerId, role: 'member', groups: [] } as const;

async function summary(stage: Stage, chat: ChatId): Promise<ChatSummary> {
  const read = await stage.store.get(ADA, chat);
  return must(read.outcome === 'read' ? read.value : null, 'the chat is there');
}

function read(stage: Stage, chat: ChatId, number: unknown): Promise<Answer> {
  return stage.command('chat.read', { chat: uuidToBytes(chat), number });
}

/** A chat with a message of Ada's and an answer to it. */
async function answered(stage: Stage): Promise<ChatId> {
  const chat = await stage.create();
  await stage.send(chat, 'hello');
  await stage.settle();
  stage.attempt.sink.blockStart(0, 'text');
  stage.attempt.sink.blockDelta(0, 'hi');
  stage.attempt.sink.blockEnd(0);
  stage.attempt.complete();
  await stage.settle();
  return chat;
}

describe('chat.read', () => {
  test('[feed] an answer is unread until its number was read; reading moves the feed and not the list', async () => {
    const stage = new Stage();
    const chat = await answered(stage);
    const before = await summary(stage, chat);
    expect(before).toMatchObject({ read: 0, unread: 1 });
    await stage.clock.runFor(1_000);
    stage.fed.length = 0;
    expect(await read(stage, chat, 2)).toEqual({ ok: true, body: { read: 2 } });
    expect(stage.fed).toEqual(['ada']);
    expect(await summary(stage, chat)).toEqual({ ...before, read: 2, unread: 0 });
  });

  test('[feed] it never goes back, nor past the last message: what is yet to come is unread', async () => {
    const stage = new Stage();
    const chat = await answered(stage);
    expect((await read(stage, chat, 1_000)).body).toEqual({ read: 2 });
    stage.fed.length = 0;
    expect((await read(stage, chat, 1)).body).toEqual({ read: 2 });
    expect((await read(stage, chat, 0)).body).toEqual({ read: 2 });
    expect(stage.fed).toEqual([]);
    expect(await summary(stage, chat)).toMatchObject({ read: 2, unread: 0 });
  });

  test('[feed] followers of the chat hear nothing of it', async () => {
    const stage = new Stage();
    const chat = await answered(stage);
    const attached = await stage.attach(chat);
    const top = must('log' in attached ? attached.log.top : null, 'it is followed');
    await read(stage, chat, 2);
    await stage.settle();
    expect(eventsOf(attached, top)).toEqual([]);
  });

  test('[feed] sending moves no read position: what was answered meanwhile may not have been seen', async () => {
    const stage = new Stage();
    const chat = await answered(stage);
    await stage.send(chat, 'and then?');
    await stage.settle();
    expect(await summary(stage, chat)).toMatchObject({ read: 0, unread: 1 });
  });

  test('[feed] an archived chat and one whose turn runs can be read', async () => {
    const stage = new Stage();
    const chat = await answered(stage);
    await stage.send(chat, 'and then?');
    await stage.settle();
    expect((await read(stage, chat, 2)).body).toEqual({ read: 2 });
    stage.attempt.abort();
    await stage.settle();
    await stage.on(chat, 'archive');
    expect((await read(stage, chat, 3)).body).toEqual({ read: 3 });
  });

  test('[P3] the same command again has the same reply, also after the position has moved on', async () => {
    const stage = new Stage();
    const chat = await answered(stage);
    const id = stage.newId();
    const args = { chat: uuidToBytes(chat), number: 1 };
    const first = await stage.command('chat.read', args, id);
    await read(stage, chat, 2);
    expect(await stage.command('chat.read', args, id)).toEqual(first);
    expect(await summary(stage, chat)).toMatchObject({ read: 2 });
  });

  test('[commands] a number that is none is refused', async () => {
    const stage = new Stage();
    const chat = await stage.create();
    for (const number of [-1, 1.5, '1', undefined]) {
      expect(await read(stage, chat, number)).toMatchObject({ ok: false, body: { code: 'bad_args' } });
    }
  });
});

describe('the feed', () => {
  test('[feed] every commit that changes a summary is told, once, and no other one', async () => {
    const stage = new Stage();
    const chat = await stage.create();
    expect(stage.fed).toEqual(['ada']);
    await stage.command('chat.rename', { chat: uuidToBytes(chat), title: 'a' });
    await stage.command('chat.rename', { chat: uuidToBytes(chat), title: 'a' });
    expect(stage.fed).toHaveLength(2);
    await stage.send(chat, 'hello');
    await stage.settle();
    expect(stage.fed).toHaveLength(3);
    stage.attempt.sink.blockStart(0, 'text');
    stage.attempt.sink.blockDelta(0, 'a long answer');
    await stage.clock.runFor(2_000);
    expect(stage.fed).toHaveLength(3);
    stage.attempt.complete();
    await stage.settle();
    expect(stage.fed).toHaveLength(4);
    await stage.on(chat, 'archive');
    expect(stage.fed).toHaveLength(5);
    await stage.on(chat, 'archive');
    expect(stage.fed).toHaveLength(5);
  });
});
