// Commands take effect once, whatever is known of them (P3).
import { describe, expect, test } from 'vitest';
import { must } from '../../protocol/assert.ts';
import { uuidToBytes, uuidV7, type ChatId, type CommandId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { override } from '../sim/audit.ts';
import { SimRandom } from '../sim/random.ts';
import { MemoryTables } from '../sim/memory-tables.ts';
import { Stage, type Answer } from './stage.ts';

const HOUR_MS = 3_600_000;

function code({ body }: Answer): unknown {
  return (body as { readonly code?: unknown }).code;
}

function rename(stage: Stage, chat: ChatId, title: string, id: CommandId): Promise<Answer> {
  return stage.command('chat.rename', { chat: uuidToBytes(chat), title }, id);
}

function titles(stage: Stage, chat: ChatId): string | null {
  return must(stage.tables.chats.get(chat), 'the chat exists').chat.title;
}

describe('commands', () => {
  test('[P3] a duplicate in flight joins the first, a later one gets its reply from memory, from storage or anew', async () => {
    const stage = new Stage();
    const chat = await stage.create();
    const id = stage.newId();
    const [first, joined] = await Promise.all([rename(stage, chat, 'a', id), rename(stage, chat, 'a', id)]);
    expect(joined).toEqual(first);
    await rename(stage, chat, 'b', stage.newId());
    expect(await rename(stage, chat, 'a', id)).toEqual(first);
    const next = new Stage(stage.tables);
    expect(await rename(next, chat, 'a', id)).toEqual(first);
    expect(titles(next, chat)).toBe('b');
  });

  test('[P3] another command under an id that was used is refused', async () => {
    const stage = new Stage();
    const chat = await stage.create();
    const id = stage.newId();
    await rename(stage, chat, 'a', id);
    expect(code(await rename(stage, chat, 'b', id))).toBe('id_reused');
    expect(code(await stage.command('chat.archive', { chat: uuidToBytes(chat) }, id))).toBe('id_reused');
    expect(titles(stage, chat)).toBe('a');
  });

  test('[P3] after 24 h a send is known by what it created, anything else has expired', async () => {
    const stage = new Stage();
    const chat = await stage.create();
    const id = stage.newId();
    const args = { chat: uuidToBytes(chat), content: [{ type: 'text', text: 'hello' }] };
    expect((await stage.command('chat.send', args, id)).ok).toBe(true);
    await stage.clock.runFor(25 * HOUR_MS);
    stage.tables.commands.clear();
    const next = new Stage(stage.tables);
    await next.clock.runFor(25 * HOUR_MS);
    expect(code(await next.command('chat.send', args, id))).toBe('already_applied');
    const old = uuidV7<CommandId>(next.clock.nowMs() - LIMITS.commandReplyMs - 1_000, new SimRandom(5).bytes(10));
    expect(code(await rename(next, chat, 'late', old))).toBe('expired');
    const early = uuidV7<CommandId>(next.clock.nowMs() + 25 * HOUR_MS, new SimRandom(6).bytes(10));
    expect(code(await rename(next, chat, 'early', early))).toBe('bad_command_id');
  });

  test('[P3] an outcome that is not known is found out under the next epoch: applied', async () => {
    let isLost = false;
    const stage = new Stage(new MemoryTables(), (store) =>
      override(store, {
        commit: async (intent) => {
          const result = await store.commit(intent);
          if (!isLost || intent.commands.length === 0) return result;
          isLost = false;
          return { outcome: 'unknown', detail: 'played' };
        },
      }),
    );
    const chat = await stage.create();
    await rename(stage, chat, 'before', stage.newId());
    isLost = true;
    const id = stage.newId();
    expect((await rename(stage, chat, 'after', id)).ok).toBe(true);
    expect(titles(stage, chat)).toBe('after');
    expect(must(stage.tables.chats.get(chat), 'the chat exists').epoch).toBe(2);
    expect([...stage.tables.commands.values()].filter(({ row }) => row.id === id)).toHaveLength(1);
  });

  test('[P1] a commit that arrives after its answer "unknown" is fenced: the command takes effect under the next epoch', async () => {
    const late: (() => Promise<unknown>)[] = [];
    let isLate = false;
    const stage = new Stage(new MemoryTables(), (store) =>
      override(store, {
        commit: (intent) => {
          if (!isLate || intent.commands.length === 0) return store.commit(intent);
          isLate = false;
          late.push(() => store.commit(intent));
          return Promise.resolve({ outcome: 'unknown', detail: 'played' });
        },
      }),
    );
    const chat = await stage.create();
    await rename(stage, chat, 'before', stage.newId());
    isLate = true;
    expect((await rename(stage, chat, 'after', stage.newId())).ok).toBe(true);
    expect(await Promise.all(late.map((commit) => commit()))).toEqual([{ outcome: 'stale' }]);
    expect(titles(stage, chat)).toBe('after');
  });

  test('[P3] what the database certainly did not apply is handed in again', async () => {
    let failures = 3;
    const stage = new Stage(new MemoryTables(), (store) =>
      override(store, {
        commit: (intent) => {
          failures -= 1;
          return failures >= 0 ? Promise.resolve({ outcome: 'unavailable', detail: 'played' }) : store.commit(intent);
        },
      }),
    );
    const chat = await stage.create();
    const renamed = rename(stage, chat, 'at last', stage.newId());
    await stage.clock.runFor(2_000);
    expect((await renamed).ok).toBe(true);
    expect(titles(stage, chat)).toBe('at last');
  });
});
