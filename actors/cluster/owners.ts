// What this node remembers of who has which chat. A memory, no truth: who is asked and has it not says so.

import type { ChatId, NodeId } from '../../protocol/ids.ts';
import type { ClusterCounts } from './counts.ts';
import { CLUSTER_LIMITS } from './limits.ts';

type Known = { readonly node: NodeId | null; readonly epoch: number };

export class OwnerCache {
  readonly #counts: ClusterCounts;
  readonly #known = new Map<ChatId, Known>();

  constructor(counts: ClusterCounts) {
    this.#counts = counts;
  }

  nodeOf(chat: ChatId): NodeId | null {
    return this.#known.get(chat)?.node ?? null;
  }

  /** The highest epoch of the chat that a frame was seen of here; 0: none, or it is forgotten. */
  epochOf(chat: ChatId): number {
    return this.#known.get(chat)?.epoch ?? 0;
  }

  learn(chat: ChatId, node: NodeId | null): void {
    this.#set(chat, { node, epoch: this.epochOf(chat) });
  }

  saw(chat: ChatId, epoch: number): void {
    if (epoch > this.epochOf(chat)) this.#set(chat, { node: this.nodeOf(chat), epoch });
  }

  /** The epochs stay: that it is dead does not make its frames newer. */
  forgetNode(node: NodeId): void {
    for (const [chat, known] of this.#known) {
      if (known.node === node) this.#known.set(chat, { node: null, epoch: known.epoch });
    }
  }

  #set(chat: ChatId, known: Known): void {
    this.#known.delete(chat);
    this.#known.set(chat, known);
    const [oldest] = this.#known.keys();
    if (this.#known.size <= CLUSTER_LIMITS.ownersKnown || oldest === undefined) return;
    this.#counts.limits.add('ownersKnown');
    this.#known.delete(oldest);
  }
}
