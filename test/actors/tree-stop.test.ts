// A chat is stopped with what runs below it.
import { describe, expect, test } from 'vitest';
import { HOST_LIMITS } from '../../actors/host/settings.ts';
import { must } from '../../protocol/assert.ts';
import { uuidToBytes, type ChatId } from '../../protocol/ids.ts';
import { loses, streaming, TOLD, type Scene } from './cluster-scene.ts';
import { ADA } from './cluster-stage.ts';
import { Stage, type Answer } from './stage.ts';

function outcomeOf({ tables }: Pick<Stage, 'tables'>, chat: ChatId): string | undefined {
  return must(tables.chats.get(chat), 'it was created').chat.last_turn?.outcome;
}

describe('a stop of a tree', () => {
  const stopBelow = (stage: Stage, chat: ChatId): Promise<Answer> =>
    stage.command('chat.stop', { chat: uuidToBytes(chat), tree: true });

  test('[P6] what runs in the chats below is stopped with it and keeps its text, what is beside runs on', async () => {
    const stage = new Stage();
    const root = await stage.create();
    const child = await stage.create(root);
    const grandchild = await stage.create(child);
    const beside = await stage.create();
    for (const chat of [root, grandchild, beside]) {
      await stage.send(chat, 'hello');
      await stage.settle();
      stage.attempt.sink.blockStart(0, 'text');
      stage.attempt.sink.blockDelta(0, 'some');
    }
    await stage.clock.runFor(100);
    const turn = must(stage.tables.chats.get(root)?.turn, 'it runs').id;
    const stopped = await stage.command('chat.stop', {
      chat: uuidToBytes(root),
      turn: uuidToBytes(turn),
      tree: true,
    });
    expect(stopped).toMatchObject({ ok: true, body: { outcome: 'stopping' } });
    await stage.clock.runFor(3_000);
    expect([root, grandchild].map((chat) => outcomeOf(stage, chat))).toEqual(['stopped', 'stopped']);
    expect((await stage.shown(grandchild)).at(-1)).toMatchObject({ interrupted: true, parts: [{ text: 'some' }] });
    expect(stage.statusOf(beside)).toBe('running');
    expect([stage.tables.inbox.size, stage.host.counts.heard]).toEqual([0, 1]);
  });

  test('[P6] the chat itself need not run, and without a turn it is not stopped', async () => {
    const stage = new Stage();
    const root = await stage.create();
    const child = await stage.create(root);
    await stage.send(root, 'hello');
    await stage.send(child, 'hello');
    expect(await stopBelow(stage, root)).toMatchObject({ ok: true, body: { outcome: 'not_running' } });
    await stage.clock.runFor(3_000);
    expect([stage.statusOf(root), outcomeOf(stage, child)]).toEqual(['running', 'stopped']);
    // There is nothing to tell any more, and nothing is remembered against what is sent next.
    expect((await stopBelow(stage, root)).ok).toBe(true);
    await stage.send(child, 'again');
    await stage.clock.runFor(HOST_LIMITS.dueEveryMs * 2);
    expect(stage.statusOf(child)).toBe('running');
  });

  test('[P6] only the turn that ran when it was told is stopped, however late it is heard', async () => {
    const stage = new Stage();
    const root = await stage.create();
    const child = await stage.create(root);
    await stage.send(child, 'hello');
    await stage.settle();
    const told = {
      chat: child,
      source: root,
      position: { epoch: stage.epochOf(child), seq: 1 },
      kind: 'stop',
      turn: must(stage.tables.chats.get(child)?.turn, 'it runs').id,
    } as const;
    stage.attempt.complete();
    await stage.clock.runFor(100);
    await stage.send(child, 'again');
    stage.tables.inbox.set('late', told);
    await stage.host.takeUp();
    expect([stage.statusOf(child), outcomeOf(stage, child)]).toEqual(['running', 'completed']);
  });
});

describe('a stop of a tree over nodes', () => {
  /** The chat that streams lies below one that another node has. */
  async function below({ stage, chat, other }: Scene): Promise<ChatId> {
    const root = await stage.create();
    const row = must(stage.tables.chats.get(chat), 'it was created');
    row.chat = { ...row.chat, parent: root, root };
    await stage.until(other.host.command(ADA, stage.renameOf(root)));
    expect(stage.tables.chats.get(root)?.ownerNode).toBe(other.id);
    return root;
  }

  test('[P6] what runs at another node hears of it, or finds it by looking', async () => {
    for (const isHintLost of [false, true]) {
      const scene = await streaming();
      const { stage, chat, owner, other } = scene;
      const root = await below(scene);
      await stage.until(owner.host.start());
      const lost = loses(stage, TOLD, isHintLost ? 1 : 0);
      const stop = other.command('chat.stop', { chat: uuidToBytes(root), tree: true }, stage.newId());
      expect((await stage.until(stop)).ok).toBe(true);
      await stage.pass(isHintLost ? HOST_LIMITS.dueEveryMs + 5_000 : 5_000);
      expect(lost()).toBe(isHintLost ? 1 : 0);
      expect(outcomeOf(stage, chat)).toBe('stopped');
      expect(stage.tables.inbox.size).toBe(0);
    }
  });

  test('[P12] whoever takes the chat up after its node died finds what it was told', async () => {
    const scene = await streaming();
    const { stage, chat, owner, other } = scene;
    const root = await below(scene);
    await stage.kill(owner);
    const stop = other.command('chat.stop', { chat: uuidToBytes(root), tree: true }, stage.newId());
    expect((await stage.until(stop)).ok).toBe(true);
    await stage.pass(5_000);
    expect(stage.tables.chats.get(chat)?.ownerNode).toBe(other.id);
    expect(outcomeOf(stage, chat)).toBe('stopped');
    expect(stage.tables.inbox.size).toBe(0);
  });
});
