// The scanner walks raw bytes before anything is decoded, and admits only nil, bool, int, float, str, bin, array and map.
//
// A decoder that meets an ext builds objects of the sender's choosing; one that believes a length allocates by it; one
// that recurses overflows on nesting. The scanner needs no memory beyond one small stack, reads every byte at most once
// and finds all of that, and every text fault, first. What it admits, `WireReader` can read without a check.

import { LIMITS, type FrameLimit } from './limits.ts';

export type ScanLimits = {
  /** Arrays and maps inside each other; the outermost is level 1. */
  readonly depth: number;
  /** Over all arrays and maps of one value; a map counts its keys and its values. */
  readonly items: number;
  /** Of one str or bin. */
  readonly stringBytes: number;
  /** Values back to back in one message. */
  readonly values: number;
};

/** What a client may send. */
export const CLIENT_SCAN_LIMITS: ScanLimits = {
  depth: LIMITS.scannedDepth,
  items: LIMITS.scannedItems,
  stringBytes: LIMITS.scannedStringBytes,
  values: LIMITS.valuesPerMessage,
};

/** What a server may send, and what is kept as the body of a reply: bounds against nonsense, not against work. */
export const SERVER_SCAN_LIMITS: ScanLimits = {
  depth: LIMITS.scannedDepth,
  items: 1 << 20,
  stringBytes: 1 << 24,
  values: 1 << 20,
};

export type ScanFault = {
  readonly code: 'bad_frame' | 'bad_text';
  readonly detail: string;
  /** Where in the message, in bytes. */
  readonly offset: number;
  /** The limit that was reached, when it was one. */
  readonly limit?: FrameLimit;
};

export type ScanResult = {
  /** The end offset of every value before the fault, in order. */
  readonly ends: readonly number[];
  readonly fault: ScanFault | null;
};

/** Walks all values of a message. Never throws; the empty message has no value and no fault. */
export function scan(bytes: Uint8Array, limits: ScanLimits): ScanResult {
  const ends: number[] = [];
  const scanner = new Scanner(bytes, limits);
  while (!scanner.atEnd) {
    if (ends.length === limits.values) {
      return {
        ends,
        fault: {
          code: 'bad_frame',
          detail: `more than ${limits.values} values`,
          offset: scanner.offset,
          limit: 'valuesPerMessage',
        },
      };
    }
    const fault = scanner.value();
    if (fault !== null) return { ends, fault };
    ends.push(scanner.offset);
  }
  return { ends, fault: null };
}

/** `__proto__` as the eight-bit bytes of a key. */
const PROTO = [...'__proto__'].map((letter) => letter.charCodeAt(0));

/** One pass over one message. `#at` only grows, and past the end only together with a fault. */
class Scanner {
  readonly #bytes: Uint8Array;
  readonly #limits: ScanLimits;
  /** Items still to come on each open level. */
  readonly #open: Int32Array;
  /** 1 where the level is a map: its even items to come are followed by a key. */
  readonly #isMap: Uint8Array;
  #at = 0;
  #level = 0;
  #items = 0;
  #fault: ScanFault | null = null;

