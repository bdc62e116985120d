import { expect, test } from 'vitest';

import { STORE_LIMITS, storeLimits } from './limits.ts';

test('[P11] the limits hold together, and contradictory ones are refused', () => {
  expect(storeLimits({})).toEqual(STORE_LIMITS);
  expect(storeLimits({ connections: 1, batchesInFlight: 1 })).toMatchObject({ connections: 1 });
  expect(() => storeLimits({ connections: 4, batchesInFlight: 4 })).toThrow('a read finds a connection');
  expect(() => storeLimits({ lockMs: 9_000 })).toThrow('lock');
  expect(() => storeLimits({ answerMs: 1_000 })).toThrow('given up');
  expect(() => storeLimits({ waitingBytes: 10 })).toThrow('a full batch may wait');
});
