import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { TextGuard, wholeCodePoints } from './text-guard.ts';

function guarded(pieces: readonly string[]): readonly string[] {
  const guard = new TextGuard();
  return [...pieces.map((piece) => guard.push(piece)), guard.flush()];
}

test('[models] well-formed text comes out as it went in, wherever it is cut, and never ends inside a code point', () => {
  const text = fc.string({ unit: 'binary' }).map((raw) => raw.replaceAll('\0', '0'));
  fc.assert(
    fc.property(text, fc.array(fc.nat(40)), (whole, cuts) => {
      const places = [0, ...cuts.filter((cut) => cut < whole.length), whole.length].sort((a, b) => a - b);
      const pieces = guarded(places.map((place, i) => whole.slice(place, places[i + 1] ?? whole.length)));
      expect(pieces.join('')).toBe(whole);
      expect(pieces.every((piece) => piece.isWellFormed())).toBe(true);
    }),
  );
});

test('[models] NUL and lone surrogates become U+FFFD, each', () => {
  expect(guarded(['a\0b']).join('')).toBe('a\uFFFDb');
  expect(guarded(['a\ud800', 'b']).join('')).toBe('a\uFFFDb');
  expect(guarded(['\udc00', '\ud800']).join('')).toBe('\uFFFD\uFFFD');
  expect(guarded(['\ud83d\ud83d', '\ude00']).join('')).toBe('\uFFFD😀');
});

test('[models] half a code point at the end is left off', () => {
  expect(wholeCodePoints('ab\ud83d')).toBe('ab');
  expect(wholeCodePoints('ab😀')).toBe('ab😀');
  expect(wholeCodePoints('')).toBe('');
});
