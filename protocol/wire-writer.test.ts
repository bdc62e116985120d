import { decode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AssertionError } from './assert.ts';
import { ProtocolError } from './protocol-error.ts';
import { args, text, uint } from './vectors/arbitraries.ts';
import { FrameWriter, packForeignValue, packValue } from './wire-writer.ts';

/** What msgpackr writes as an ext, or as something else that no client may be sent. */
const FORBIDDEN: readonly unknown[] = [undefined, new Date(0), new Error('x'), () => 1, 2n ** 60n, new Map([[1, 2]])];
/** What it refuses itself, or writes as an array. */
const FOREIGN: readonly unknown[] = [...FORBIDDEN, 2n ** 64n, Symbol('x'), new Set([1]), /x/, new Float32Array(1)];

function written(write: (writer: FrameWriter) => void): unknown {
  const writer = new FrameWriter();
  writer.begin(1);
  write(writer);
  return (decode(writer.take()) as unknown[])[0];
}

describe('writer', () => {
  test('[writer] any text and any number reads back with a second implementation', () => {
    fc.assert(
      fc.property(text, uint, (one, number) => {
        // The second implementation swallows a byte order mark.
        if (!one.startsWith('\ufeff')) expect(written((writer) => writer.text(one))).toBe(one);
        expect(written((writer) => writer.uint(number))).toBe(number);
      }),
      { numRuns: 1000 },
    );
  });

  test('[writer] the header of a text fits on both sides of every boundary', () => {
    for (const letter of ['a', 'é', '界', '🙂']) {
      for (const bytes of [0, 31, 32, 33, 48, 49, 255, 256, 257, 65_535, 65_536, 70_000]) {
        const one = letter.repeat(Math.ceil(bytes / 4));
        expect(written((writer) => writer.text(one))).toBe(one);
        const same = letter.repeat(bytes);
        expect(written((writer) => writer.text(same))).toBe(same);
      }
    }
  });

  test('[writer] NUL and lone surrogates become U+FFFD, however long the text is', () => {
    for (const filler of ['', 'x'.repeat(40), 'x'.repeat(200), 'é'.repeat(50)]) {
      const bad = `${filler}a\0b\ud83d`;
      const good = `${filler}a\ufffdb\ufffd`;
      expect(written((writer) => writer.text(bad))).toBe(good);
      expect(decode(packValue({ [bad]: [bad] }))).toEqual({ [good]: [good] });
    }
  });

  test('[writer] a writer that was left in the middle of a frame starts anew', () => {
    const writer = new FrameWriter();
    writer.begin(2);
    expect(() => writer.uint(-1)).toThrow(AssertionError);
    writer.begin(1);
    writer.uint(8);
    expect(writer.take()).toEqual(new Uint8Array([0x91, 8]));
  });

  test('[writer] frames are bytes of their own, also after a large one', () => {
    const writer = new FrameWriter();
    for (const length of [10, 1_000_000, 10]) {
      writer.begin(1);
      writer.text('x'.repeat(length));
      const frame = writer.take();
      expect(frame.buffer.byteLength).toBe(frame.length);
    }
    expect(packValue({ a: 1 }).buffer.byteLength).toBe(4);
  });

  test('[writer] any plain value reads back with a second implementation', () => {
    const withoutMark = args.filter((value) => !JSON.stringify(value).includes('\ufeff'));
    fc.assert(
      fc.property(withoutMark, (value) => {
        expect(decode(packValue(value))).toEqual(value);
        expect(packForeignValue(value)).toEqual(packValue(value));
      }),
    );
  });

  test('[writer] what has no form on the wire is a bug of ours, never an ext', () => {
    for (const value of FORBIDDEN) expect(() => packValue({ a: [value] }), String(value)).toThrow(AssertionError);
  });

  test('[writer] for callers of the library it is a ProtocolError', () => {
    for (const value of FOREIGN) expect(() => packForeignValue([value]), String(value)).toThrow(ProtocolError);
    expect(() => packForeignValue({ a: 'x\0' })).toThrow('NUL');
    expect(() => packForeignValue({ ['\ud800'.padEnd(100, 'x')]: 1 })).toThrow('lone surrogate');
  });

  test('[writer] for callers of the library undefined is left out of objects', () => {
    expect(decode(packForeignValue({ a: undefined, b: 1 }))).toEqual({ b: 1 });
  });
});
