// Chats across nodes when single messages are lost, come twice or too late, and the rest goes on as if nothing was.

import { describe, expect, test } from 'vitest';
import { CLUSTER_LIMITS } from '../../actors/cluster/limits.ts';
import { HOST_LIMITS } from '../../actors/host/settings.ts';
import { must } from '../../protocol/assert.ts';
import { decodeBody } from '../../protocol/codec.ts';
import { uuidToBytes } from '../../protocol/ids.ts';
import { parseError } from '../../protocol/wire-content.ts';
import { besides, comesToRest, detach, FOLLOW, kindOf, loses, streaming, TAKEN, UNFOLLOW } from './cluster-scene.ts';
import { ADA, ClusterStage } from './cluster-stage.ts';

describe('a mirror', () => {
  test('[P4] an owner that is slow to answer is waited for, and asked once', async () => {
    const stage = await ClusterStage.of(2);
    const chat = await stage.create();
    const [owner, other] = [stage.node(0), stage.node(1)];
    for (const { cluster } of stage.nodes) cluster.isMine = () => true;
    await stage.until(owner.host.command(ADA, stage.renameOf(chat)));
    const followHere = owner.host.followHere.bind(owner.host);
    owner.host.followHere = async (...asked) => {
      await new Promise<void>((resolve) => void stage.clock.after(CLUSTER_LIMITS.followTryMs - 500, resolve));
      return followHere(...asked);
    };
    let asked = 0;
    stage.hub.onTheWay = (_subject, bytes) => {
      if (kindOf(bytes) === FOLLOW) asked += 1;
      return true;
    };
    const reader = await stage.until(other.follow(chat));
    expect([reader.attached?.outcome, asked]).toEqual(['snapshot', 1]);
  });

  test('[P4] the chat was given up in order while its link was broken: its readers go on in the next epoch', async () => {
    const scene = await streaming(2, { passivateAfterMs: 1_000 });
    const { stage, chat, owner, other, near, far } = scene;
    await comesToRest(scene);
    const cursor = must(far.events.at(-1), 'it saw the turn end').position;
    await stage.until(owner.host.start());
    for (const { bus } of [owner, other]) bus.setConnected(false);
    detach(near);
    await stage.pass(HOST_LIMITS.sweepEveryMs + 500);
    expect(stage.tables.chats.get(chat)?.ownerNode).toBe(null);
    for (const { bus } of [owner, other]) bus.setConnected(true);
    await stage.pass(2_000);
    expect(far.ends).toBe(1);
    const back = await stage.until(other.follow(chat, cursor));
    expect(back.attached?.outcome).toBe('resumed');
    back.read();
    expect(back.events[0]?.event).toEqual({ kind: 'epoch', after: cursor });
    expect(other.counts.breaks.get('gap')).toBe(0);
  });

  test('[P5] its follow was lost on a link that lives: it asks again', async () => {
    const scene = await streaming();
    const { stage, owner, other, far } = scene;
    await besides(scene);
    const lost = loses(stage, FOLLOW, 1);
    for (const { bus } of [owner, other]) {
      bus.setConnected(false);
      bus.setConnected(true);
    }
    stage.sink.blockDelta(0, 'b');
    await stage.pass(CLUSTER_LIMITS.followTryMs + 2 * CLUSTER_LIMITS.beatMs);
    expect(lost()).toBe(1);
    expect(far.text).toBe('ab');
    expect(far.ends).toBe(0);
    expect(other.counts.limits.get('followTryMs')).toBe(1);
  });

  test('[P11] the word that it is let go of was lost on a link that lives: the owner is told again', async () => {
    const scene = await streaming();
    const { stage, owner, other, far } = scene;
    await besides(scene);
    expect(owner.cluster.measure().follows).toBe(2);
    const lost = loses(stage, UNFOLLOW, 2);
    detach(far);
    await stage.pass(CLUSTER_LIMITS.mirrorLingerMs + 5 * CLUSTER_LIMITS.beatMs);
    expect(lost()).toBe(2);
    expect(other.cluster.measure().mirrors).toBe(1);
    expect(owner.cluster.measure().follows).toBe(1);
  });

  test('[P11] a follow that comes twice, or behind its own end, leaves nothing at the owner', async () => {
    const scene = await streaming();
    const { stage, owner, other, far } = scene;
    await besides(scene);
    const follows: [string, Uint8Array][] = [];
    stage.hub.onTheWay = (subject, bytes) => {
      if (kindOf(bytes) === FOLLOW) follows.push([subject, bytes]);
      return true;
    };
    const third = await stage.create();
    await stage.until(owner.host.command(ADA, stage.renameOf(third)));
    const reader = await stage.until(other.follow(third));
    stage.hub.onTheWay = () => true;
    const again = async (): Promise<void> => {
      for (const [subject, bytes] of follows) stage.hub.spread(subject, bytes);
      await stage.settle();
    };
    await again();
    expect(owner.cluster.measure().follows).toBe(3);
    for (const one of [reader, far]) detach(one);
    await stage.pass(CLUSTER_LIMITS.mirrorLingerMs + 2_000);
    await again();
    expect(follows).toHaveLength(1);
    expect(owner.cluster.measure().follows).toBe(1);
  });
});

