// Contract: what a commit does, and what it is told.

import { expect, test } from 'vitest';

import { assert } from '../../protocol/assert.ts';
import type { ChatId, CommandId, TurnId } from '../../protocol/ids.ts';
import type { CommitResult } from '../../actors/ports.ts';
import {
  at,
  attemptOf,
  commandOf,
  createChat,
  createTaken,
  intentOf,
  messageOf,
  newId,
  NOW_MS,
  takeChat,
  valueOf,
  type DatabaseHandle,
} from './fixture.ts';

export function commitContract(handle: () => DatabaseHandle): void {
  test('[P3] everything in a committed intent is in the database', async () => {
    const { store } = handle().opened;
    const { chat, owner } = await createTaken(store);
    const turn = newId<TurnId>();
    const attempt = attemptOf(turn);
    const command = commandOf(owner);
    const queued = {
      id: newId<CommandId>(),
      parts: [{ type: 'text', text: 'next' }],
      created_by: owner,
      created_at: 5,
    } as const;
    const pack = {
      turn,
      step: 1,
      attempt: 1,
      pack: 1,
      position: at(1, 4),
      entries: [{ index: 0, type: 'text', offset: 0, text: 'half a s', ended: false }],
    } as const;
    const turnRecord = { id: turn, model: 'm', step: 1, attempt: 1, stopping: null, retry: null, recoveries: 0 };
    const result = await store.commit(
      intentOf(chat, 1, {
        listed: true,
        atMs: NOW_MS + 5_000,
        patch: {
          title: 'a "title" \\ of {braces}',
          status: 'running',
          model: 'other',
          labels: { __proto__x: '1', k: 'v' },
          turn: turnRecord,
          lastTurn: { turn, outcome: 'completed', error: null },
          fixedSystem: ['one', 'two'],
          nextNumber: 2,
          wakeAtMs: NOW_MS + 60_000,
        },
        messages: [messageOf(1, at(1, 2), { createdBy: owner })],
        enqueue: [queued],
        commands: [command],
        attemptsOpened: [attempt],
        journal: [pack],
      }),
    );
    expect(result).toEqual({ outcome: 'committed' });
    const record = await takeChat(store, chat);
    expect(record).toMatchObject({
      epoch: 2,
      chat: {
        title: 'a "title" \\ of {braces}',
        status: 'running',
        model: 'other',
        last_turn: { turn, outcome: 'completed', error: null },
        updated_at: NOW_MS + 5_000,
      },
      fixedSystem: ['one', 'two'],
      nextNumber: 2,
      turn: turnRecord,
      queue: [queued],
      openAttempts: [attempt],
      journal: [pack],
      commandsComplete: true,
      wakeAtMs: NOW_MS + 60_000,
    });
    expect(record.chat.labels).toEqual({ __proto__x: '1', k: 'v' });
    expect(record.commands).toHaveLength(1);
    expect(Buffer.from(record.commands[0]?.reply.body ?? [])).toEqual(Buffer.from(command.reply.body));
  });

  test('[P1] an intent of another epoch is stale, and nothing of it is written', async () => {
    const { opened, raw } = handle();
    const { chat, owner } = await createTaken(opened.store);
    await takeChat(opened.store, chat);
    for (const epoch of [0, 1, 3]) {
      const intent = intentOf(chat, epoch, {
        listed: true,
        patch: { title: 'stale', nextNumber: 9 },
        messages: [messageOf(epoch + 1, at(epoch, 2))],
        enqueue: [{ id: newId<CommandId>(), parts: [], created_by: owner, created_at: 1 }],
        commands: [commandOf(owner)],
        attemptsOpened: [attemptOf(newId<TurnId>())],
        retract: at(1, 1),
      });
      expect(await opened.store.commit(intent)).toEqual({ outcome: 'stale' });
    }
    const record = await takeChat(opened.store, chat);
    expect(record).toMatchObject({ nextNumber: 1, queue: [], openAttempts: [], commands: [], chat: { title: null } });
    const [counts] = await raw`
      select (select count(*) from messages where chat = ${chat}) as messages,
        (select count(*) from retractions where chat = ${chat}) as retractions`;
    expect(counts).toEqual({ messages: '0', retractions: '0' });
  });

  test('[P1] commits racing with takeovers: what was committed is what is there, and only of its epoch', async () => {
    const { opened, raw } = handle();
    const { chat } = await createTaken(opened.store);
    const outcomes: CommitResult['outcome'][] = [];
    for (let epoch = 1; epoch <= 5; epoch += 1) {
      const before = await Promise.all([
        ...[1, 2, 3].map((n) =>
          opened.store.commit(intentOf(chat, epoch, { messages: [messageOf(epoch * 10 + n, at(epoch, n + 1))] })),
        ),
        takeChat(opened.store, chat).then(() => null),
      ]);
      const late = await opened.store.commit(
        intentOf(chat, epoch, { messages: [messageOf(epoch * 10 + 9, at(epoch, 9))] }),
      );
      expect(late.outcome).toBe('stale');
      for (const result of before) if (result !== null) outcomes.push(result.outcome);
    }
    const rows = await raw`select number from messages where chat = ${chat}`;
    expect(rows).toHaveLength(outcomes.filter((outcome) => outcome === 'committed').length);
    expect(outcomes.every((outcome) => outcome === 'committed' || outcome === 'stale')).toBe(true);
  });

  test('[P3] intents of many chats share one transaction', async () => {
    const { opened, raw } = handle();
    const chats = await Promise.all(Array.from({ length: 50 }, () => createChat(opened.store)));
    await opened.store.activate(
      chats.map(({ chat }) => ({ chat, viewer: null })),
      10,
    );
    const results = await Promise.all(
      chats.map(({ chat }) => opened.store.commit(intentOf(chat, 1, { messages: [messageOf(1, at(1, 2))] }))),
    );
    expect(results.every((result) => result.outcome === 'committed')).toBe(true);
    const ids = chats.map(({ chat }) => chat);
    const [count] =
      await raw`select count(distinct xmin::text) as transactions from messages where chat in ${raw(ids)}`;
    expect(count).toEqual({ transactions: '1' });
  });

  test('[P3] of 200 intents one is poisonous: it alone is refused', async () => {
    const { opened } = handle();
    const chats = await Promise.all(Array.from({ length: 200 }, () => createChat(opened.store)));
    await opened.store.activate(
      chats.map(({ chat }) => ({ chat, viewer: null })),
      10,
    );
    const results = await Promise.all(
      chats.map(({ chat }, index) =>
        opened.store.commit(
          intentOf(chat, 1, {
            patch: { title: index === 137 ? 'a NUL: \0' : `title ${index}` },
            messages: [messageOf(1, at(1, 2))],
          }),
        ),
      ),
    );
    expect(results.filter((result) => result.outcome === 'committed')).toHaveLength(199);
    expect(results[137]).toEqual({ outcome: 'rejected', sqlstate: '22021', detail: 'SQLSTATE 22021' });
    const poisoned = chats[137]?.chat ?? ('' as ChatId);
    const record = await takeChat(opened.store, poisoned);
    expect(record.chat.title).toBeNull();
    expect(valueOf(await opened.store.page(poisoned, { before: null, after: null, limit: 5 })).messages).toEqual([]);
  });

  test('[P3] a number, an id or a position that was used before is refused', async () => {
    const { store } = handle().opened;
    const { chat } = await createTaken(store);
    const first = messageOf(1, at(1, 2));
    expect(await store.commit(intentOf(chat, 1, { messages: [first] }))).toEqual({ outcome: 'committed' });
    const again = [messageOf(1, at(1, 3)), messageOf(2, at(1, 4), { id: first.id }), messageOf(3, at(1, 2))];
    for (const message of again) {
      const result = await store.commit(intentOf(chat, 1, { messages: [message] }));
      expect(result).toMatchObject({ outcome: 'rejected', sqlstate: '23505' });
    }
    expect(valueOf(await store.page(chat, { before: null, after: null, limit: 5 })).messages).toHaveLength(1);
  });

  test('[P2] intents of one chat are applied in the order of the calls', async () => {
    const { store } = handle().opened;
    const { chat } = await createTaken(store);
    const results = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        store.commit(intentOf(chat, 1, { patch: { title: `title ${i}` }, messages: [messageOf(i + 1, at(1, i + 2))] })),
      ),
    );
    expect(results.every((result) => result.outcome === 'committed')).toBe(true);
    expect((await takeChat(store, chat)).chat.title).toBe('title 9');
  });

  test('[P2] what waits behind a refused intent of its chat is not applied', async () => {
    const { store } = handle().opened;
    const { chat } = await createTaken(store);
    const [first, second, third] = await Promise.all([
      store.commit(intentOf(chat, 1, { messages: [messageOf(1, at(1, 2))] })),
      store.commit(intentOf(chat, 1, { messages: [messageOf(1, at(1, 3))] })),
      store.commit(intentOf(chat, 1, { messages: [messageOf(2, at(1, 4))] })),
    ]);
    expect([first?.outcome, second?.outcome, third?.outcome]).toEqual(['committed', 'rejected', 'unavailable']);
    expect(valueOf(await store.page(chat, { before: null, after: null, limit: 5 })).messages).toHaveLength(1);
  });

  test('[P3] an archived chat refuses what requires it not to be', async () => {
    const { store } = handle().opened;
    const { chat } = await createTaken(store);
    await store.commit(intentOf(chat, 1, { patch: { archived: true } }));
    const message = messageOf(1, at(1, 2));
    expect(await store.commit(intentOf(chat, 1, { requireUnarchived: true, messages: [message] }))).toEqual({
      outcome: 'archived',
    });
    expect(await store.commit(intentOf(chat, 1, { messages: [message] }))).toEqual({ outcome: 'committed' });
  });

  test('[storage] the chat row is not rewritten when nothing on it changes', async () => {
    const { opened, raw } = handle();
    const { chat } = await createTaken(opened.store);
    const place = async (): Promise<unknown> =>
      (await raw`select ctid::text from chats where id = ${chat}`)[0]?.['ctid'];
    await opened.store.commit(intentOf(chat, 1, { patch: { title: 'same', nextNumber: 2 } }));
    const before = await place();
    await opened.store.commit(
      intentOf(chat, 1, { patch: { title: 'same', nextNumber: 2, lastError: null, turn: null } }),
    );
    await opened.store.commit(intentOf(chat, 1, { messages: [messageOf(1, at(1, 2))] }));
    expect(await place()).toEqual(before);
    await opened.store.commit(intentOf(chat, 1, { patch: { title: 'other' } }));
    expect(await place()).not.toEqual(before);
  });

  test('[storage] only a listed intent moves updated_at, only a fed one the feed', async () => {
    const { opened, raw } = handle();
    const { chat, owner } = await createTaken(opened.store);
    const look = async (): Promise<unknown> =>
      (
        await raw`select c.updated_at, c.feed_seq, o.feed_seq as owner_seq from chats c join owners o on o.id = c.owner
        where c.id = ${chat}`
      )[0];
    expect(await look()).toEqual({ updated_at: new Date(NOW_MS), feed_seq: '1', owner_seq: '1' });
    await opened.store.commit(intentOf(chat, 1, { atMs: NOW_MS + 9, patch: { nextNumber: 2 } }));
    expect(await look()).toEqual({ updated_at: new Date(NOW_MS), feed_seq: '1', owner_seq: '1' });
    await opened.store.commit(intentOf(chat, 1, { atMs: NOW_MS + 10, listed: true }));
    expect(await look()).toEqual({ updated_at: new Date(NOW_MS + 10), feed_seq: '2', owner_seq: '2' });
    const other = await createTaken(opened.store, { owner });
    await Promise.all([
      opened.store.commit(intentOf(chat, 1, { atMs: NOW_MS + 11, listed: true })),
      opened.store.commit(intentOf(other.chat, 1, { atMs: NOW_MS + 11, listed: true })),
    ]);
    const [seqs] = await raw`select max(c.feed_seq) = max(o.feed_seq) as newest, min(c.feed_seq) >= 4 as moved
      from chats c join owners o on o.id = c.owner where o.id = ${owner}`;
    expect(seqs).toEqual({ newest: true, moved: true });
  });

  test('[P10] attempts are in the ledger from their opening; unpriced and free are told apart', async () => {
    const { opened, raw } = handle();
    const { chat } = await createTaken(opened.store);
    const turn = newId<TurnId>();
    const attempts = [1, 2, 3].map((n) => attemptOf(turn, n));
    await opened.store.commit(intentOf(chat, 1, { attemptsOpened: attempts }));
    const usage = {
      input_tokens: 10,
      output_tokens: 20,
      cache_read_tokens: 30,
      cache_write_tokens: 40,
      estimated: true,
    };
    const settle = { errorCode: null, requestId: 'req_1', settledAtMs: NOW_MS + 7 };
    const [one, two] = attempts;
    await opened.store.commit(
      intentOf(chat, 1, {
        attemptsSettled: [
          { ...settle, id: one?.id ?? newId(), outcome: 'completed', usage, costMicros: 0n },
          { ...settle, id: two?.id ?? newId(), outcome: 'lost', usage: null, costMicros: null, errorCode: 'model_cut' },
        ],
      }),
    );
    const rows =
      await raw`select outcome, error_code, total_cost_micros, cache_write_tokens, usage_estimated, purpose, node
      from attempts where chat = ${chat} order by attempt`;
    expect(rows.map((row) => ({ ...row }))).toEqual([
      {
        outcome: 'completed',
        error_code: null,
        total_cost_micros: '0',
        cache_write_tokens: '40',
        usage_estimated: true,
        purpose: 'turn',
        node: handle().node,
      },
      {
        outcome: 'lost',
        error_code: 'model_cut',
        total_cost_micros: null,
        cache_write_tokens: null,
        usage_estimated: null,
        purpose: 'turn',
        node: handle().node,
      },
      {
        outcome: null,
        error_code: null,
        total_cost_micros: null,
        cache_write_tokens: null,
        usage_estimated: null,
        purpose: 'turn',
        node: handle().node,
      },
    ]);
    expect((await takeChat(opened.store, chat)).openAttempts).toEqual([attempts[2]]);
  });

  test('[storage] queue and journal: rows leave in the commit that no longer needs them', async () => {
    const { store } = handle().opened;
    const { chat, owner } = await createTaken(store);
    const turn = newId<TurnId>();
    const turnRecord = { id: turn, model: 'm', step: 1, attempt: 1, stopping: null, retry: null, recoveries: 0 };
    const queued = [1, 2, 3].map((n) => ({
      id: newId<CommandId>(),
      parts: [{ type: 'text' as const, text: `q${n}` }],
      created_by: owner,
      created_at: NOW_MS,
    }));
    const pack = (n: number) => ({
      turn,
      step: 1,
      attempt: 1,
      pack: n,
      position: at(1, 10 + n),
      entries: [{ index: 0, type: 'text' as const, offset: n, text: 'x', ended: false }],
    });
    await store.commit(
      intentOf(chat, 1, { patch: { turn: turnRecord }, enqueue: queued, journal: [pack(1), pack(2)] }),
    );
    await store.commit(
      intentOf(chat, 1, { dequeue: [queued[1]?.id ?? newId()], clearJournal: true, journal: [pack(3)] }),
    );
    const record = await takeChat(store, chat);
    expect(record.queue).toEqual([queued[0], queued[2]]);
    const [one, two, last] = [0, 1, 2].map((n) => ({ ...queued[n], id: newId<CommandId>() })) as typeof queued;
    assert(one !== undefined && two !== undefined && last !== undefined, 'there are three');
    await store.commit(intentOf(chat, 2, { enqueueFirst: [one, two], enqueue: [last] }));
    expect((await takeChat(store, chat)).queue).toEqual([one, two, queued[0], queued[2], last]);
    expect(record.journal).toEqual([pack(3)]);
  });

  test('[storage] text with NUL, quotes and every plane comes back as it went in', async () => {
    const { store } = handle().opened;
    const { chat } = await createTaken(store);
    const text = 'NUL \0, quote ", backslash \\, brace }, \u{1F600}, \uFFFD, \r\n';
    const json = Buffer.from('[{"type":"text","n":1.0,"b":1,"a":2}]');
    await store.commit(
      intentOf(chat, 1, {
        messages: [
          messageOf(1, at(1, 2), {
            role: 'assistant',
            parts: [{ type: 'text', text }],
            provider: { provider: 'p', json },
          }),
        ],
      }),
    );
    const [item] = valueOf(await store.prompt(chat));
    expect(item?.parts).toEqual([{ type: 'text', text }]);
    expect(Buffer.from(item?.provider?.json ?? [])).toEqual(json);
  });
}
