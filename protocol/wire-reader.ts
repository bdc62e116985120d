// Reads msgpack values from bytes that the scanner has admitted.
//
// Written by hand although msgpackr writes our bytes: in a browser, and wherever its native part is missing, msgpackr
// reads strings of more than 64 bytes with a TextDecoder that swallows a leading U+FEFF. Text would not be what was
// sent, and the byte offsets of the deltas behind it would not fit any more (seen with msgpackr 2.1.3; the same holds
// for @msgpack/msgpack 3.1.3). It also renames keys and knows a dozen ext types that this protocol does not have.

import { ProtocolError } from './protocol-error.ts';
import { scan, type ScanLimits } from './scanner.ts';

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Up to here a loop over ASCII beats a TextDecoder (Node 22: 47 against 187 ns at 4 bytes, 164 against 135 at 16). */
const SHORT_TEXT_BYTES = 12;

/**
 * The values of a message, in order. Maps become plain objects, bin becomes a copy, all numbers become `number`.
 * Throws a `ProtocolError` when the scanner refuses the bytes.
 */
export function readValues(bytes: Uint8Array, limits: ScanLimits): unknown[] {
  const { ends, fault } = scan(bytes, limits);
  if (fault !== null) throw new ProtocolError(fault.code, fault.detail);
  const reader = new WireReader(bytes);
  return ends.map(() => reader.value());
}

/** A cursor over scanned bytes. Its methods are undefined for bytes that the scanner would refuse. */
export class WireReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get offset(): number {
    return this.#at;
  }

  /** The number of items when an array comes next, and then stands before its first; else null, and nothing is read. */
  arrayHeader(): number | null {
    const token = this.#bytes[this.#at] as number;
    if (token >= 0x90 && token < 0xa0) {
      this.#at += 1;
      return token & 0x0f;
    }
    if (token !== 0xdc && token !== 0xdd) return null;
    this.#at += 1;
    return this.#uint(token === 0xdc ? 2 : 4);
  }

  /** The next value. Recursive: the scanner has bounded the depth. */
  value(): unknown {
    const token = this.#bytes[this.#at] as number;
    const length = this.arrayHeader();
    if (length !== null) return this.#array(length);
    this.#at += 1;
    if (token < 0x80) return token;
    if (token < 0x90) return this.#map(token & 0x0f);
    if (token < 0xc0) return this.#str(token & 0x1f);
    if (token >= 0xe0) return token - 0x100;
    switch (token) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#bin(this.#uint(1));
      case 0xc5:
        return this.#bin(this.#uint(2));
      case 0xc6:
        return this.#bin(this.#uint(4));
      case 0xd9:
        return this.#str(this.#uint(1));
      case 0xda:
        return this.#str(this.#uint(2));
      case 0xdb:
        return this.#str(this.#uint(4));
      case 0xde:
        return this.#map(this.#uint(2));
      case 0xdf:
        return this.#map(this.#uint(4));
      default:
        return this.#number(token);
    }
  }

  #number(token: number): number {
    const at = this.#at;
    switch (token) {
      case 0xca:
        this.#at += 4;
        return this.#view.getFloat32(at);
      case 0xcb:
        this.#at += 8;
        return this.#view.getFloat64(at);
      case 0xcc:
        return this.#uint(1);
      case 0xcd:
        return this.#uint(2);
      case 0xce:
        return this.#uint(4);
      case 0xcf:
        return this.#uint(4) * 0x100000000 + this.#uint(4);
      case 0xd0:
        this.#at += 1;
        return this.#view.getInt8(at);
      case 0xd1:
        this.#at += 2;
        return this.#view.getInt16(at);
      case 0xd2:
        this.#at += 4;
        return this.#view.getInt32(at);
      case 0xd3:
        this.#at += 8;
        return this.#view.getInt32(at) * 0x100000000 + this.#view.getUint32(at + 4);
      default:
        throw new ProtocolError('bad_frame', 'bytes that were not scanned');
    }
  }

  #uint(size: 1 | 2 | 4): number {
    const at = this.#at;
    this.#at += size;
    if (size === 1) return this.#bytes[at] as number;
    return size === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  #array(length: number): unknown[] {
    const array: unknown[] = [];
    for (let i = 0; i < length; i++) array.push(this.value());
    return array;
  }

  /** Of a repeated key the last value counts. The scanner has refused `__proto__`, so that `{}` is safe to fill. */
  #map(entries: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    for (let i = 0; i < entries; i++) {
      const key = this.value() as string;
      map[key] = this.value();
    }
    return map;
  }

  #bin(length: number): Uint8Array {
    const begin = this.#at;
    this.#at += length;
    // A copy: the bytes of an inbound message belong to the socket. (`slice` of a Buffer would be a view.)
    return new Uint8Array(this.#bytes.subarray(begin, begin + length));
  }

  #str(length: number): string {
    const begin = this.#at;
    this.#at += length;
    if (length <= SHORT_TEXT_BYTES) {
      const text = this.#ascii(begin, length);
      if (text !== null) return text;
    }
    return UTF8.decode(this.#bytes.subarray(begin, begin + length));
  }

  #ascii(begin: number, length: number): string | null {
    let text = '';
    for (let i = begin; i < begin + length; i++) {
      const byte = this.#bytes[i] as number;
      if (byte >= 0x80) return null;
      text += String.fromCharCode(byte);
    }
    return text;
  }
}
