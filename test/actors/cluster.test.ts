// Chats across nodes, step by step: links that lose messages, owners that die or are late, gateways that are slow.

import { describe, expect, test } from 'vitest';
import { StreamLog } from '../../actors/chat/stream-log.ts';
import { CLUSTER_LIMITS } from '../../actors/cluster/limits.ts';
import { parseError } from '../../protocol/wire-content.ts';
import { decodeBody } from '../../protocol/codec.ts';
import { uuidToBytes } from '../../protocol/ids.ts';
import { must } from '../../protocol/assert.ts';
import { comparePositions } from '../../protocol/position.ts';
import { detach, streaming } from './cluster-scene.ts';
import { ClusterStage } from './cluster-stage.ts';

function isEvent(subject: string): boolean {
  return subject.startsWith('parley.event.');
}

describe('a mirror', () => {
  test('[P2] its readers get what the owner emits, merged at most, and end where it is', async () => {
    const { stage, near, far } = await streaming();
    for (const text of ['b', 'c', 'd']) stage.sink.blockDelta(0, text);
    await stage.settle();
    expect(far.text).toBe('abcd');
    expect(near.text).toBe('abcd');
    expect(far.events.at(-1)?.position).toEqual(near.events.at(-1)?.position);
    expect(comparePositions(far.log.top, near.log.top)).toBe(0);
  });

  test('[P4] who comes later gets the state, or just what is missing, without a question to the owner', async () => {
    const { stage, chat, owner, other, far } = await streaming();
    const cursor = far.log.top;
    stage.sink.blockDelta(0, 'b');
    await stage.settle();
    const calls = owner.counts.messagesIn;
    const fresh = await stage.until(other.follow(chat));
    const back = await stage.until(other.follow(chat, cursor));
    expect([fresh.attached?.outcome, back.attached?.outcome]).toEqual(['snapshot', 'resumed']);
    back.read();
    expect(back.text).toBe('b');
    const piece = fresh.attached?.outcome === 'snapshot' ? fresh.attached.nextPiece() : null;
    expect(piece?.live).toEqual([[0, 0, 'ab']]);
    expect(owner.counts.messagesIn).toBe(calls);
  });

  test('[P2] it shows all that the owner shows of a turn: what one copy leaves out, every snapshot would lack', async () => {
    const { stage, chat, owner, other } = await streaming();
    stage.sink.blockDelta(0, 'é'.repeat(40_000));
    stage.sink.blockStart(1, 'text');
    await stage.settle();
    // Anew, from the state: no event goes before it.
    const [, far] = [await stage.until(owner.follow(chat)), stage.join()];
    await stage.pass(1_000);
    const there = await stage.until(far.follow(chat));
    const here = await stage.until(owner.follow(chat));
    const views = [here, there].map(({ log }) => (log instanceof StreamLog ? log.view.turn() : null));
    expect(views[1]).toEqual(views[0]);
    expect(views[1]?.blocks.map(({ bytes }) => bytes)).toEqual([80_001, 0]);
    expect(other.counts.limits.get('openingBytes')).toBe(0);
  });

  test('[P1] a member sees no chat of another through it', async () => {
    const { stage, chat, other } = await streaming();
    const bert = { owner: 'bert', role: 'member', groups: [] } as unknown as Parameters<
      typeof other.cluster.host.attach
    >[0];
    const follower = { onAppend: () => undefined, onEnd: () => undefined };
    expect(await stage.until(other.cluster.host.attach(bert, chat, null, follower))).toEqual({ outcome: 'gone' });
  });

  test('[P5] a lost message breaks the link, and the mirror goes on without its readers seeing anything of it', async () => {
    const { stage, other, far } = await streaming();
    let lost = 0;
    stage.hub.onTheWay = (subject) => !(isEvent(subject) && lost++ === 0);
    stage.sink.blockDelta(0, 'b');
    await stage.settle();
    stage.sink.blockDelta(0, 'c');
    await stage.pass(3_000);
    expect(lost).toBeGreaterThan(0);
    expect(far.text).toBe('abc');
    expect(far.ends).toBe(0);
    expect(other.counts.breaks.get('gap') + other.counts.breaks.get('silence')).toBe(1);
    expect(other.counts.mirrors.get('resumed')).toBe(1);
  });

  test('[P5] an idle link whose last message was lost is found silent or short of one within two seconds', async () => {
    const { stage, far } = await streaming();
    let lost = 0;
    stage.hub.onTheWay = (subject) => !(isEvent(subject) && lost++ === 0);
    stage.sink.blockDelta(0, 'z');
    await stage.pass(2_000);
    expect(far.text).toBe('az');
    expect(far.ends).toBe(0);
  });

  test('[P2] messages that come twice or late change nothing', async () => {
    const { stage, far } = await streaming();
    const kept: [string, Uint8Array][] = [];
    stage.hub.onTheWay = (subject, bytes) => {
      if (isEvent(subject)) kept.push([subject, bytes]);
      return true;
    };
    stage.sink.blockDelta(0, 'b');
    await stage.settle();
    stage.hub.onTheWay = () => true;
    for (const [subject, bytes] of kept) stage.hub.spread(subject, bytes);
    await stage.pass(3_000);
    stage.sink.blockDelta(0, 'c');
    await stage.pass(3_000);
    expect(far.text).toBe('abc');
    expect(far.ends).toBe(0);
  });

  test('[P9] a frame that is larger than a message arrives whole', async () => {
    const { stage, far } = await streaming();
    const long = 'x'.repeat(CLUSTER_LIMITS.messageBytes * 3);
    stage.sink.blockDelta(0, long);
    await stage.settle();
    expect(far.text.length).toBe(long.length + 1);
  });

  test('[P9] a gateway that takes nothing in holds the owner at its window, and catches up with merged deltas', async () => {
    const { stage, owner, far } = await streaming();
    stage.hub.onTheWay = (subject) => !(subject === `parley.command.${owner.id}`);
    const piece = 'y'.repeat(100_000);
    for (let i = 0; i < 35; i++) {
      stage.sink.blockDelta(0, piece);
      await stage.settle();
    }
    for (let i = 0; i < 1_000; i++) stage.sink.blockDelta(0, 'z'.repeat(500));
    await stage.settle();
    expect(owner.cluster.measure().unackedBytes).toBeLessThanOrEqual(
      CLUSTER_LIMITS.windowBytes + 4 * CLUSTER_LIMITS.messageBytes,
    );
    stage.hub.onTheWay = () => true;
    await stage.pass(3_000);
    expect(far.ends).toBeLessThanOrEqual(1);
  });

  test('[P11] nobody reads it any more: it is let go, and the owner keeps nothing of it', async () => {
    const { stage, owner, other, far } = await streaming();
    detach(far);
    await stage.pass(CLUSTER_LIMITS.mirrorLingerMs + 2_000);
    expect(other.cluster.measure()).toMatchObject({ mirrors: 0, linksIn: 0 });
    expect(owner.cluster.measure()).toMatchObject({ follows: 0, linksOut: 0, unackedBytes: 0 });
  });
});

