// The arguments of commands, one function per kind of value. What does not fit is `bad_args`, with the name of the argument.

import type { TextPart } from '../../protocol/content.ts';
import { errorBody, type ErrorBody } from '../../protocol/errors.ts';
import { uuidFromBytes } from '../../protocol/ids.ts';
import { LIMITS, type WireLimit } from '../../protocol/limits.ts';
import { utf8Length } from '../../protocol/text.ts';
import type { ActorLimit } from './counted-limits.ts';

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  /** `limit`: the one that the arguments are over, when it is that. */
  | { readonly ok: false; readonly error: ErrorBody; readonly limit?: ArgumentLimit };

/** The limits of arguments. */
type ArgumentLimit = Extract<ActorLimit, WireLimit>;

/** Thrown inside `parsing` only. */
export class BadArgument extends Error {
  readonly limit: ArgumentLimit | null;

  constructor(message: string, limit: ArgumentLimit | null = null) {
    super(message);
    this.limit = limit;
  }
}

/** What `parse` gives, or the error of the argument that does not fit. */
export function parsing<T>(parse: () => T): Parsed<T> {
  try {
    return { ok: true, value: parse() };
  } catch (error) {
    if (!(error instanceof BadArgument)) throw error;
    const { message, limit } = error;
    return { ok: false, error: errorBody('bad_args', message), ...(limit === null ? {} : { limit }) };
  }
}

export function content(value: unknown): readonly TextPart[] {
  if (!Array.isArray(value) || value.length === 0) throw new BadArgument('content: an array of parts');
  if (value.length > LIMITS.partsPerMessage) {
    throw new BadArgument(`content: at most ${LIMITS.partsPerMessage} parts`, 'partsPerMessage');
  }
  const parts = value.map(textPart);
  if (parts.every((part) => part.text.trim() === '')) throw new BadArgument('content: some text');
  return parts;
}

function textPart(value: unknown): TextPart {
  const part: unknown = value;
  if (!isMap(part) || part['type'] !== 'text' || typeof part['text'] !== 'string') {
    throw new BadArgument('content: parts of the form {type: "text", text}');
  }
  return { type: 'text', text: part['text'] };
}

export function labels(value: unknown): Readonly<Record<string, string>> {
  if (!isMap(value)) throw new BadArgument('labels: a map of strings');
  const entries = Object.entries(value);
  if (entries.length > LIMITS.labels) throw new BadArgument(`labels: at most ${LIMITS.labels}`, 'labels');
  for (const [key, label] of entries) {
    if (key === '' || utf8Length(key) > LIMITS.labelKeyBytes) {
      throw new BadArgument(`labels: keys of 1 to ${LIMITS.labelKeyBytes} bytes`, 'labelKeyBytes');
    }
    if (typeof label !== 'string' || utf8Length(label) > LIMITS.labelValueBytes) {
      throw new BadArgument(`labels: values of at most ${LIMITS.labelValueBytes} bytes`, 'labelValueBytes');
    }
  }
  return Object.fromEntries(entries) as Record<string, string>;
}

export function text(value: unknown, name: string, limit: 'titleChars' | 'systemPromptChars'): string {
  const charsMax = LIMITS[limit];
  if (typeof value !== 'string' || value.trim() === '') throw new BadArgument(`${name}: a text that is not empty`);
  if (value.length > charsMax) throw new BadArgument(`${name}: at most ${charsMax} characters`, limit);
  return value.trim();
}

export function optionalText(value: unknown, name: string, limit: 'titleChars' | 'systemPromptChars'): string | null {
  return value === undefined || value === null ? null : text(value, name, limit);
}

/** Absent is null. */
export function optional<T>(value: unknown, parse: (value: unknown) => T): T | null {
  return value === undefined || value === null ? null : parse(value);
}

export function plainText(value: unknown, name: string): string {
  if (typeof value !== 'string') throw new BadArgument(`${name}: a text`);
  return value;
}

/** As a flag, but nobody decides by leaving it out. */
export function choice(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw new BadArgument(`${name}: a bool`);
  return value;
}

export function flag(value: unknown, name: string): boolean {
  if (value !== undefined && value !== null && typeof value !== 'boolean') throw new BadArgument(`${name}: a bool`);
  return value === true;
}

export function uuid<T extends string>(value: unknown, name: string): T {
  const id = value instanceof Uint8Array ? uuidFromBytes<T>(value) : null;
  if (id === null) throw new BadArgument(`${name}: an id of 16 bytes`);
  return id;
}

export function uuids<T extends string>(value: unknown, name: string): readonly T[] {
  if (!Array.isArray(value)) throw new BadArgument(`${name}: an array of ids`);
  return value.map((id) => uuid<T>(id, name));
}

export function messageNumber(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new BadArgument('number: that of a message');
  }
  return value;
}

export function oneOf<T extends string>(value: unknown, allowed: readonly unknown[], name: string): T {
  if (!allowed.includes(value)) throw new BadArgument(`${name}: one of ${allowed.join(', ')}`);
  return value as T;
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
