// Attaching when storage does what it never should.
import { expect, test } from 'vitest';
import type { ChatStore } from '../../actors/ports.ts';
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