describe('commands to another node', () => {
  test('[P3] an answer that was lost is asked for again: one effect, the reply of the first', async () => {
    const { stage, chat, owner, other } = await streaming();
    let lost = 0;
    stage.hub.onTheWay = (subject) => !(subject === `parley.command.${other.id}` && lost++ === 0);
    const id = stage.newId();
    const args = stage.sendArgs(chat, 'again');
    const reply = await stage.until(other.command('chat.send', args, id));
    const direct = await stage.until(owner.command('chat.send', args, id));
    expect(lost).toBeGreaterThan(0);
    expect(reply.ok).toBe(true);
    expect(reply.body).toEqual(direct.body);
    expect(must(stage.tables.chats.get(chat), 'it is there').queue).toHaveLength(1);
  });

  test('[P3] without the bus a chat of another node is refused after a bounded time; those that are here go on', async () => {
    const { stage, chat, owner, other, near } = await streaming();
    other.bus.setConnected(false);
    const beganMs = stage.clock.nowMs();
    const reply = await stage.until(other.command('chat.send', stage.sendArgs(chat, 'x'), stage.newId()));
    expect(parseError(decodeBody(reply.body)).code).toBe('unavailable');
    expect(stage.clock.nowMs() - beganMs).toBeLessThan(CLUSTER_LIMITS.routeMs + 2_000);
    owner.bus.setConnected(false);
    stage.sink.blockDelta(0, 'b');
    await stage.settle();
    expect(near.text).toBe('ab');
    const local = await stage.until(owner.command('chat.send', stage.sendArgs(chat, 'y'), stage.newId()));
    expect(local.ok).toBe(true);
  });

  test('[P5] the bus comes back: the mirror catches up from where it stood', async () => {
    const { stage, owner, other, far } = await streaming();
    for (const { bus } of [owner, other]) bus.setConnected(false);
    stage.sink.blockDelta(0, 'b');
    await stage.pass(3_000);
    expect(far.text).toBe('a');
    for (const { bus } of [owner, other]) bus.setConnected(true);
    await stage.pass(3_000);
    expect(far.text).toBe('ab');
    expect(far.ends).toBe(0);
  });
});

