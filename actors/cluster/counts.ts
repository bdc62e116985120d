// What a node counts of its dealings with the others.

import { Histogram, Tally, DURATION_BOUNDS_SECONDS } from '../../protocol/measures.ts';
import { CLUSTER_LIMITS_COUNTED, type ClusterLimit } from './limits.ts';

const REFUSED = ['mac', 'version', 'malformed'] as const;
const BREAKS = ['gap', 'silence', 'bus', 'restarted'] as const;
export type LinkBreak = (typeof BREAKS)[number];

export class ClusterCounts {
  readonly limits = new Tally<ClusterLimit>(CLUSTER_LIMITS_COUNTED);
  messagesIn = 0;
  messagesOut = 0;
  bytesIn = 0;
  bytesOut = 0;
  /** Not sent because there was no connection. */
  unsent = 0;
  /** Frames of others that were not taken in. */
  readonly refused = new Tally<(typeof REFUSED)[number]>(REFUSED);
  /** Links to owners that were broken, and begun anew. */
  readonly breaks = new Tally<LinkBreak>(BREAKS);
  /** How a mirror began (`state`), went on after a break (`resumed`), and ended. */
  readonly mirrors = new Tally<'state' | 'resumed' | 'ended'>(['state', 'resumed', 'ended']);
  /** Commands and queries that went to another node, in how many seconds. */
  readonly callSeconds = new Histogram(DURATION_BOUNDS_SECONDS);
  /** Incarnations that this node marked dead. */
  deaths = 0;
  /** How often this node was past its own deadline. */
  suspensions = 0;
}
