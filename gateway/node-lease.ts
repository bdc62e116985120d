// This process as a node: a row in the database that it renews, so that others can tell that it lives.
//
// States: `held` (renewed in time) → `late` (past its own deadline: it may be dead and does nothing, see Suspension) → held
// again, or `lost` (another marked it dead). One that stands alone ends then; one among others registers anew, as another
// incarnation. A node that was killed has left a row behind that counts for a TTL more: a start that has to be alone waits
// for its end, and refuses when it keeps being renewed.

import type { Clock, Random, Read } from '../actors/ports.ts';
import { type NodeId, uuidV7 } from '../protocol/ids.ts';
import type { OpenStore } from '../storage/store.ts';
import type { Logger } from './logger.ts';
import { StartError } from './start-error.ts';

/** What it needs of the nodes of a store. */
export type LeaseNodes = Pick<
  OpenStore['nodes'],
  'ttlMs' | 'register' | 'beat' | 'markExpiredDead' | 'otherLiveNodes' | 'retire'
>;

/** A node among others. Nothing of it is called before `take` has resolved. */
export type LeaseWatcher = {
  /** Renewed; these others live. */
  readonly onBeat: (others: readonly NodeId[], marked: readonly NodeId[]) => void;
  /** Renewed after it was late. */
  readonly onHeldAgain: () => void;
  /** Declared dead: others may have what it owned. It registers anew when this has returned. */
  readonly onLost: () => void;
  readonly onAnew: (id: NodeId) => void;
};

export type LeaseParts = {
  readonly nodes: LeaseNodes;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Null: it stands alone, and refuses to start beside another. */
  readonly watcher: LeaseWatcher | null;
  /** The node was declared dead, and stands alone: it cannot go on. */
  readonly onLost: (error: Error) => void;
};

/** Looks per TTL while waiting for another node's end. */
const LOOKS_PER_TTL = 6;
/** How long to wait for it, in TTLs: one that was killed just after a renewal is over after one. */
const TTLS_WAITED = 2;
/** Renewals per TTL. */
const BEATS_PER_TTL = 3;
/** Before the deadline: two clocks may run differently fast, and what was just begun takes a moment. */
const MARGIN_MS = 100;
/** Behind the moment at which another may be marked: so that Postgres finds it late. */
const BEHIND_EXPIRY_MS = 20;

export class NodeLease {
  readonly #parts: LeaseParts;
  #id: NodeId;
  #cancel: () => void = () => undefined;
  #beating: Promise<void> = Promise.resolve();
  #stopped = false;
  #isLost = false;
  /** When the renewal that succeeded last was sent. */
  #renewedAtMs: number;
  /** Until then it marks nobody: when it was late the database may have been away, and all others are late with it. */
  #marksFromMs = 0;

  private constructor(id: NodeId, parts: LeaseParts, sentAtMs: number) {
    this.#id = id;
    this.#parts = parts;
    this.#renewedAtMs = sentAtMs;
    this.#arm(parts.nodes.ttlMs / BEATS_PER_TTL);
  }

  /** Registers this process. Throws a `StartError` when it has to be alone and is not, or the database does not answer. */
  static async take(parts: LeaseParts): Promise<NodeLease> {
    const { nodes, watcher } = parts;
    if (watcher === null) await othersGone(parts);
    const { id, sentAtMs } = newId(parts);
    answered(await nodes.register(id));
    const lease = new NodeLease(id, parts, sentAtMs);
    if (watcher !== null) return lease;
    // Two that start together both see nobody, then both see each other: each refuses, and the supervisor tries again.
    const others = answered(await nodes.otherLiveNodes());
    if (others.length === 0) return lease;
    await lease.release();
    throw anotherLives();
  }

  get id(): NodeId {
    return this.#id;
  }

  /** It may have been declared dead. Read off the clock: true before anything else runs after a stop of the process. */
  get isLate(): boolean {
    const { clock, nodes } = this.#parts;
    return this.#isLost || clock.nowMs() - this.#renewedAtMs >= nodes.ttlMs - MARGIN_MS;
  }

