// The contract of the ledger of calls: on both databases and on the store in memory.

import { expect, test } from 'vitest';
import type { ChatStore } from '../../actors/ports.ts';
import type { CallRow } from '../../actors/tool-ports.ts';
import type { CommandId, TurnId } from '../../protocol/ids.ts';
import { createTaken, intentOf, newId, NOW_MS, takeChat } from './fixture.ts';

/** `store` is called inside tests only. */
export function callsPort(store: () => ChatStore): void {
  const turn = newId<TurnId>();
  const record = { id: turn, model: 'm', step: 1, attempt: 1, stopping: null, retry: null, recoveries: 0 };
  const call = (index: number): Omit<CallRow, 'state'> => ({
    turn,
    step: 1,
    index,
    call: `c${index}`,
    name: 'clock',
    args: '{"half":"\u00e9\ufeff',
    key: newId<CommandId>(),
    hash: 'h',
  });

  test('[P7] open calls come back as they went in, settled ones never change again', async () => {
    const { chat } = await createTaken(store());
    const running: CallRow = { ...call(0), state: 'running' };
    const waiting: CallRow = { ...call(1), state: 'waiting', wait: 'approval', deadlineAtMs: NOW_MS + 1_000 };
    const settled: CallRow = { ...call(2), state: 'settled', status: 'error' };
    const committed = { outcome: 'committed' };
    const patch = { turn: record };
    expect(await store().commit(intentOf(chat, 1, { patch, calls: [running, waiting, settled] }))).toEqual(committed);
    expect((await takeChat(store(), chat)).calls).toEqual([running, waiting]);
    const ended: CallRow = { ...call(0), key: running.key, state: 'settled', status: 'ok' };
    const again: CallRow = { ...call(2), state: 'running' };
    expect(await store().commit(intentOf(chat, 2, { calls: [ended, again] }))).toEqual(committed);
    expect((await takeChat(store(), chat)).calls).toEqual([waiting]);
    expect(await store().commit(intentOf(chat, 3, { calls: [{ ...ended, state: 'running' }] }))).toEqual(committed);
    expect((await takeChat(store(), chat)).calls).toEqual([waiting]);
  });

  test('[storage] what is allowed in a chat, the hash of its tools, and what steers come back', async () => {
    const { chat, owner } = await createTaken(store());
    const item = { id: newId<CommandId>(), parts: [], created_by: owner, created_at: NOW_MS, steer: true } as const;
    await store().commit(intentOf(chat, 1, { patch: { allowed: ['risky'], toolsHash: 'abc' }, enqueue: [item] }));
    const { allowed, toolsHash, queue, clientTools } = await takeChat(store(), chat);
    expect({ allowed, toolsHash, queue, clientTools }).toEqual({
      allowed: ['risky'],
      toolsHash: 'abc',
      queue: [item],
      clientTools: [],
    });
  });
}
