// One connection to the database, and what is known when it breaks.
//
// A client of postgres.js with a single connection, reserved for its whole life: its own pool would send on another
// connection what was queued when one broke, which may be the COMMIT of a transaction whose beginning went under; and
// after some breaks it keeps unsent bytes and prefixes the next session with them. A broken one is thrown away here.

import { connect, type Socket } from 'node:net';
import { checkServerIdentity, type ConnectionOptions as TlsOptions } from 'node:tls';

import postgres from 'postgres';

import { ConnectionLost, NoConnection, ServerError, Untrusted } from './errors.ts';
import type { StoreLimits } from './limits.ts';

/** Where the database is: all of it given, so that nothing is read from the environment. */
export type DatabaseAddress = {
  readonly host: string;
  readonly port: number;
  /** A Unix socket; goes before host and port. */
  readonly path: string | null;
  readonly database: string;
  readonly user: string;
  readonly password: string;
  readonly tls: 'off' | 'encrypted' | 'verified';
  /** The embedded database takes no session settings and no cancels. */
  readonly embedded: boolean;
};

/** A parameter. Arrays come as literals (array-literal.ts), times as Unix milliseconds. */
export type Value = string | number | boolean | Uint8Array | null;

export type Statement = { readonly text: string; readonly values: readonly Value[] };

/** What a statement gave; `command` is its tag: `COMMIT`, `ROLLBACK`, `SELECT`… */
export type Rows<T> = readonly T[] & { readonly command: string };

export class Connection {
  readonly #client: postgres.Sql;
  #reserved: postgres.ReservedSql | null = null;
  /** Ours to destroy: postgres.js only says goodbye, and a peer that is silent would keep it open for ever. */
  #socket: Socket | null = null;
  #lost = false;
  /** Uses in flight, to be rejected when the connection breaks: postgres.js leaves some of them open for ever. */
  readonly #pending = new Set<(error: Error) => void>();

  private constructor(address: DatabaseAddress, limits: StoreLimits, onNotice: (message: string) => void) {
    const options = {
      host: address.host,
      port: address.port,
      // Not in its types, but what it calls for every connection.
      socket: () => this.#connect(address),
      database: address.database,
      user: address.user,
      password: () => address.password,
      ssl: sslOf(address),
      max: 1,
      idle_timeout: 0,
      max_lifetime: null,
      keep_alive: 10,
      backoff: () => 1,
      connect_timeout: limits.connectMs / 1000,
      prepare: true,
      debug: false,
      fetch_types: false,
      publications: '',
      target_session_attrs: undefined,
      types: TYPES,
      onnotice: (notice: postgres.Notice) => onNotice(String(notice['message'])),
      onclose: () => this.#lose('the connection to the database was closed'),
      connection: address.embedded ? {} : sessionSettings(limits),
    };
    this.#client = postgres(options);
  }

  /** Throws `NoConnection`, or `ServerError` when Postgres itself refuses. */
  static async open(
    address: DatabaseAddress,
    limits: StoreLimits,
    onNotice: (message: string) => void,
  ): Promise<Connection> {
    const connection = new Connection(address, limits, onNotice);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new NoConnection('the database did not answer in time')), limits.connectMs);
    });
    try {
      connection.#reserved = await Promise.race([reserve(connection.#client), late]);
      return connection;
    } catch (error) {
      connection.close();
      throw error instanceof NoConnection ? error : openError(error);
    } finally {
      clearTimeout(timer);
    }
  }

  get lost(): boolean {
    return this.#lost;
  }

  /** Prepared. Statements issued without awaiting in between go out together. */
  query<T extends object>(statement: Statement): Promise<Rows<T>> {
    return this.#run((sql) => sql.unsafe<T[]>(statement.text, [...statement.values], { prepare: true }));
  }

  /** One or several statements without parameters. */
  command(text: string): Promise<{ readonly command: string }> {
    return this.#run((sql) => sql.unsafe(text));
  }

  /** Gives the connection up at once; whatever is in flight is `ConnectionLost`. */
  close(reason = 'the connection to the database was given up'): void {
    this.#lose(reason);
    this.#client.end({ timeout: 0 }).catch(() => undefined);
    this.#socket?.destroySoon();
  }

  /** Called by postgres.js, which may try several times within `connectMs`. */
  #connect(address: DatabaseAddress): Socket {
    const { host, port, path } = address;
    const socket = path === null ? connect({ host, port, noDelay: true }) : connect({ path });
    // Where postgres.js looks for the name that a certificate is checked against.
    this.#socket = Object.assign(socket, { host, port });
    // Too late: it was closed while postgres.js waited before another try.
    if (this.#lost) socket.destroy();
    return socket;
  }

  #run<R extends object>(start: (sql: postgres.ReservedSql) => PromiseLike<R>): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      if (this.#lost || this.#reserved === null) {
        reject(new ConnectionLost('the connection to the database is closed'));
        return;
      }
      this.#pending.add(reject);
      start(this.#reserved).then(
        (rows) => {
          this.#pending.delete(reject);
          resolve(rows);
        },
        (error: unknown) => {
          this.#pending.delete(reject);
          reject(answerError(error));
        },
      );
    });
  }

  #lose(reason: string): void {
    if (this.#lost) return;
    this.#lost = true;
    for (const reject of this.#pending) reject(new ConnectionLost(reason));
    this.#pending.clear();
  }
}

