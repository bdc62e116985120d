// Writes msgpack: `packValue` for any plain value, `FrameWriter` by hand for what runs once per delta.

import { Packr } from 'msgpackr';
import { assert } from './assert.ts';
import { ProtocolError } from './protocol-error.ts';
import { scan, SERVER_SCAN_LIMITS } from './scanner.ts';
import { cleanText, isCleanText } from './text.ts';

// Without records there is no ext but for what has no place on the wire; `packValue` sees to that.
const PACKR = new Packr({ useRecords: false, variableMapSize: true });
const UTF8 = new TextEncoder();

/** Beyond this the buffer of a writer is given back after the frame that needed it. */
const KEPT_BUFFER_BYTES = 256 * 1024;

/** Up to here a loop over ASCII beats `encodeInto` (Node 22: 23 against 80 ns at 8 letters, 74 against 81 at 32). */
const SHORT_TEXT_UNITS = 32;

/**
 * The bytes of a plain value: null, boolean, number, string, Uint8Array, arrays and objects of these. NUL and lone
 * surrogates become U+FFFD, so that no bug behind it sends bytes that a client must refuse. Anything else (undefined,
 * Date, a number beyond 2^53 as bigint) is a bug: msgpackr would make an ext of it.
 */
export function packValue(value: unknown): Uint8Array {
  const bytes = packed(value);
  const { ends, fault } = scan(bytes, SERVER_SCAN_LIMITS);
  if (fault?.code === 'bad_text') return packed(plainCopy(value, cleanText));
  assert(fault === null, `a value of the wire holds ${fault?.detail}`);
  assert(ends.length === 1, 'a packed value is one value');
  return bytes;
}

/**
 * The same for what callers of a library hand in: keys whose value is undefined are left out. Throws a `ProtocolError`
 * (`bad_text` or `bad_frame`) for what has no form on the wire.
 */
export function packForeignValue(value: unknown): Uint8Array {
  return packed(plainCopy(value, refuseBadText));
}

function packed(value: unknown): Uint8Array {
  // msgpackr hands out a view of its pool; a frame that is kept for long must not keep the pool with it.
  return new Uint8Array(PACKR.pack(value));
}

function refuseBadText(text: string): string {
  if (!isCleanText(text)) throw new ProtocolError('bad_text', 'text with NUL or a lone surrogate');
  return text;
}

function plainCopy(value: unknown, onText: (text: string) => string): unknown {
  if (typeof value === 'string') return onText(value);
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return value;
  if (value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((item) => plainCopy(item, onText));
  if (typeof value !== 'object' || !isPlain(value)) {
    throw new ProtocolError('bad_frame', 'a value that has no form on the wire');
  }
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  return Object.fromEntries(entries.map(([key, entry]) => [onText(key), plainCopy(entry, onText)]));
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/**
 * Collects the bytes of one frame at a time: `begin`, the fields, `take`. `begin` drops what an encoder that threw has
 * left behind.
 */
export class FrameWriter {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

  /** Starts a frame of `length` fields, the op included. */
  begin(length: number): void {
    this.#at = 0;
    this.array(length);
  }

  /** The frame, as bytes of its own. */
  take(): Uint8Array {
    const frame = this.#bytes.slice(0, this.#at);
    this.#at = 0;
    if (this.#bytes.length > KEPT_BUFFER_BYTES) this.#resize(1024);
    return frame;
  }

  /** An array of fewer than 16 items. */
  array(length: number): void {
    this.#room(1);
    this.#bytes[this.#at++] = 0x90 | length;
  }

  nil(): void {
    this.#room(1);
    this.#bytes[this.#at++] = 0xc0;
  }

  bool(value: boolean): void {
    this.#room(1);
    this.#bytes[this.#at++] = value ? 0xc3 : 0xc2;
  }

  /** A whole number of 0 to 2^53 − 1, in its shortest form. */
  uint(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, 'numbers on the wire are whole and not negative');
    this.#room(9);
    if (value < 0x80) {
      this.#bytes[this.#at++] = value;
    } else if (value < 0x100) {
      this.#bytes[this.#at++] = 0xcc;
      this.#bytes[this.#at++] = value;
    } else if (value < 0x10000) {
      this.#bytes[this.#at] = 0xcd;
      this.#view.setUint16(this.#at + 1, value);
      this.#at += 3;
    } else if (value < 0x100000000) {
      this.#bytes[this.#at] = 0xce;
      this.#view.setUint32(this.#at + 1, value);
      this.#at += 5;
    } else {
      this.#bytes[this.#at] = 0xcf;
      this.#view.setUint32(this.#at + 1, Math.floor(value / 0x100000000));
      this.#view.setUint32(this.#at + 5, value % 0x100000000);
      this.#at += 9;
    }
  }

  /** The 16 bytes of an id. */
  id(bytes: Uint8Array): void {
    assert(bytes.length === 16, 'an id has 16 bytes');
    this.#room(18);
    this.#bytes[this.#at] = 0xc4;
    this.#bytes[this.#at + 1] = 16;
    this.#bytes.set(bytes, this.#at + 2);
    this.#at += 18;
  }

  /** Text of any length; NUL and lone surrogates become U+FFFD. */
  text(text: string): void {
    const clean = text.includes('\0') ? cleanText(text) : text;
    this.#room(clean.length * 3 + 5);
    // The header's size depends on the length in bytes, which is known only after: guess it as if all were ASCII.
    const guess = headerBytes(clean.length);
    const begin = this.#at + guess;
    const length = this.#utf8(clean, begin);
    const header = headerBytes(length);
    if (header !== guess) this.#bytes.copyWithin(this.#at + header, begin, begin + length);
    this.#textHeader(header, length);
    this.#at += header + length;
  }

  /** Bytes that are msgpack already. */
  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #textHeader(header: number, length: number): void {
    const at = this.#at;
    if (header === 1) {
      this.#bytes[at] = 0xa0 | length;
    } else if (header === 2) {
      this.#bytes[at] = 0xd9;
      this.#bytes[at + 1] = length;
    } else if (header === 3) {
      this.#bytes[at] = 0xda;
      this.#view.setUint16(at + 1, length);
    } else {
      this.#bytes[at] = 0xdb;
      this.#view.setUint32(at + 1, length);
    }
  }

  /** Writes the text at `begin` and gives its length; `encodeInto` puts U+FFFD in the place of lone surrogates. */
  #utf8(text: string, begin: number): number {
    if (text.length > SHORT_TEXT_UNITS) return UTF8.encodeInto(text, this.#bytes.subarray(begin)).written;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit >= 0x80) return UTF8.encodeInto(text, this.#bytes.subarray(begin)).written;
      this.#bytes[begin + i] = unit;
    }
    return text.length;
  }

  #room(size: number): void {
    if (this.#at + size > this.#bytes.length) this.#resize(Math.max(this.#bytes.length * 2, this.#at + size));
  }

  #resize(size: number): void {
    const bytes = new Uint8Array(size);
    bytes.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}

/** Bytes of the header of a str of `length` bytes. */
function headerBytes(length: number): number {
  if (length < 0x20) return 1;
  if (length < 0x100) return 2;
  return length < 0x10000 ? 3 : 5;
}
