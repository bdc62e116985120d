import { expect, test } from 'vitest';
import { HOST_LIMITS } from '../../actors/host/settings.ts';
import { must } from '../../protocol/assert.ts';
import { uuidToBytes, type ChatId } from '../../protocol/ids.ts';
import { Stage, type Answer } from './stage.ts';

test('[P11] when too much of the heap is held, the longest unused chats at rest leave, and nobody notices', async () => {
  const stage = new Stage();
  const chats: ChatId[] = [];
  for (let i = 0; i < 8; i++) chats.push(await stage.create());
  const use = (chat: ChatId): Promise<Answer> =>
    stage.command('chat.rename', { chat: uuidToBytes(chat), title: `at ${stage.clock.nowMs()}` });
  const here = (some: readonly ChatId[]): readonly ChatId[] => some.filter((chat) => stage.host.isResident(chat));

  // Those that were unused for longest run or are followed.
  const [runs, isFollowed, ...others] = chats;
  const needed = [must(runs, 'the first'), must(isFollowed, 'the second')] as const;
  await stage.send(needed[0], 'go on');
  await stage.attach(needed[1]);
  for (const chat of others) {
    await stage.clock.runFor(1_000);
    await use(chat);
  }
  await stage.host.heapHeld(HOST_LIMITS.heapHeld);
  expect(here(chats)).toEqual(chats);
  await stage.host.heapHeld(HOST_LIMITS.heapHeld + 0.01);
  expect(here(chats)).toEqual([...needed, ...others.slice(2)]);
  expect(stage.host.counts.limits.get('heapHeld')).toBe(1);

  // One collection after the other, down to what is in use.
  for (let i = 0; i < others.length; i++) await stage.host.heapHeld(1);
  expect(here(chats)).toEqual(needed);
  expect((await use(must(others[0], 'the third'))).ok).toBe(true);
});
