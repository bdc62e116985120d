// Ids: branded where they are parsed, so that a chat id cannot be handed over as a command id.

import { assert } from './assert.ts';

declare const brand: unique symbol;
type Branded<T, B extends string> = T & { readonly [brand]: B };

/** A UUID in its lower-case text form; 16 bytes on the wire and in Postgres. */
export type ChatId = Branded<string, 'ChatId'>;
/** A UUIDv7 that the client made; a row that the command creates carries it for ever. */
export type CommandId = Branded<string, 'CommandId'>;
/** The id of the command that started the turn, so that a turn needs no id of its own. */
export type TurnId = Branded<string, 'TurnId'>;
/** One try of a step, in the ledger and towards the provider. */
export type AttemptId = Branded<string, 'AttemptId'>;
/** The subject of a credential: 1 to 128 bytes of UTF-8. */
export type OwnerId = Branded<string, 'OwnerId'>;
/** An API token's, derived from the command that created it. */
export type TokenId = Branded<string, 'TokenId'>;
/** One incarnation of a node: a restart gives a new one. */
export type NodeId = Branded<string, 'NodeId'>;
/** The number of a chat's activation: +1 each time its actor is loaded from storage. */
export type Epoch = Branded<number, 'Epoch'>;

const UUID_TEXT = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** The text form of 16 bytes; null when there are not 16 of them. */
export function uuidFromBytes<T extends string>(bytes: Uint8Array): T | null {
  if (bytes.length !== 16) return null;
  let text = '';
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) text += '-';
    text += HEX[bytes[i] as number];
  }
  return text as T;
}

/** The 16 bytes of a UUID in text form. */
export function uuidToBytes(id: string): Uint8Array {
  assert(UUID_TEXT.test(id), 'an id is a UUID in lower-case text form');
  const bytes = new Uint8Array(16);
  const hex = id.replaceAll('-', '');
  for (let i = 0; i < 16; i++) bytes[i] = Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16);
  return bytes;
}

/** Reads a UUID typed by a person (any case); null when it is none. */
export function parseUuid<T extends string>(text: string): T | null {
  const lower = text.trim().toLowerCase();
  return UUID_TEXT.test(lower) ? (lower as T) : null;
}

/**
 * A UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then randomness.
 * `random` is 10 bytes of it; the version and variant bits are set here.
 */
export function uuidV7<T extends string>(nowMs: number, random: Uint8Array): T {
  return timedUuid(7, nowMs, random);
}

/**
 * An id of the server's own: built like a UUIDv7, but a UUIDv8 (RFC 9562 §5.8), so that no id of a client's command,
 * which is a UUIDv7, can be the same.
 */
export function uuidV8<T extends string>(nowMs: number, random: Uint8Array): T {
  return timedUuid(8, nowMs, random);
}

function timedUuid<T extends string>(version: number, nowMs: number, random: Uint8Array): T {
  assert(random.length === 10, 'a timed UUID takes 10 random bytes');
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 6; i++) bytes[i] = Math.floor(nowMs / 2 ** (8 * (5 - i))) % 256;
  bytes.set(random, 6);
  bytes[6] = ((bytes[6] as number) & 0x0f) | (version << 4);
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return uuidFromBytes<T>(bytes) as T;
}

/** The Unix milliseconds inside a UUIDv7; null for a UUID of another version. */
export function uuidV7Ms(id: string): number | null {
  return id[14] === '7' ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) : null;
}
