import { describe, expect, it } from 'vitest';
import type { ModelRequest } from '../../actors/ports.ts';
import { uuidToBytes, type ChatId } from '../../protocol/ids.ts';
import { must } from '../../protocol/assert.ts';
import { eventsOf, Stage, type Answer } from './stage.ts';

const WINDOW = 1_000;

/** A chat with one answered message whose request held `tokens`. */
async function answered(tokens: number, stage = new Stage()): Promise<{ stage: Stage; chat: ChatId }> {
  stage.contextWindow = WINDOW;
  const chat = await stage.create();
  await ask(stage, chat, `the first question ${'lorem ipsum '.repeat(100)}`);
  stage.attempt.answer({ text: 'the first answer', inputTokens: tokens });
  await stage.settle();
  return { stage, chat };
}

async function ask(stage: Stage, chat: ChatId, text: string): Promise<void> {
  await stage.send(chat, text);
  await stage.settle();
}

function compact(stage: Stage, chat: ChatId): Promise<Answer> {
  return stage.command('chat.compact', { chat: uuidToBytes(chat) });
}

function texts({ items }: ModelRequest): readonly string[] {
  return items.map(
    ({ role, parts }) =>
      `${role}: ${parts
        .map((part) => part.text)
        .join('|')
        .slice(0, 29)}`,
  );
}

const kindsOf = async (stage: Stage, chat: ChatId): Promise<readonly string[]> =>
  eventsOf(await stage.attach(chat), { epoch: stage.epochOf(chat), seq: 0 }).map(({ event }) =>
    event.kind === 'compaction' || event.kind === 'turn' ? `${event.kind} ${event.type}` : event.kind,
  );

describe('compaction by the threshold', () => {
  it('[compaction] the next request is preceded by a summary, and holds it and what was asked, and no more', async () => {
    const { stage, chat } = await answered(700);
    await ask(stage, chat, 'the second question');
    expect(stage.attempts).toHaveLength(2);
    expect(texts(stage.attempt.request)).toEqual([
      'user: the first question lorem ipsu',
      'assistant: the first answer',
      'user: the second question',
      expect.stringContaining('user: The context window of this'),
    ]);
    expect(stage.attempt.request.toolChoice).toBe('none');
    stage.attempt.answer({ text: 'Goal: answers.', inputTokens: 800 });
    await stage.settle();
    expect(stage.attempts).toHaveLength(3);
    expect(texts(stage.attempt.request)).toEqual(['user: The following is a summary of', 'user: the second question']);
    stage.attempt.answer({ text: 'the second answer', inputTokens: 100 });
    await stage.settle();
    expect(stage.purposes()).toEqual(['turn', 'compaction', 'turn']);
    const kinds = await kindsOf(stage, chat);
    const at = kinds.indexOf('compaction started');
    expect(kinds.slice(at, at + 7)).toEqual([
      'compaction started',
      'chat',
      'message',
      'message',
      'fork',
      'compaction ended',
      'step',
    ]);
    await ask(stage, chat, 'the third question');
    expect(stage.attempts).toHaveLength(4);
  });

  it('[compaction] the user sees all that was said, and a marker with the figures in the place where it was', async () => {
    const { stage, chat } = await answered(700);
    await ask(stage, chat, 'the second question');
    stage.attempt.answer({ text: 'Goal: answers.', inputTokens: 800 });
    await stage.settle();
    const shown = await stage.shown(chat);
    expect(shown.map(({ role }) => role)).toEqual(['user', 'assistant', 'user', 'assistant', 'tool']);
    const [call, result] = shown.slice(-2).map(({ parts }) => parts[0]);
    expect(call).toMatchObject({ type: 'tool_call', name: 'chat_summarized' });
    expect(JSON.parse(result !== undefined && 'text' in result ? result.text : '')).toEqual({
      summary: 'Goal: answers.',
      source: 'automatic',
      threshold_percent: 70,
      usage_percent: 70,
      context_tokens: 700,
      context_limit_tokens: WINDOW,
    });
  });

  it('[compaction] before the last step of a turn that has used all of them, the model is told of it again', async () => {
    const limited = new Stage(undefined, undefined, undefined, { settings: { stepsMax: 1 } });
    const { stage, chat } = await answered(300, limited);
    await ask(stage, chat, 'the second question');
    stage.attempt.call(['clock', '{}']);
    await stage.settle();
    expect(texts(stage.attempt.request).at(-1)).toMatch(/^user: You have reached the limit/);
    stage.attempt.fail('context_overflow');
    await stage.settle();
    stage.attempt.answer({ text: 'Goal: answers.', inputTokens: 300 });
    await stage.settle();
    expect(stage.attempt.request.toolChoice).toBe('none');
    expect(texts(stage.attempt.request)).toEqual([
      'user: The following is a summary of',
      'user: the second question',
      expect.stringMatching(/^user: You have reached the limit/),
    ]);
  });

  it('[compaction] below the threshold nothing happens', async () => {
    const { stage, chat } = await answered(699);
    await ask(stage, chat, 'the second question');
    expect(stage.purposes()).toEqual(['turn', 'turn']);
  });

  it('[P12] one that fails is tried again after a wait, then the chat goes on without it', async () => {
    const { stage, chat } = await answered(700);
    await ask(stage, chat, 'the second question');
    for (let n = 0; n < 3; n++) {
      expect(stage.purposes().at(-1)).toBe('compaction');
      stage.attempt.fail('overloaded');
      await stage.settle();
      while (stage.purposes().length === n + 2 && stage.clock.step()) await stage.settle();
    }
    expect(stage.purposes()).toEqual(['turn', 'compaction', 'compaction', 'compaction', 'turn']);
    expect(texts(stage.attempt.request).at(-1)).toBe('user: the second question');
    expect(JSON.stringify(stage.attempt.request.items)).not.toContain('played');
  });
});

