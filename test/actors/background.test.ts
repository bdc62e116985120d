// An attempt that runs in the background at its provider: what is shown when, and what the next activation makes of it.
import { describe, expect, test } from 'vitest';
import { uuidToBytes, type ChatId } from '../../protocol/ids.ts';
import { override } from '../sim/audit.ts';
import type { PlayedAttempt } from './stage.ts';
import { Stage } from './stage.ts';

/** A chat with the policy, whose attempt was begun. */
async function begun(stage: Stage): Promise<{ readonly chat: ChatId; readonly attempt: PlayedAttempt }> {
  const chat = await stage.create(undefined, { background: true });
  await stage.send(chat, 'hello');
  await stage.settle();
  return { chat, attempt: stage.attempt };
}

function textOf(stage: Stage, chat: ChatId): Promise<string> {
  return stage.attach(chat).then((attached) => {
    if (attached.outcome !== 'snapshot') return '';
    const piece = attached.nextPiece();
    return (piece?.live ?? []).map(([, , text]) => text).join('');
  });
}

function stop(stage: Stage, chat: ChatId): Promise<unknown> {
  const turn = stage.tables.chats.get(chat)?.turn?.id ?? '';
  return stage.command('chat.stop', { chat: uuidToBytes(chat), turn: uuidToBytes(turn) });
}

describe('an attempt in the background', () => {
  test('[P10] nothing of it is shown before the id of its run is durable', async () => {
    const held: (() => void)[] = [];
    let holds = false;
    const stage = new Stage(undefined, (store) =>
      override(store, {
        commit: async (intent) => {
          if (holds) await new Promise<void>((resolve) => held.push(resolve));
          return store.commit(intent);
        },
      }),
    );
    const { chat, attempt } = await begun(stage);
    expect(attempt.request).toMatchObject({ background: true, resume: null });
    holds = true;
    attempt.sink.runsInBackground({ ref: 'run-1', cursor: () => '7' });
    attempt.sink.blockStart(0, 'text');
    attempt.sink.blockDelta(0, 'shown');
    await stage.clock.runFor(1_000);
    expect(held).toHaveLength(1);
    expect(await textOf(stage, chat)).toBe('');
    holds = false;
    held[0]?.();
    await stage.settle();
    expect(await textOf(stage, chat)).toBe('shown');
    expect([...stage.tables.attempts.values()].map(({ opening }) => opening.providerRef)).toEqual(['run-1']);
  });

  test('[P10] after a crash the same attempt goes on behind the cursor of its last pack, and settles once', async () => {
    const before = new Stage();
    const { chat, attempt } = await begun(before);
    attempt.sink.runsInBackground({ ref: 'run-1', cursor: () => '7' });
    attempt.sink.blockStart(0, 'reasoning');
    attempt.sink.blockDelta(0, 'why');
    attempt.sink.blockEnd(0);
    attempt.sink.blockStart(1, 'text');
    attempt.sink.blockDelta(1, 'saved ');
    await before.clock.runFor(1_000);
    attempt.sink.blockDelta(1, 'lost');
    await before.settle();

    const stage = new Stage(before.tables);
    await stage.host.start();
    await stage.settle();
    expect(stage.attempt.request.resume).toEqual({
      ref: 'run-1',
      cursor: '7',
      blocks: [
        { type: 'reasoning', text: 'why', ended: true },
        { type: 'text', text: 'saved ', ended: false },
      ],
    });
    expect(stage.attempt.request.attempt).toBe(attempt.request.attempt);
    expect(await textOf(stage, chat)).toBe('whysaved ');
    stage.attempt.sink.runsInBackground({ ref: 'run-1', cursor: () => '9' });
    stage.attempt.sink.blockDelta(1, 'and more');
    stage.attempt.sink.blockEnd(1);
    stage.attempt.complete();
    await stage.settle();
    const row = stage.tables.chats.get(chat);
    expect(row?.messages.at(-1)).toMatchObject({
      interrupted: false,
      parts: [{ text: 'why' }, { text: 'saved and more' }],
    });
    expect([...stage.tables.attempts.values()].map(({ settlement }) => settlement?.outcome)).toEqual(['completed']);
    expect(row?.journal).toEqual([]);
  });

  test('[P5] a second crash finds what the first one left, also before anything new was saved', async () => {
    const first = new Stage();
    const { chat, attempt } = await begun(first);
    attempt.sink.runsInBackground({ ref: 'run-1', cursor: () => '7' });
    attempt.sink.blockStart(0, 'text');
    attempt.sink.blockDelta(0, 'saved');
    await first.clock.runFor(1_000);
    const second = new Stage(first.tables);
    await second.host.start();
    await second.settle();
    const third = new Stage(first.tables);
    await third.host.start();
    await third.settle();
    expect(third.attempt.request.resume).toEqual(second.attempt.request.resume);
    expect(await textOf(third, chat)).toBe('saved');
  });

  test('[P10] where its model is not set up any more it is lost: estimated, and what was saved stays', async () => {
    const before = new Stage();
    const { chat, attempt } = await begun(before);
    attempt.sink.runsInBackground({ ref: 'run-1', cursor: () => '7' });
    attempt.sink.blockStart(0, 'text');
    attempt.sink.blockDelta(0, 'saved');
    await before.clock.runFor(1_000);
    const stage = new Stage(before.tables);
    stage.isSetUp = false;
    await stage.host.start();
    await stage.settle();
    const settled = [...stage.tables.attempts.values()].map(({ settlement }) => settlement);
    expect(settled[0]).toMatchObject({ outcome: 'lost', usage: { estimated: true } });
    const kept = stage.tables.chats.get(chat)?.messages.find(({ interrupted }) => interrupted);
    expect(kept).toMatchObject({ parts: [{ text: 'saved' }] });
  });

  test('[P6] a turn that was stopping is not taken up: its run is given up', async () => {
    const before = new Stage();
    const { chat, attempt } = await begun(before);
    attempt.sink.runsInBackground({ ref: 'run-1', cursor: () => '7' });
    attempt.sink.blockStart(0, 'text');
    attempt.sink.blockDelta(0, 'shown');
    await before.clock.runFor(1_000);
    void stop(before, chat);
    await before.settle();
    const stage = new Stage(before.tables);
    await stage.host.start();
    await stage.settle();
    expect(stage.attempts).toEqual([]);
    expect(stage.cancelled).toEqual(['run-1']);
    expect(before.tables.chats.get(chat)?.messages.at(-1)).toMatchObject({ interrupted: true });
  });

  test('[P10] a stop aborts as one that gives up, a drain as one that leaves it to the next node', async () => {
    for (const [how, reason] of [
      ['stop', false],
      ['drain', true],
    ] as const) {
      const stage = new Stage();
      const { chat, attempt } = await begun(stage);
      attempt.sink.runsInBackground({ ref: 'run-1', cursor: () => '7' });
      if (how === 'stop') void stop(stage, chat);
      else void stage.host.drain();
      await stage.clock.runFor(3_000);
      // It is not silent: the drain's time is longer than the watchdog's here.
      attempt.sink.activity();
      await stage.clock.runFor(3_000);
      expect(attempt.signal.aborted).toBe(true);
      expect(attempt.signal.reason === 'abandoned').toBe(reason);
    }
  });
});
