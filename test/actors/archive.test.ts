// Archiving while the chat and its tree live.
import { describe, expect, test } from 'vitest';
import { must } from '../../protocol/assert.ts';
import type { Chat } from '../../protocol/content.ts';
import type { ChatId } from '../../protocol/ids.ts';
import { override } from '../sim/audit.ts';
import { MemoryTables } from '../sim/memory-tables.ts';
import { Stage } from './stage.ts';

/** The chat as its actor shows it, which must be what is stored. */
async function shown(stage: Stage, chat: ChatId): Promise<Chat> {
  const attached = await stage.attach(chat);
  const piece = attached.outcome === 'snapshot' ? attached.nextPiece() : null;
  const { chat: known } = must(piece?.head, 'a snapshot begins with its head');
  expect(known).toEqual(stage.tables.chats.get(chat)?.chat);
  return known;
}

describe('archive', () => {
  test('[archive] taking a chat out of the archive that is not in it changes nothing', async () => {
    const stage = new Stage();
    const chat = await stage.create();
    await stage.clock.runFor(1_000);
    expect((await stage.on(chat, 'unarchive')).ok).toBe(true);
    expect((await shown(stage, chat)).archived).toBe(false);
  });

  test('[archive] the chats below are archived without moving in the list', async () => {
    const stage = new Stage();
    const root = await stage.create();
    const child = await stage.create(root);
    await stage.attach(child);
    await stage.clock.runFor(1_000);
    expect((await stage.on(root, 'archive')).ok).toBe(true);
    await stage.settle();
    expect((await shown(stage, child)).archived).toBe(true);
    expect((await shown(stage, root)).archived).toBe(true);
  });

  test('[archive] archived and taken out again at once, a chat is out', async () => {
    const answer = Promise.withResolvers<void>();
    const stage = new Stage(new MemoryTables(), (store) =>
      override(store, { archiveTree: (request) => answer.promise.then(() => store.archiveTree(request)) }),
    );
    const chat = await stage.create();
    await stage.attach(chat);
    const archived = stage.on(chat, 'archive');
    await stage.settle();
    const out = stage.on(chat, 'unarchive');
    answer.resolve();
    expect([(await archived).ok, (await out).ok]).toEqual([true, true]);
    await stage.settle();
    expect((await shown(stage, chat)).archived).toBe(false);
  });

  test('[archive] archived by its own command just after its tree was, a chat shows the time that storage has', async () => {
    const answer = Promise.withResolvers<void>();
    const stage = new Stage(new MemoryTables(), (store) =>
      override(store, {
        archiveTree: async (request) => {
          const result = await store.archiveTree(request);
          if (request.chat === root) await answer.promise;
          return result;
        },
      }),
    );
    const root = await stage.create();
    const child = await stage.create(root);
    await stage.attach(child);
    const above = stage.on(root, 'archive');
    await stage.clock.runFor(1_000);
    expect((await stage.on(child, 'archive')).ok).toBe(true);
    expect((await shown(stage, child)).archived).toBe(true);
    answer.resolve();
    await above;
  });

  test('[P12] a message that comes between the stop and the archive does not block the chat', async () => {
    const stage = new Stage();
    const chat = await stage.create();
    await stage.send(chat, 'one');
    await stage.settle();
    const archived = stage.on(chat, 'archive');
    // It is in the mailbox before the stopped turn has ended, and starts a turn of its own after it.
    await stage.settle();
    stage.attempt.abort();
    const sent = stage.send(chat, 'two');
    for (let i = 0; i < 20; i++) {
      await stage.clock.runFor(100);
      stage.attempt.abort();
    }
    expect((await archived).ok).toBe(true);
    await sent;
    expect((await shown(stage, chat)).archived).toBe(true);
  });
});

describe('commands', () => {
  test('[P2] commands for a chat that is not in memory reach it in the order in which they came', async () => {
    const stage = new Stage();
    const chat = await stage.create();
    const texts = ['one', 'two', 'three'];
    await Promise.all(texts.map((text) => stage.send(chat, text)));
    const { messages, queue } = must(stage.tables.chats.get(chat), 'the chat exists');
    expect([...messages, ...queue].map(({ parts }) => parts[0]?.text)).toEqual(texts);
  });
});
