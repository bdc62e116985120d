// How long calls take: side by side, at most as long as their tool may, and not much longer than a stop.

import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { CHAT_DEFAULTS } from '../../actors/chat/settings.ts';
import { defineTool, type Tool } from '../../actors/tools/tool.ts';
import { must } from '../../protocol/assert.ts';
import type { ToolResultPart } from '../../protocol/content.ts';
import { uuidToBytes, type ChatId } from '../../protocol/ids.ts';
import type { ChatRow } from '../sim/memory-tables.ts';
import { Stage } from './stage.ts';

/** A turn whose model has been asked. */
async function begin(tools?: readonly Tool[]): Promise<{ readonly stage: Stage; readonly chat: ChatId }> {
  const stage = new Stage(undefined, undefined, undefined, tools === undefined ? {} : { tools });
  const chat = await stage.create();
  await stage.send(chat, 'hello');
  await stage.settle();
  return { stage, chat };
}

function row(stage: Stage, chat: ChatId): ChatRow {
  return must(stage.tables.chats.get(chat), 'the chat is there');
}

function results(stage: Stage, chat: ChatId): readonly ToolResultPart[] {
  return row(stage, chat).messages.flatMap(({ parts }) => parts.filter((part) => part.type === 'tool_result'));
}

describe('calls', () => {
  it('[P7] ten slow calls of one step take as long as the slowest of them, on the clock of the chat', async () => {
    const { stage, chat } = await begin();
    const calls = Array.from({ length: 10 }, (_, i) => ['slow', `{"ms":${1_000 + 100 * i},"text":"t${i}"}`] as const);
    stage.attempt.call(...calls);
    await stage.settle();
    await stage.clock.runFor(1_899);
    await stage.settle();
    expect([results(stage, chat).length, stage.attempts.length]).toEqual([9, 1]);
    await stage.clock.runFor(1);
    await stage.settle();
    expect(stage.attempts).toHaveLength(2);
    const texts = must(stage.attempt.request.items.at(-1), 'the results are there').parts.map(({ text }) => text);
    expect(texts).toEqual(calls.map((_, i) => `t${i}`));
  });

  it('[P6] a stop settles a call whose tool takes no notice of it, within the grace', async () => {
    const shape = { description: 'Never ends.', args: z.strictObject({}), timeoutMs: 60_000 };
    const deaf = defineTool({ name: 'deaf', ...shape, run: () => new Promise(() => undefined) });
    const { stage, chat } = await begin([deaf]);
    stage.attempt.call(['deaf', '{}'], ['deaf', '{}']);
    await stage.settle();
    const turn = must(stage.tables.chats.get(chat)?.turn, 'a turn runs');
    await stage.command('chat.stop', { chat: uuidToBytes(chat), turn: uuidToBytes(turn.id) });
    await stage.clock.runFor(CHAT_DEFAULTS.stopGraceMs);
    await stage.settle();
    expect(row(stage, chat).chat.last_turn?.outcome).toBe('stopped');
  });

  it('[P7] a tool that does not answer in its time is timed out, and what it says then is not looked at', async () => {
    const late = Promise.withResolvers<{ text: string }>();
    const shape = { description: 'Takes its time.', args: z.strictObject({}), timeoutMs: 2_000 };
    const tool = defineTool({ name: 'late', ...shape, run: () => late.promise });
    const { stage, chat } = await begin([tool]);
    stage.attempt.call(['late', '{}']);
    await stage.settle();
    await stage.clock.runFor(1_999);
    expect(results(stage, chat).map(({ status }) => status)).toEqual([]);
    await stage.clock.runFor(1);
    late.resolve({ text: 'too late' });
    await stage.settle();
    expect(results(stage, chat)).toMatchObject([{ status: 'timeout', text: expect.not.stringContaining('late') }]);
    expect(stage.attempts).toHaveLength(2);
  });
});