  /** Why this node should get no traffic; null when all is well. */
  get fault(): string | null {
    if (this.#isLost) return 'the node was declared dead and registers anew';
    const lateMs = this.#parts.clock.nowMs() - this.#renewedAtMs;
    return lateMs < this.#parts.nodes.ttlMs ? null : 'the database cannot be reached';
  }

  /** Something is said to have changed: looks now instead of at the next beat. */
  look(): void {
    this.#arm(0);
  }

  /** Gives the row up, so that nobody has to wait for its end. */
  async release(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#beating;
    const retired = await this.#parts.nodes.retire();
    if (retired.outcome === 'unavailable')
      this.#parts.logger.warn('the node could not sign off', { detail: retired.detail });
  }

  #arm(delayMs: number): void {
    if (this.#stopped) return;
    this.#cancel();
    this.#cancel = this.#parts.clock.after(delayMs, () => {
      this.#beating = this.#beating.then(() => this.#beat()).then((nextMs) => this.#arm(nextMs));
    });
  }

  /** Gives the time to the next one. */
  async #beat(): Promise<number> {
    const { nodes, clock, logger, watcher, onLost } = this.#parts;
    const everyMs = nodes.ttlMs / BEATS_PER_TTL;
    if (this.#isLost) return this.#registerAnew();
    const sentAtMs = clock.nowMs();
    const wasLate = this.isLate;
    if (wasLate) this.#marksFromMs = sentAtMs + nodes.ttlMs;
    const beat = await nodes.beat(watcher !== null && sentAtMs >= this.#marksFromMs);
    if (beat.outcome === 'unavailable') {
      logger.warn('the node could not renew its row', { detail: beat.detail });
      return everyMs;
    }
    const { renewed, others, marked } = beat.value;
    if (!renewed) {
      if (watcher === null) {
        onLost(new Error('This node was declared dead by another one that took over. Start it again.'));
        return everyMs;
      }
      logger.warn('the node was declared dead and registers anew');
      this.#isLost = true;
      watcher.onLost();
      return this.#registerAnew();
    }
    const isLateNow = this.isLate;
    this.#renewedAtMs = sentAtMs;
    if (wasLate || isLateNow) watcher?.onHeldAgain();
    watcher?.onBeat(
      others.map(({ id }) => id),
      marked,
    );
    // One that does not renew is looked at when it may be marked, not up to a beat later.
    const soonestMs = Math.min(everyMs, ...others.map(({ leftMs }) => Math.max(leftMs, 0) + BEHIND_EXPIRY_MS));
    return clock.nowMs() >= this.#marksFromMs ? Math.max(BEHIND_EXPIRY_MS, soonestMs) : everyMs;
  }

  async #registerAnew(): Promise<number> {
    const { nodes, watcher, logger } = this.#parts;
    const { id, sentAtMs } = newId(this.#parts);
    const registered = await nodes.register(id);
    if (registered.outcome === 'unavailable') return nodes.ttlMs / BEATS_PER_TTL;
    this.#id = id;
    this.#renewedAtMs = sentAtMs;
    this.#isLost = false;
    logger.info('the node has registered anew', { incarnation: id });
    watcher?.onAnew(id);
    return nodes.ttlMs / BEATS_PER_TTL;
  }
}

function newId({ clock, random }: LeaseParts): { readonly id: NodeId; readonly sentAtMs: number } {
  const sentAtMs = clock.nowMs();
  return { id: uuidV7<NodeId>(sentAtMs, random.bytes(10)), sentAtMs };
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
    'Another Parley node uses this database. Stop it first, or give this one another DATABASE_URL. ' +
      'To run several on one database set NATS_URL on each.',
  );
}

function answered<T>(read: Read<T>): T {
  if (read.outcome === 'read') return read.value;
  throw new StartError(`The database does not answer (${read.detail}). See that it runs, then start again.`);
}
