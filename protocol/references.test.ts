import { describe, expect, test } from 'vitest';
import type { Part } from './content.ts';
import { LIMITS } from './limits.ts';
import { eventParts } from './references.ts';

function parts(...sizes: readonly number[]): readonly Part[] {
  return sizes.map((size) => ({ type: 'text', text: 'x'.repeat(size) }));
}

describe('parts of the event message', () => {
  test('[P9] they are whole up to the size of a piece of a snapshot', () => {
    const whole = parts(LIMITS.snapshotPieceBytes - 10, 10);
    expect(eventParts(whole)).toBe(whole);
  });

  test('[P9] beyond it the large ones are references, so that no event takes a slow line longer than a client waits', () => {
    const [large, small] = eventParts(parts(LIMITS.snapshotPieceBytes, 10));
    expect([large, small]).toEqual([
      { type: 'text', bytes: LIMITS.snapshotPieceBytes },
      { type: 'text', text: 'x'.repeat(10) },
    ]);
  });

  test('[P9] it is bytes that count, not characters', () => {
    const text = '漢'.repeat(LIMITS.snapshotPieceBytes / 2);
    expect(eventParts([{ type: 'reasoning', text }])).toEqual([{ type: 'reasoning', bytes: text.length * 3 }]);
  });
});
