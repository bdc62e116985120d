// What people do to the messages that wait: hold, edit, order, delete, send now.
import { describe, expect, test } from 'vitest';
import { uuidToBytes } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { code, EditScene } from './edit-scene.ts';
import { Stage } from './stage.ts';
import { Watcher } from './watcher.ts';

/** A turn runs, and these wait behind it. */
async function waiting(...texts: readonly string[]): Promise<EditScene> {
  const scene = await EditScene.make();
  await scene.send('first');
  for (const text of texts) await scene.send(text);
  return scene;
}

const hold = { hold: true };

describe('hold', () => {
  test('[P12] the queue waits for its first message while that is edited, and goes on with what it became', async () => {
    const scene = await waiting('a', 'b');
    const { body } = await scene.ask('queue.edit', { id: scene.queued(1), ...hold });
    expect(body).toMatchObject({ held_until: scene.stage.clock.nowMs() + LIMITS.queueHoldMs });
    await scene.answer('re first');
    expect(scene.row.chat.status).toBe('waiting');
    expect(scene.waiting).toEqual(['a', 'b']);
    await scene.texts();
    expect(scene.watcher.state.queue[0]?.held_until).toBe(scene.stage.clock.nowMs() + LIMITS.queueHoldMs);
    const content = [{ type: 'text', text: 'better' }];
    await scene.ask('queue.edit', { id: scene.queued(1), content });
    expect(scene.prompt.at(-1)).toBe('better');
    await scene.answer('re better');
    await scene.answer('re b');
    expect(await scene.texts()).toEqual(['first', 're first', 'better', 're better', 'b', 're b']);
  });

  test('[P12] one that nobody ends runs out: the message goes as it was, and that is counted', async () => {
    const scene = await waiting('a');
    await scene.ask('queue.edit', { id: scene.queued(1), ...hold });
    await scene.answer('re first');
    await scene.stage.clock.runFor(LIMITS.queueHoldMs - 1);
    await scene.stage.settle();
    expect(scene.waiting).toEqual(['a']);
    await scene.stage.clock.runFor(1);
    await scene.stage.settle();
    expect(scene.prompt.at(-1)).toBe('a');
    expect(scene.stage.host.counts.limits.get('queueHoldMs')).toBe(1);
  });

  test('[P12] it runs out on another node too, when the one that knew of it has died', async () => {
    const scene = await waiting('a');
    await scene.ask('queue.edit', { id: scene.queued(1), ...hold });
    await scene.answer('re first');
    expect(scene.row.wakeAtMs).toBe(scene.stage.clock.nowMs() + LIMITS.queueHoldMs);
    const next = new Stage(scene.stage.tables);
    await next.host.start();
    expect(next.attempts).toHaveLength(0);
    await next.clock.runFor(LIMITS.queueHoldMs + 60_000);
    await next.settle();
    expect(next.attempt.request.items.at(-1)?.parts).toMatchObject([{ text: 'a' }]);
  });

  test('[P12] made anew it runs from then on; given back it goes on at once', async () => {
    const scene = await waiting('a');
    const id = scene.queued(1);
    await scene.ask('queue.edit', { id, ...hold });
    await scene.answer('re first');
    await scene.stage.clock.runFor(LIMITS.queueHoldMs - 10);
    await scene.ask('queue.edit', { id, ...hold });
    await scene.stage.clock.runFor(LIMITS.queueHoldMs - 10);
    await scene.stage.settle();
    expect(scene.waiting).toEqual(['a']);
    await scene.ask('queue.edit', { id, hold: false });
    expect(scene.prompt.at(-1)).toBe('a');
    expect(scene.row.wakeAtMs).toBe(null);
  });

  test('[P12] behind a message that is held others wait; one that interrupts passes, one that rejects is refused', async () => {
    const scene = await waiting('a');
    await scene.ask('queue.edit', { id: scene.queued(1), ...hold });
    await scene.answer('re first');
    expect((await scene.send('b')).body).toMatchObject({ outcome: 'queued' });
    expect(code(await scene.send('c', 'reject'))).toBe('busy');
    expect((await scene.send('d', 'interrupt')).body).toMatchObject({ outcome: 'started' });
    await scene.answer('re d');
    expect(scene.waiting).toEqual(['a', 'b']);
    expect(await scene.texts()).toEqual(['first', 're first', 'd', 're d']);
  });

  test('[P12] after an error a message that is sent ends the wait for one, not the hold', async () => {
    const scene = await waiting('a');
    await scene.ask('queue.edit', { id: scene.queued(1), ...hold });
    await scene.fail();
    expect(scene.row).toMatchObject({ wakeAtMs: null, chat: { status: 'error' } });
    expect((await scene.send('b')).body).toMatchObject({ outcome: 'queued' });
    expect(scene.row.chat).toMatchObject({ status: 'waiting', last_error: null });
    await scene.ask('queue.edit', { id: scene.queued(1), hold: false });
    expect(scene.prompt.at(-1)).toBe('a');
  });

  test('[P12] an archive and back leaves the queue waiting for the next message', async () => {
    const scene = await waiting('a');
    await scene.ask('queue.edit', { id: scene.queued(1), ...hold });
    await scene.answer('re first');
    await scene.stage.on(scene.chat, 'archive');
    expect(code(await scene.ask('queue.edit', { id: scene.queued(1), hold: false }))).toBe('archived');
    await scene.stage.clock.runFor(LIMITS.queueHoldMs);
    await scene.stage.settle();
    expect(scene.waiting).toEqual(['a']);
    await scene.stage.on(scene.chat, 'unarchive');
    await scene.send('b');
    expect(scene.prompt.at(-1)).toBe('a');
  });
});

