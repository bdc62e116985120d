import { describe, expect, it } from 'vitest';
import type { ChatId } from '../../protocol/ids.ts';
import { Slots } from './slots.ts';

const A = 'a' as ChatId;
const B = 'b' as ChatId;

/** Takes a slot; what was begun is in `begun`, in order. */
function taker(slots: Slots): {
  readonly begun: string[];
  readonly take: (
    name: string,
    chat: ChatId,
    exclusive?: boolean,
  ) => { release(): Promise<void>; abort(): Promise<void> };
} {
  const begun: string[] = [];
  const take = (name: string, chat: ChatId, exclusive = false) => {
    const controller = new AbortController();
    const slot = slots.take(chat, exclusive, controller.signal).then((release) => {
      if (release !== null) begun.push(name);
      return release;
    });
    return {
      release: async () => (await slot)?.(),
      abort: async () => {
        controller.abort();
        await slot;
      },
    };
  };
  return { begun, take };
}

const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

describe('Slots', () => {
  it('[P11] no chat and no node runs more than its bound', async () => {
    const slots = new Slots({ perChat: 2, perNode: 3 });
    const { begun, take } = taker(slots);
    const first = take('a1', A);
    take('a2', A);
    take('a3', A);
    take('b1', B);
    take('b2', B);
    await settle();
    expect({ begun, running: slots.running, waiting: slots.waiting }).toEqual({
      begun: ['a1', 'a2', 'b1'],
      running: 3,
      waiting: 2,
    });
    await first.release();
    await settle();
    expect(begun).toEqual(['a1', 'a2', 'b1', 'a3']);
  });

  it('[tools] an exclusive call runs alone in its chat, and is not passed by', async () => {
    const { begun, take } = taker(new Slots({ perChat: 4, perNode: 4 }));
    const first = take('a1', A);
    const alone = take('alone', A, true);
    take('a2', A);
    take('b1', B);
    await settle();
    expect(begun).toEqual(['a1', 'b1']);
    await first.release();
    await settle();
    expect(begun).toEqual(['a1', 'b1', 'alone']);
    await alone.release();
    await settle();
    expect(begun).toEqual(['a1', 'b1', 'alone', 'a2']);
  });

  it('[P6] who gives up leaves the line, and lets those behind it pass', async () => {
    const slots = new Slots({ perChat: 4, perNode: 4 });
    const { begun, take } = taker(slots);
    take('a1', A);
    const alone = take('alone', A, true);
    take('a2', A);
    await alone.abort();
    await settle();
    expect(begun).toEqual(['a1', 'a2']);
    expect(slots.waiting).toBe(0);
  });
});
