// Turns on an actor with everything around it simulated: what the model says and when is the test's.
import { describe, expect, test } from 'vitest';
import type { ChatStore } from '../../actors/ports.ts';
import { must } from '../../protocol/assert.ts';
import type { ChatId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import { override } from '../sim/audit.ts';
import { Stage, eventsOf } from './stage.ts';

async function running(): Promise<{ stage: Stage; chat: ChatId }> {
  const stage = new Stage();
  const chat = await stage.create();
  await stage.send(chat, 'hello');
  await stage.settle();
  return { stage, chat };
}

function row(stage: Stage, chat: ChatId): NonNullable<ReturnType<Stage['tables']['chats']['get']>> {
  return must(stage.tables.chats.get(chat), 'the chat exists');
}

describe('turns', () => {
  test('[turn] a message is answered, and what was streamed is what is stored', async () => {
    const { stage, chat } = await running();
    const { sink, request } = stage.attempt;
    expect(request.items.map(({ role, parts }) => [role, parts[0]?.text])).toEqual([['user', 'hello']]);
    sink.blockStart(0, 'text');
    sink.blockDelta(0, 'good ');
    sink.blockDelta(0, 'day');
    sink.blockEnd(0);
    stage.attempt.complete();
    await stage.settle();
    const { messages, turn, chat: stored } = row(stage, chat);
    expect(messages.map(({ role, parts }) => [role, parts[0]?.text])).toEqual([
      ['user', 'hello'],
      ['assistant', 'good day'],
    ]);
    expect(turn).toBe(null);
    expect(stored.status).toBe('waiting');
  });

  test('[P6] what a provider sends after it was given up for its silence is ignored', async () => {
    const { stage, chat } = await running();
    const { attempt } = stage;
    const { sink, signal } = attempt;
    sink.blockStart(0, 'text');
    sink.blockDelta(0, 'so far');
    await stage.clock.runFor(6_000);
    expect(signal.aborted).toBe(true);
    sink.blockDelta(0, ' and too late');
    const attached = await stage.attach(chat);
    const piece = attached.outcome === 'snapshot' ? attached.nextPiece() : null;
    expect(piece?.live).toEqual([[0, 0, 'so far']]);
    attempt.abort();
  });

  test('[P5] a failed attempt takes back what it has shown, be it an empty block, before the next one is awaited', async () => {
    const { stage, chat } = await running();
    const attached = await stage.attach(chat);
    const { position } = attached as { position: Position };
    stage.attempt.sink.blockStart(0, 'text');
    stage.attempt.fail('overloaded');
    await stage.settle();
    const kinds = eventsOf(attached, position).map(({ event }) =>
      'type' in event ? `${event.kind} ${event.type}` : event.kind,
    );
    expect(kinds).toEqual(['block start', 'usage', 'step reset', 'retry']);
  });

  test('[P12] a request that no provider would take is not sent: it is counted by its rule, and the error says so', async () => {
    const withoutResults = (store: ChatStore): ChatStore =>
      override(store, {
        prompt: async (chat) => {
          const read = await store.prompt(chat);
          if (read.outcome !== 'read') return read;
          return { outcome: 'read', value: read.value.filter(({ role }) => role !== 'tool') };
        },
      });
    const stage = new Stage(undefined, withoutResults);
    const chat = await stage.create();
    await stage.send(chat, 'hello');
    await stage.settle();
    stage.attempt.call(['clock', '{}']);
    await stage.settle();
    expect(stage.attempts).toHaveLength(1);
    expect(stage.errorOf(chat)).toMatchObject({ code: 'prompt_invalid' });
    expect(stage.host.counts.promptFaults.get('call_unanswered')).toBe(1);
  });
});