describe('order', () => {
  test('[queue] as the ids say; another queue is refused', async () => {
    const scene = await waiting('a', 'b', 'c');
    const ids = [3, 1, 2].map((place) => scene.queued(place));
    expect((await scene.ask('queue.reorder', { ids })).ok).toBe(true);
    expect(scene.waiting).toEqual(['c', 'a', 'b']);
    expect(code(await scene.ask('queue.reorder', { ids: ids.slice(1) }))).toBe('queue_changed');
    await scene.texts();
    expect(scene.watcher.state.queue).toHaveLength(3);
  });

  test('[P12] a held message that is put behind others keeps nobody waiting', async () => {
    const scene = await waiting('a', 'b');
    await scene.ask('queue.edit', { id: scene.queued(1), ...hold });
    await scene.answer('re first');
    await scene.ask('queue.reorder', { ids: [scene.queued(2), scene.queued(1)] });
    expect(scene.prompt.at(-1)).toBe('b');
    await scene.answer('re b');
    expect(scene.waiting).toEqual(['a']);
  });
});

describe('delete', () => {
  test('[queue] what is deleted is never sent, and what was delivered is no more there', async () => {
    const scene = await waiting('a', 'b');
    const [a, b] = [scene.queued(1), scene.queued(2)];
    expect((await scene.ask('queue.delete', { id: a })).ok).toBe(true);
    expect(code(await scene.ask('queue.delete', { id: a }))).toBe('not_queued');
    await scene.answer('re first');
    for (const name of ['queue.delete', 'queue.promote', 'queue.edit']) {
      expect(code(await scene.ask(name, { id: b }))).toBe('not_queued');
    }
    await scene.answer('re b');
    expect(await scene.texts()).toEqual(['first', 're first', 'b', 're b']);
  });

  test('[P12] of the message that was held, and the queue goes on', async () => {
    const scene = await waiting('a', 'b');
    await scene.ask('queue.edit', { id: scene.queued(1), ...hold });
    await scene.answer('re first');
    await scene.ask('queue.delete', { id: scene.queued(1) });
    expect(scene.prompt.at(-1)).toBe('b');
  });
});

describe('promote', () => {
  test('[queue] what runs is interrupted and keeps what it has shown; the queue is kept otherwise', async () => {
    const scene = await waiting('a', 'b', 'c');
    await scene.stream('so far');
    const { body } = await scene.ask('queue.promote', { id: scene.queued(2) });
    expect(body).toMatchObject({ outcome: 'queued', turn: scene.queued(1) });
    scene.stage.attempt.abort();
    await scene.stage.settle();
    expect(scene.prompt).toEqual(['first', 'so far', 'b']);
    expect(scene.waiting).toEqual(['a', 'c']);
    await scene.answer('re b');
    expect((await scene.texts()).slice(0, 4)).toEqual(['first', 'so far', 'b', 're b']);
    expect(scene.watcher.state.messages[1]).toMatchObject({ interrupted: true });
  });

  test('[P12] after an error it starts at once, held or not', async () => {
    const scene = await waiting('a', 'b');
    await scene.ask('queue.edit', { id: scene.queued(2), ...hold });
    await scene.fail();
    const id = scene.queued(2);
    const { body } = await scene.ask('queue.promote', { id });
    expect(body).toMatchObject({ outcome: 'started', turn: id, number: 2 });
    expect(scene.prompt.at(-1)).toBe('b');
    await scene.answer('re b');
    await scene.answer('re a');
    expect(await scene.texts()).toEqual(['first', 'b', 're b', 'a', 're a']);
  });

  test('[P3] once, however often it is sent, and while the turn is being stopped', async () => {
    const scene = await waiting('a', 'b');
    const turn = uuidToBytes(scene.row.turn?.id ?? '');
    await scene.ask('chat.stop', { turn });
    const args = { id: scene.queued(2) };
    const id = scene.stage.newId();
    const first = await scene.ask('queue.promote', args, id);
    expect(await scene.ask('queue.promote', args, id)).toEqual(first);
    scene.stage.attempt.abort();
    await scene.stage.settle();
    expect(scene.prompt.at(-1)).toBe('b');
    await scene.texts();
    expect(scene.watcher.state.lastTurn).toMatchObject({ outcome: 'stopped' });
  });
});

test('[P4] a client that comes later sees the queue with its hold', async () => {
  const scene = await waiting('a');
  await scene.ask('queue.edit', { id: scene.queued(1), ...hold });
  const next = new Stage(scene.stage.tables);
  const watcher = new Watcher(next, scene.chat);
  await watcher.catchUp();
  expect(watcher.state.queue[0]?.held_until).toBe(scene.row.queue[0]?.held_until);
});