describe('chat.compact', () => {
  it('[compaction] at rest is a turn of its own, and the next message finds a small prompt', async () => {
    const { stage, chat } = await answered(10);
    expect(await compact(stage, chat)).toMatchObject({ ok: true, body: { outcome: 'started' } });
    await stage.settle();
    expect(stage.statusOf(chat)).toBe('running');
    stage.attempt.answer({ text: 'All answered.', inputTokens: 12 });
    await stage.settle();
    expect(stage.statusOf(chat)).toBe('waiting');
    await ask(stage, chat, 'the second question');
    expect(texts(stage.attempt.request)).toEqual(['user: The following is a summary of', 'user: the second question']);
  });

  it('[compaction] twice at once is one; where there is nothing to compact it says so', async () => {
    const { stage, chat } = await answered(10);
    const [one, two] = await Promise.all([compact(stage, chat), compact(stage, chat)]);
    expect([one, two].map(({ body }) => must(body as { outcome?: string }, 'a body').outcome)).toEqual([
      'started',
      'running',
    ]);
    await stage.settle();
    stage.attempt.answer({ text: 'All answered.', inputTokens: 12 });
    await stage.settle();
    expect(await compact(stage, chat)).toMatchObject({ ok: false, body: { code: 'nothing_to_compact' } });
    expect(stage.attempts).toHaveLength(2);
  });

  it('[compaction] in a turn it waits for the turn’s end; what was sent meanwhile has its turn after it', async () => {
    const { stage, chat } = await answered(10);
    await ask(stage, chat, 'the second question');
    expect(await compact(stage, chat)).toMatchObject({ ok: true, body: { outcome: 'queued' } });
    await ask(stage, chat, 'the third question');
    stage.attempt.answer({ text: 'the second answer', inputTokens: 20 });
    await stage.settle();
    stage.attempt.answer({ text: 'Answered twice.', inputTokens: 30 });
    await stage.settle();
    expect(texts(stage.attempt.request)).toEqual(['user: The following is a summary of', 'user: the third question']);
    expect(stage.purposes()).toEqual(['turn', 'turn', 'compaction', 'turn']);
  });

  it('[P6] a stop ends it, nothing is changed, and what was sent meanwhile has its turn', async () => {
    const { stage, chat } = await answered(10);
    const { body } = await compact(stage, chat);
    await ask(stage, chat, 'the second question');
    const { turn } = body as { readonly turn: Uint8Array };
    expect(await stage.command('chat.stop', { chat: uuidToBytes(chat), turn })).toMatchObject({ ok: true });
    await stage.settle();
    stage.attempts[1]?.abort();
    await stage.settle();
    expect(texts(stage.attempt.request)).toEqual([
      'user: the first question lorem ipsu',
      'assistant: the first answer',
      'user: the second question',
    ]);
  });

  it('[P12] one that a crash took is run again by the next node, and its attempt is settled as lost', async () => {
    const { stage, chat } = await answered(10);
    await compact(stage, chat);
    await stage.settle();
    const next = new Stage(stage.tables);
    next.contextWindow = WINDOW;
    await next.attach(chat);
    await next.settle();
    expect(next.attempts).toHaveLength(1);
    next.attempt.answer({ text: 'All answered.', inputTokens: 12 });
    await next.settle();
    expect(next.statusOf(chat)).toBe('waiting');
    expect(next.settlements()).toEqual(['completed', 'lost', 'completed']);
    await ask(next, chat, 'the second question');
    expect(texts(next.attempt.request)).toEqual(['user: The following is a summary of', 'user: the second question']);
  });
});

