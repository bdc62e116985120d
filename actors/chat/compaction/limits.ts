// Limits of compaction. Every number has its unit and its reason.

import { assert } from '../../../protocol/assert.ts';

export const COMPACTION_LIMITS = {
  /** Of the window, from which on a chat is compacted; of large windows less, because what is in them costs every step. */
  thresholdPercent: 70,
  largeWindowTokens: 500_000,
  largeWindowThresholdPercent: 30,
  /** What a summary may be long: a dense hand-over takes two or three thousand, the rest is room for exact names. */
  summaryTokens: 8_192,
  /** What is kept of a summary that a server without a limit of output writes on and on. More: cut. */
  summaryBytes: 64 * 1024,
  /** Tries of one compaction, the first included; then the chat goes on without it, or is cut. */
  compactionTries: 3,
  /** A compaction after which so much or more of the context is left has gained nothing. */
  gainPercentMax: 90,
  /** The time for one try: below the least no slow start is survived, above the most nobody waits for an answer. */
  timeoutMinMs: 60_000,
  timeoutMaxMs: 600_000,
  /** Cuts of one step after its compaction did not help: to half of the window, then to the bare messages of the turn. */
  cutsPerStep: 2,
  /** Of a tool's output that is cut, the beginning stays. */
  cutOutputBytes: 200,
} as const;

const { timeoutMinMs, timeoutMaxMs, thresholdPercent, gainPercentMax } = COMPACTION_LIMITS;
assert(timeoutMinMs < timeoutMaxMs, 'the least time for a compaction is below the most');
assert(thresholdPercent < gainPercentMax, 'a compaction that gains nothing would be due again at once');