/** `reserve` alone never returns on a client that is not connected yet and fetches no types (postgres.js 3.4.9). */
async function reserve(client: postgres.Sql): Promise<postgres.ReservedSql> {
  await client.unsafe('select 1');
  return client.reserve();
}

/**
 * `verified` says the name itself: behind a socket that is there already Node would check the certificate of an address
 * against `localhost`.
 */
function sslOf({ tls, host }: DatabaseAddress): 'require' | TlsOptions | false {
  if (tls !== 'verified') return tls === 'encrypted' ? 'require' : false;
  return {
    // A variable of the environment could switch it off.
    rejectUnauthorized: true,
    checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
  };
}

/** Times are Unix milliseconds, and 8-byte integers numbers, on our side. */
const TYPES = {
  date: {
    to: 1184,
    from: [1082, 1114, 1184],
    serialize: (value: number | string) => new Date(value).toISOString(),
    parse: (text: string) => Date.parse(text),
  },
  bigint: { to: 20, from: [20], serialize: String, parse: Number },
};

function sessionSettings(limits: StoreLimits): Record<string, string> {
  return {
    application_name: 'parley',
    TimeZone: 'UTC',
    DateStyle: 'ISO',
    statement_timeout: String(limits.statementMs),
    lock_timeout: String(limits.lockMs),
    idle_in_transaction_session_timeout: String(limits.idleInTransactionMs),
    ...PLANNER_SETTINGS,
  };
}

/**
 * Every statement here goes by an index. Plans of prepared statements are kept, and one made while a table was small
 * would scan it for ever: the embedded database has no autovacuum whose statistics would renew it.
 */
export const PLANNER_SETTINGS = { enable_seqscan: 'off' } as const;

/** Codes of OpenSSL for a chain that does not hold, and of Node for another name. */
const CERTIFICATE_FAULT = /CERT|UNABLE_TO_VERIFY/;

function openError(error: unknown): Error {
  if (error instanceof postgres.PostgresError) return serverError(error);
  if (error instanceof Error && CERTIFICATE_FAULT.test(codeOf(error))) return new Untrusted(error.message);
  return new NoConnection(`the database cannot be reached: ${codeOf(error)}`);
}

function answerError(error: unknown): Error {
  if (error instanceof postgres.PostgresError) return serverError(error);
  // Codes of postgres.js and of the system (`CONNECTION_CLOSED`, `ECONNRESET`) mean that the connection is no more.
  if (error instanceof Error && 'code' in error) return new ConnectionLost(`connection lost: ${codeOf(error)}`);
  return error instanceof Error ? error : new Error(String(error));
}

function serverError(error: postgres.PostgresError): ServerError {
  return new ServerError(error.code, error.message, error.severity === 'FATAL' || error.severity === 'PANIC');
}

function codeOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(codeOf).join(', ');
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return error instanceof Error ? error.name : 'unknown';
}
