// How long to wait before trying again, and what is tried again at all. Pure but for the randomness handed in.

import type { ErrorBody, ErrorCode } from '../errors.ts';
import type { ClientRandom } from './environment.ts';
import { CLIENT_LIMITS } from './limits.ts';

/**
 * Full jitter: anything from 0 to the ceiling of the attempt, which doubles from 250 ms up to 10 s. Of the known kinds of
 * jitter it spreads a herd best (AWS Architecture Blog, "Exponential Backoff And Jitter"). `attempt` counts from 0.
 */
export function fullJitterMs(attempt: number, random: ClientRandom): number {
  const ceilingMs = Math.min(CLIENT_LIMITS.backoffMaxMs, CLIENT_LIMITS.backoffBaseMs * 2 ** Math.min(attempt, 30));
  return Math.floor(random.fraction() * ceilingMs);
}

/** Errors of the moment: the same request can have another answer a little later, and repeating it does no harm. */
const RESENT: ReadonlySet<ErrorCode> = new Set([
  'unknown_outcome',
  'internal',
  'unavailable',
  'shutting_down',
  'rate_limited',
  'too_many',
  'token_expired',
]);

/** The wait before a refused request is sent again, in milliseconds; null when the error is the answer. */
export function resendDelayMs(error: ErrorBody, tries: number, random: ClientRandom): number | null {
  if (error.retry === 'never' || !RESENT.has(error.code) || tries >= CLIENT_LIMITS.requestTriesMax) return null;
  return (error.retry_after_ms ?? 0) + fullJitterMs(tries - 1, random);
}
