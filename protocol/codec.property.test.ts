// Properties of the codec over arbitrary frames and arbitrary bytes.

import { decode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeBody,
  decodeClientMessage,
  decodeServerMessage,
  encodeBody,
  encodeClientFrame,
  encodeEventFrame,
  encodeServerFrame,
  joinFrames,
  type IncomingClientFrame,
  type OutgoingClientFrame,
} from './codec.ts';
import { uuidFromBytes, uuidToBytes } from './ids.ts';
import { ProtocolError } from './protocol-error.ts';
import { CLIENT_SCAN_LIMITS, scan, SERVER_SCAN_LIMITS } from './scanner.ts';
import { args, clientFrame, positionedEvent, serverFrame, text } from './vectors/arbitraries.ts';
import { CLIENT_SAMPLES, EVENT_SAMPLES, SERVER_SAMPLES } from './vectors/samples.ts';

const CHAT_BYTES = uuidToBytes('01980000-0000-7000-8000-00000000c4a7');

/** What a decoder makes of what an encoder was given: a command has its args decoded too. */
function incoming(frame: OutgoingClientFrame): IncomingClientFrame {
  if (frame.op !== 'command') return frame;
  return { ...frame, args: decodeBody(frame.rawArgs) as Record<string, unknown> };
}

/** Decodes bytes that may be anything; only a `ProtocolError` may come out of it. */
function decodeAnything(bytes: Uint8Array): void {
  const { frames, error } = decodeClientMessage(bytes);
  expect(frames.length <= CLIENT_SCAN_LIMITS.values && (error !== null || frames.length > 0)).toBe(true);
  try {
    decodeServerMessage(bytes);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
}

describe('round trips', () => {
  test('[codec] any client frame comes out as it went in, args byte for byte', () => {
    fc.assert(
      fc.property(clientFrame, (frame) => {
        expect(decodeClientMessage(encodeClientFrame(frame))).toEqual({ frames: [incoming(frame)], error: null });
      }),
      { numRuns: 500 },
    );
  });

  test('[codec] any server frame comes out as it went in', () => {
    fc.assert(
      fc.property(serverFrame, (frame) => {
        expect(decodeServerMessage(encodeServerFrame(frame))).toEqual([frame]);
      }),
      { numRuns: 1000 },
    );
  });

  test('[codec] joined frames decode to the frames, one after the other', () => {
    fc.assert(
      fc.property(fc.array(serverFrame, { maxLength: 10 }), (frames) => {
        expect(decodeServerMessage(joinFrames(frames.map(encodeServerFrame)))).toEqual(frames);
      }),
    );
    fc.assert(
      fc.property(fc.array(clientFrame, { minLength: 1, maxLength: 10 }), (frames) => {
        const { frames: decoded, error } = decodeClientMessage(joinFrames(frames.map(encodeClientFrame)));
        expect({ decoded, error }).toEqual({ decoded: frames.map(incoming), error: null });
      }),
    );
  });

  test('[codec] a second implementation reads any event that was written by hand', () => {
    fc.assert(
      fc.property(positionedEvent, ({ position, span, event }) => {
        const [op, chat, epoch, seq, readSpan] = decode(encodeEventFrame(CHAT_BYTES, { position, span, event }), {
          useBigInt64: false,
        }) as [number, Uint8Array, number, number, number];
        expect([op, uuidFromBytes(chat), epoch, seq, readSpan]).toEqual([
          36,
          uuidFromBytes(CHAT_BYTES),
          position.epoch,
          position.seq,
          span,
        ]);
      }),
    );
  });

  test('[codec] any body comes out as it went in', () => {
    fc.assert(
      fc.property(args, (body) => {
        expect(decodeBody(encodeBody(body))).toEqual(body);
      }),
    );
  });

  test('[scanner] admits whatever our encoders write', () => {
    fc.assert(
      fc.property(serverFrame, clientFrame, (server, client) => {
        expect(scan(encodeServerFrame(server), SERVER_SCAN_LIMITS).fault).toBe(null);
        expect(scan(encodeClientFrame(client), CLIENT_SCAN_LIMITS).fault).toBe(null);
      }),
    );
  });
});

describe('hostile bytes', () => {
  const frames = [
    ...CLIENT_SAMPLES.map(({ frame }) => encodeClientFrame(frame)),
    ...[...SERVER_SAMPLES, ...EVENT_SAMPLES].map(({ frame }) => encodeServerFrame(frame)),
  ];

  test('[scanner] random bytes end in an error or in frames, never in an exception', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 400 }), decodeAnything), { numRuns: 5000 });
  });

  test('[scanner] neither do random tokens inside a frame', () => {
    const token = fc.constantFrom(
      0x80,
      0x81,
      0x8f,
      0x91,
      0x9f,
      0xa1,
      0xbf,
      0xc0,
      0xc1,
      0xc4,
      0xc7,
      0xcb,
      0xcf,
      0xd4,
      0xd9,
      0xdc,
      0xdf,
    );
    const bytes = fc.array(fc.oneof(token, fc.nat(255)), { maxLength: 80 });
    fc.assert(
      fc.property(bytes, (tail) => decodeAnything(Uint8Array.from([0x94, 7, 1, 0xa1, 0x78, ...tail]))),
      { numRuns: 5000 },
    );
  });

  test('[scanner] neither does any frame with one bit flipped', () => {
    let flips = 0;
    for (const frame of frames) {
      // Of a long frame every third: its bytes are much alike.
      const step = frame.length > 300 ? 3 : 1;
      for (let bit = 0; bit < frame.length * 8; bit += step) {
        const bytes = frame.slice();
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        decodeAnything(bytes);
        flips++;
      }
    }
    expect(flips).toBeGreaterThan(20_000);
  });

  test('[scanner] every frame that is cut short is refused', () => {
    for (const frame of frames) {
      for (let length = 1; length < frame.length; length++) {
        const { ends, fault } = scan(frame.subarray(0, length), SERVER_SCAN_LIMITS);
        expect({ ends, code: fault?.code }).toEqual({ ends: [], code: 'bad_frame' });
      }
    }
  });

  test('[scanner] text is admitted as a TextDecoder with `fatal` admits it, but for NUL', () => {
    const byte = fc.oneof(
      fc.nat(255),
      fc.constantFrom(0xc0, 0xe0, 0xed, 0xf0, 0xf4, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf),
    );
    const pieces = fc.array(
      fc.oneof(
        text.map((one) => [...new TextEncoder().encode(one)]),
        fc.array(byte, { maxLength: 6 }),
      ),
    );
    fc.assert(
      fc.property(pieces, (parts) => {
        const bytes = parts.flat().slice(0, 60_000);
        const { fault } = scan(
          Uint8Array.from([0xda, bytes.length >> 8, bytes.length & 255, ...bytes]),
          CLIENT_SCAN_LIMITS,
        );
        expect(fault === null).toBe(!bytes.includes(0) && isUtf8(bytes));
      }),
      { numRuns: 3000 },
    );
  });
});

const STRICT = new TextDecoder('utf-8', { fatal: true });

function isUtf8(bytes: readonly number[]): boolean {
  try {
    STRICT.decode(Uint8Array.from(bytes));
    return true;
  } catch {
    return false;
  }
}
