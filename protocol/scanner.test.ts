import { Unpackr } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { LIMITS } from './limits.ts';
import { CLIENT_SCAN_LIMITS, scan, type ScanResult } from './scanner.ts';
import { fromHex } from './vectors/vector.ts';

const scanHex = (hex: string): ScanResult => scan(fromHex(hex), CLIENT_SCAN_LIMITS);
const lengthHex = (length: number, digits: number): string => length.toString(16).padStart(digits, '0');

/** Every first byte of an ext with the shortest body that makes it whole. */
const EXTS = [
  'd40000',
  'd5000000',
  'd60000000000',
  'd7000000000000000000',
  `d800${'00'.repeat(16)}`,
  'c7010000',
  'c800010000',
  'c9000000010000',
] as const;

describe('scanner', () => {
  test('[scanner] a value of every admitted type passes, in each of its forms', () => {
    const values = [
      'c0 c2 c3 00 7f e0 ff cc80 cd0100 ce00010000 cf0000000100000000 cf001fffffffffffff',
      'd080 d18000 d280000000 d3ffe0000000000001 ca3fc00000 cb3ff8000000000000',
      'a0 a161 d90161 da000161 db0000000161 c400 c401ff c50001ff c600000001ff',
      '90 91c0 dc0001c0 dd00000001c0 80 81a161c0 de0001a161c0 df00000001a161c0 81a080',
    ].flatMap((line) => line.split(' '));
    const ends = values.map((value) => value.length / 2);
    for (const [i, value] of values.entries()) expect(scanHex(value), value).toEqual({ ends: [ends[i]], fault: null });
    const all = scan(fromHex(values.join('')), CLIENT_SCAN_LIMITS);
    expect(all.fault).toBe(null);
    expect(all.ends).toHaveLength(values.length);
  });

  test('[scanner] no ext passes, at any place, with any type', () => {
    for (const ext of EXTS) {
      for (const place of [ext, `91${ext}`, `81a161${ext}`, `9291${ext}c0`, `81${ext}c0`]) {
        expect(scanHex(place).fault?.code, place).toBe('bad_frame');
      }
    }
    for (let type = 0; type < 256; type++) expect(scanHex(`91d4${lengthHex(type, 2)}00`).fault?.code).toBe('bad_frame');
  });

  test('[scanner] the byte that is never used does not pass', () => {
    for (const place of ['c1', '91c1', '81a161c1', '81c1c0'])
      expect(scanHex(place).fault?.code, place).toBe('bad_frame');
  });

  test('[scanner] what it refuses would become objects in msgpackr', () => {
    const unpackr = new Unpackr({ useRecords: false });
    const regExp = fromHex('d4780092a161a169');
    expect(unpackr.unpack(regExp)).toBeInstanceOf(RegExp);
    expect(unpackr.unpack(fromHex('d6ff00000001'))).toBeInstanceOf(Date);
    expect(scan(regExp, CLIENT_SCAN_LIMITS).fault?.detail).toBe('an ext type');
  });

  test('[scanner] exactly at its limits a value passes, one beyond it does not', () => {
    const { scannedDepth, scannedItems, scannedStringBytes, valuesPerMessage } = LIMITS;
    expect(scanHex(`${'91'.repeat(scannedDepth - 1)}90`).fault).toBe(null);
    expect(scanHex(`${'91'.repeat(scannedDepth)}90`).fault?.detail).toContain('levels');
    expect(scanHex(`dc${lengthHex(scannedItems, 4)}${'c0'.repeat(scannedItems)}`).fault).toBe(null);
    expect(scanHex(`dc${lengthHex(scannedItems + 1, 4)}${'c0'.repeat(scannedItems + 1)}`).fault?.detail).toContain(
      'items',
    );
    const entries = scannedItems / 2;
    expect(scanHex(`de${lengthHex(entries, 4)}${'a0c0'.repeat(entries)}`).fault).toBe(null);
    expect(scanHex(`de${lengthHex(entries + 1, 4)}${'a0c0'.repeat(entries + 1)}`).fault?.detail).toContain('items');
    for (const head of ['db', 'c6']) {
      expect(scanHex(`${head}${lengthHex(scannedStringBytes, 8)}${'61'.repeat(scannedStringBytes)}`).fault).toBe(null);
      const over = `${head}${lengthHex(scannedStringBytes + 1, 8)}${'61'.repeat(scannedStringBytes + 1)}`;
      expect(scanHex(over).fault?.detail).toContain('over 65536 bytes');
    }
    expect(scanHex('c0'.repeat(valuesPerMessage)).fault).toBe(null);
    expect(scanHex('c0'.repeat(valuesPerMessage + 1))).toMatchObject({ fault: { offset: valuesPerMessage } });
  });

  test('[scanner] items are counted over the whole value, and anew for the next one', () => {
    const half = `dc0800${'c0'.repeat(2048)}`;
    expect(scanHex(`92${half}dc07fe${'c0'.repeat(2046)}`).fault).toBe(null);
    expect(scanHex(`92${half}dc07ff${'c0'.repeat(2047)}`).fault?.detail).toContain('items');
    expect(scanHex(half.repeat(3)).fault).toBe(null);
  });

  test('[scanner] siblings at the deepest level do not count as levels', () => {
    expect(scanHex(`9f919191c0${'90'.repeat(14)}`).fault).toBe(null);
  });

  test('[scanner] a length that the bytes do not hold is refused at once', () => {
    for (const hex of [
      'ddffffffff',
      'dfffffffff',
      'dbffffffff',
      'c6ffffffff',
      'dd00000005c0',
      'df00000001a0',
      'a2c0',
    ]) {
      const limits = { depth: 32, items: 2 ** 40, stringBytes: 2 ** 40, values: 10 };
      expect(scan(fromHex(hex), limits).fault, hex).toEqual({
        code: 'bad_frame',
        detail: 'a truncated value',
        offset: 0,
      });
    }
  });

  test('[scanner] a megabyte of nesting neither overflows nor takes time', () => {
    const bytes = new Uint8Array(1 << 20).fill(0x91);
    expect(scan(bytes, CLIENT_SCAN_LIMITS).fault).toMatchObject({ offset: LIMITS.scannedDepth });
  });

  test('[scanner] values before a fault are known by their ends', () => {
    expect(scanHex('910891089204')).toEqual({
      ends: [2, 4],
      fault: { code: 'bad_frame', detail: 'a truncated value', offset: 4 },
    });
    expect(scanHex('')).toEqual({ ends: [], fault: null });
  });

  test('[scanner] __proto__ is refused as a key only', () => {
    const proto = '5f5f70726f746f5f5f';
    expect(scanHex(`81a161a9${proto}`).fault).toBe(null);
    expect(scanHex(`91a9${proto}`).fault).toBe(null);
    expect(scanHex(`81aa${proto}5fc0`).fault).toBe(null);
    for (const head of ['a9', 'd909', 'da0009', 'db00000009']) {
      expect(scanHex(`81${head}${proto}c0`).fault?.detail, head).toBe('a map key that is not allowed');
    }
  });
});
