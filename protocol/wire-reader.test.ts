import { decode, encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ProtocolError } from './protocol-error.ts';
import { SERVER_SCAN_LIMITS } from './scanner.ts';
import { args } from './vectors/arbitraries.ts';
import { fromHex } from './vectors/vector.ts';
import { readValues } from './wire-reader.ts';

const read = (bytes: Uint8Array): unknown[] => readValues(bytes, SERVER_SCAN_LIMITS);

describe('reader', () => {
  test('[reader] reads what a second implementation writes', () => {
    fc.assert(
      fc.property(args, (value) => {
        expect(read(encode(value))).toEqual([value]);
      }),
      { numRuns: 500 },
    );
  });

  test('[reader] reads every form of a number', () => {
    const hex =
      '00 7f e0 ff cc80 cd0100 ce00010000 cf001fffffffffffff d080 d18000 d280000000 d3ffe0000000000001 ca3fc00000';
    expect(read(fromHex(hex))).toEqual([
      0,
      127,
      -32,
      -1,
      128,
      256,
      65_536,
      2 ** 53 - 1,
      -128,
      -32_768,
      -(2 ** 31),
      -(2 ** 53) + 1,
      1.5,
    ]);
  });

  test('[reader] keeps a byte order mark at the start of a text of any length', () => {
    for (const length of [0, 1, 20, 31, 32, 63, 64, 65, 200, 300, 70_000]) {
      const text = `\ufeff${'x'.repeat(length)}`;
      expect(read(encode(text)), String(length)).toEqual([text]);
    }
  });

  test('[reader] a map has the keys that were sent, whatever objects inherit', () => {
    const keys = ['constructor', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__', ''];
    const [map] = read(encode(Object.fromEntries(keys.map((key, i) => [key, i]))));
    expect(Object.entries(map as object)).toEqual(keys.map((key, i) => [key, i]));
    expect(Object.getPrototypeOf(map)).toBe(Object.prototype);
  });

  test('[reader] of a repeated key the last value counts', () => {
    expect(read(fromHex('82a16101a16102'))).toEqual([{ a: 2 }]);
  });

  test('[reader] bytes are copies, also out of a Buffer', () => {
    const source = Buffer.from(encode({ id: new Uint8Array([1, 2, 3]) }));
    const [value] = read(source) as [{ readonly id: Uint8Array }];
    source.fill(0);
    expect(value.id).toEqual(new Uint8Array([1, 2, 3]));
    expect(value.id.buffer).not.toBe(source.buffer);
  });

  test('[reader] reads a view that does not begin where its buffer does', () => {
    const whole = new Uint8Array(64);
    const bytes = encode([2 ** 40, -1.5, 'é'.repeat(5)]);
    whole.set(bytes, 7);
    expect(read(whole.subarray(7, 7 + bytes.length))).toEqual([decode(bytes)]);
  });

  test('[reader] what the scanner refuses is a ProtocolError', () => {
    expect(() => read(fromHex('d40000'))).toThrow(ProtocolError);
    expect(() => read(fromHex('a100'))).toThrow('byte 1');
  });
});
