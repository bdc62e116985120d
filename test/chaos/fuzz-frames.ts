// Fuzzed messages of a client, without end: what fast-check makes of the types, and what became of the vectors when bits
// flipped, ends were cut off and two of them were joined in the middle. The same seed gives the same messages.

import { decodeMulti, encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { seeded } from '../../actors/models/seeded.ts';
import { must } from '../../protocol/assert.ts';
import { encodeClientFrame } from '../../protocol/codec.ts';
import { clientFrame } from '../../protocol/vectors/arbitraries.ts';
import { vectorBytes, type VectorBytes } from '../../protocol/vectors/vector.ts';
import { hostileRequest, type HostileRequest } from './hostile-requests.ts';

export type FuzzKind = 'arbitrary' | 'hostile' | 'flipped' | 'cut' | 'spliced' | 'noise';

export type Fuzz = {
  readonly kind: FuzzKind;
  readonly bytes: Uint8Array;
  /** It is not even msgpack, by a second implementation: the server must refuse it. */
  readonly broken: boolean;
  /** The request that must be answered when the message is a well-formed request with hostile args. */
  readonly request: number | null;
};

/** How many of a hundred are of which kind: few enough end their connection that those behind get their turn. */
const SHARES: readonly (readonly [FuzzKind, number])[] = [
  ['arbitrary', 45],
  ['hostile', 20],
  ['flipped', 20],
  ['cut', 5],
  ['spliced', 5],
  ['noise', 5],
];

/** Frames that fast-check makes in one go. */
const BATCH = 500;
/** Longer vectors exist to be too long; each takes the time of thousands of others. */
const VECTOR_BYTES_MAX = 2_048;

export class FuzzFrames {
  readonly #fraction: () => number;
  readonly #seed: number;
  readonly #vectors = vectors();
  readonly #hostile: fc.Arbitrary<HostileRequest>;
  #arbitrary: Uint8Array[] = [];
  #requests: HostileRequest[] = [];
  #batches = 0;
  /** Above the numbers that the other kinds come by. */
  #request = 2 ** 40;

  /** `chats`: ids that hostile requests name, of the sender and of others. */
  constructor({ seed, chats }: { readonly seed: number; readonly chats: readonly Uint8Array[] }) {
    this.#seed = seed;
    this.#fraction = seeded(seed);
    this.#hostile = hostileRequest(chats);
  }

  next(): Fuzz {
    const kind = this.#kind();
    if (kind === 'hostile') return this.#hostileFrame();
    const bytes = this.#bytes(kind);
    return { kind, bytes, broken: !isMsgpack(bytes), request: null };
  }

  #bytes(kind: Exclude<FuzzKind, 'hostile'>): Uint8Array {
    switch (kind) {
      case 'arbitrary':
        return this.#arbitraryFrame();
      case 'flipped':
        return this.#flipped();
      case 'cut': {
        const bytes = this.#vector();
        return bytes.subarray(0, this.#below(bytes.length));
      }
      case 'spliced': {
        const [head, tail] = [this.#vector(), this.#vector()];
        return Buffer.concat([head.subarray(0, this.#below(head.length)), tail.subarray(this.#below(tail.length))]);
      }
      case 'noise':
        return Uint8Array.from({ length: this.#below(80) }, () => this.#below(256));
    }
  }

  #arbitraryFrame(): Uint8Array {
    if (this.#arbitrary.length === 0) {
      this.#arbitrary = fc.sample(clientFrame, { seed: this.#nextSeed(), numRuns: BATCH }).map(encodeClientFrame);
    }
    return must(this.#arbitrary.pop(), 'a batch was made');
  }

  /** A vector with one to three bits turned over. */
  #flipped(): Uint8Array {
    const bytes = Uint8Array.from(this.#vector());
    for (let flips = this.#below(3); flips >= 0; flips--) {
      const at = this.#below(bytes.length);
      bytes[at] = must(bytes[at], 'it lies inside') ^ (1 << this.#below(8));
    }
    return bytes;
  }

  #hostileFrame(): Fuzz {
    if (this.#requests.length === 0) {
      this.#requests = fc.sample(this.#hostile, { seed: this.#nextSeed(), numRuns: BATCH });
    }
    const { kind, name, args } = must(this.#requests.pop(), 'a batch was made');
    const request = ++this.#request;
    const frame = kind === 'command' ? [6, request, this.#commandId(), name, args] : [7, request, name, args];
    return { kind: 'hostile', bytes: encode(frame), broken: false, request };
  }

  /** Mostly a UUIDv7 of now, so that the command is not refused for its id. */
  #commandId(): Uint8Array {
    const id = Uint8Array.from({ length: 16 }, () => this.#below(256));
    if (this.#below(10) === 0) return id;
    new DataView(id.buffer).setBigUint64(0, (BigInt(Date.now()) << 16n) | 0x7000n);
    id[8] = 0x80 | (must(id[8], 'it has 16 bytes') & 0x3f);
    return id;
  }

  #kind(): FuzzKind {
    let at = this.#below(100);
    for (const [kind, share] of SHARES) {
      if (at < share) return kind;
      at -= share;
    }
    return 'noise';
  }

  #vector(): Uint8Array {
    return must(this.#vectors[this.#below(this.#vectors.length)], 'there are vectors');
  }

  #below(bound: number): number {
    return Math.floor(this.#fraction() * bound);
  }

  #nextSeed(): number {
    this.#batches += 1;
    return (this.#seed * 100_003 + this.#batches) | 0;
  }
}

function vectors(): Uint8Array[] {
  return ['client', 'client-negative', 'server', 'events'].flatMap((name) => {
    const file = new URL(`../../protocol/vectors/${name}.json`, import.meta.url);
    const stored = JSON.parse(readFileSync(file, 'utf8')) as readonly VectorBytes[];
    return stored.map(vectorBytes).filter(({ length }) => length > 0 && length <= VECTOR_BYTES_MAX);
  });
}

function isMsgpack(bytes: Uint8Array): boolean {
  try {
    return [...decodeMulti(bytes)].length > 0;
  } catch {
    return false;
  }
}
