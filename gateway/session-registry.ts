// The sessions of this node: how many there are, whose, and how they come to an end.

import type { Random } from '../actors/ports.ts';
import type { CloseReason } from '../protocol/close-codes.ts';
import type { Revocation } from '../storage/access.ts';
import type { Bearer } from './authentication.ts';
import { type SessionMeasure, type SessionsMeasure, sumSessions } from './counts.ts';
import type { Owners } from './shares.ts';

/** A session towards the registry. Neither call throws. */
export type RegisteredSession = {
  readonly measure: SessionMeasure;
  /** Who is at the other end; null before `hello` and after the end. */
  readonly bearer: Bearer | null;
  announceDrain(afterMs: number): void;
  close(reason: CloseReason): void;
};

export class SessionRegistry {
  /** What the sessions of an owner have together. */
  readonly owners: Owners;
  readonly #sessions = new Set<RegisteredSession>();
  /** Sessions closed since the start, by reason: `gone` is the client or the network. */
  readonly #closed = new Map<CloseReason | 'gone', number>();

  /** The number of the latest revocation that has reached the sessions here. */
  #revokedSeq = 0;

  constructor(owners: Owners) {
    this.owners = owners;
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

  /** Ends the sessions that came in by what is revoked, as of a moment before that. */
  revoke(revocation: Revocation): void {
    this.#revokedSeq = Math.max(this.#revokedSeq, revocation.seq);
    for (const session of this.#sessions) {
      const { bearer } = session;
      if (bearer === null || !isRevoked(bearer, revocation)) continue;
      bearer.revoked = true;
      session.close('revoked');
    }
  }

  /** A revocation came between the look at the credential and now: it has to be looked at again. */
  outdated({ asOf }: Bearer): boolean {
    return asOf !== undefined && asOf < this.#revokedSeq;
  }

  /** Asks all clients to come back elsewhere, each after its own time within the spread: no storm on one node. */
  announceDrain(spreadMs: number, random: Random): void {
    for (const session of this.#sessions) session.announceDrain(Math.floor(random.fraction() * spreadMs));
  }

  closeAll(reason: CloseReason): void {
    for (const session of this.#sessions) session.close(reason);
  }
}

function isRevoked(bearer: Bearer, revocation: Revocation): boolean {
  if (bearer.asOf === undefined || bearer.asOf >= revocation.seq) return false;
  return revocation.kind === 'owner' ? bearer.owner === revocation.owner : bearer.token === revocation.token;
}
