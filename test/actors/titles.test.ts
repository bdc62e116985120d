import { describe, expect, it } from 'vitest';
import { must } from '../../protocol/assert.ts';
import { uuidToBytes, type ChatId } from '../../protocol/ids.ts';
import { Stage, type PlayedAttempt } from './stage.ts';

type Opened = {
  readonly stage: Stage;
  readonly chat: ChatId;
  readonly title: PlayedAttempt;
  readonly turn: PlayedAttempt;
};

/** A chat whose first message was sent: its turn and its title are being asked for. */
async function opened(): Promise<Opened> {
  const stage = new Stage();
  stage.titleModel = 'n';
  const chat = await stage.create();
  await stage.send(chat, 'How do I repair the heating?');
  await stage.settle();
  const of = (isTitle: boolean): PlayedAttempt => {
    const found = stage.attempts.filter(({ request }) => request.system[0]?.startsWith('You name chats') === isTitle);
    return must(found[0], 'both are asked');
  };
  return { stage, chat, title: of(true), turn: of(false) };
}

function titleOf(stage: Stage, chat: ChatId): unknown {
  const row = must(stage.tables.chats.get(chat), 'the chat is there');
  return [row.chat.title, row.titleSource];
}

describe('titles', () => {
  it('[titles] a cheap model is asked beside the first turn, in the ledger, and what it says is cleaned', async () => {
    const { stage, chat, title, turn } = await opened();
    expect(titleOf(stage, chat)).toEqual(['How do I repair the heating?', 'fallback']);
    expect(stage.purposes().toSorted()).toEqual(['title', 'turn']);
    expect(title.request).toMatchObject({ model: 'test-2', toolChoice: 'none', tools: [] });
    title.answer({ text: '**Title: "Repairing the heating."**', inputTokens: 40 });
    await stage.settle();
    expect(titleOf(stage, chat)).toEqual(['Repairing the heating', 'generated']);
    turn.answer({ text: 'Call a plumber.', inputTokens: 20 });
    await stage.settle();
    expect(stage.settlements()).toEqual(['completed', 'completed']);
    await stage.send(chat, 'Which one?');
    await stage.settle();
    expect(stage.attempts).toHaveLength(3);
  });

  it('[titles] the turn ends without it; what comes later still names the chat', async () => {
    const { stage, chat, title, turn } = await opened();
    turn.answer({ text: 'Call a plumber.', inputTokens: 20 });
    await stage.settle();
    expect(stage.statusOf(chat)).toBe('waiting');
    title.answer({ text: 'Heating repair', inputTokens: 40 });
    await stage.settle();
    expect(titleOf(stage, chat)).toEqual(['Heating repair', 'generated']);
  });

  it('[titles] the user’s own wins, also one that was given while the model was asked', async () => {
    const { stage, chat, title } = await opened();
    await stage.command('chat.rename', { chat: uuidToBytes(chat), title: 'Mine' });
    title.answer({ text: 'Heating repair', inputTokens: 40 });
    await stage.settle();
    expect(titleOf(stage, chat)).toEqual(['Mine', 'user']);
    expect(stage.settlements()).toContain('completed');
  });

  it('[titles] one that fails or takes longer than 30 s leaves the beginning of the text, and is settled', async () => {
    const failed = await opened();
    failed.title.fail('overloaded');
    await failed.stage.settle();
    expect(titleOf(failed.stage, failed.chat)).toEqual(['How do I repair the heating?', 'fallback']);
    expect(failed.stage.statusOf(failed.chat)).toBe('running');
    const late = await opened();
    late.turn.answer({ text: 'Call a plumber.', inputTokens: 20 });
    await late.stage.settle();
    while (!late.stage.settlements().includes('failed') && late.stage.clock.step()) await late.stage.settle();
    expect(late.title.signal.aborted).toBe(true);
    expect(titleOf(late.stage, late.chat)).toEqual(['How do I repair the heating?', 'fallback']);
  });

  it('[P10] after a crash it is not asked for again: its attempt is lost, and the turn is taken up', async () => {
    const { stage, chat } = await opened();
    const next = new Stage(stage.tables);
    next.titleModel = 'n';
    await next.attach(chat);
    await next.settle();
    expect(next.attempts.filter(({ request }) => request.system[0]?.startsWith('You name chats'))).toEqual([]);
    expect(next.settlements().filter((outcome) => outcome === 'lost')).toHaveLength(2);
    next.attempt.answer({ text: 'Call a plumber.', inputTokens: 20 });
    await next.settle();
    expect(next.statusOf(chat)).toBe('waiting');
    expect(titleOf(next, chat)).toEqual(['How do I repair the heating?', 'fallback']);
  });

  it('[titles] a chat that was named at its creation is left alone, and without a model nobody is asked', async () => {
    const stage = new Stage();
    const chat = await stage.create();
    await stage.send(chat, 'hello');
    await stage.settle();
    expect(stage.purposes()).toEqual(['turn']);
    stage.titleModel = 'n';
    const named = await stage.create(undefined, { title: 'Mine' });
    await stage.send(named, 'hello');
    await stage.settle();
    expect(stage.purposes()).toEqual(['turn', 'turn']);
  });
});
