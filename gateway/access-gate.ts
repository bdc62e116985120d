// What this node knows of revocations, and how it hears of them: from the database, by their numbers.
//
// On Postgres any node, and the administrator's command line, may revoke. So every `revocationPollMs`, and before each
// thing that is done for a client, the node asks for what is new: one cheap statement, however many ask for it together. On
// the embedded database nobody but this process can have changed anything: it reads its own changes, and nothing else.

import type { Clock, Log } from '../actors/ports.ts';
import { type ErrorBody, errorBody } from '../protocol/errors.ts';
import type { AccessStore, Revocation } from '../storage/access.ts';
import type { Bearer } from './authentication.ts';
import { GATEWAY_LIMITS } from './limits.ts';
import { Recurring } from './recurring.ts';
import { StartError } from './start-error.ts';

export type GateParts = {
  readonly access: Pick<AccessStore, 'clock' | 'revocationsSince'>;
  /** Others may write to the database too. */
  readonly shared: boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** Ends the sessions that it concerns, at once. */
  readonly apply: (revocation: Revocation) => void;
};

export class AccessGate {
  readonly #parts: GateParts;
  /** All revocations up to this number have been applied. */
  #asOf: number;
  /** Resolve with false when the database could not tell. */
  #reading: Promise<boolean> | null = null;
  #next: Promise<boolean> | null = null;
  #failing = false;
  readonly #polls: Recurring | null;

  private constructor(parts: GateParts, asOf: number) {
    this.#parts = parts;
    this.#asOf = asOf;
    this.#polls = parts.shared
      ? new Recurring(parts.clock, GATEWAY_LIMITS.revocationPollMs, async () => void (await this.refresh()))
      : null;
  }

  /** Throws a `StartError`. */
  static async open(parts: GateParts): Promise<AccessGate> {
    const now = await parts.access.clock();
    if (now.outcome === 'read') return new AccessGate(parts, now.value);
    throw new StartError(`The database does not answer (${now.detail}). See that it runs, then start again.`);
  }

  async stop(): Promise<void> {
    await this.#polls?.stop();
    await this.#reading;
  }

  /** Every revocation that was acknowledged before the call has been applied; false when that cannot be known now. */
  upToDate(): Promise<boolean> | true {
    return this.#parts.shared ? this.refresh() : true;
  }

  /**
   * Null: what the bearer asks now may be done. The session of one that is revoked is closed by then: nobody reads the
   * answer, but nothing is done either.
   */
  async objection(bearer: Bearer): Promise<ErrorBody | null> {
    const known = this.upToDate();
    if (known !== true && !(await known)) return errorBody('unavailable', 'the database cannot be reached', 1_000);
    return bearer.revoked === true ? errorBody('unauthorized', 'it was revoked') : null;
  }

  /** Asks the database. One question that begins after the call serves all who call before it begins. */
  refresh(): Promise<boolean> {
    if (this.#reading === null) return this.#read();
    this.#next ??= this.#reading.then(() => {
      this.#next = null;
      return this.#reading ?? this.#read();
    });
    return this.#next;
  }

  #read(): Promise<boolean> {
    this.#reading = this.#catchUp().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #catchUp(): Promise<boolean> {
    const { access, apply, log } = this.#parts;
    for (;;) {
      const since = await access.revocationsSince(this.#asOf);
      if (since.outcome === 'unavailable') {
        if (!this.#failing) log.warn('revocations cannot be read', { detail: since.detail });
        this.#failing = true;
        return false;
      }
      this.#failing = false;
      for (const revocation of since.value.revocations) apply(revocation);
      this.#asOf = since.value.asOf;
      if (!since.value.more) return true;
    }
  }
}
