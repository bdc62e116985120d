// A node among others, over its incarnations: what the gateway and the lease of the node talk to.

import type { TakenChat } from '../actor-ports.ts';
import type { ChatId, NodeId, OwnerId } from '../../protocol/ids.ts';
import type { ChatHost } from '../host/api.ts';
import type { ChatStore, ModelDirectory } from '../ports.ts';
import { Incarnation, type IncarnationParts } from './incarnation.ts';
import { RoutingHost } from './routing-host.ts';

export type ClusterParts = Omit<IncarnationParts, 'self'> & {
  readonly store: ChatStore;
  readonly models: ModelDirectory;
};

/** What there is now, for whoever watches. */
export type ClusterMeasure = {
  readonly connected: boolean;
  readonly peersLive: number;
  readonly peersReachable: number;
  readonly linksIn: number;
  readonly linksOut: number;
  readonly mirrors: number;
  readonly mirrorsWaiting: number;
  readonly follows: number;
  readonly unackedBytes: number;
  readonly callsWaiting: number;
};

export class Cluster {
  /** For sessions, in place of the host of this node. */
  readonly host: ChatHost;
  readonly #routing: RoutingHost;
  readonly #parts: ClusterParts;
  #incarnation: Incarnation;

  constructor(parts: ClusterParts, self: NodeId) {
    this.#parts = parts;
    this.#incarnation = new Incarnation({ ...parts, self });
    const { host: local, suspension, store, models, clock, counts } = parts;
    this.#routing = new RoutingHost({
      local,
      incarnation: () => this.#incarnation,
      suspension,
      store,
      models,
      clock,
      counts,
    });
    this.host = this.#routing;
  }

  start(): void {
    this.#incarnation.start();
  }

  get isConnected(): boolean {
    return this.#incarnation.isConnected;
  }

  /** The chat is for this node to take up. */
  isMine(chat: ChatId): boolean {
    return this.#incarnation.placeOf(chat) === this.#incarnation.self;
  }

  /** As the database has just said. */
  listed(others: readonly NodeId[], marked: readonly NodeId[]): void {
    this.#parts.counts.deaths += marked.length;
    this.#incarnation.members.listed(others);
    // One that lived between two looks only: nothing is known of it but that it left something behind.
    for (const node of marked) this.#incarnation.members.died(node);
  }

  /** Renewed after it was late: what was withheld is shown. */
  heldAgain(): void {
    this.#parts.counts.suspensions += 1;
    this.#parts.suspension.release();
    this.#parts.host.announce();
    this.#incarnation.outLinks.announce();
  }

  /** Declared dead: others may have its chats, nothing of them is shown any more. */
  lost(): void {
    this.#incarnation.stop();
    this.#parts.host.abandon();
    this.#parts.suspension.release();
  }

  /** Goes on as another incarnation. */
  anew(self: NodeId): void {
    const draining = this.#incarnation.isDraining;
    this.#incarnation = new Incarnation({ ...this.#parts, self });
    this.#incarnation.start();
    if (draining) this.#incarnation.drain();
    // Whoever came since it was declared dead waits for this.
    this.#parts.suspension.release();
    void this.#parts.host.takeUp();
  }

  /** Nothing new is placed here any more. */
  drain(): void {
    this.#parts.suspension.stop();
    this.#incarnation.drain();
  }

  /** This chat is nobody's now. */
  handOver(chat: ChatId): void {
    this.#incarnation.handOver(chat);
  }

  /** These chats are not those of their nodes any more. */
  taken(chats: readonly TakenChat[]): void {
    this.#incarnation.taken(chats);
  }

  /** Brings a chat to rest, wherever it is; false when it cannot be reached. */
  rest(chat: ChatId, owner: OwnerId): Promise<boolean> {
    return this.#routing.rest(chat, owner);
  }

  /** Its row is retired. */
  leave(): void {
    this.#incarnation.left();
    this.#incarnation.stop();
  }

  fed(owner: string): void {
    this.#incarnation.fed(owner);
  }

  told(): void {
    this.#incarnation.told();
  }

  revoked(): void {
    this.#incarnation.revoked();
  }

  measure(): ClusterMeasure {
    const { members, inLinks, outLinks, calls } = this.#incarnation;
    const { live, reachable } = members.counts;
    const { links: linksIn, mirrors, waiting } = inLinks.measure;
    const { links: linksOut, follows, unackedBytes } = outLinks.measure;
    return {
      connected: this.isConnected,
      peersLive: live,
      peersReachable: reachable,
      linksIn,
      linksOut,
      mirrors,
      mirrorsWaiting: waiting,
      follows,
      unackedBytes,
      callsWaiting: calls.waiting,
    };
  }
}
