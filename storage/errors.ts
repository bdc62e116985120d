// What can go wrong between us and the database, told apart by what is known afterwards.

/** Why a database cannot be opened. Append only. */
export type OpenErrorKind =
  | 'bad_url'
  | 'unreachable'
  | 'untrusted'
  | 'wrong_password'
  | 'no_such_database'
  | 'permission_denied'
  | 'too_old'
  | 'newer_schema'
  | 'folder_in_use'
  | 'damaged'
  | 'failed';

/** The store cannot be opened, or the embedded database has died: `message` is one line that says what to do. */
export class StorageError extends Error {
  override readonly name = 'StorageError';
  readonly kind: OpenErrorKind;
  constructor(kind: OpenErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.kind = kind;
  }
}

/** An error that Postgres itself answered with: the statement had no effect. `fatal`: it also ended the session. */
export class ServerError extends Error {
  override readonly name = 'ServerError';
  readonly sqlstate: string;
  readonly fatal: boolean;
  constructor(sqlstate: string, message: string, fatal: boolean) {
    super(message);
    this.sqlstate = sqlstate;
    this.fatal = fatal;
  }
}

/** No connection was to be had: nothing was sent. */
export class NoConnection extends Error {
  override readonly name = 'NoConnection';
}

/** Somebody answers, and cannot show that it is the database: its certificate is not trusted, or of another name. */
export class Untrusted extends NoConnection {}

/** The connection broke with the answer outstanding: what was sent may have been done, or may yet be. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

/** What is stored cannot be read by this version: a value towards the actors, never a crash. */
export class UnreadableRow extends Error {
  override readonly name = 'UnreadableRow';
}

/** Errors that are the database's; anything else is a bug of ours and goes on up. */
export function isDatabaseError(error: unknown): error is ServerError | NoConnection | ConnectionLost | UnreadableRow {
  return (
    error instanceof ServerError ||
    error instanceof NoConnection ||
    error instanceof ConnectionLost ||
    error instanceof UnreadableRow
  );
}

/** One line for `detail`: fit for logs, without rows. What Postgres says of a value may quote it. */
export function describe(error: Error): string {
  if (!(error instanceof ServerError)) return error.message;
  return isContentFault(error.sqlstate) ? `SQLSTATE ${error.sqlstate}` : `SQLSTATE ${error.sqlstate}: ${error.message}`;
}

/** Classes 22 (data), 23 (constraint) and 54 (too large): the fault lies in what one intent holds. */
export function isContentFault(sqlstate: string): boolean {
  return /^(22|23|54)/.test(sqlstate);
}

/** Neither a limit of the moment nor a conflict: the statement or the schema is wrong, or Postgres has a bug. */
export function isOurFault(sqlstate: string): boolean {
  return /^(0A|22|23|34|42|54|XX)/.test(sqlstate);
}

/** Serialization failure and deadlock: the same transaction may go through when it is run again. */
export function isConflict(sqlstate: string): boolean {
  return sqlstate === '40001' || sqlstate === '40P01';
}
