// What must not happen when storage, a provider or a whole node fails at a bad moment.
import { describe, expect, test } from 'vitest';
import type { ChatStore } from '../../actors/ports.ts';
import { must } from '../../protocol/assert.ts';
import { uuidToBytes, type ChatId } from '../../protocol/ids.ts';
import { override } from '../sim/audit.ts';
import { MemoryTables } from '../sim/memory-tables.ts';
import { eventsOf, QUIET, Stage } from './stage.ts';

const UNAVAILABLE = { outcome: 'unavailable', detail: 'played' } as const;

/** A chat whose turn runs, with one message behind it. */
async function busy(wrap?: (store: ChatStore) => ChatStore): Promise<{ stage: Stage; chat: ChatId }> {
  const stage = new Stage(new MemoryTables(), wrap, QUIET);
  const chat = await stage.create();
  await stage.send(chat, 'first');
  await stage.send(chat, 'second');
  await stage.settle();
  return { stage, chat };
}

function texts(stage: Stage, chat: ChatId): readonly (string | undefined)[] {
  return must(stage.tables.chats.get(chat), 'the chat exists').messages.map(({ parts }) => parts[0]?.text);
}

describe('endurance', () => {
  test('[P12] a chat of which storage rejects every commit is loaded a few times, then sleeps', async () => {
    let activations = 0;
    let isPoisoned = false;
    const { stage, chat } = await busy((store) =>
      override(store, {
        activate: (...args) => {
          activations += 1;
          return store.activate(...args);
        },
        commit: (intent) =>
          isPoisoned
            ? Promise.resolve({ outcome: 'rejected', sqlstate: '23505', detail: 'played' })
            : store.commit(intent),
      }),
    );
    isPoisoned = true;
    stage.attempt.complete();
    activations = 0;
    await stage.clock.runFor(600_000);
    expect(activations).toBeGreaterThan(0);
    expect(activations).toBeLessThanOrEqual(5);
    isPoisoned = false;
    expect((await stage.send(chat, 'third')).ok).toBe(true);
  });

  test('[P12] the queue goes on after an archive that did not happen', async () => {
    const { stage, chat } = await busy((store) => override(store, { archiveTree: async () => UNAVAILABLE }));
    const archived = stage.on(chat, 'archive');
    await stage.settle();
    stage.attempt.abort();
    expect((await archived).ok).toBe(false);
    await stage.settle();
    expect(stage.attempts).toHaveLength(2);
    expect(texts(stage, chat)).toEqual(['first', 'second']);
  });

  test('[actors 4.7] a node that goes down starts nothing; the next one takes the queue up', async () => {
    const { stage, chat } = await busy();
    const drained = stage.host.drain();
    stage.attempt.complete();
    await drained;
    expect(stage.attempts).toHaveLength(1);
    const next = new Stage(stage.tables);
    await next.host.start();
    await next.settle();
    expect(next.attempts).toHaveLength(1);
    expect(texts(next, chat)).toEqual(['first', 'second']);
    expect(must(next.tables.chats.get(chat), 'the chat exists').wakeAtMs).toBeNull();
  });

  test('[P3] a command whose commit may be on its way is never called unchanged', async () => {
    let isGone = false;
    const { stage, chat } = await busy((store) =>
      override(store, {
        commit: async (intent) => (isGone ? { outcome: 'unknown', detail: 'played' } : store.commit(intent)),
        activate: async (...args) => (isGone ? args[0].map(() => UNAVAILABLE) : store.activate(...args)),
      }),
    );
    isGone = true;
    const answer = await stage.command('chat.rename', { chat: uuidToBytes(chat), title: 'a' });
    expect(answer).toMatchObject({ ok: false, body: { code: 'unknown_outcome' } });
  });

  test('[P6] what waits behind the commit of a stop is not shown after it', async () => {
    const gate = Promise.withResolvers<void>();
    let isGated = false;
    const { stage, chat } = await busy((store) =>
      override(store, {
        commit: async (intent) => {
          if (isGated) await gate.promise;
          return store.commit(intent);
        },
      }),
    );
    stage.attempt.sink.blockStart(0, 'text');
    await stage.settle();
    const attached = await stage.attach(chat);
    const turn = must(must(stage.tables.chats.get(chat), 'the chat exists').turn, 'a turn runs').id;
    isGated = true;
    const stopped = stage.command('chat.stop', { chat: uuidToBytes(chat), turn: uuidToBytes(turn) });
    await stage.settle();
    stage.attempt.sink.blockDelta(0, 'late');
    gate.resolve();
    await stopped;
    const kinds = 'position' in attached ? eventsOf(attached, attached.position).map(({ event }) => event.kind) : [];
    expect(kinds).toContain('chat');
    expect(kinds).not.toContain('block');
  });

  test('[P12] a silent provider whose request does not even end is given up after the grace', async () => {
    const { stage } = await busy();
    await stage.clock.runFor(60_000);
    expect(stage.attempts.length).toBeGreaterThan(1);
  });

  test('[storage 2.6] a change to what a chat has already moves nothing', async () => {
    const { stage, chat } = await busy();
    const rename = () => stage.command('chat.rename', { chat: uuidToBytes(chat), title: 'a' });
    await rename();
    const before = must(stage.tables.chats.get(chat), 'the chat exists').chat;
    await stage.clock.runFor(1_000);
    expect((await rename()).ok).toBe(true);
    expect(must(stage.tables.chats.get(chat), 'the chat exists').chat).toEqual(before);
  });

  test('[actors 4.7] a turn that fails while its node goes down leaves nothing due: the queue waits as after any error', async () => {
    const { stage, chat } = await busy();
    const drained = stage.host.drain();
    stage.attempt.fail('unauthorized');
    await drained;
    const row = must(stage.tables.chats.get(chat), 'the chat exists');
    expect(row).toMatchObject({ wakeAtMs: null, chat: { status: 'error' } });
    expect(row.queue).toHaveLength(1);
  });

  test('[actors 4.7] a node that goes down begins no further attempt, the next one waits on', async () => {
    const { stage, chat } = await busy();
    stage.attempt.fail('overloaded');
    await stage.settle();
    const release = Promise.withResolvers<void>();
    const other = await stage.create();
    await stage.send(other, 'it keeps the node up');
    await stage.settle();
    const drained = stage.host.drain().then(release.resolve);
    await stage.clock.runFor(3_000);
    expect(stage.attempts).toHaveLength(2);
    stage.attempt.complete();
    await Promise.all([drained, release.promise]);
    expect(must(stage.tables.chats.get(chat), 'the chat exists').turn?.retry).not.toBeNull();
    const next = new Stage(stage.tables, undefined, QUIET);
    await next.host.start();
    await next.clock.runFor(3_000);
    expect(next.attempts).toHaveLength(1);
  });
});
