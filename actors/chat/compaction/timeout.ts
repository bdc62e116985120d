// How long a summary may take: as long as the model needs to read the chat and to write, by its own speed. Pure.

import { COMPACTION_LIMITS } from './limits.ts';

/** What nobody has measured yet: a slow large model. */
const TOKENS_READ_PER_SECOND = 1_000;
const TOKENS_WRITTEN_PER_SECOND = 25;
/** Queues at the provider, thinking before the first word. */
const START_MS = 30_000;

export type Pace = {
  /** What has to be read. */
  readonly contextTokens: number;
  /** As the model wrote its last step; null: it has written none since the chat was loaded. */
  readonly tokensPerSecond: number | null;
};

export function timeoutMs({ contextTokens, tokensPerSecond }: Pace): number {
  const { summaryTokens, timeoutMinMs, timeoutMaxMs } = COMPACTION_LIMITS;
  const written = tokensPerSecond === null || tokensPerSecond <= 0 ? TOKENS_WRITTEN_PER_SECOND : tokensPerSecond;
  const neededMs = START_MS + (contextTokens / TOKENS_READ_PER_SECOND + summaryTokens / written) * 1_000;
  return Math.round(Math.min(timeoutMaxMs, Math.max(timeoutMinMs, neededMs)));
}
