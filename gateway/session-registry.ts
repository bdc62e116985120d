// The sessions of this node: how many there are, how many each owner has, and how they all come to an end.

import type { Random } from '../actors/ports.ts';
import type { CloseReason } from '../protocol/close-codes.ts';
import type { OwnerId } from '../protocol/ids.ts';
import { type SessionMeasure, type SessionsMeasure, sumSessions } from './counts.ts';

/** A session towards the registry. Neither call throws. */
export type RegisteredSession = {
  readonly measure: SessionMeasure;
  announceDrain(afterMs: number): void;
  close(reason: CloseReason): void;
};

export class SessionRegistry {
  readonly #perOwnerMax: number;
  readonly #sessions = new Set<RegisteredSession>();
  /** Entries leave when their count reaches 0: bounded by the sessions. */
  readonly #owners = new Map<OwnerId, number>();
  /** Sessions closed since the start, by reason: `gone` is the client or the network. */
  readonly #closed = new Map<CloseReason | 'gone', number>();

  constructor(perOwnerMax: number) {
    this.#perOwnerMax = perOwnerMax;
  }

  get size(): number {
    return this.#sessions.size;
  }

  get closed(): ReadonlyMap<CloseReason | 'gone', number> {
    return this.#closed;
  }

  /** Looks at every session: for whoever scrapes now and then. */
  measure(): SessionsMeasure {
    return sumSessions(this.#measures());
  }

  *#measures(): Generator<SessionMeasure> {
    for (const session of this.#sessions) yield session.measure;
  }

  add(session: RegisteredSession): void {
    this.#sessions.add(session);
  }

  /** The socket of the session is gone. */
  remove(session: RegisteredSession): void {
    this.#sessions.delete(session);
  }

  countClosed(reason: CloseReason | 'gone'): void {
    this.#closed.set(reason, (this.#closed.get(reason) ?? 0) + 1);
  }

  /** Counts a session of the owner; false, and not counted, when there are as many as allowed. */
  enter(owner: OwnerId): boolean {
    const count = this.#owners.get(owner) ?? 0;
    if (count >= this.#perOwnerMax) return false;
    this.#owners.set(owner, count + 1);
    return true;
  }

  leave(owner: OwnerId): void {
    const count = this.#owners.get(owner) ?? 0;
    if (count <= 1) this.#owners.delete(owner);
    else this.#owners.set(owner, count - 1);
  }

  /** Asks all clients to come back elsewhere, each after its own time within the spread: no storm on one node. */
  announceDrain(spreadMs: number, random: Random): void {
    for (const session of this.#sessions) session.announceDrain(Math.floor(random.fraction() * spreadMs));
  }

  closeAll(reason: CloseReason): void {
    for (const session of this.#sessions) session.close(reason);
  }
}
