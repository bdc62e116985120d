// The owner ends of all links of a node: who follows which of its chats, and the tick that sends what there is.

import { errorBody } from '../../protocol/errors.ts';
import type { ChatId, NodeId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import type { StreamLog } from '../chat/stream-log.ts';
import type { NodeChatHost } from '../host/chat-host.ts';
import type { Clock, Log } from '../ports.ts';
import type { ClusterCounts } from './counts.ts';
import type { FollowRequest } from './frames.ts';
import { CLUSTER_LIMITS } from './limits.ts';
import { OutLink } from './out-link.ts';
import type { Post } from './post.ts';

export type OutLinksParts = {
  readonly post: Post;
  readonly host: Pick<NodeChatHost, 'followHere' | 'fence'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly counts: ClusterCounts;
  /** Runs the task after the events that are at hand. */
  readonly schedule: (task: () => void) => void;
  readonly ownerOf: (chat: ChatId) => NodeId | null;
};

export class OutLinks {
  readonly #parts: OutLinksParts;
  /** One per gateway: a newer one takes the place of the older. */
  readonly #byPeer = new Map<NodeId, OutLink>();
  #woken = new Set<OutLink>();
  #scheduled = false;

  constructor(parts: OutLinksParts) {
    this.#parts = parts;
  }

  get measure(): { readonly links: number; readonly follows: number; readonly unackedBytes: number } {
    const links = [...this.#byPeer.values()];
    const follows = links.reduce((sum, { size }) => sum + size, 0);
    return { links: links.length, follows, unackedBytes: links.reduce((sum, link) => sum + link.unackedBytes, 0) };
  }

  async follow(peer: NodeId, request: FollowRequest): Promise<void> {
    const link = this.#linkOf(peer, request.link);
    if (link === null) return;
    const { id, chat, viewer, cursor, epoch } = request;
    const follow = link.open(id, chat);
    if (follow === null) return;
    try {
      await this.#parts.host.fence(chat, epoch);
      const followed = await this.#parts.host.followHere(viewer, chat, cursor, follow);
      switch (followed.outcome) {
        case 'gone':
          return link.refuse({ type: 'gone', id });
        case 'refused':
          return link.refuse({ type: 'refused', id, error: followed.error });
        case 'elsewhere':
          return link.refuse({ type: 'ended', id, node: followed.node });
        case 'resumed':
        case 'snapshot': {
          const { source, detach } = followed;
          if (follow.isStopped || source.isOver()) {
            detach();
            if (!follow.isStopped) link.ended(follow);
            return;
          }
          const isHere = followed.outcome === 'resumed' && cursor !== null;
          // A mirror is of one epoch: at the end of the one before, its readers go on, and it begins anew.
          const resumed = request.again && isHere && cursor.epoch === source.log.epoch;
          const at = resumed ? cursor : source.log.top;
          follow.begin(
            source.log,
            { cursor: at, resumed, ringFrom: ringFrom(source.log, isHere ? cursor : null) },
            detach,
          );
        }
      }
    } catch (error) {
      this.#parts.log.error('a chat could not be followed for another node', { chat, error });
      link.refuse({ type: 'refused', id, error: errorBody('unavailable', undefined, 1_000) });
    }
  }

  unfollow(peer: NodeId, link: number, id: number): void {
    const known = this.#byPeer.get(peer);
    if (known?.link !== link) return;
    known.released(id);
    // The gateway forgets its end with the last one, too.
    if (known.size === 0) this.#drop(known);
  }

  acknowledged(peer: NodeId, link: number, seq: number): void {
    const known = this.#byPeer.get(peer);
    if (known?.link === link) known.acknowledged(seq);
  }

  /** Once per beat: signs of life, and an end to links that nobody listens to. */
  beat(): void {
    for (const link of this.#byPeer.values()) {
      if (link.isAbandoned) this.#parts.counts.limits.add('ackWaitMs');
      if (link.isAbandoned || !link.pump(true)) this.#drop(link);
    }
  }

  /** What was withheld while this node was suspended may go out. */
  announce(): void {
    for (const link of this.#byPeer.values()) link.announce();
  }

  /** The peer is dead, or the bus has lost messages: its gateway follows anew. Null: all. */
  drop(peer: NodeId | null): void {
    for (const link of this.#byPeer.values()) {
      if (peer === null || link.peer === peer) this.#drop(link);
    }
  }

  #linkOf(peer: NodeId, number: number): OutLink | null {
    const known = this.#byPeer.get(peer);
    if (known?.link === number) return known;
    if (known !== undefined && known.link > number) return null;
    if (known !== undefined) this.#drop(known);
    const { post, counts, clock, ownerOf } = this.#parts;
    const link: OutLink = new OutLink({
      peer,
      link: number,
      counts,
      nowMs: () => clock.nowMs(),
      send: (seq, items) => post.send(peer, { kind: 'link', link: number, seq, items }),
      wake: () => this.#wake(link),
      ownerOf,
    });
    this.#byPeer.set(peer, link);
    return link;
  }

  #drop(link: OutLink): void {
    if (this.#byPeer.get(link.peer) === link) this.#byPeer.delete(link.peer);
    this.#woken.delete(link);
    link.stop();
  }

  #wake(link: OutLink): void {
    this.#woken.add(link);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#parts.schedule(() => this.#tick());
  }

  #tick(): void {
    this.#scheduled = false;
    const woken = this.#woken;
    this.#woken = new Set();
    for (const link of woken) {
      if (this.#byPeer.get(link.peer) === link && !link.pump(false)) this.#drop(link);
    }
  }
}

/** A small ring goes whole: whoever comes to that gateway next may resume from it. Else what its first client needs. */
function ringFrom(log: StreamLog, cursor: Position | null): Position | null {
  return log.ring.bytes <= CLUSTER_LIMITS.ringAheadBytes ? log.floor : cursor;
}