describe('an owner that dies', () => {
  test('[P1][P12] its chats are taken up, each once; readers look again and find the next epoch', async () => {
    const { stage, chat, owner, other, far } = await streaming(3);
    const cursor = far.log.top;
    await stage.kill(owner);
    await stage.pass(3_000);
    expect(far.ends).toBe(1);
    const { owner: heir } = stage.sides(chat);
    expect(heir).not.toBe(owner);
    const back = await stage.until(other.follow(chat, cursor));
    expect(back.attached?.outcome).toBe('snapshot');
    expect(back.log.top.epoch).toBe(cursor.epoch + 1);
    expect(stage.sinks).toHaveLength(2);
  });

  test('[P1] one that does not know that it is dead is not believed: frames of an older epoch are dropped', async () => {
    const { stage, chat, owner, other, far } = await streaming(2);
    // Postgres has marked it dead; its lease has not told it.
    stage.tables.deadNodes.add(owner.id);
    other.cluster.listed([], [owner.id]);
    await stage.pass(3_000);
    expect(far.ends).toBe(1);
    const mine = await stage.until(other.follow(chat));
    expect(mine.log.top.epoch).toBe(far.log.top.epoch + 1);
    const before = mine.events.length;
    const [sink] = stage.sinks;
    must(sink, 'the old one streams').blockDelta(0, 'stale');
    await stage.pass(2_000);
    expect(mine.events.slice(before).every(({ position }) => position.epoch === mine.log.top.epoch)).toBe(true);
    expect(mine.text).not.toContain('stale');
    // Told of the higher epoch, it asks storage and is over.
    await stage.until(owner.host.fence(chat, mine.log.top.epoch));
    expect(owner.host.residents).toBe(0);
  });

  test('[P12] whoever came while it was declared dead goes on when it has registered anew', async () => {
    const { owner } = await streaming();
    owner.isLate = true;
    owner.cluster.lost();
    let hasPassed = false;
    const waiting = owner.suspension.passed().then(() => (hasPassed = true));
    owner.isLate = false;
    owner.cluster.anew(owner.id);
    await waiting;
    expect(hasPassed).toBe(true);
  });

  test('[P1] a node past its own deadline shows nothing new, and what it held back once it is renewed', async () => {
    const { stage, owner, near, far } = await streaming();
    owner.isLate = true;
    stage.sink.blockDelta(0, 'b');
    await stage.settle();
    expect([near.text, far.text]).toEqual(['a', 'a']);
    owner.isLate = false;
    owner.cluster.heldAgain();
    await stage.settle();
    expect([near.text, far.text]).toEqual(['ab', 'ab']);
  });
});

describe('a node that goes down', () => {
  test('[P4] its chats at rest are given up in order: a cursor at the end of the old epoch goes on in the new one', async () => {
    const { stage, chat, owner, other, far } = await streaming(3);
    const turn = must(stage.tables.chats.get(chat), 'it is there').turn?.id ?? '';
    await stage.until(owner.command('chat.stop', { chat: uuidToBytes(chat), turn: uuidToBytes(turn) }, stage.newId()));
    await stage.settle();
    owner.cluster.drain();
    await stage.until(owner.host.drain());
    await stage.pass(500);
    expect(far.ends).toBe(1);
    const cursor = must(far.events.at(-1), 'it saw the end').position;
    const back = await stage.until(other.follow(chat, cursor));
    expect(back.attached?.outcome).toBe('resumed');
    back.read();
    expect(back.events[0]?.event).toEqual({ kind: 'epoch', after: cursor });
    expect(stage.sides(chat).owner).not.toBe(owner);
  });

  test('[P12] a turn that still runs at the deadline goes on at another node at once, while this one lives', async () => {
    const { stage, chat, owner, far } = await streaming(3);
    owner.cluster.drain();
    await stage.until(owner.host.drain());
    await stage.pass(500);
    expect(far.ends).toBe(1);
    expect(stage.tables.deadNodes.size).toBe(0);
    expect(stage.sides(chat).owner).not.toBe(owner);
    expect(stage.sinks).toHaveLength(2);
  });

  test('[§7] while it gives its chats up, commands go to whoever has them then', async () => {
    const { stage, chat, owner } = await streaming(3);
    owner.cluster.drain();
    const draining = owner.host.drain();
    const here = await stage.until(
      owner.command('chat.rename', { chat: uuidToBytes(chat), title: 'a' }, stage.newId()),
    );
    await stage.until(draining);
    const there = await stage.until(
      owner.command('chat.rename', { chat: uuidToBytes(chat), title: 'b' }, stage.newId()),
    );
    expect([here.ok, there.ok]).toEqual([true, true]);
    expect(stage.tables.chats.get(chat)?.chat.title).toBe('b');
  });
});

describe('who is not of the cluster', () => {
  test('[§7] another key: nothing is taken in, and it is counted', async () => {
    const stage = await ClusterStage.of(2);
    const stranger = stage.join({ key: new Uint8Array(32).fill(9) });
    await stage.pass(2_000);
    expect(stage.node(0).counts.refused.get('mac')).toBeGreaterThan(0);
    expect(stranger.counts.refused.get('mac')).toBeGreaterThan(0);
    expect(stranger.cluster.measure().peersReachable).toBe(0);
    expect(stage.node(0).cluster.measure().peersReachable).toBe(1);
  });

  test('[§7] one version apart they work together; two apart they refuse each other', async () => {
    const stage = await ClusterStage.of(1);
    stage.join({ version: 2 });
    stage.join({ version: 3 });
    await stage.pass(2_000);
    const reachable = stage.nodes.map(({ cluster }) => cluster.measure().peersReachable);
    expect(reachable).toEqual([1, 2, 1]);
    expect(stage.node(0).counts.refused.get('version')).toBeGreaterThan(0);
    const chat = await stage.create();
    for (const node of stage.nodes.slice(0, 2)) {
      const reply = await stage.until(
        node.command('chat.rename', { chat: uuidToBytes(chat), title: 't' }, stage.newId()),
      );
      expect(reply.ok).toBe(true);
    }
  });
});
