// The catalogue of WebSocket close codes. Append only. The range carries the verdict: 4000-4499 connect again with the
// cursors, 4500-4999 do not before something was changed. Every other code (1006, 1001 …) means connect again.

export const CLOSE_CODES = {
  /** The server goes down or sheds load; `bye` or `drain` came before where there was time. */
  going_away: 4000,
  /** The outbox passed its hard budget: the reader was too slow. Resuming loses nothing. */
  slow: 4001,
  /** No `hello` within the time allowed. */
  hello_timeout: 4002,
  /** Too many frames, requests or bytes. */
  rate_limited: 4003,
  /** The credential expired on the open connection: fetch a fresh one, then connect. */
  token_expired: 4004,
  /** A bug of the server's ended this session only. */
  internal: 4005,
  /** Too many connections for this address, this owner or this node. */
  too_many: 4006,
  /** Bytes that are no frame, a text message, or a frame before `hello`. */
  bad_frame: 4500,
  /** The credential is not valid here. */
  unauthorized: 4501,
  /** `hello` named a version that the server does not speak. */
  unsupported_version: 4502,
  /** A message larger than the limit. */
  too_large: 4503,
  /** The credential or its owner was revoked. */
  revoked: 4504,
} as const;

export type CloseReason = keyof typeof CLOSE_CODES;

/** Whether a client connects again by itself after this close code. */
export function reconnects(code: number): boolean {
  return code < 4500 || code > 4999;
}
