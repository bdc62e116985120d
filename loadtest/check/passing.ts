// Errors that say nothing of an earlier try of the same command (protocol/SPEC.md 8.4): the outcome stays open.

import type { ErrorCode } from '../../protocol/errors.ts';

const PASSING: ReadonlySet<ErrorCode> = new Set([
  'unavailable',
  'shutting_down',
  'unknown_outcome',
  'internal',
  'too_many',
  'rate_limited',
  'token_expired',
]);

export function isPassing(code: ErrorCode): boolean {
  return PASSING.has(code);
}
