// The contract of `fork`: a new chat with the messages of another up to one.

import { expect, test } from 'vitest';
import type { ChatStore, CommandReply, ForkResult, NewFork, Principal } from '../../actors/ports.ts';
import type { Part } from '../../protocol/content.ts';
import type { ChatId, CommandId, OwnerId, TurnId } from '../../protocol/ids.ts';
import { at, createTaken, intentOf, messageOf, newId, NOW_MS, takeChat, valueOf } from './fixture.ts';

const PROVIDER = { provider: 'p', json: new Uint8Array([91, 93]) };

/** `store` is called inside tests only. */
export function forkPort(store: () => ChatStore): void {
  forks(store);
  forkedReasoning(store);
  forkedSteps(store);
}

function forkOf(source: ChatId, owner: OwnerId, number: number): NewFork {
  return { id: newId<ChatId>(), owner, source, number, title: null, createdAtMs: NOW_MS + 7 };
}

/** The body of the reply is the last number of the new chat. */
function make(store: ChatStore, fork: NewFork, id = newId<CommandId>()): Promise<ForkResult> {
  const command = { principal: fork.owner, id, name: 'chat.fork', argsHash: new Uint8Array(32), createdAtMs: NOW_MS };
  return store.fork(fork, command, (_chat, number): CommandReply => ({ ok: true, body: new Uint8Array([number]) }));
}

function forks(store: () => ChatStore): void {
  const promptOf = async (chat: ChatId): Promise<unknown> => valueOf(await store().prompt(chat));
  const viewer = (owner: OwnerId): Principal => ({ owner, role: 'member', groups: [] });

  test('[P8] the new chat has the messages up to one as they are, and the same prompt; the other one is not touched', async () => {
    const { chat, owner } = await createTaken(store());
    const summary = { visibility: 'model', startsPrompt: true } as const;
    const messages = [
      messageOf(1, at(1, 2)),
      messageOf(2, at(1, 3), { role: 'assistant', provider: PROVIDER, costMicros: 5n }),
      messageOf(3, at(1, 4), summary),
      messageOf(4, at(1, 5), { role: 'assistant', provider: PROVIDER }),
    ];
    const patch = { model: 'm2', fixedSystem: ['one'], title: 'told', promptModel: 'm2' };
    await store().commit(intentOf(chat, 1, { messages, patch }));
    const before = await promptOf(chat);
    await store().commit(intentOf(chat, 1, { messages: [messageOf(5, at(1, 6))] }));
    const fork = forkOf(chat, owner, 4);
    const made = await make(store(), fork);
    expect(made.outcome === 'created' && [...made.reply.body]).toEqual([4]);
    expect(await promptOf(fork.id)).toEqual(before);
    const record = await takeChat(store(), fork.id);
    expect(record).toMatchObject({
      epoch: 1,
      nextNumber: 5,
      readNumber: 4,
      turn: null,
      queue: [],
      fixedSystem: ['one'],
    });
    expect(record).toMatchObject({
      promptModel: 'm2',
      chat: { title: 'told', model: 'm2', parent: null, status: 'waiting' },
    });
    const { messages: seen } = valueOf(await store().changes(fork.id, null, at(1, 1)));
    expect(seen.map(({ number }) => number)).toEqual([1, 2, 4]);
    expect(valueOf(await store().get(viewer(owner), fork.id))).toMatchObject({ unread: 0, created_at: NOW_MS + 7 });
    const source = valueOf(await store().page(chat, { before: null, after: null, limit: 9 }));
    expect(source.messages.map(({ number }) => number)).toEqual([5, 4, 2, 1]);
  });

  test('[P3] once per command; a chat or message that is not there, or not one\u2019s own, makes none', async () => {
    const { chat, owner } = await createTaken(store());
    const messages = [1, 2, 3].map((number) => messageOf(number, at(1, number + 1)));
    await store().commit(intentOf(chat, 1, { messages }));
    await store().commit(intentOf(chat, 1, { rewind: { from: 3, position: at(1, 9) } }));
    const id = newId<CommandId>();
    const fork = forkOf(chat, owner, 2);
    expect(await make(store(), fork, id)).toMatchObject({ outcome: 'created' });
    const again = await make(store(), fork, id);
    expect(again.outcome === 'repeated' && [...again.row.reply.body]).toEqual([2]);
    const { messages: copied } = valueOf(await store().changes(fork.id, null, at(1, 1)));
    expect(copied).toHaveLength(2);
    expect(await make(store(), forkOf(chat, owner, 3))).toEqual({ outcome: 'not_found' });
    expect(await make(store(), forkOf(newId<ChatId>(), owner, 1))).toEqual({ outcome: 'not_found' });
    expect(await make(store(), forkOf(chat, 'somebody else' as OwnerId, 1))).toEqual({ outcome: 'not_found' });
  });
}

function forkedReasoning(store: () => ChatStore): void {
  test('[P12] reasoning that its provider did not take back stays out of the new chat too, by its own numbers', async () => {
    const { chat, owner } = await createTaken(store());
    const said = [1, 2, 3].map((number) => messageOf(number, at(1, number + 1)));
    await store().commit(intentOf(chat, 1, { messages: said }));
    await store().commit(intentOf(chat, 1, { rewind: { from: 2, position: at(1, 5) } }));
    const answers = [4, 5].map((number) =>
      messageOf(number, at(1, number + 2), { role: 'assistant', provider: PROVIDER }),
    );
    await store().commit(intentOf(chat, 1, { messages: answers, patch: { reasoningFrom: 5 } }));
    const fork = forkOf(chat, owner, 5);
    await make(store(), fork);
    const items = valueOf(await store().prompt(fork.id));
    expect(items.map(({ number, provider }) => [number, provider?.provider])).toEqual([
      [1, undefined],
      [2, undefined],
      [3, PROVIDER.provider],
    ]);
    expect(await takeChat(store(), fork.id)).toMatchObject({ reasoningFrom: 3 });
  });
}

function forkedSteps(store: () => ChatStore): void {
  test('[P7] a step that calls tools goes over with its results, and not before they are there', async () => {
    const { chat, owner } = await createTaken(store());
    const step = { turn: newId<TurnId>(), step: 1 };
    const calls: Part[] = ['a', 'b'].map((call) => ({ type: 'tool_call', text: '{}', call, name: 'clock' }));
    const result = (call: string): Part => ({ type: 'tool_result', text: 'noon', call, status: 'ok' });
    await store().commit(
      intentOf(chat, 1, {
        messages: [
          messageOf(1, at(1, 2)),
          messageOf(2, at(1, 3), { role: 'assistant', parts: calls, ...step }),
          messageOf(3, at(1, 4), { role: 'tool', parts: [result('b')], ...step }),
        ],
      }),
    );
    expect(await make(store(), forkOf(chat, owner, 2))).toEqual({ outcome: 'unsettled' });
    expect(await make(store(), forkOf(chat, owner, 1))).toMatchObject({ outcome: 'created' });
    const last = messageOf(4, at(1, 5), { role: 'tool', parts: [result('a')], ...step });
    await store().commit(intentOf(chat, 1, { messages: [last, messageOf(5, at(1, 6))] }));
    const fork = forkOf(chat, owner, 2);
    const made = await make(store(), fork);
    expect(made.outcome === 'created' && [...made.reply.body]).toEqual([4]);
    expect(await make(store(), forkOf(chat, owner, 3))).toMatchObject({ outcome: 'created' });
  });
}
