// What the next activation makes of what the one before has left behind.
import { describe, expect, test } from 'vitest';
import { must } from '../../protocol/assert.ts';
import type { Position } from '../../protocol/position.ts';
import { override } from '../sim/audit.ts';
import { valueOf } from '../storage/fixture.ts';
import { Stage } from './stage.ts';

/** A node dies in mid-stream; `journaled`: after the text that it had shown was saved. */
async function crashed(journaled: boolean): Promise<{ tables: Stage['tables']; cursor: Position; chat: never }> {
  const stage = new Stage();
  const chat = await stage.create();
  await stage.send(chat, 'hello');
  await stage.settle();
  stage.attempt.sink.blockStart(0, 'text');
  stage.attempt.sink.blockDelta(0, 'shown');
  await stage.clock.runFor(journaled ? 1_000 : 10);
  const attached = await stage.attach(chat);
  const { position } = attached as { position: Position };
  return { tables: stage.tables, cursor: position, chat: chat as never };
}

async function retracted(stage: Stage, chat: never, cursor: Position): Promise<Position | null | undefined> {
  const attached = await stage.attach(chat, cursor);
  return attached.outcome === 'snapshot' ? attached.nextPiece()?.head?.retracted : undefined;
}

describe('recovery', () => {
  test('[P5] text that was shown and not saved is retracted, and its step runs again', async () => {
    const { tables, cursor, chat } = await crashed(false);
    const stage = new Stage(tables);
    await stage.host.start();
    await stage.settle();
    expect(stage.attempt.request.items).toHaveLength(1);
    expect(await retracted(stage, chat, cursor)).toMatchObject({ epoch: cursor.epoch });
  });

  test('[P5] the retraction names the epoch that showed the text, also when a later one ended before it did anything', async () => {
    const { tables, cursor, chat } = await crashed(false);
    // An activation whose answer was lost: it took the epoch, and that was all.
    await new Stage(tables).store.activate([{ chat, viewer: null }], 1);
    const stage = new Stage(tables);
    await stage.host.start();
    await stage.settle();
    expect(must(tables.chats.get(chat), 'the chat exists').epoch).toBe(cursor.epoch + 2);
    expect(await retracted(stage, chat, cursor)).toMatchObject({ epoch: cursor.epoch });
  });

  test('[P5] whoever had seen none of the text is told of no loss', async () => {
    const before = new Stage();
    const chat = await before.create();
    const attached = await before.attach(chat);
    await before.send(chat, 'hello');
    await before.settle();
    const { position } = (await before.attach(chat)) as { position: Position };
    before.attempt.sink.blockStart(0, 'text');
    before.attempt.sink.blockDelta(0, 'shown to others');
    const stage = new Stage(before.tables);
    await stage.host.start();
    expect(await retracted(stage, chat as never, position)).toBe(null);
    expect(attached.outcome).toBe('snapshot');
  });

  test('[P5] text that was saved stays, marked as interrupted, and the model continues behind it', async () => {
    const { tables, cursor, chat } = await crashed(true);
    const stage = new Stage(tables);
    await stage.host.start();
    await stage.settle();
    const { messages } = must(tables.chats.get(chat), 'the chat exists');
    expect(messages[1]).toMatchObject({ interrupted: true, parts: [{ type: 'text', text: 'shown' }] });
    expect(stage.attempt.request.items.map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
    expect(await retracted(stage, chat, cursor)).toBe(null);
  });

  test('[P12] a turn whose activation was taken and not answered is taken up all the same', async () => {
    const { tables, chat } = await crashed(false);
    let isLost = true;
    const stage = new Stage(tables, (store) =>
      override(store, {
        activate: async (...args) => {
          const results = await store.activate(...args);
          if (!isLost) return results;
          isLost = false;
          return results.map(() => ({ outcome: 'unavailable', detail: 'played', isUnknown: true }));
        },
      }),
    );
    await stage.host.start();
    expect(stage.attempts).toHaveLength(0);
    expect(valueOf(await stage.store.due(stage.clock.nowMs(), 10)).chats).not.toContain(chat);
    await stage.clock.runFor(1_000);
    expect(stage.attempts).toHaveLength(1);
  });

  test('[P12] a database that cannot say at the start what is due is asked again soon', async () => {
    const { tables } = await crashed(false);
    let isDown = true;
    const stage = new Stage(tables, (store) =>
      override(store, {
        due: (...args) =>
          isDown ? Promise.resolve({ outcome: 'unavailable' as const, detail: 'played' }) : store.due(...args),
      }),
    );
    await stage.host.start();
    isDown = false;
    await stage.clock.runFor(1_000);
    expect(stage.attempts).toHaveLength(1);
  });
});
