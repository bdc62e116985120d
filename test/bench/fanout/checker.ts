// Checks what receivers get: every message is decoded with the protocol's codec, every socket's positions are followed.
//
// Followers of the same chats get the same bytes. A process decodes each message once and keeps it; where the same bytes
// come on another socket, a comparison of all of them stands for decoding them again.

import { decodeServerMessage } from '../../../protocol/codec.ts';
import type { ChatId } from '../../../protocol/ids.ts';

/** A stretch of events of one chat within a message, without a hole in it. */
type Stretch = {
  readonly chat: ChatId;
  readonly epoch: number;
  /** The position before its first event, and that of the first and the last one. */
  readonly before: number;
  readonly first: number;
  readonly last: number;
};

export type Decoded = {
  readonly events: number;
  readonly stretches: readonly Stretch[];
  /** What is wrong with the message by itself. */
  readonly fault: string | null;
};

export type Decode = (payload: Uint8Array) => Decoded;

type Kept = { readonly bytes: Buffer; readonly decoded: Decoded };

/** Decoded messages that are kept; more: all are forgotten, and the next ones decoded again. */
const KEPT_MESSAGES = 4_096;

/** What the sockets of a process share. */
export class DecodedMessages {
  readonly #decode: Decode;
  readonly #kept = new Map<number, Kept>();
  decodes = 0;

  constructor(decode: Decode) {
    this.#decode = decode;
  }

  /** The payload from `begin` to `end`; nothing of it is kept but a copy. */
  of(bytes: Buffer, begin: number, end: number): Decoded {
    const key = sampled(bytes, begin, end);
    const kept = this.#kept.get(key);
    if (kept !== undefined && kept.bytes.compare(bytes, begin, end) === 0) return kept.decoded;
    const copy = Buffer.from(bytes.subarray(begin, end));
    const decoded = this.#decode(copy);
    this.decodes += 1;
    if (this.#kept.size >= KEPT_MESSAGES) this.#kept.clear();
    this.#kept.set(key, { bytes: copy, decoded });
    return decoded;
  }
}

/** A message of the protocol. Frames that are no events count for nothing. */
export function decodeProtocol(payload: Uint8Array): Decoded {
  const events: Placed[] = [];
  for (const frame of decodeServerMessage(payload)) {
    if (frame.op === 'bye' || frame.op === 'refused')
      return { events: 0, stretches: [], fault: `the server says ${frame.op}` };
    if (frame.op === 'event' || frame.op === 'skipped') {
      events.push({ chat: frame.chat, epoch: frame.position.epoch, seq: frame.position.seq, span: frame.span });
    }
  }
  return stretched(events);
}

/** One event as JSON: what the baseline over `ws` sends. */
export function decodeJson(payload: Uint8Array): Decoded {
  const { chat, position, span } = JSON.parse(
    Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString(),
  ) as {
    readonly chat: ChatId;
    readonly position: { readonly epoch: number; readonly seq: number };
    readonly span: number;
  };
  return stretched([{ chat, ...position, span }]);
}

type Placed = { readonly chat: ChatId; readonly epoch: number; readonly seq: number; readonly span: number };

function stretched(events: readonly Placed[]): Decoded {
  const byChat = new Map<ChatId, Stretch>();
  for (const { chat, epoch, seq, span } of events) {
    const so = byChat.get(chat);
    if (so === undefined) {
      byChat.set(chat, { chat, epoch, before: seq - span, first: seq, last: seq });
      continue;
    }
    if (epoch !== so.epoch || seq - span > so.last || seq <= so.last) {
      return { events: 0, stretches: [], fault: `${chat} goes from ${so.last} to ${seq} with a span of ${span}` };
    }
    byChat.set(chat, { ...so, last: seq });
  }
  return { events: events.length, stretches: [...byChat.values()], fault: null };
}

/** Where a recorded stream that is sent over and over begins and ends, per chat. */
export type Loop = ReadonlyMap<ChatId, { readonly before: number; readonly last: number }>;

/** The positions of one socket. */
export class Positions {
  readonly #last = new Map<ChatId, number>();
  readonly #loop: Loop | null;

  constructor(loop: Loop | null) {
    this.#loop = loop;
  }

  /** What is wrong, or null. The first event of a chat may have any place: what led there came in its snapshot. */
  follow({ stretches, fault }: Decoded): string | null {
    if (fault !== null) return fault;
    for (const { chat, before, first, last } of stretches) {
      const at = this.#last.get(chat);
      const fits = at === undefined || (before <= at && at < first) || this.#beginsAgain(chat, at, before);
      if (!fits) return `${chat} goes from ${at} to ${first}, which begins behind ${before}`;
      this.#last.set(chat, last);
    }
    return null;
  }

  #beginsAgain(chat: ChatId, at: number, before: number): boolean {
    const loop = this.#loop?.get(chat);
    return loop !== undefined && at === loop.last && before === loop.before;
  }
}

/** Where the position of the first event of a message stands. */
const POSITION_AT = 20;

/** A key for the bytes: their length, the first position and some words in between. */
function sampled(bytes: Buffer, begin: number, end: number): number {
  const length = end - begin;
  if (length < POSITION_AT + 4) return length;
  let hash = length ^ Math.imul(bytes.readInt32LE(begin + POSITION_AT), 0x9e3779b1);
  for (let quarter = 1; quarter <= 4; quarter++) {
    const word = bytes.readInt32LE(begin + (((length - 4) * quarter) >> 2));
    hash = Math.imul(hash ^ word, 0x85ebca6b) ^ (hash >>> 15);
  }
  return hash;
}
