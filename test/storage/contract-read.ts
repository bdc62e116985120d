// Contract: what a cursor misses, pages, parts and the prompt.

import { expect, test } from 'vitest';

import type { ChatChanges } from '../../actors/history-ports.ts';
import type { NewMessage } from '../../actors/ports.ts';
import type { ChatId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Position } from '../../protocol/position.ts';
import { at, createTaken, intentOf, messageOf, takeChat, valueOf, type DatabaseHandle } from './fixture.ts';

export function readingContract(handle: () => DatabaseHandle): void {
  /** Messages 1 to `count` at positions (1, 2) to (1, count + 1). */
  const chatWith = async (
    count: number,
    parts: (number: number) => Partial<NewMessage> = () => ({}),
  ): Promise<ChatId> => {
    const { store } = handle().opened;
    const { chat } = await createTaken(store);
    const messages = Array.from({ length: count }, (_, i) => messageOf(i + 1, at(1, i + 2), parts(i + 1)));
    await store.commit(intentOf(chat, 1, { messages, patch: { nextNumber: count + 1 } }));
    return chat;
  };
  const changes = async (chat: ChatId, since: Position | null, asOf: Position): Promise<ChatChanges> =>
    valueOf(await handle().opened.store.changes(chat, since, asOf));
  /** What an edit does: the rows from `from` on leave at `position`. */
  const leave = async (chat: ChatId, from: number, position: Position): Promise<void> => {
    const { store } = handle().opened;
    expect(await store.commit(intentOf(chat, 1, { rewind: { from, position } }))).toEqual({ outcome: 'committed' });
  };
  const numbers = (found: { readonly messages: readonly { readonly number: number }[] }): readonly number[] =>
    found.messages.map((message) => message.number);

  test('[P4] changes: without a cursor the newest messages, ascending', async () => {
    const chat = await chatWith(LIMITS.snapshotMessages);
    const all = await changes(chat, null, at(1, 99));
    expect(all).toMatchObject({ dropOlder: true, hasOlder: false, removed: [], retracted: null });
    expect(numbers(all)).toEqual(Array.from({ length: LIMITS.snapshotMessages }, (_, i) => i + 1));
    const longer = await chatWith(LIMITS.snapshotMessages + 1);
    const newest = await changes(longer, null, at(1, 99));
    expect(newest.hasOlder).toBe(true);
    expect(numbers(newest)[0]).toBe(2);
    expect(numbers(newest).at(-1)).toBe(LIMITS.snapshotMessages + 1);
  });

  test('[P4] changes: exactly the messages of (since, asOf]', async () => {
    const chat = await chatWith(10);
    const some = await changes(chat, at(1, 4), at(1, 8));
    expect(some).toMatchObject({ dropOlder: false, removed: [], retracted: null, hasOlder: true });
    expect(numbers(some)).toEqual([4, 5, 6, 7]);
    expect(numbers(await changes(chat, at(1, 11), at(1, 11)))).toEqual([]);
    const first = await changes(chat, at(0, 0), at(1, 11));
    expect(first.hasOlder).toBe(false);
    expect(numbers(first)).toHaveLength(10);
    // A cursor above everything, as one from a crashed epoch may be.
    expect(numbers(await changes(chat, at(1, 500), at(2, 1)))).toEqual([]);
  });

  test('[P4] changes: over epochs positions are compared as pairs', async () => {
    const { store } = handle().opened;
    const chat = await chatWith(3);
    await takeChat(store, chat);
    await store.commit(intentOf(chat, 2, { messages: [messageOf(4, at(2, 2))] }));
    expect(numbers(await changes(chat, at(1, 3), at(2, 2)))).toEqual([3, 4]);
    expect(numbers(await changes(chat, at(1, 900), at(2, 2)))).toEqual([4]);
    expect(numbers(await changes(chat, at(1, 3), at(2, 1)))).toEqual([3]);
  });

  test('[P4] changes: more than a snapshot holds drops what the client has', async () => {
    const chat = await chatWith(LIMITS.snapshotMessages + 5);
    const many = await changes(chat, at(1, 2), at(1, 99));
    expect(many).toMatchObject({ dropOlder: true, hasOlder: true });
    expect(numbers(many)).toHaveLength(LIMITS.snapshotMessages);
    const few = await changes(chat, at(1, 6), at(1, 99));
    expect(few.dropOlder).toBe(false);
    expect(numbers(few)).toHaveLength(LIMITS.snapshotMessages);
  });

  test('[P4] changes: what left is named in a range, when the cursor had seen it', async () => {
    const { store } = handle().opened;
    const chat = await chatWith(9);
    await leave(chat, 7, at(1, 20));
    await store.commit(intentOf(chat, 1, { messages: [messageOf(10, at(1, 21))] }));
    await leave(chat, 3, at(1, 22));
    // The cursor had seen 1 to 8; 9 and 10 came and went after it.
    const seen = await changes(chat, at(1, 9), at(1, 30));
    expect(seen.removed).toEqual([[3, 8]]);
    expect(numbers(seen)).toEqual([]);
    // As of a position before the second edit, the messages it took are there.
    expect((await changes(chat, at(1, 9), at(1, 21))).removed).toEqual([[7, 8]]);
    expect(numbers(await changes(chat, at(1, 9), at(1, 21)))).toEqual([10]);
    expect(numbers(await changes(chat, null, at(1, 20)))).toEqual([1, 2, 3, 4, 5, 6]);
    expect(numbers(await changes(chat, null, at(1, 30)))).toEqual([1, 2]);
    // A cursor behind the first edit has heard of that one, one behind both of both.
    expect((await changes(chat, at(1, 21), at(1, 30))).removed).toEqual([[3, 10]]);
    expect((await changes(chat, at(1, 22), at(1, 30))).removed).toEqual([]);
  });

  test('[P4] changes: rows that only the model saw are nothing to tell', async () => {
    const chat = await chatWith(6, (number) => ({ visibility: number % 2 === 0 ? 'model' : 'both' }));
    expect(numbers(await changes(chat, null, at(1, 99)))).toEqual([1, 3, 5]);
    await leave(chat, 2, at(1, 20));
    expect((await changes(chat, at(1, 9), at(1, 30))).removed).toEqual([[3, 5]]);
    const hidden = await chatWith(2, () => ({ visibility: 'model' }));
    await leave(hidden, 1, at(1, 20));
    expect((await changes(hidden, at(1, 9), at(1, 30))).removed).toEqual([]);
  });

  test('[P5] changes: text that was shown and is lost is retracted for the cursors that saw it', async () => {
    const { store } = handle().opened;
    const chat = await chatWith(2);
    await takeChat(store, chat);
    await store.commit(intentOf(chat, 2, { retract: at(1, 40) }));
    expect((await changes(chat, at(1, 41), at(2, 5))).retracted).toEqual(at(1, 40));
    expect((await changes(chat, at(1, 40), at(2, 5))).retracted).toBeNull();
    expect((await changes(chat, at(1, 7), at(2, 5))).retracted).toBeNull();
    expect((await changes(chat, at(2, 99), at(2, 5))).retracted).toBeNull();
    // Said again after another crash: the lower one holds.
    await store.commit(intentOf(chat, 2, { retract: at(1, 30) }));
    await store.commit(intentOf(chat, 2, { retract: at(1, 50) }));
    expect((await changes(chat, at(1, 35), at(2, 5))).retracted).toEqual(at(1, 30));
  });

  test('[P4] page: newest first, or ascending after a number; has_more is exact', async () => {
    const { store } = handle().opened;
    const chat = await chatWith(7, (number) => ({ visibility: number === 4 ? 'model' : 'both' }));
    const read = async (before: number | null, after: number | null, limit: number): Promise<unknown> => {
      const found = valueOf(await store.page(chat, { before, after, limit }));
      return [numbers(found), found.hasMore];
    };
    expect(await read(null, null, 3)).toEqual([[7, 6, 5], true]);
    expect(await read(5, null, 3)).toEqual([[3, 2, 1], false]);
    expect(await read(5, null, 2)).toEqual([[3, 2], true]);
    expect(await read(null, 2, 2)).toEqual([[3, 5], true]);
    expect(await read(null, 5, 2)).toEqual([[6, 7], false]);
    expect(await read(7, 2, 9)).toEqual([[6, 5, 3], false]);
    expect(await read(1, null, 9)).toEqual([[], false]);
    await leave(chat, 6, at(1, 20));
    expect(await read(null, null, 3)).toEqual([[5, 3, 2], true]);
  });

  test('[P4] large parts are references in pages and snapshots, and are fetched whole', async () => {
    const { store } = handle().opened;
    const large = 'é'.repeat(LIMITS.inlinePartBytes / 2) + 'x';
    const inline = 'é'.repeat(LIMITS.inlinePartBytes / 2);
    const chat = await chatWith(2, (number) => ({
      visibility: number === 2 ? 'model' : 'both',
      parts: [
        { type: 'reasoning', text: inline },
        { type: 'text', text: large },
      ],
    }));
    const expected = [
      { type: 'reasoning', text: inline },
      { type: 'text', bytes: LIMITS.inlinePartBytes + 1 },
    ];
    expect((await changes(chat, null, at(1, 9))).messages[0]?.parts).toEqual(expected);
    expect(valueOf(await store.page(chat, { before: null, after: null, limit: 1 })).messages[0]?.parts).toEqual(
      expected,
    );
    expect(valueOf(await store.part(chat, 1, 1))).toBe(large);
    expect(valueOf(await store.part(chat, 1, 2))).toBeNull();
    expect(valueOf(await store.part(chat, 2, 1))).toBeNull();
    expect(valueOf(await store.part(chat, 3, 0))).toBeNull();
    await leave(chat, 1, at(1, 20));
    expect(valueOf(await store.part(chat, 1, 1))).toBeNull();
  });

  test('[P8] prompt: what the model may see and what has not left, ascending', async () => {
    const { store } = handle().opened;
    const chat = await chatWith(5, (number) => ({
      role: number % 2 === 0 ? 'assistant' : 'user',
      visibility: number === 3 ? 'user' : number === 4 ? 'model' : 'both',
    }));
    await leave(chat, 5, at(1, 20));
    const items = valueOf(await store.prompt(chat));
    expect(items.map((item) => [item.role, item.parts[0]?.text])).toEqual([
      ['user', 'message 1'],
      ['assistant', 'message 2'],
      ['assistant', 'message 4'],
    ]);
  });

  test('[storage] a message carries what its row holds, and no more', async () => {
    const { store } = handle().opened;
    const usage = { input_tokens: 1, output_tokens: 2, cache_read_tokens: 3, cache_write_tokens: 4, estimated: false };
    const { chat } = await createTaken(store);
    const user = messageOf(1, at(1, 2), { createdBy: 'somebody' as never });
    const turn = user.id as never;
    const reply = messageOf(2, at(1, 3), {
      role: 'assistant',
      model: 'm',
      turn,
      step: 3,
      interrupted: true,
      usage,
      costMicros: 12n,
    });
    await store.commit(intentOf(chat, 1, { messages: [user, reply] }));
    const { messages } = await changes(chat, null, at(1, 9));
    expect(messages).toEqual([
      { number: 1, id: user.id, role: 'user', parts: user.parts, created_at: user.createdAtMs, created_by: 'somebody' },
      {
        number: 2,
        id: reply.id,
        role: 'assistant',
        parts: reply.parts,
        created_at: reply.createdAtMs,
        model: 'm',
        turn,
        step: 3,
        interrupted: true,
        usage,
      },
    ]);
  });

  test('[storage] content of an unknown version is an error of that reading, not a crash', async () => {
    const { opened, raw } = handle();
    const chat = await chatWith(2);
    await raw`update messages set content_version = 99 where chat = ${chat} and number = 2`;
    const { store } = opened;
    const readings = [
      await store.changes(chat, null, at(1, 9)),
      await store.page(chat, { before: null, after: null, limit: 5 }),
      await store.part(chat, 2, 0),
      await store.prompt(chat),
    ];
    for (const reading of readings) {
      expect(reading.outcome === 'unavailable' && reading.detail).toContain('content_version 99');
    }
    expect(valueOf(await store.part(chat, 1, 0))).toBe('message 1');
  });
}