  constructor(bytes: Uint8Array, limits: ScanLimits) {
    this.#bytes = bytes;
    this.#limits = limits;
    this.#open = new Int32Array(limits.depth);
    this.#isMap = new Uint8Array(limits.depth);
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  get offset(): number {
    return this.#at;
  }

  /** Walks one value; null when it is admitted. */
  value(): ScanFault | null {
    this.#level = 0;
    this.#items = 0;
    do {
      this.#token();
      if (this.#fault !== null) return this.#fault;
      while (this.#level > 0 && this.#open[this.#level - 1] === 0) this.#level--;
    } while (this.#level > 0);
    return null;
  }

  #token(): void {
    const start = this.#at;
    if (start >= this.#bytes.length) return this.#refuse('a truncated value', start);
    const token = this.#bytes[start] as number;
    this.#at = start + 1;
    if (this.#takesKey()) {
      if (!isStr(token)) return this.#refuse('a map key that is no str', start);
      this.#scalarOrContainer(token, start);
      if (this.#fault === null && this.#isProto(start)) this.#refuse('a map key that is not allowed', start);
      return;
    }
    this.#scalarOrContainer(token, start);
  }

  /** Counts the item on its level; true when it is the key of a map. */
  #takesKey(): boolean {
    if (this.#level === 0) return false;
    const level = this.#level - 1;
    const left = this.#open[level] as number;
    this.#open[level] = left - 1;
    return this.#isMap[level] === 1 && left % 2 === 0;
  }

  #scalarOrContainer(token: number, start: number): void {
    if (token < 0x80 || token >= 0xe0 || token === 0xc0 || token === 0xc2 || token === 0xc3) return;
    if (token < 0x90) return this.#container((token & 0x0f) * 2, 1, start);
    if (token < 0xa0) return this.#container(token & 0x0f, 0, start);
    if (token < 0xc0) return this.#str(token & 0x1f, start);
    switch (token) {
      case 0xc4:
        return this.#bin(this.#length(1, start), start);
      case 0xc5:
        return this.#bin(this.#length(2, start), start);
      case 0xc6:
        return this.#bin(this.#length(4, start), start);
      case 0xcc:
      case 0xd0:
        return this.#skip(1, start);
      case 0xcd:
      case 0xd1:
        return this.#skip(2, start);
      case 0xca:
      case 0xce:
      case 0xd2:
        return this.#skip(4, start);
      case 0xcb:
        return this.#skip(8, start);
      case 0xcf:
      case 0xd3:
        return this.#int64(token, start);
      case 0xd9:
        return this.#str(this.#length(1, start), start);
      case 0xda:
        return this.#str(this.#length(2, start), start);
      case 0xdb:
        return this.#str(this.#length(4, start), start);
      case 0xdc:
        return this.#container(this.#length(2, start), 0, start);
      case 0xdd:
        return this.#container(this.#length(4, start), 0, start);
      case 0xde:
        return this.#container(this.#length(2, start) * 2, 1, start);
      case 0xdf:
        return this.#container(this.#length(4, start) * 2, 1, start);
      case 0xc1:
        return this.#refuse('the byte c1, which is never used', start);
      default:
        return this.#refuse('an ext type', start);
    }
  }

  /** A big-endian length of `size` bytes; 0 together with a fault when they are not there. */
  #length(size: number, start: number): number {
    if (this.#bytes.length - this.#at < size) {
      this.#refuse('a truncated value', start);
      return 0;
    }
    let length = 0;
    for (let i = 0; i < size; i++) length = length * 256 + (this.#bytes[this.#at++] as number);
    return length;
  }

  #container(items: number, isMap: 0 | 1, start: number): void {
    if (this.#fault !== null) return;
    if (this.#level === this.#limits.depth) {
      return this.#refuse(`more than ${this.#limits.depth} levels`, start, 'scannedDepth');
    }
    this.#items += items;
    if (this.#items > this.#limits.items) {
      return this.#refuse(`more than ${this.#limits.items} items`, start, 'scannedItems');
    }
    // Every item takes a byte at least: a length that the bytes cannot hold is refused before anybody believes it.
    if (items > this.#bytes.length - this.#at) return this.#refuse('a truncated value', start);
    this.#open[this.#level] = items;
    this.#isMap[this.#level] = isMap;
    this.#level++;
  }

  #skip(size: number, start: number): void {
    if (this.#fault !== null) return;
    if (size > this.#bytes.length - this.#at) return this.#refuse('a truncated value', start);
    this.#at += size;
  }

  #bin(size: number, start: number): void {
    if (size > this.#limits.stringBytes) return this.#refuseString('bin', start);
    this.#skip(size, start);
  }

  #str(size: number, start: number): void {
    if (size > this.#limits.stringBytes) return this.#refuseString('str', start);
    const begin = this.#at;
    this.#skip(size, start);
    if (this.#fault !== null) return;
    const bad = badTextAt(this.#bytes, begin, begin + size);
    if (bad >= 0) this.#fault = { code: 'bad_text', detail: `at byte ${bad} of the message`, offset: bad };
  }

  #int64(token: number, start: number): void {
    this.#skip(8, start);
    if (this.#fault !== null) return;
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset + start + 1, 8);
    const high = token === 0xcf ? view.getUint32(0) : view.getInt32(0);
    // Beyond 2^53 the sum is rounded, but never back into the safe range.
    if (!Number.isSafeInteger(high * 0x100000000 + view.getUint32(4))) this.#refuse('an integer beyond 2^53', start);
  }

  /** Whether the key that was just walked is `__proto__`, whichever of the str forms it has. */
  #isProto(start: number): boolean {
    const begin = this.#at - PROTO.length;
    if (begin <= start || this.#keyLength(start) !== PROTO.length) return false;
    return PROTO.every((letter, i) => this.#bytes[begin + i] === letter);
  }

  #keyLength(start: number): number {
    const token = this.#bytes[start] as number;
    return this.#at - start - (token < 0xc0 ? 1 : 1 + 2 ** (token - 0xd9));
  }

  #refuseString(type: 'bin' | 'str', start: number): void {
    this.#refuse(`a ${type} over ${this.#limits.stringBytes} bytes`, start, 'scannedStringBytes');
  }

  #refuse(detail: string, offset: number, limit?: FrameLimit): void {
    this.#fault ??= { code: 'bad_frame', detail, offset, ...(limit === undefined ? {} : { limit }) };
  }
}

function isStr(token: number): boolean {
  return (token >= 0xa0 && token < 0xc0) || (token >= 0xd9 && token <= 0xdb);
}

/**
 * Where the first NUL, or the first sequence that is no UTF-8 (RFC 3629 §4: no overlong form, no surrogate, nothing
 * above U+10FFFF), begins in [from, to); -1 when there is none.
 */
function badTextAt(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to) {
    const lead = bytes[at] as number;
    if (lead < 0x80) {
      if (lead === 0) return at;
      at++;
      continue;
    }
    const size = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    if (size === 0 || at + size > to) return at;
    const second = bytes[at + 1] as number;
    const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    if (second < low || second > high) return at;
    for (let i = 2; i < size; i++) if (((bytes[at + i] as number) & 0xc0) !== 0x80) return at;
    at += size;
  }
  return -1;
}
