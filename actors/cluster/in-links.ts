// The gateway ends of all links of a node, and the mirrors that hang on them.
//
// A link is taken in its order: its messages are numbered from 1 without a hole, and one comes at least every beat. A hole
// or silence breaks it. Then all its mirrors follow anew, over a link with a higher number, from where they stand; what
// still comes on the old one is void. A mirror whose owner is dead is over: its sessions attach again, to whoever has the
// chat then.

import type { ChatId, NodeId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import type { RingBudget } from '../chat/ring-budget.ts';
import type { Clock, Log, Principal } from '../ports.ts';
import type { ClusterCounts, LinkBreak } from './counts.ts';
import type { LinkItem } from './frames.ts';
import { CLUSTER_LIMITS } from './limits.ts';
import { Mirror } from './mirror.ts';
import type { OwnerCache } from './owners.ts';
import type { Post } from './post.ts';

export type InLinksParts = {
  readonly post: Post;
  readonly clock: Clock;
  readonly log: Log;
  readonly counts: ClusterCounts;
  readonly rings: RingBudget;
  readonly isReachable: (node: NodeId) => boolean;
  readonly isDead: (node: NodeId) => boolean;
  readonly owners: Pick<OwnerCache, 'epochOf' | 'saw' | 'learn'>;
};

/** To follow anew nobody has to be asked by name: the owner's host sees to who may see the chat at the first time. */
type Following = {
  readonly mirror: Mirror;
  readonly viewer: Principal;
  /** When its owner was asked; null since it has answered. */
  askedMs: number | null;
};

type InLink = {
  readonly peer: NodeId;
  readonly number: number;
  readonly following: Map<number, Following>;
  /** Let go of, and the owner has not said that it knows: it is told again at each beat. */
  readonly released: Set<number>;
  seq: number;
  heardMs: number;
  /** Bytes and messages since the last acknowledgement. */
  unackedBytes: number;
  ackedSeq: number;
};

export class InLinks {
  readonly #parts: InLinksParts;
  readonly #mirrors = new Map<ChatId, Following>();
  readonly #byPeer = new Map<NodeId, InLink>();
  /** Broken, and without a link until their owner is heard of. */
  readonly #waiting = new Set<Following>();
  #lastLink = 0;
  #lastFollow = 0;
  #lastGapMs = Number.NEGATIVE_INFINITY;

  constructor(parts: InLinksParts) {
    this.#parts = parts;
  }

  get measure(): { readonly links: number; readonly mirrors: number; readonly waiting: number } {
    return { links: this.#byPeer.size, mirrors: this.#mirrors.size, waiting: this.#waiting.size };
  }

  mirrorOf(chat: ChatId): Mirror | null {
    return this.#mirrors.get(chat)?.mirror ?? null;
  }

  /** Begins a mirror of the chat at `peer`; null when there are too many. There is none of it yet. */
  follow(peer: NodeId, viewer: Principal, chat: ChatId, cursor: Position | null): Mirror | null {
    const { counts, clock, rings, owners } = this.#parts;
    if (this.#mirrors.size >= CLUSTER_LIMITS.mirrors) {
      counts.limits.add('mirrors');
      return null;
    }
    const mirror = new Mirror({ chat, peer, nowMs: () => clock.nowMs(), counts, rings, epochs: owners });
    const following: Following = { mirror, viewer, askedMs: null };
    this.#mirrors.set(chat, following);
    this.#ask(following, cursor);
    return mirror;
  }

  received(from: NodeId, number: number, seq: number, items: readonly LinkItem[]): void {
    const link = this.#byPeer.get(from);
    // Of a link that is over: its owner learns of the new one from the follow that is under way.
    if (link?.number !== number) return;
    if (seq !== link.seq + 1) return this.#break(link, 'gap');
    link.seq = seq;
    link.heardMs = this.#parts.clock.nowMs();
    for (const item of items) {
      const following = link.following.get(item.id);
      // It was let go of while this was under way; or it came to life again, and is let go of once more.
      if (following === undefined) {
        if (item.type === 'ended') link.released.delete(item.id);
        else link.released.add(item.id);
        continue;
      }
      following.askedMs = null;
      if ('bytes' in item) link.unackedBytes += item.bytes.length;
      // Before its readers look for the chat.
      if (item.type === 'ended' && item.node !== null) this.#parts.owners.learn(following.mirror.chat, item.node);
      if (!this.#take(following.mirror, item)) return this.#break(link, 'gap');
      if (following.mirror.end !== null) this.#forget(following);
    }
    if (link.unackedBytes >= CLUSTER_LIMITS.ackBytes) this.#acknowledge(link);
  }

  /** Once per beat: acknowledgements, silence, mirrors that nobody reads or whose owner does not come back. */
  beat(): void {
    const { clock, counts, post, isReachable, isDead } = this.#parts;
    const nowMs = clock.nowMs();
    for (const link of this.#byPeer.values()) {
      if (nowMs - link.heardMs > CLUSTER_LIMITS.silentMs) {
        counts.limits.add('silentMs');
        this.#break(link, 'silence');
        continue;
      }
      if (link.seq > link.ackedSeq) this.#acknowledge(link);
      for (const id of link.released) this.#unfollow(link, id);
    }
    for (const following of this.#waiting) {
      const { mirror } = following;
      if (isDead(mirror.peer)) this.#end(following);
      else if (post.connected && isReachable(mirror.peer)) this.#ask(following, mirror.log?.top ?? null);
      else if (nowMs - (mirror.brokenMs ?? nowMs) > CLUSTER_LIMITS.mirrorWaitMs) {
        counts.limits.add('mirrorWaitMs');
        this.#end(following);
      }
    }
    for (const following of this.#mirrors.values()) {
      this.#askAgain(following, nowMs);
      this.#letGo(following, nowMs);
    }
  }

  /** Nobody reads its chats from it any more. */
  died(peer: NodeId): void {
    const link = this.#byPeer.get(peer);
    if (link !== undefined) this.#close(link);
    for (const following of this.#mirrors.values()) {
      if (following.mirror.peer === peer) this.#end(following);
    }
  }

  /** The bus was away: what was published meanwhile is lost, and maybe what was published just before. */
  breakAll(): void {
    for (const link of this.#byPeer.values()) this.#break(link, 'bus');
  }

  stop(): void {
    for (const following of this.#mirrors.values()) this.#end(following);
    this.#byPeer.clear();
  }

  #take(mirror: Mirror, item: LinkItem): boolean {
    try {
      return mirror.take(item);
    } catch (error) {
      // What its owner says does not fit to what the mirror has: it begins anew, with the state.
      this.#parts.log.warn('a mirror could not take over what its owner sent', { chat: mirror.chat, error });
      this.drop(mirror);
      return false;
    }
  }

  /** What it has cannot be right: it is over, whoever reads from it looks for the owner anew. */
  drop(mirror: Mirror): void {
    const following = this.#mirrors.get(mirror.chat);
    if (following?.mirror === mirror) this.#end(following);
  }

  /** The others on its link are answered, or the link would be broken: what it asked, or its answer, was lost. */
  #askAgain(following: Following, nowMs: number): void {
    const { mirror, askedMs } = following;
    const link = this.#byPeer.get(mirror.peer);
    if (askedMs === null || link?.following.get(mirror.id) !== following) return;
    if (nowMs - askedMs <= CLUSTER_LIMITS.followTryMs) return;
    this.#parts.counts.limits.add('followTryMs');
    link.following.delete(mirror.id);
    this.#release(link, mirror.id);
    this.#ask(following, mirror.log?.top ?? null);
  }

  /** Over the link to the owner; a new one when there is none. */
  #ask(following: Following, cursor: Position | null): void {
    const { post, clock, owners } = this.#parts;
    const { mirror, viewer } = following;
    const link = this.#byPeer.get(mirror.peer) ?? this.#openLink(mirror.peer);
    this.#lastFollow += 1;
    const id = this.#lastFollow;
    mirror.id = id;
    following.askedMs = clock.nowMs();
    mirror.brokenMs = null;
    mirror.rebegin();
    this.#waiting.delete(following);
    link.following.set(id, following);
    const { chat, log } = mirror;
    const again = log !== null;
    const sent = post.send(mirror.peer, {
      kind: 'follow',
      link: link.number,
      id,
      chat,
      viewer,
      cursor,
      again,
      epoch: owners.epochOf(chat),
    });
    if (!sent) this.#wait(link, following, clock.nowMs());
  }

  #openLink(peer: NodeId): InLink {
    this.#lastLink += 1;
    const link: InLink = {
      peer,
      number: this.#lastLink,
      following: new Map(),
      released: new Set(),
      seq: 0,
      heardMs: this.#parts.clock.nowMs(),
      unackedBytes: 0,
      ackedSeq: 0,
    };
    this.#byPeer.set(peer, link);
    return link;
  }

  #break(link: InLink, why: LinkBreak): void {
    if (this.#byPeer.get(link.peer) !== link) return;
    this.#parts.counts.breaks.add(why);
    this.#parts.log.info('a link is broken and begun anew', { peer: link.peer, why, chats: link.following.size });
    const followings = [...link.following.values()];
    this.#close(link);
    const nowMs = this.#parts.clock.nowMs();
    for (const following of followings) this.#wait(null, following, nowMs);
    // A hole is no reason to wait for the next beat: the owner is there. Unless there is one after the other.
    const isFirst = nowMs - this.#lastGapMs > CLUSTER_LIMITS.silentMs;
    if (why !== 'gap' || !isFirst || !this.#parts.post.connected) return;
    this.#lastGapMs = nowMs;
    for (const following of followings) {
      if (this.#waiting.has(following)) this.#ask(following, following.mirror.log?.top ?? null);
    }
  }

  #wait(link: InLink | null, following: Following, nowMs: number): void {
    link?.following.delete(following.mirror.id);
    following.mirror.brokenMs ??= nowMs;
    this.#waiting.add(following);
  }

  #close(link: InLink): void {
    if (this.#byPeer.get(link.peer) === link) this.#byPeer.delete(link.peer);
    link.following.clear();
  }

  #acknowledge(link: InLink): void {
    link.unackedBytes = 0;
    link.ackedSeq = link.seq;
    this.#parts.post.send(link.peer, { kind: 'ack', link: link.number, seq: link.seq });
  }

  #letGo(following: Following, nowMs: number): void {
    const { mirror } = following;
    if (mirror.followers > 0) mirror.usedMs = nowMs;
    else if (nowMs - mirror.usedMs > CLUSTER_LIMITS.mirrorLingerMs) this.#end(following);
  }

  #end(following: Following): void {
    this.#forget(following);
    following.mirror.finish({ outcome: 'elsewhere', node: null });
  }

  #forget(following: Following): void {
    const { mirror } = following;
    if (this.#mirrors.get(mirror.chat) === following) this.#mirrors.delete(mirror.chat);
    this.#waiting.delete(following);
    const link = this.#byPeer.get(mirror.peer);
    if (link?.following.get(mirror.id) !== following) return;
    link.following.delete(mirror.id);
    this.#release(link, mirror.id);
    // The owner forgets its end with the last one, too, or when nothing is acknowledged any more.
    if (link.following.size === 0) this.#close(link);
  }

  #release(link: InLink, id: number): void {
    link.released.add(id);
    this.#unfollow(link, id);
  }

  #unfollow({ peer, number: link }: InLink, id: number): void {
    this.#parts.post.send(peer, { kind: 'unfollow', link, id });
  }
}
