import { expect, test } from 'vitest';

import { arrayLiteral, byteaLiteral, timeLiteral } from './array-literal.ts';

test('[storage] text is quoted and escaped, null is not text', () => {
  expect(arrayLiteral(['a', 'NULL', null, 'q"b\\c', '{,}', ''])).toBe('{"a","NULL",NULL,"q\\"b\\\\c","{,}",""}');
});

test('[storage] numbers and truth values stand as they are', () => {
  expect(arrayLiteral([1, 12_345_678_901_234n, true, false, -0.5])).toBe('{1,12345678901234,true,false,-0.5}');
  expect(arrayLiteral([])).toBe('{}');
});

test('[storage] bytes are hexadecimal, of the part of the buffer that is meant', () => {
  const part = new Uint8Array([9, 0, 255, 9]).subarray(1, 3);
  expect(byteaLiteral([part, null, new Uint8Array()])).toBe('{"\\\\x00ff",NULL,"\\\\x"}');
});

test('[storage] times keep their milliseconds', () => {
  expect(timeLiteral([0, null, 1_700_000_000_123])).toBe(
    '{"1970-01-01T00:00:00.000Z",NULL,"2023-11-14T22:13:20.123Z"}',
  );
});
