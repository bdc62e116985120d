// Limits of the wire, the same for every implementation. What happens when one is reached stands beside it.

import { assert } from './assert.ts';
import type { SessionLimits } from './frames.ts';

const KIB = 1024;
const DAY_MS = 24 * 60 * 60 * 1000;

export const LIMITS = {
  /** A WebSocket message from a client; larger: close `too_large`. */
  inboundMessageBytes: 256 * KIB,
  /** One str or bin of a client's; larger: `bad_frame`. */
  scannedStringBytes: 64 * KIB,
  /** Arrays and maps inside each other in a client's value; deeper: `bad_frame`. */
  scannedDepth: 32,
  /** Items over all arrays and maps of a client's value; more: `bad_frame`. */
  scannedItems: 4096,
  /** Values joined into one WebSocket message of a client's; more: `bad_frame`. */
  valuesPerMessage: 256,
  credentialBytes: 8 * KIB,
  clientNameBytes: 64,
  /** From the open socket to a good `hello`; later: close `hello_timeout`. */
  helloTimeoutMs: 5_000,
  /** The server's `heartbeat`; 5 s more and a client takes the connection for dead (P5: 25 s). */
  heartbeatMs: 20_000,
  /** Chats that a session follows; more: `too_many`. */
  attachmentsPerSession: 64,
  /** Requests of a session without a reply yet; more: `too_many`. */
  requestsPerSession: 256,
  titleChars: 200,
  labels: 50,
  labelKeyBytes: 64,
  labelValueBytes: 256,
  /** Per-chat system prompt, in UTF-16 code units. */
  systemPromptChars: 10_000,
  partsPerMessage: 16,
  /** Tools that the clients of a chat run; more: `bad_args`. */
  clientTools: 250,
  toolNameBytes: 64,
  toolDescriptionBytes: 4 * KIB,
  toolSchemaBytes: 16 * KIB,
  /** Of all tools of a chat together: they are part of every request. */
  toolsBytes: 192 * KIB,
  /** What a tool may give; longer: cut, with a marker. */
  toolOutputBytes: 32 * KIB,
  /** Messages waiting behind a running turn; more: `queue_full`. */
  queuedMessages: 20,
  /** Bytes of text that wait in it; that many or more, and the next one is `queue_full`. All of it is in one frame. */
  queuedBytes: 128 * KIB,
  /** How long a message that waits is held for whoever edits it; then it goes on as it was. */
  queueHoldMs: 300_000,
  /** A part above this is a reference in snapshots and pages. */
  inlinePartBytes: 16 * KIB,
  /** One frame of a snapshot. */
  snapshotPieceBytes: 256 * KIB,
  /** One answer of `messages.part`. */
  partSliceBytes: 48 * KIB,
  /** Messages of a snapshot together; the older ones are left to pages. It is kept until its reader has pulled it. */
  snapshotBytes: 1024 * KIB,
  /** Messages in a snapshot that drops the older cache. */
  snapshotMessages: 50,
  pageMessages: 200,
  pageMessagesDefault: 50,
  pageChats: 100,
  pageChatsDefault: 25,
  /** Chats of one frame of the feed, and about how many bytes of them: what is left comes in the next one. */
  feedChats: 100,
  feedFrameBytes: 64 * KIB,
  /** Unread messages that are counted; that many stand for more. */
  unreadMessages: 100,
  pageTokens: 100,
  /** How far ahead the end of an API token may lie, unless it has none. */
  tokenLifeMs: 3_650 * DAY_MS,
  /** How long the first reply of a command is kept, and how far ahead its id may be. */
  commandReplyMs: DAY_MS,
} as const;

/** The name of one of them, for whoever counts how often it was reached (P11). */
export type WireLimit = keyof typeof LIMITS;

/** Those of the bytes of a client's message. */
export type FrameLimit = Extract<
  WireLimit,
  | 'inboundMessageBytes'
  | 'scannedStringBytes'
  | 'scannedDepth'
  | 'scannedItems'
  | 'valuesPerMessage'
  | 'credentialBytes'
  | 'clientNameBytes'
>;

assert(LIMITS.scannedStringBytes < LIMITS.inboundMessageBytes, 'the largest string fits into a message');
assert(LIMITS.inlinePartBytes * 2 < LIMITS.snapshotPieceBytes, 'a message with an inline part fits into a piece');
assert(LIMITS.heartbeatMs + 5_000 <= 25_000, 'an idle connection learns of a loss within 25 s (P5)');

/** The part of them that `welcome` tells. */
export const SESSION_LIMITS: SessionLimits = {
  messageBytes: LIMITS.inboundMessageBytes,
  attachments: LIMITS.attachmentsPerSession,
  requests: LIMITS.requestsPerSession,
};
