// This process as a node: a row in the database that it renews, so that others can tell that it lives.
//
// Until nodes can talk to each other a database serves one at a time. A node that was killed has left a row behind that
// counts for a TTL more: a start waits for its end, and refuses when it keeps being renewed.

import type { Clock, Random, Read } from '../actors/ports.ts';
import { type NodeId, uuidV7 } from '../protocol/ids.ts';
import type { OpenStore } from '../storage/store.ts';
import type { Logger } from './logger.ts';
import { Recurring } from './recurring.ts';
import { StartError } from './start-error.ts';

/** What it needs of the nodes of a store. */
export type LeaseNodes = Pick<
  OpenStore['nodes'],
  'ttlMs' | 'register' | 'renew' | 'markExpiredDead' | 'otherLiveNodes' | 'retire'
>;

export type LeaseParts = {
  readonly nodes: LeaseNodes;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** The node was declared dead: what it owns may be taken by another. It cannot go on. */
  readonly onLost: (error: Error) => void;
};

/** Looks per TTL while waiting for another node's end. */
const LOOKS_PER_TTL = 6;
/** How long to wait for it, in TTLs: one that was killed just after a renewal is over after one. */
const TTLS_WAITED = 2;

export class NodeLease {
  readonly id: NodeId;
  readonly #parts: LeaseParts;
  readonly #renewals: Recurring;
  /** When the renewal that succeeded last was sent. */
  #renewedAtMs: number;

  private constructor(id: NodeId, parts: LeaseParts, sentAtMs: number) {
    this.id = id;
    this.#parts = parts;
    this.#renewedAtMs = sentAtMs;
    this.#renewals = new Recurring(parts.clock, parts.nodes.ttlMs / 3, () => this.#renew());
  }

  /** Registers this process. Throws a `StartError` when another one lives or the database does not answer. */
  static async take(parts: LeaseParts): Promise<NodeLease> {
    const { nodes, clock, random } = parts;
    await othersGone(parts);
    const id = uuidV7<NodeId>(clock.nowMs(), random.bytes(10));
    const sentAtMs = clock.nowMs();
    answered(await nodes.register(id));
    const lease = new NodeLease(id, parts, sentAtMs);
    // Two that start together both see nobody, then both see each other: each refuses, and the supervisor tries again.
    const others = answered(await nodes.otherLiveNodes());
    if (others.length === 0) return lease;
    await lease.release();
    throw anotherLives();
  }

  /** Why this node should get no traffic; null when all is well. */
  get fault(): string | null {
    const lateMs = this.#parts.clock.nowMs() - this.#renewedAtMs;
    return lateMs < this.#parts.nodes.ttlMs ? null : 'the database cannot be reached';
  }

  /** Gives the row up, so that the next start has nothing to wait for. */
  async release(): Promise<void> {
    await this.#renewals.stop();
    const retired = await this.#parts.nodes.retire();
    if (retired.outcome === 'unavailable')
      this.#parts.logger.warn('the node could not sign off', { detail: retired.detail });
  }

  async #renew(): Promise<void> {
    const { nodes, clock, logger, onLost } = this.#parts;
    const sentAtMs = clock.nowMs();
    const renewed = await nodes.renew();
    if (renewed.outcome === 'unavailable') {
      logger.warn('the node could not renew its row', { detail: renewed.detail });
    } else if (renewed.value === 'dead') {
      onLost(new Error('This node was declared dead by another one that took over. Start it again.'));
    } else this.#renewedAtMs = sentAtMs;
  }
}

async function othersGone({ nodes, clock }: LeaseParts): Promise<void> {
  for (let look = 0; look <= LOOKS_PER_TTL * TTLS_WAITED; look++) {
    answered(await nodes.markExpiredDead());
    if (answered(await nodes.otherLiveNodes()).length === 0) return;
    await new Promise<void>((resolve) => {
      clock.after(nodes.ttlMs / LOOKS_PER_TTL, resolve);
    });
  }
  throw anotherLives();
}

function anotherLives(): StartError {
  return new StartError(
    'Another Parley node uses this database. Stop it first, or give this one another DATABASE_URL.',
  );
}

function answered<T>(read: Read<T>): T {
  if (read.outcome === 'read') return read.value;
  throw new StartError(`The database does not answer (${read.detail}). See that it runs, then start again.`);
}
