import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cleanText, isCleanText, isPlain, sliceUtf8, unitsAtByte, utf8Length } from './text.ts';
import { text } from './vectors/arbitraries.ts';

const UTF8 = new TextEncoder();
/** Any code units, lone surrogates and NUL included. */
const units = fc.array(fc.oneof(fc.nat(0xffff), fc.integer({ min: 0xd7f0, max: 0xe010 }), fc.nat(0x7f)), {
  maxLength: 40,
});
const anything = units.map((codes) => String.fromCharCode(...codes));

describe('text', () => {
  test('[text] the length in bytes is that of an encoder, also for lone surrogates', () => {
    fc.assert(
      fc.property(fc.oneof(text, anything), (one) => {
        expect(utf8Length(one)).toBe(UTF8.encode(one).length);
      }),
      { numRuns: 1000 },
    );
  });

  test('[text] NUL and lone surrogates are unclean, and U+FFFD in their place is not', () => {
    expect(['', 'a', '\ufeff', '🙂', '\ufffd'].map(isCleanText)).toEqual([true, true, true, true, true]);
    expect(['\0', 'a\0b', '\ud83d', '\ude00', '\ude00\ud83d'].map(isCleanText)).toEqual(Array(5).fill(false));
    expect(cleanText('a\0b\ud83dc\ude00🙂')).toBe('a\ufffdb\ufffdc\ufffd🙂');
    fc.assert(
      fc.property(anything, (one) => {
        expect(isCleanText(cleanText(one))).toBe(true);
        if (isCleanText(one)) expect(cleanText(one)).toBe(one);
      }),
    );
  });

  test('[text] slices of any size put together are the text, none cuts a code point or is too long', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 50 }), (one, bytesMax) => {
        let offset = 0;
        let whole = '';
        while (offset < utf8Length(one)) {
          const slice = sliceUtf8(one, offset, bytesMax);
          expect(slice.offset).toBe(offset);
          expect(slice.bytes).toBe(utf8Length(slice.text));
          expect(isCleanText(slice.text)).toBe(true);
          expect(slice.bytes > 0 && (slice.bytes <= bytesMax || slice.bytes <= 4)).toBe(true);
          whole += slice.text;
          offset += slice.bytes;
        }
        expect(whole).toBe(one);
      }),
    );
  });

  test('[text] an offset inside a code point moves back to its beginning, one behind the end to the end', () => {
    expect(sliceUtf8('a🙂b', 3, 10)).toEqual({ offset: 1, bytes: 5, text: '🙂b' });
    expect(sliceUtf8('a🙂b', 99, 10)).toEqual({ offset: 6, bytes: 0, text: '' });
    expect(sliceUtf8('🙂🙂', 0, 1)).toEqual({ offset: 0, bytes: 4, text: '🙂' });
  });

  test('[text] a byte offset has an index only at the beginning of a code point or at the end', () => {
    expect([0, 1, 2, 3, 4, 5, 6, 7].map((byte) => unitsAtByte('aé🙂', byte))).toEqual([
      0,
      1,
      null,
      2,
      null,
      null,
      null,
      4,
    ]);
    expect(unitsAtByte('aé🙂', 8)).toBe(null);
    fc.assert(
      fc.property(text, fc.nat(200), (one, bytes) => {
        const index = unitsAtByte(one, bytes);
        if (index !== null) expect(utf8Length(one.slice(0, index))).toBe(bytes);
      }),
    );
  });
});

test('[protocol] what is plain needs no cleaning: short, without NUL and surrogates', () => {
  for (const text of ['', 'token ', 'größe', '漢字', 'x'.repeat(64)]) expect(isPlain(text)).toBe(true);
  for (const text of ['a\0b', '\ud800', '😀', '\udfff', 'x'.repeat(65)]) expect(isPlain(text)).toBe(false);
});
