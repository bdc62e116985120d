// When a chat is compacted by itself: what its last request held against the window of the model. Pure.

import type { Usage } from '../../../protocol/content.ts';
import { COMPACTION_LIMITS } from './limits.ts';

/** What is known of a model's window, as in `ModelBinding`. */
export type Window = { readonly contextWindow: number | null; readonly compactionPercent: number | null };

/** What the request held: the figures of the prompt exclude each other. 0: the provider has not said. */
export function contextTokens({ input_tokens, cache_read_tokens, cache_write_tokens }: Usage): number {
  return input_tokens + cache_read_tokens + cache_write_tokens;
}

/** Of the window, in percent; 100: never by itself. */
export function thresholdPercent({ contextWindow, compactionPercent }: Window): number {
  if (compactionPercent !== null) return compactionPercent;
  const isLarge = contextWindow !== null && contextWindow >= COMPACTION_LIMITS.largeWindowTokens;
  return isLarge ? COMPACTION_LIMITS.largeWindowThresholdPercent : COMPACTION_LIMITS.thresholdPercent;
}

/** Of the window, in whole percent rounded down, so that it never says that a threshold is reached which is not. */
export function usagePercent(tokens: number, { contextWindow }: Window): number | null {
  return contextWindow === null ? null : Math.floor((tokens * 100) / contextWindow);
}

/** A model whose window nobody knows is compacted when its provider says that it is full. */
export function reachesThreshold(tokens: number, window: Window): boolean {
  const percent = thresholdPercent(window);
  if (percent >= 100 || window.contextWindow === null) return false;
  return tokens * 100 >= window.contextWindow * percent;
}
