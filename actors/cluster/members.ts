// Which nodes there are: who lives (the database says so), who can be talked to (the bus does), and who should get what.
//
// Only the database's word counts for death, and it is for ever. A node that is not heard of on the bus is not asked, and
// nothing else follows from it.

import type { NodeId } from '../../protocol/ids.ts';
import type { Clock } from '../ports.ts';
import type { Beat } from './frames.ts';
import { CLUSTER_LIMITS } from './limits.ts';
import type { Candidate } from './placement.ts';

export type MembersParts = {
  readonly self: NodeId;
  readonly clock: Clock;
  /** The load and the state of this node. */
  readonly own: () => { readonly load: number; readonly draining: boolean };
  /** It lived before and is dead now. */
  readonly onDeath: (node: NodeId) => void;
  /** It is heard of for the first time, or again. */
  readonly onHeard: (node: NodeId) => void;
};

type Heard = { readonly beat: Beat; readonly atMs: number };

export class Members {
  readonly #parts: MembersParts;
  /** Others, by the database. */
  #live: ReadonlySet<NodeId> = new Set();
  readonly #heard = new Map<NodeId, Heard>();
  /** So that a late beat does not bring them back; the newest, as many as could still be talking. */
  readonly #dead = new Set<NodeId>();

  constructor(parts: MembersParts) {
    this.#parts = parts;
  }

  /** A sign of life on the bus, of a node that speaks our language. */
  heard(node: NodeId, beat: Beat): void {
    if (this.#dead.has(node)) return;
    const wasReachable = this.isReachable(node);
    this.#heard.set(node, { beat, atMs: this.#parts.clock.nowMs() });
    if (!wasReachable) this.#parts.onHeard(node);
  }

  /** The others that live, as the database has just said. */
  listed(live: readonly NodeId[]): void {
    const before = this.#live;
    this.#live = new Set(live);
    for (const node of before) {
      if (!this.#live.has(node)) this.died(node);
    }
    const longAgoMs = this.#parts.clock.nowMs() - FORGET_MS;
    for (const [node, { atMs }] of this.#heard) {
      if (atMs < longAgoMs && !this.#live.has(node)) this.#heard.delete(node);
    }
  }

  died(node: NodeId): void {
    if (this.#dead.has(node)) return;
    this.#dead.add(node);
    const [oldest] = this.#dead;
    if (this.#dead.size > DEAD_REMEMBERED && oldest !== undefined) this.#dead.delete(oldest);
    this.#heard.delete(node);
    this.#parts.onDeath(node);
  }

  isDead(node: NodeId): boolean {
    return this.#dead.has(node);
  }

  isReachable(node: NodeId): boolean {
    const heard = this.#heard.get(node);
    return heard !== undefined && this.#parts.clock.nowMs() - heard.atMs < CLUSTER_LIMITS.silentMs;
  }

  /** Others that can be talked to, and others that live. */
  get counts(): { readonly reachable: number; readonly live: number } {
    return {
      reachable: [...this.#heard.keys()].filter((node) => this.isReachable(node)).length,
      live: this.#live.size,
    };
  }

  /** Who may be given a chat: this node and those that can be talked to, but for those that go down. */
  candidates(): readonly Candidate[] {
    const { self, own } = this.#parts;
    const { load, draining } = own();
    const others = [...this.#heard].flatMap(([id, { beat }]) =>
      this.isReachable(id) && !beat.draining ? [{ id, load: beat.load }] : [],
    );
    return draining ? others : [{ id: self, load }, ...others];
  }
}

const FORGET_MS = 60_000;
const DEAD_REMEMBERED = 1_000;
