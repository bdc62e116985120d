// The connections of one store: opened on demand, bounded, and so is the line of those who wait for one (P11).

import type { Unavailable, Read } from '../actors/ports.ts';
import { Connection, type DatabaseAddress } from './connection.ts';
import {
  ConnectionLost,
  describe,
  isDatabaseError,
  isOurFault,
  NoConnection,
  ServerError,
  UnreadableRow,
} from './errors.ts';
import { limitOf, type StoreCounts } from './counts.ts';
import type { StoreLimits } from './limits.ts';
import type { StoreLog } from './log.ts';

type Waiter = { readonly grant: () => void; readonly refuse: (error: Error) => void };

/** Where a store reports to. */
export type StoreParts = { readonly log: StoreLog; readonly counts: StoreCounts };

export class Connections {
  readonly #address: DatabaseAddress;
  readonly #limits: StoreLimits;
  readonly #log: StoreLog;
  readonly #counts: StoreCounts;
  readonly #idle: Connection[] = [];
  readonly #all = new Set<Connection>();
  readonly #waiters = new Set<Waiter>();
  /** In use or being opened; `#idle` not counted. */
  #taken = 0;
  #closed = false;
  /** The last refusal, and until when it stands for the next ones. */
  #refusal: { readonly error: Error; readonly untilMs: number } | null = null;

  constructor(address: DatabaseAddress, limits: StoreLimits, parts: StoreParts) {
    this.#address = address;
    this.#limits = limits;
    this.#log = parts.log;
    this.#counts = parts.counts;
  }

  get embedded(): boolean {
    return this.#address.embedded;
  }

  get stats(): { readonly taken: number; readonly idle: number; readonly waiting: number } {
    return { taken: this.#taken, idle: this.#idle.length, waiting: this.#waiters.size };
  }

  /** Runs `work` with a connection of its own. Throws `NoConnection` when there is none: then nothing was sent. */
  async use<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    await this.#slot();
    let connection: Connection | null = null;
    try {
      connection = await this.#connection();
      return await this.#watched(connection, work);
    } finally {
      if (connection !== null && !connection.lost && !this.#closed) this.#idle.push(connection);
      else if (connection !== null) this.#discard(connection);
      this.#taken -= 1;
      this.#wakeNext();
    }
  }

  /** A reading: what the database cannot give is a value. */
  async read<T>(work: (connection: Connection) => Promise<T>): Promise<Read<T>> {
    try {
      return { outcome: 'read', value: await this.use(work) };
    } catch (error) {
      return this.unavailable(error);
    }
  }

  /** `unavailable` for an error of the database, and a line in the log; throws anything else. */
  unavailable(error: unknown): Unavailable {
    if (!isDatabaseError(error)) throw error;
    const detail = describe(error);
    const limit = error instanceof ServerError ? limitOf(error.sqlstate) : null;
    if (limit !== null) this.#counts.limits.add(limit);
    // A statement that Postgres does not understand and a row that we do not: somebody must act.
    if (error instanceof UnreadableRow || (error instanceof ServerError && isOurFault(error.sqlstate))) {
      this.#log.error('the database and this version do not fit', { detail });
    } else if (error instanceof ServerError) this.#log.warn('the database refused a statement', { detail });
    return { outcome: 'unavailable', detail };
  }

  close(): void {
    this.#closed = true;
    for (const waiter of this.#waiters) waiter.refuse(new NoConnection('the store is closed'));
    this.#waiters.clear();
    for (const connection of this.#all) connection.close('the store is closed');
    this.#all.clear();
    this.#idle.length = 0;
  }

  /** Counts the caller in; waits while all connections are taken. */
  async #slot(): Promise<void> {
    if (this.#closed) throw new NoConnection('the store is closed');
    if (this.#taken < this.#limits.connections) {
      this.#taken += 1;
      return;
    }
    if (this.#waiters.size >= this.#limits.waitingUses) {
      this.#counts.limits.add('waitingUses');
      throw new NoConnection('too many wait for the database');
    }
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#counts.limits.add('waitMs');
        waiter.refuse(new NoConnection('every connection to the database was busy for too long'));
      }, this.#limits.waitMs);
      const settle = (end: () => void): void => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        end();
      };
      const waiter: Waiter = {
        grant: () => settle(resolve),
        refuse: (error) => settle(() => reject(error)),
      };
      this.#waiters.add(waiter);
    });
  }

  /** The slot that was just freed goes to the one who waits longest. */
  #wakeNext(): void {
    const [first] = this.#waiters;
    if (first === undefined) return;
    this.#taken += 1;
    first.grant();
  }

  async #connection(): Promise<Connection> {
    for (;;) {
      const idle = this.#idle.pop();
      if (idle === undefined) break;
      if (!idle.lost) return idle;
      this.#discard(idle);
    }
    if (this.#refusal !== null && performance.now() < this.#refusal.untilMs) throw this.#refusal.error;
    try {
      const connection = await Connection.open(this.#address, this.#limits, (message) =>
        this.#log.debug('notice of the database', { detail: message }),
      );
      this.#refusal = null;
      this.#counts.connectionsOpened += 1;
      if (this.#closed) {
        connection.close();
        throw new NoConnection('the store is closed');
      }
      this.#all.add(connection);
      return connection;
    } catch (error) {
      const refused = error instanceof Error ? new NoConnection(describe(error), { cause: error }) : error;
      if (!(refused instanceof Error)) throw error;
      this.#counts.connectionsRefused += 1;
      if (this.#refusal === null) this.#log.warn('no connection to the database', { detail: refused.message });
      this.#refusal = { error: refused, untilMs: performance.now() + this.#limits.reconnectPauseMs };
      throw refused;
    }
  }

  /** A peer that went silent without closing: the connection is given up after `answerMs`. */
  async #watched<T>(connection: Connection, work: (connection: Connection) => Promise<T>): Promise<T> {
    const timer = setTimeout(() => {
      this.#counts.limits.add('answerMs');
      connection.close('the database did not answer in time');
    }, this.#limits.answerMs);
    try {
      return await work(connection);
    } catch (error) {
      // Postgres ends the session with a FATAL error; whatever else ends it shows as `lost` at once.
      if (error instanceof ConnectionLost || (error instanceof ServerError && error.fatal)) connection.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #discard(connection: Connection): void {
    if (!this.#closed) this.#counts.connectionsLost += 1;
    this.#all.delete(connection);
    connection.close();
  }
}
