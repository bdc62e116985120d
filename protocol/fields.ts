// Reads single fields of decoded frames and maps. Each throws a `ProtocolError` that names the field, never its value.

import { uuidFromBytes } from './ids.ts';
import { parsePosition, type Position } from './position.ts';
import { ProtocolError } from './protocol-error.ts';

export type WireMap = Readonly<Record<string, unknown>>;

export function asMap(value: unknown, field: string): WireMap {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
    throw wrong(field, 'a map');
  }
  return value as WireMap;
}

export function asArray(value: unknown, field: string): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(field, 'an array');
  return value as readonly unknown[];
}

export function asString(value: unknown, field: string): string {
  if (typeof value !== 'string') throw wrong(field, 'a str');
  return value;
}

export function asBool(value: unknown, field: string): boolean {
  if (typeof value !== 'boolean') throw wrong(field, 'a bool');
  return value;
}

/** A whole number of 0 to 2^53 − 1; an integral float is one too. */
export function asUint(value: unknown, field: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw wrong(field, 'a whole number that is not negative');
  }
  return value + 0;
}

/** The text form of a 16-byte id. */
export function asId<T extends string>(value: unknown, field: string): T {
  const id = value instanceof Uint8Array ? uuidFromBytes<T>(value) : null;
  if (id === null) throw wrong(field, 'a bin of 16 bytes');
  return id;
}

export function asPosition(value: unknown, field: string): Position {
  const position = parsePosition(value);
  if (position === null) throw wrong(field, 'a position [epoch, seq]');
  return position;
}

/** nil, or what `parse` makes of it. An absent key of a map counts as nil. */
export function orNull<T>(value: unknown, field: string, parse: (value: unknown, field: string) => T): T | null {
  return value === null || value === undefined ? null : parse(value, field);
}

/** The member of a closed list, or `fallback` for a word that a later version of the protocol has added to it. */
export function asWord<T extends string>(value: unknown, field: string, words: readonly T[], fallback: T): T {
  const word = asString(value, field);
  return words.find((known) => known === word) ?? fallback;
}

function wrong(field: string, expected: string): ProtocolError {
  return new ProtocolError('bad_frame', `${field} is not ${expected}`);
}
