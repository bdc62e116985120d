// Limits of what nodes hold for each other. What happens when one is reached stands beside it.

import { assert } from '../../protocol/assert.ts';
import { CHAT_LIMITS } from '../chat/settings.ts';

const KIB = 1024;

export const CLUSTER_LIMITS = {
  /** Between two signs of life of a node, and of a link. */
  beatMs: 500,
  /** Without one for so long a node is not asked any more, and a link is broken: its chats are followed anew. */
  silentMs: 1_750,
  /** About what one message of a link holds; a larger frame is a message of its own. */
  messageBytes: 192 * KIB,
  /** Sent on a link and not acknowledged; more: the link waits, and its chats are merged as for any slow reader (P9). */
  windowBytes: 4096 * KIB,
  /** Received and not acknowledged: then it is, at once. */
  ackBytes: 512 * KIB,
  /** A reader that acknowledges nothing for so long while something is under way has gone: its link is let go. */
  ackWaitMs: 10_000,
  /** Chats of other nodes that are followed here; more: `unavailable`. */
  mirrors: 20_000,
  /** A mirror without a reader is let go after this. */
  mirrorLingerMs: 15_000,
  /** Bytes of the state and the ring with which a mirror begins; more: it is refused. */
  openingBytes: 16 * 1024 * KIB,
  /** Of the ring, what a mirror that begins gets without being asked: whoever comes next may resume from it. */
  ringAheadBytes: 64 * KIB,
  /** How long a mirror waits for the answer of its owner before it asks again: an owner that has just taken many over is busy. */
  followTryMs: 3_000,
  /** How long a mirror waits for its owner, that is not known to be dead, to be heard of again. */
  mirrorWaitMs: 10_000,
  /** Calls to other nodes without an answer; more: `unavailable`. */
  calls: 20_000,
  /** How long one try of a call waits. The next one has the same id, and may go to another node. */
  callTryMs: 1_500,
  /** How long an attach waits for a mirror to begin at an owner that is heard of, before the owner is looked for anew. */
  openMs: 6_000,
  /** How long a command, an attach or a query looks for the owner of its chat, over all tries. */
  routeMs: 8_000,
  /** First wait between two tries; it doubles up to the ceiling. */
  routeWaitMs: 25,
  routeWaitCeilingMs: 250,
  /** Chats whose owner is remembered; more: the one that was learnt first is forgotten. */
  ownersKnown: 50_000,
  /** Owners whose feed is hinted at together; more: they are found by the look at the database. */
  fedHints: 1_000,
} as const;

/** Those that are counted when they are reached. */
export const CLUSTER_LIMITS_COUNTED = [
  'silentMs',
  'windowBytes',
  'ackWaitMs',
  'mirrors',
  'openingBytes',
  'followTryMs',
  'mirrorWaitMs',
  'calls',
  'callTryMs',
  'openMs',
  'routeMs',
  'ownersKnown',
  'fedHints',
] as const satisfies readonly (keyof typeof CLUSTER_LIMITS)[];
export type ClusterLimit = (typeof CLUSTER_LIMITS_COUNTED)[number];

assert(
  CLUSTER_LIMITS.beatMs * 3 < CLUSTER_LIMITS.silentMs,
  'three beats have to be lost before a node counts as silent',
);
assert(CLUSTER_LIMITS.openingBytes > CHAT_LIMITS.stepBytes * 2, 'the state of the longest step fits into an opening');
