// What a person is told about the connection.

import { CLOSE_CODES, type CloseReason } from '../close-codes.ts';

export type ConnectionStatus =
  | { readonly status: 'idle' }
  | { readonly status: 'connecting' }
  | { readonly status: 'live'; readonly session: string; readonly node: string; readonly owner: string }
  /** Trying again after `retryInMs`, counted from this report. */
  | { readonly status: 'waiting'; readonly retryInMs: number; readonly reason: string }
  /** Not tried again before something was changed. `code` is a WebSocket close code; null when the client ended it. */
  | { readonly status: 'closed'; readonly code: number | null; readonly reason: string };

const REASONS = new Map<number, CloseReason>(
  Object.entries(CLOSE_CODES).map(([reason, code]) => [code, reason as CloseReason]),
);

const SENTENCES: Readonly<Partial<Record<CloseReason, string>>> = {
  going_away: 'The server is going away.',
  slow: 'This client read too slowly.',
  hello_timeout: 'The server did not get the hello in time.',
  rate_limited: 'The server got too much from this client.',
  token_expired: 'The credential has expired.',
  internal: 'The server failed.',
  too_many: 'The server has too many connections.',
  bad_frame: 'The server did not understand this client. One of the two has to be updated.',
  unauthorized: 'The server does not accept the credential. Get a new one and connect again.',
  unsupported_version: 'The server does not speak this version of the protocol. Update the client.',
  too_large: 'This client sent a message over the limit.',
  revoked: 'The credential was revoked.',
};

/** A plain sentence for a close code; `detail` is what the server said itself. */
export function describeClose(code: number, detail: string): string {
  const reason = REASONS.get(code);
  const sentence = reason === undefined ? undefined : SENTENCES[reason];
  // The server's texts begin with the name of the reason, which the sentence says already.
  const rest =
    reason !== undefined && detail.startsWith(reason) ? detail.slice(reason.length).replace(/^: /, '') : detail;
  const text = sentence ?? `The connection was lost (${code}).`;
  return rest === '' ? text : `${text} (${rest})`;
}
