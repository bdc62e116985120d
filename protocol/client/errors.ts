// The errors of the client: what the server refused, and what the client itself could not do.

import type { ErrorBody, ErrorCode } from '../errors.ts';

/** The server's answer to a command or query, after the retries that its catalogue entry allows. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  /** The catalogue's code, sentence and verdict on trying again. */
  readonly body: ErrorBody;

  constructor(body: ErrorBody) {
    super(body.message);
    this.body = body;
  }

  get code(): ErrorCode {
    return this.body.code;
  }
}

export type ClientErrorKind =
  /** The client was closed, or its connection ended for good: see the status. The outcome of commands is not known. */
  | 'closed'
  /** Too many commands or queries wait for a reply: wait for some of them. */
  | 'outbox_full'
  /** The client follows as many chats as a session may. */
  | 'too_many_chats'
  /** The chat was detached, is gone, or may not be followed: what was waited for in it will not come. */
  | 'not_followed'
  /** A handle that was dropped from the client's memory: ask the client for a new one. */
  | 'handle_dropped'
  /** The reply is not what the protocol says. */
  | 'bad_reply'
  | 'no_websocket';

export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly kind: ClientErrorKind;

  constructor(kind: ClientErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

export function clientError(kind: ClientErrorKind, message: string, cause?: unknown): ClientError {
  return new ClientError(kind, message, cause === undefined ? undefined : { cause });
}
