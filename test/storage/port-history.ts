// The contract of `HistoryStore` where messages leave a chat and prompts begin anew: on both databases and on the store in
// memory.

import { expect, test } from 'vitest';
import { queueRows } from '../../actors/chat/queue.ts';
import type { ChatStore, NewMessage, Principal, QueuedItem } from '../../actors/ports.ts';
import type { ChatId, CommandId, OwnerId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import { at, createTaken, intentOf, messageOf, newId, NOW_MS, takeChat, valueOf } from './fixture.ts';

const COMMITTED = { outcome: 'committed' };

/** `store` is called inside tests only. */
export function historyPort(store: () => ChatStore): void {
  const history = new History(store);
  rewinds(store, history);
  prompts(store, history);
  waiting(store);
}

/** What the tests do to chats of their own. */
class History {
  readonly #store: () => ChatStore;

  constructor(store: () => ChatStore) {
    this.#store = store;
  }

  /** Messages 1 to `count` at positions (1, 2) to (1, count + 1). */
  async chatWith(
    count: number,
    parts: (number: number) => Partial<NewMessage> = () => ({}),
  ): Promise<{ chat: ChatId; owner: OwnerId }> {
    const made = await createTaken(this.#store());
    const messages = Array.from({ length: count }, (_, i) => messageOf(i + 1, at(1, i + 2), parts(i + 1)));
    await this.#store().commit(intentOf(made.chat, 1, { messages }));
    return made;
  }

  async promptOf(chat: ChatId): Promise<readonly (string | undefined)[]> {
    return valueOf(await this.#store().prompt(chat)).map(({ parts }) => parts[0]?.text);
  }

  async rewind(chat: ChatId, from: number, position: Position, messages: readonly NewMessage[] = []): Promise<void> {
    const intent = intentOf(chat, 1, { rewind: { from, position }, messages });
    expect(await this.#store().commit(intent)).toEqual(COMMITTED);
  }
}

function rewinds(store: () => ChatStore, history: History): void {
  test('[P2] what an edit takes out is gone for readers and for the model, and what takes its place is there', async () => {
    const { chat } = await history.chatWith(5);
    await history.rewind(chat, 3, at(1, 20), [messageOf(6, at(1, 21))]);
    expect(await history.promptOf(chat)).toEqual(['message 1', 'message 2', 'message 6']);
    const page = valueOf(await store().page(chat, { before: null, after: null, limit: 9 }));
    expect(page.messages.map(({ number }) => number)).toEqual([6, 2, 1]);
    expect(valueOf(await store().part(chat, 4, 0))).toBe(null);
    expect(valueOf(await store().part(chat, 6, 0))).toBe('message 6');
  });

  test('[P4] a cursor hears of the messages that it has seen and that left, and of those that came and stayed', async () => {
    const { chat } = await history.chatWith(5);
    await history.rewind(chat, 4, at(1, 20), [messageOf(6, at(1, 21))]);
    await history.rewind(chat, 2, at(1, 22), [messageOf(7, at(1, 23))]);
    const changed = async (since: Position, asOf: Position): Promise<unknown> => {
      const { messages, removed, dropOlder } = valueOf(await store().changes(chat, since, asOf));
      return [dropOlder, removed, messages.map(({ number }) => number)];
    };
    // At (1, 5) the messages 1 to 4 were there.
    expect(await changed(at(1, 5), at(1, 30))).toEqual([false, [[2, 4]], [7]]);
    expect(await changed(at(1, 5), at(1, 21))).toEqual([false, [[4, 4]], [6]]);
    expect(await changed(at(1, 21), at(1, 30))).toEqual([false, [[2, 6]], [7]]);
    expect(await changed(at(1, 22), at(1, 30))).toEqual([false, [], [7]]);
    expect(await changed(at(1, 23), at(1, 30))).toEqual([false, [], []]);
    const all = valueOf(await store().changes(chat, null, at(1, 21)));
    expect(all.messages.map(({ number }) => number)).toEqual([1, 2, 3, 6]);
  });

  test('[P2] what has left stays where it left, whatever leaves later', async () => {
    const { chat } = await history.chatWith(4);
    await history.rewind(chat, 3, at(1, 20));
    await history.rewind(chat, 1, at(1, 21));
    const { removed } = valueOf(await store().changes(chat, at(1, 20), at(1, 30)));
    expect(removed).toEqual([[1, 2]]);
  });

  test('[feed] a message that left is not unread', async () => {
    const { chat, owner } = await history.chatWith(4, (number) => ({ role: number % 2 === 0 ? 'assistant' : 'user' }));
    const viewer: Principal = { owner, role: 'member', groups: [] };
    expect(valueOf(await store().get(viewer, chat))?.unread).toBe(2);
    await history.rewind(chat, 3, at(1, 20));
    expect(valueOf(await store().get(viewer, chat))?.unread).toBe(1);
  });
}

function prompts(store: () => ChatStore, history: History): void {
  test('[P8] prompts begin with the last message that says so, and with the one before when an edit takes it out', async () => {
    const { chat } = await history.chatWith(2);
    const summary = { visibility: 'model', startsPrompt: true } as const;
    await store().commit(intentOf(chat, 1, { messages: [messageOf(3, at(1, 10), summary), messageOf(4, at(1, 11))] }));
    expect(await history.promptOf(chat)).toEqual(['message 3', 'message 4']);
    const cleared = { role: 'system', visibility: 'user', startsPrompt: true } as const;
    await store().commit(intentOf(chat, 1, { messages: [messageOf(5, at(1, 12), cleared)] }));
    expect(await history.promptOf(chat)).toEqual([]);
    expect(valueOf(await store().isPromptEmpty(chat))).toBe(true);
    await store().commit(intentOf(chat, 1, { messages: [messageOf(6, at(1, 13))] }));
    expect(await history.promptOf(chat)).toEqual(['message 6']);
    expect(valueOf(await store().isPromptEmpty(chat))).toBe(false);
    await history.rewind(chat, 5, at(1, 20));
    expect(await history.promptOf(chat)).toEqual(['message 3', 'message 4']);
    await history.rewind(chat, 2, at(1, 21));
    expect(await history.promptOf(chat)).toEqual(['message 1']);
  });

  test('[P8] a message is found by its number, or as the last of a user, while users see it', async () => {
    const { chat } = await history.chatWith(5, (number) => {
      if (number === 2) return { role: 'assistant' };
      if (number === 5) return { visibility: 'model' };
      return number === 3 ? { visibility: 'user', startsPrompt: true, role: 'system' } : {};
    });
    const find = async (which: number | 'last user'): Promise<unknown> =>
      valueOf(await store().findMessage(chat, which));
    expect(await find(1)).toEqual({ number: 1, role: 'user' });
    expect(await find(2)).toEqual({ number: 2, role: 'assistant' });
    expect(await find(4)).toEqual({ number: 4, role: 'user' });
    expect(await find(5)).toBe(null);
    expect(await find(9)).toBe(null);
    expect(await find('last user')).toEqual({ number: 4, role: 'user' });
    await history.rewind(chat, 2, at(1, 20));
    expect(await find(4)).toBe(null);
    expect(await find('last user')).toEqual({ number: 1, role: 'user' });
    await history.rewind(chat, 1, at(1, 21));
    expect(await find('last user')).toBe(null);
  });
}

function waiting(store: () => ChatStore): void {
  const queued = (text: string): QueuedItem => ({
    id: newId<CommandId>(),
    parts: [{ type: 'text', text }],
    created_by: 'ada',
    created_at: NOW_MS,
  });

  test('[P3] the queue is put in another order, edited and held by taking out and putting in again', async () => {
    const { chat } = await createTaken(store());
    const [a, b, c] = [queued('a'), queued('b'), queued('c')] as const;
    await store().commit(intentOf(chat, 1, { enqueue: [a, b, c] }));
    const held = { ...c, held_until: NOW_MS + 5_000 };
    const edited = { ...a, parts: [{ type: 'text', text: 'better' }] } as const;
    const rows = queueRows([a, b, c], [held, edited, b]);
    expect(await store().commit(intentOf(chat, 1, rows))).toEqual(COMMITTED);
    expect((await takeChat(store(), chat)).queue).toEqual([held, edited, b]);
  });

  test('[P8] a chat knows the model of its latest request', async () => {
    const { chat } = await createTaken(store());
    await store().commit(intentOf(chat, 1, { patch: { promptModel: 'm2' } }));
    expect((await takeChat(store(), chat)).promptModel).toBe('m2');
    await store().commit(intentOf(chat, 2, { patch: { nextNumber: 5 } }));
    expect((await takeChat(store(), chat)).promptModel).toBe('m2');
  });
}