describe('an owner that nobody asks', () => {
  test('[P12] storage says that a chat is of the node that asks, and it is not there: it is loaded there', async () => {
    const { stage, chat, owner, other } = await streaming();
    // As behind an activation whose answer was lost.
    const placed = [owner, other].find(({ cluster }) => cluster.isMine(chat)) ?? owner;
    const asker = placed === owner ? other : owner;
    const row = must(stage.tables.chats.get(chat), 'it is there');
    owner.host.abandon();
    row.ownerNode = asker.id;
    const rename = { chat: uuidToBytes(chat), title: 'found' };
    const reply = await stage.until(asker.command('chat.rename', rename, stage.newId()));
    expect(reply.ok).toBe(true);
    expect(row.chat.title).toBe('found');
  });

  test('[P1][P4] archived with its tree by another node, it is told, or finds out by itself', async () => {
    for (const isHintLost of [false, true]) {
      const stage = await ClusterStage.of(2);
      const root = await stage.create();
      const child = await stage.create(root);
      const [one, two] = [stage.node(0), stage.node(1)];
      for (const [node, chat] of [
        [one, root],
        [two, child],
      ] as const) {
        node.cluster.isMine = () => true;
        await stage.until(node.host.command(ADA, stage.renameOf(chat)));
      }
      const reader = await stage.until(two.follow(child));
      await stage.until(two.host.start());
      const lost = loses(stage, TAKEN, isHintLost ? 1 : 0);
      const reply = await stage.until(one.command('chat.archive', { chat: uuidToBytes(root) }, stage.newId()));
      expect(reply.ok).toBe(true);
      await stage.pass(isHintLost ? HOST_LIMITS.overtakenEveryMs + 1_000 : 1_000);
      expect(lost()).toBe(isHintLost ? 1 : 0);
      expect(reader.ends).toBe(1);
      const again = await stage.until(two.follow(child));
      expect(again.attached?.outcome).toBe('snapshot');
      const piece = again.attached?.outcome === 'snapshot' ? again.attached.nextPiece() : null;
      expect(piece?.head?.chat.archived).toBe(true);
    }
  });

  test('[archive] archived with its tree while it runs at another node, it is stopped there and keeps its text', async () => {
    const { stage, chat: child, owner, other, far } = await streaming();
    const root = await stage.create();
    const row = must(stage.tables.chats.get(child), 'it was created');
    row.chat = { ...row.chat, parent: root, root };
    await stage.until(other.host.command(ADA, stage.renameOf(root)));
    expect(stage.tables.chats.get(root)?.ownerNode).toBe(other.id);
    const reply = await stage.until(other.command('chat.archive', { chat: uuidToBytes(root) }, stage.newId()));
    expect(reply.ok).toBe(true);
    expect(row.chat).toMatchObject({ archived: true, status: 'waiting', last_turn: { outcome: 'stopped' } });
    expect(row.messages.map(({ role, parts }) => [role, parts.map(({ text }) => text).join('')])).toEqual([
      ['user', 'hello'],
      ['assistant', 'a'],
    ]);
    await stage.pass(HOST_LIMITS.restHeldMs + 1_000);
    expect(far.ends).toBe(1);
    const again = await stage.until(owner.command('chat.send', stage.sendArgs(child, 'more'), stage.newId()));
    expect(parseError(decodeBody(again.body)).code).toBe('archived');
  });

  test('[archive] a tree of which a running chat cannot be reached is refused in the time of one search', async () => {
    const { stage, chat: child, owner, other } = await streaming();
    const root = await stage.create();
    const row = must(stage.tables.chats.get(child), 'it was created');
    row.chat = { ...row.chat, parent: root, root };
    await stage.until(other.host.command(ADA, stage.renameOf(root)));
    owner.bus.setConnected(false);
    const beganMs = stage.clock.nowMs();
    const archive = other.command('chat.archive', { chat: uuidToBytes(root) }, stage.newId());
    const reply = await stage.until(archive, 60_000);
    expect(parseError(decodeBody(reply.body)).code).toBe('unavailable');
    expect(stage.clock.nowMs() - beganMs).toBeLessThan(CLUSTER_LIMITS.routeMs + 2_000);
    expect(row.chat.archived).toBe(false);
  });
});
