// The contract of what compaction and titles keep of a chat: how much its prompt held, who named it, and what attempts
// that are no steps of a turn were for.

import { expect, test } from 'vitest';
import type { ChatStore, NewMessage } from '../../actors/ports.ts';
import type { TurnId } from '../../protocol/ids.ts';
import { at, attemptOf, createChat, createTaken, intentOf, messageOf, newId, takeChat } from './fixture.ts';

/** `store` is called inside tests only. */
export function compactionPort(store: () => ChatStore): void {
  test('[compaction] what the prompt held stays as it is until a commit says otherwise, also that nobody knows', async () => {
    const { chat } = await createTaken(store());
    expect((await takeChat(store(), chat)).contextTokens).toBe(null);
    await store().commit(intentOf(chat, 2, { patch: { contextTokens: 141_000 } }));
    await store().commit(intentOf(chat, 2, { patch: { nextNumber: 2 } }));
    expect((await takeChat(store(), chat)).contextTokens).toBe(141_000);
    await store().commit(intentOf(chat, 3, { patch: { contextTokens: null } }));
    expect((await takeChat(store(), chat)).contextTokens).toBe(null);
  });

  test('[P8] what providers sent does not go back from before the number that a commit gave, for good', async () => {
    const { chat } = await createTaken(store());
    const provider = { provider: 'anthropic', json: new TextEncoder().encode('[{"type":"text","text":"x"}]') };
    const said = (number: number): NewMessage => messageOf(number, at(1, number + 1), { role: 'assistant', provider });
    await store().commit(intentOf(chat, 1, { messages: [said(1), said(2)], patch: { nextNumber: 3 } }));
    await store().commit(intentOf(chat, 1, { patch: { reasoningFrom: 2 } }));
    await store().commit(intentOf(chat, 1, { patch: { contextTokens: 1 } }));
    const prompt = await store().prompt(chat);
    expect(prompt.outcome === 'read' ? prompt.value.map((item) => item.provider?.provider ?? null) : null).toEqual([
      null,
      'anthropic',
    ]);
    expect((await takeChat(store(), chat)).reasoningFrom).toBe(2);
  });

  test('[titles] who named a chat comes back with it: the user at its creation, later whoever the commit says', async () => {
    const { chat } = await createTaken(store());
    expect((await takeChat(store(), chat)).titleSource).toBe(null);
    for (const [index, titleSource] of (['fallback', 'generated', 'user'] as const).entries()) {
      await store().commit(intentOf(chat, 2 + index, { patch: { title: titleSource, titleSource } }));
      expect(await takeChat(store(), chat)).toMatchObject({ titleSource, chat: { title: titleSource } });
    }
    const named = await createChat(store(), { title: 'Mine' });
    expect((await takeChat(store(), named.chat)).titleSource).toBe('user');
  });

  test('[P10] what an open attempt is for comes back with it; a step of the turn says nothing', async () => {
    const { chat } = await createTaken(store());
    const turn = newId<TurnId>();
    const step = attemptOf(turn, 1);
    const aside = (['compaction', 'title'] as const).map((purpose) => ({ ...attemptOf(turn, 2), purpose }));
    await store().commit(intentOf(chat, 1, { attemptsOpened: [step, ...aside] }));
    const { openAttempts } = await takeChat(store(), chat);
    expect(openAttempts).toHaveLength(3);
    for (const attempt of [step, ...aside]) expect(openAttempts).toContainEqual(attempt);
  });
}
