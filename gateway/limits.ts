// Limits of the gateway's own, beside those of the wire. What happens when one is reached stands beside it.

import { assert } from '../protocol/assert.ts';
import { LIMITS } from '../protocol/limits.ts';

const KIB = 1024;

/** What the sessions of one owner may do together on this node. */
export type OwnerLimits = {
  /** Open sessions; more: close `too_many`. */
  readonly sessionsPerOwner: number;
  /** Chats that they follow; more: `refused` with `too_many`. */
  readonly attachmentsPerOwner: number;
  /** Commands, queries, watches and attaches; more: `rate_limited`. */
  readonly ownerCommandsPerSecond: number;
  readonly ownerCommandsBurst: number;
  /** Chats that have to be loaded for them; more: `rate_limited`. */
  readonly ownerActivationsPerSecond: number;
  readonly ownerActivationsBurst: number;
};

/** What one session may hold and do. Bytes and milliseconds as the names say. */
export type SessionLimits = OwnerLimits & {
  /** Buffered above this: the session takes nothing more from the logs until the socket has drained. */
  readonly outboxSoftBytes: number;
  /** Buffered bytes and waiting control frames together above this: close `slow`. A frame alone always fits. */
  readonly outboxHardBytes: number;
  readonly helloTimeoutMs: number;
  /** An expired credential: attach and command are refused at once, the connection is closed after this. */
  readonly tokenGraceMs: number;
  /** Frames of one connection; more: close `rate_limited`. */
  readonly framesPerSecond: number;
  readonly framesBurst: number;
  /** Commands, queries, watches and attaches of one connection; more: `rate_limited`, and a close after as many refusals again. */
  readonly commandsPerSecond: number;
  readonly commandsBurst: number;
};

export const GATEWAY_LIMITS = {
  /** Bytes of frames that wait for a credential to be verified, and of requests in flight; more: see `Inbox`, `too_many`. */
  inboundBytesPerSession: 2 * 1024 * KIB,
  /** Frames that wait for a credential to be verified; more: close `rate_limited`. */
  waitingFrames: 1024,
  /** Re-attaches that the server starts by itself without any progress between; then `refused` goes to the client. */
  reattachesMax: 6,
  /** First back-off of those; it doubles, with jitter, up to 3.2 s: 6.3 s over all of them. */
  reattachDelayMs: 100,
  /** A re-attach that long after the one before is the first of a new row. */
  reattachQuietMs: 30_000,
  /**
   * Snapshots of one session under way, from the question to the host to the last piece; more: they wait in a line. Each
   * holds 1 MiB of messages (`snapshotBytes`) and the blocks of the step that runs, 4 MiB (`stepBytes`): 20 MiB at most,
   * where the 64 chats of a session would be 320.
   */
  snapshotsPerSession: 4,
  /**
   * A snapshot whose next piece is not asked for is let go after this (`refused`, `not_attached`). Four pieces of 256 KiB
   * take 52 s on a line of 20 KB/s, so that one who pulls all four at once has had each of them by then.
   */
  snapshotPullMs: 60_000,
  /**
   * Frames are joined into messages of at most this; a larger frame is a message of its own. A client knows a message
   * only when it is there: 64 KiB take 3 s on a line of 20 KB/s, the largest frame 13 s, and a client gives a connection
   * up after 25 s without one (P5).
   */
  joinedBytes: 64 * KIB,
  /**
   * A paused reader that has taken nothing between so many heartbeats more than one (40 to 60 s) is closed as `slow`. The
   * system tells that there is room again only when a third of its buffer is free, so a slow line seems to stand still.
   */
  stalledBeatsMax: 2,
  /** Addresses whose connection rate is remembered; more: the one that connected longest ago is forgotten. */
  addressesMax: 16_384,
  /**
   * Connections that are no sessions (yet), each for at most 10 s; more: see `Doorstep`. At most a quarter of the open
   * files: 100 a second over 10 s from one address stay below half of it.
   */
  unfinishedMax: 4_096,
  /** Files that the node keeps for itself: the database, its log, calls to models. */
  ownFiles: 256,
  /** Addresses, and owners, without a connection that are remembered; more: the longest idle one is forgotten. */
  idleSharesMax: 16_384,
  /** How often a node asks its database for revocations when nothing else makes it ask: within 1 s, whatever happens. */
  revocationPollMs: 250,
  /** Credentials in one question to the database. */
  credentialsPerQuestion: 200,
  /** uWS buffers at most this behind its own back: a hard guard that our own budget never lets it reach. */
  socketSlackBytes: 1024 * KIB,
  /** Connections to the port of the metrics; more: closed at once. A scraper needs one. */
  metricsConnections: 16,
  /** For the head of a scrape; later: its connection is closed. */
  metricsRequestMs: 5_000,
  /** Between two looks for what other nodes have committed to the feeds that are watched here. */
  feedLookMs: 1_000,
  /** Owners of one statement of a look; more: several statements, one after the other. */
  feedOwnersPerLook: 5_000,
  /** Expiry timers fire at whole seconds, so that sessions share them. */
  expiryGranularityMs: 1_000,
} as const;

assert(
  GATEWAY_LIMITS.inboundBytesPerSession >= 4 * LIMITS.inboundMessageBytes,
  'a few of the largest messages fit while a credential is verified',
);
