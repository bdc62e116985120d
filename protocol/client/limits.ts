// Limits of the client's own, beside those of the wire. What happens when one is reached stands beside it.

import { assert } from '../assert.ts';
import { LIMITS } from '../limits.ts';

const KIB = 1024;

export const CLIENT_LIMITS = {
  /** First ceiling of a back-off; it doubles up to the next figure. */
  backoffBaseMs: 250,
  backoffMaxMs: 10_000,
  /** A connection that lived this long was a good one: the next back-off begins anew. */
  stableMs: 10_000,
  /** From fetching the credential to `welcome`; later: the attempt has failed. */
  connectTimeoutMs: 15_000,
  /** Beyond the heartbeat interval without a frame: the connection is dead. */
  silenceSlackMs: 5_000,
  /** A timer late by more than this means that the process slept: the server gets a moment to be heard. */
  lateTimerMs: 1_000,
  wakeGraceMs: 2_000,
  /** A server that names a longer interval is taken at this: an idle loss should not stay unseen for hours. */
  heartbeatMaxMs: 600_000,
  /** A fresh credential is fetched this long before the end of the old one, or at four fifths of what is left. */
  refreshLeadMs: 60_000,
  /** Between two refreshes, whatever clocks and credentials say. */
  refreshMinMs: 5_000,
  /** The server's clock is off from what was thought by more than this: plans are made anew. */
  clockMovedMs: 5_000,
  /** A drain that names a longer wait is taken at this. */
  drainMaxMs: 300_000,
  /** Commands and queries without a reply; more: they reject with `outbox_full`. */
  pendingRequests: 256,
  /** Bytes of their args; more: the same. */
  pendingBytes: 8 * 1024 * KIB,
  /** Sent and not answered at one time; the others wait in the outbox. */
  sentRequests: 64,
  sentBytes: 1024 * KIB,
  /** Tries of one request that the server answered with an error of the moment; then the error is the answer. */
  requestTriesMax: 8,
  /** Without a reply on a live connection: sent again, as another try. */
  replyTimeoutMs: 30_000,
  /** Without an answer to an attach or to a pull: attach again. */
  attachTimeoutMs: 30_000,
  /** Repairs of an attachment that lie further apart than this are no row: the next one happens at once. */
  repairQuietMs: 30_000,
  /** Losses right behind `resumed` at one cursor: the next attach does without it, or it would be resumed for ever. */
  vainResumesMax: 2,
  /** Heartbeats without a word of a chat, and no event of it between them: its attachment was lost. */
  silentBeatsMax: 2,
  /** Chats whose state is kept; the one that was used longest ago and is neither attached nor watched is forgotten. */
  handles: 256,
} as const;

assert(CLIENT_LIMITS.sentRequests < LIMITS.requestsPerSession, 'requests in flight and an auth fit into a session');
assert(LIMITS.heartbeatMs + CLIENT_LIMITS.silenceSlackMs <= 25_000, 'a dead connection is noticed within 25 s (P5)');
assert(CLIENT_LIMITS.handles > LIMITS.attachmentsPerSession, 'attached chats are never forgotten');
