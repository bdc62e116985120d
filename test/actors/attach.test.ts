// Attaching when storage does what it never should, and when the actor goes on meanwhile.
import { expect, test } from 'vitest';
import type { EvictionLimit } from '../../actors/chat/counted-limits.ts';
import { RingBudget } from '../../actors/chat/ring-budget.ts';
import { StreamLog } from '../../actors/chat/stream-log.ts';
import { attachTo } from '../../actors/host/attach.ts';
import type { ChatStore } from '../../actors/ports.ts';
import type { Epoch } from '../../protocol/ids.ts';
import { Tally } from '../../protocol/measures.ts';
import { EXAMPLE_CHAT } from '../../protocol/vectors/example.ts';
import { Stage } from './stage.ts';

test('[P9] a reading that throws leaves no follower behind: nothing keeps the chat in memory', async () => {
  const failing: { fault: Error | null } = { fault: null };
  const wrap = (store: ChatStore): ChatStore =>
    new Proxy(store, {
      get: (target, name) => {
        if (name === 'changes' && failing.fault !== null) return () => Promise.reject(failing.fault);
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  const stage = new Stage(undefined, wrap);
  const chat = await stage.create();
  failing.fault = new Error('a bug');
  await expect(stage.attach(chat)).rejects.toThrow('a bug');
  expect(stage.host.measure()).toMatchObject({ followers: 0, states: { idle: 1 } });
});

test('[P2][P4] what is appended while the place in the log is on its way is in the state and in its position alike', async () => {
  const rings = new RingBudget(new Tally<EvictionLimit>(), Number.MAX_SAFE_INTEGER);
  const opening = { epoch: 1 as Epoch, sealed: null, chat: EXAMPLE_CHAT, queue: [], turn: null, calls: [], rings };
  const log = new StreamLog(opening);
  const renamed = { ...EXAMPLE_CHAT, title: 'while it is on its way' };
  const nothing = { dropOlder: false, messages: [], removed: [], hasOlder: false, retracted: null };
  const source = {
    log,
    store: { changes: () => Promise.resolve({ outcome: 'read' as const, value: nothing }) },
    isOver: () => false,
    attach: () => {
      queueMicrotask(() => log.append({ kind: 'chat', chat: renamed }));
      return { outcome: 'snapshot' as const, position: log.top, detach: () => undefined };
    },
    settle: () => Promise.resolve(),
  };
  const attached = await attachTo(source, null, { onAppend: () => undefined, onEnd: () => undefined });
  if (attached === 'ended' || attached.outcome !== 'snapshot') throw new Error('a snapshot was to come');
  expect(attached.position).toEqual({ epoch: 1, seq: 2 });
  expect(attached.nextPiece()?.head?.chat.title).toBe(renamed.title);
});