describe('a request that does not fit', () => {
  it('[compaction] is asked again behind a summary', async () => {
    const { stage, chat } = await answered(300);
    await ask(stage, chat, 'the second question');
    stage.attempt.fail('context_overflow');
    await stage.settle();
    stage.attempt.answer({ text: 'Goal: answers.', inputTokens: 300 });
    await stage.settle();
    expect(texts(stage.attempt.request)).toEqual(['user: The following is a summary of', 'user: the second question']);
    stage.attempt.answer({ text: 'the second answer', inputTokens: 50 });
    await stage.settle();
    expect(stage.statusOf(chat)).toBe('waiting');
    expect(stage.purposes()).toEqual(['turn', 'turn', 'compaction', 'turn']);
  });

  it('[compaction] a summary that does not fit either is asked for with half of the chat, then with half of that', async () => {
    const { stage, chat } = await answered(300);
    await ask(stage, chat, 'the second question');
    stage.attempt.fail('context_overflow');
    await stage.settle();
    const sizes: number[] = [];
    for (let n = 0; n < 2; n++) {
      sizes.push(JSON.stringify(stage.attempt.request.items).length);
      stage.attempt.fail('context_overflow');
      await stage.settle();
    }
    sizes.push(JSON.stringify(stage.attempt.request.items).length);
    expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
    stage.attempt.answer({ text: 'Goal: answers.', inputTokens: 100 });
    await stage.settle();
    expect(texts(stage.attempt.request)).toEqual(['user: The following is a summary of', 'user: the second question']);
  });

  it('[compaction] where no summary helps the oldest leaves, as a fork, and the chat goes on', async () => {
    const { stage, chat } = await answered(300);
    await ask(stage, chat, 'the second question');
    stage.attempt.fail('context_overflow');
    await stage.settle();
    stage.attempt.fail('unauthorized');
    await stage.settle();
    expect(texts(stage.attempt.request)).toEqual([
      'user: Earlier parts of this convers',
      'assistant: the first answer',
      'user: the second question',
    ]);
    expect((await kindsOf(stage, chat)).filter((kind) => kind === 'fork')).toHaveLength(1);
  });

  it('[P12] what cannot be made to fit ends in an error that says so, and the next short message works', async () => {
    const stage = new Stage();
    const chat = await stage.create();
    await ask(stage, chat, 'far too long '.repeat(2_000));
    stage.attempt.fail('context_overflow');
    await stage.settle();
    expect(stage.errorOf(chat)).toMatchObject({ code: 'context_overflow', retry: 'never' });
    expect(stage.attempts).toHaveLength(1);
    await ask(stage, chat, 'short');
    stage.attempt.fail('context_overflow');
    await stage.settle();
    expect(JSON.stringify(stage.attempt.request.items).length).toBeLessThan(20_000);
    expect(texts(stage.attempt.request).at(-1)).toBe('user: short');
    stage.attempt.answer({ text: 'fine', inputTokens: 50 });
    await stage.settle();
    expect(stage.statusOf(chat)).toBe('waiting');
  });

  it('[P12] a provider that says so for ever is believed after a summary and two cuts', async () => {
    const { stage, chat } = await answered(300);
    await ask(stage, chat, 'the second question');
    for (let n = 0; n < 10 && stage.statusOf(chat) === 'running'; n++) {
      if (stage.purposes().at(-1) === 'compaction') stage.attempt.answer({ text: 'short', inputTokens: 9 });
      else stage.attempt.fail('context_overflow');
      await stage.settle();
    }
    expect(stage.errorOf(chat)).toMatchObject({ code: 'context_overflow' });
    expect(stage.attempts.length).toBeLessThan(7);
    await ask(stage, chat, 'the third question');
    stage.attempt.answer({ text: 'fine', inputTokens: 50 });
    await stage.settle();
    expect(stage.statusOf(chat)).toBe('waiting');
  });
});
