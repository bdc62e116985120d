// The vectors: every frame with its bytes, checked against our codec and against a second msgpack implementation.
// After a wanted change `vitest run protocol/vectors.test.ts -u` writes them anew.

import { decodeMulti, encode } from '@msgpack/msgpack';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { decodeClientMessage, decodeServerMessage, encodeClientFrame, encodeServerFrame, joinFrames } from './codec.ts';
import { EVENT_KINDS } from './events.ts';
import { OPS } from './frames.ts';
import { ProtocolError } from './protocol-error.ts';
import { SERVER_SCAN_LIMITS } from './scanner.ts';
import { LENIENT_CLIENT, LENIENT_SERVER, type RawSample } from './vectors/lenient.ts';
import { CLIENT_NEGATIVES, SERVER_NEGATIVES, type Negative } from './vectors/negatives.ts';
import { CLIENT_SAMPLES, EVENT_SAMPLES, SERVER_SAMPLES } from './vectors/samples.ts';
import { formatVectors, toHex, toPlain, vectorBytes, type Vector } from './vectors/vector.ts';
import { readValues } from './wire-reader.ts';

const FILES = {
  'client.json': [
    ...CLIENT_SAMPLES.map(({ name, frame }) => clientVector({ name, bytes: encodeClientFrame(frame) })),
    ...LENIENT_CLIENT.map(clientVector),
  ],
  'server.json': [
    ...SERVER_SAMPLES.map(({ name, frame }) => serverVector({ name, bytes: encodeServerFrame(frame) })),
    ...LENIENT_SERVER.map(serverVector),
  ],
  'events.json': EVENT_SAMPLES.map(({ name, frame }) => serverVector({ name, bytes: encodeServerFrame(frame) })),
  'client-negative.json': CLIENT_NEGATIVES.map(clientNegative),
  'server-negative.json': SERVER_NEGATIVES.map(serverNegative),
} as const satisfies Record<string, readonly Vector[]>;

type FileName = keyof typeof FILES;
const NAMES = Object.keys(FILES) as FileName[];
const POSITIVE: readonly FileName[] = ['client.json', 'server.json', 'events.json'];

function clientVector({ name, bytes }: RawSample): Vector {
  const { frames, error } = decodeClientMessage(bytes);
  if (error !== null) throw new Error(`${name}: ${error.message}`);
  return { name, hex: toHex(bytes), frames: frames.map(toPlain) };
}

function serverVector({ name, bytes }: RawSample): Vector {
  return { name, hex: toHex(bytes), frames: decodeServerMessage(bytes).map(toPlain) };
}

function clientNegative({ name, hex, repeat }: Negative): Vector {
  const { frames, error } = decodeClientMessage(vectorBytes({ hex, ...(repeat && { repeat }) }));
  return { name, hex, ...(repeat && { repeat }), frames: frames.map(toPlain), error: error?.code ?? 'none' };
}

function serverNegative({ name, hex }: Negative): Vector {
  try {
    return { name, hex, frames: decodeServerMessage(vectorBytes({ hex })).map(toPlain), error: 'none' };
  } catch (error) {
    if (error instanceof ProtocolError) return { name, hex, frames: [], error: error.code };
    throw error;
  }
}

function path(file: FileName): string {
  return fileURLToPath(new URL(`vectors/${file}`, import.meta.url));
}

function stored(file: FileName): readonly Vector[] {
  return JSON.parse(readFileSync(path(file), 'utf8')) as readonly Vector[];
}

describe('vectors', () => {
  test.each(NAMES)('[vectors] %s holds what the codec writes and reads', async (file) => {
    expect(FILES[file].length).toBeGreaterThan(10);
    await expect(formatVectors(FILES[file])).toMatchFileSnapshot(path(file));
  });

  test('[vectors] every op and every kind of event that is sent has one', () => {
    const seen = new Set(
      [...stored('client.json'), ...stored('server.json')].flatMap(({ frames }) => frames.map(opOf)),
    );
    const kept = ['event'];
    expect(Object.keys(OPS).filter((op) => !seen.has(op) && !kept.includes(op))).toEqual([]);
    const kinds = new Set(stored('events.json').flatMap(({ frames }) => frames.map(kindOf)));
    const later = ['tool', 'action', 'compaction', 'agent', 'fork'];
    expect(Object.keys(EVENT_KINDS).filter((kind) => !kinds.has(kind) && !later.includes(kind))).toEqual([]);
  });

  test('[vectors] names are unique within a file', () => {
    for (const file of NAMES) {
      const names = stored(file).map(({ name }) => name);
      expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
    }
  });

  test.each(['client-negative.json', 'server-negative.json'] as const)(
    '[vectors] everything in %s is refused',
    (file) => {
      expect(stored(file).filter(({ error }) => error === 'none' || error === undefined)).toEqual([]);
    },
  );

  test.each(POSITIVE)('[vectors] a second implementation reads the same values from %s', (file) => {
    for (const vector of stored(file)) {
      const bytes = vectorBytes(vector);
      // It swallows a byte order mark, as most TextDecoders do: SPEC.md §2 warns of it.
      if (vector.name.includes('byte order mark')) continue;
      expect(readValues(bytes, SERVER_SCAN_LIMITS), vector.name).toEqual([...decodeMulti(bytes)]);
    }
  });

  test.each(POSITIVE)('[vectors] what a second implementation writes of %s reads as the same frames', (file) => {
    for (const vector of stored(file)) {
      const values = readValues(vectorBytes(vector), SERVER_SCAN_LIMITS);
      const bytes = joinFrames(values.map((value) => encode(value)));
      const frames = file === 'client.json' ? decodeClientMessage(bytes).frames : decodeServerMessage(bytes);
      expect(frames.map(withoutRawArgs), vector.name).toEqual(vector.frames.map(withoutRawArgs));
    }
  });
});

function opOf(frame: unknown): string {
  return (frame as { readonly op: string }).op;
}

function kindOf(frame: unknown): string {
  return (frame as { readonly event: { readonly kind: string } }).event.kind;
}

/** The bytes of args are those that came: another encoder makes others of the same args. */
function withoutRawArgs(frame: unknown): unknown {
  const { rawArgs: _, ...rest } = toPlain(frame) as Record<string, unknown>;
  return rest;
}
