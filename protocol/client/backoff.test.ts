import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { errorBody, ERRORS, type ErrorCode } from '../errors.ts';
import { fullJitterMs, resendDelayMs } from './backoff.ts';
import { CLIENT_LIMITS } from './limits.ts';

const randomOf = (fraction: number) => ({
  fraction: () => fraction,
  bytes: (length: number) => new Uint8Array(length),
});

describe('[client] back-off', () => {
  test('[client] full jitter lies between 0 and a ceiling that doubles from 250 ms up to 10 s', () => {
    const almostOne = randomOf(1 - 2 ** -30);
    expect([0, 1, 2, 3, 4, 5, 6, 1_000].map((attempt) => fullJitterMs(attempt, almostOne))).toEqual([
      249, 499, 999, 1_999, 3_999, 7_999, 9_999, 9_999,
    ]);
    fc.assert(
      fc.property(
        fc.nat(10_000),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (attempt, fraction) => {
          const delayMs = fullJitterMs(attempt, randomOf(fraction));
          return delayMs >= 0 && delayMs < CLIENT_LIMITS.backoffMaxMs && (attempt > 0 || delayMs < 250);
        },
      ),
    );
  });

  test('[client] only errors of the moment are sent again, after what the server asks for, and not for ever', () => {
    const again = (Object.keys(ERRORS) as ErrorCode[]).filter(
      (code) => resendDelayMs(errorBody(code), 1, randomOf(0)) !== null,
    );
    expect(again.toSorted()).toEqual([
      'internal',
      'rate_limited',
      'shutting_down',
      'token_expired',
      'too_many',
      'unavailable',
      'unknown_outcome',
    ]);
    expect(resendDelayMs(errorBody('unavailable', undefined, 700), 1, randomOf(0.5))).toBe(825);
    expect(resendDelayMs(errorBody('unavailable'), CLIENT_LIMITS.requestTriesMax, randomOf(0))).toBeNull();
    // A code of a later version reads as `internal`, with a verdict of its own.
    expect(resendDelayMs({ code: 'internal', message: '', retry: 'never' }, 1, randomOf(0))).toBeNull();
  });
});
