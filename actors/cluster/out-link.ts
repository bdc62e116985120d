// A link as its owner end sees it: from this node to one gateway, for all chats of this node that the gateway follows.
//
// Per tick at most a few messages leave, each with the frames of many chats. Every message has the next number of the link;
// the gateway takes them in their order or breaks the link and follows anew. Nothing is kept for the gateway but the place
// in each log: a gateway that is slow gets merged deltas later, like any slow reader (P9).

import { encodeServerFrame } from '../../protocol/codec.ts';
import type { ChatId, NodeId } from '../../protocol/ids.ts';
import { comparePositions, type Position } from '../../protocol/position.ts';
import type { StreamLog } from '../chat/stream-log.ts';
import type { Follower } from '../host/api.ts';
import { snapshotPieces } from '../host/snapshot.ts';
import type { ClusterCounts } from './counts.ts';
import type { LinkItem } from './frames.ts';
import { CLUSTER_LIMITS } from './limits.ts';

export type OutLinkParts = {
  readonly peer: NodeId;
  readonly link: number;
  readonly counts: ClusterCounts;
  readonly nowMs: () => number;
  /** False when it certainly did not leave. */
  readonly send: (seq: number, items: readonly LinkItem[]) => boolean;
  /** Calls `pump` soon, once. */
  readonly wake: () => void;
  /** Who has the chat now, of a log that ended; null when that is not known. */
  readonly ownerOf: (chat: ChatId) => NodeId | null;
};

/** What a message of the link has room for. */
type Room = { bytes: number; readonly items: LinkItem[] };

/** Messages of one link in one tick. */
const MESSAGES_PER_TICK = 4;
/** About what an item takes beside its bytes. */
const ITEM_BYTES = 24;

export class OutLink {
  readonly peer: NodeId;
  readonly link: number;
  readonly #parts: OutLinkParts;
  readonly #follows = new Map<number, OutFollow>();
  /** The highest id that was followed or let go of. The gateway gives them out ascending. */
  #lastId = 0;
  #dirty = new Set<OutFollow>();
  /** Items that belong to no log, before all others. At most a few per follow. */
  #control: LinkItem[] = [];
  #seq = 0;
  /** By the seq of the message: bytes that are not acknowledged. At most a window full. */
  #unacked: { readonly seq: number; readonly bytes: number }[] = [];
  #unackedBytes = 0;
  #heardMs: number;
  #sentMs: number;
  /** It waits for the gateway to take in what is under way. */
  #isFull = false;

  constructor(parts: OutLinkParts) {
    this.peer = parts.peer;
    this.link = parts.link;
    this.#parts = parts;
    this.#heardMs = parts.nowMs();
    this.#sentMs = parts.nowMs();
  }

  get size(): number {
    return this.#follows.size;
  }

  get unackedBytes(): number {
    return this.#unackedBytes;
  }

  /**
   * The follower that stands for the gateway in the chat's log; `begin` it when the place is known. Null for a request that
   * comes twice, or behind its own end: the gateway is told so, and asks anew if it still waits.
   */
  open(id: number, chat: ChatId): OutFollow | null {
    if (id <= this.#lastId) {
      if (!this.#follows.has(id)) this.#tellEnded(id, null);
      return null;
    }
    this.#lastId = id;
    const follow = new OutFollow(id, chat, this);
    this.#follows.set(id, follow);
    return follow;
  }

  /** What became of a follow that came to nothing. */
  refuse(item: Extract<LinkItem, { type: 'gone' | 'refused' | 'ended' }>): void {
    this.unfollow(item.id);
    this.#control.push(item);
    this.#parts.wake();
  }

  /** The gateway wants it no more, and hears that it was understood. */
  released(id: number): void {
    this.#lastId = Math.max(this.#lastId, id);
    this.unfollow(id);
    this.#tellEnded(id, null);
  }

  unfollow(id: number): void {
    const follow = this.#follows.get(id);
    if (follow === undefined) return;
    this.#follows.delete(id);
    this.#dirty.delete(follow);
    follow.stop();
  }

  /** Its log has ended: the gateway has to look for the chat again. */
  ended(follow: OutFollow): void {
    if (this.#follows.get(follow.id) !== follow) return;
    this.unfollow(follow.id);
    this.#tellEnded(follow.id, this.#parts.ownerOf(follow.chat));
  }

  #tellEnded(id: number, node: NodeId | null): void {
    this.#control.push({ type: 'ended', id, node });
    this.#parts.wake();
  }

  mark(follow: OutFollow): void {
    if (this.#dirty.has(follow)) return;
    this.#dirty.add(follow);
    if (!this.#isFull) this.#parts.wake();
  }

  acknowledged(seq: number): void {
    this.#heardMs = this.#parts.nowMs();
    const [first] = this.#unacked;
    if (first === undefined || first.seq > seq) return;
    const left = this.#unacked.findIndex((one) => one.seq > seq);
    const taken = this.#unacked.splice(0, left === -1 ? this.#unacked.length : left);
    for (const { bytes } of taken) this.#unackedBytes -= bytes;
    if (this.#isFull && this.#unackedBytes < CLUSTER_LIMITS.windowBytes / 2) {
      this.#isFull = false;
      this.#parts.wake();
    }
  }

  /** Sends what there is, or a sign of life when `beat` and nothing left for a while; false: the link is broken. */
  pump(beat: boolean): boolean {
    for (let messages = 0; messages < MESSAGES_PER_TICK && !this.#full(); messages++) {
      const room: Room = { bytes: CLUSTER_LIMITS.messageBytes, items: [] };
      while (this.#control.length > 0 && room.bytes > 0) put(room, this.#control.shift());
      // One that has more is behind the others by then, not in this round again.
      for (const follow of Array.from(this.#dirty)) {
        if (room.bytes <= 0) break;
        this.#dirty.delete(follow);
        if (follow.giveTo(room)) this.#dirty.add(follow);
      }
      if (room.items.length === 0) break;
      if (!this.#send(room)) return false;
    }
    const nowMs = this.#parts.nowMs();
    if (beat && nowMs - this.#sentMs >= CLUSTER_LIMITS.beatMs / 2) {
      if (!this.#send({ bytes: CLUSTER_LIMITS.messageBytes, items: [] })) return false;
    }
    if (this.#control.length + this.#dirty.size > 0 && !this.#isFull) this.#parts.wake();
    return true;
  }

  /** Nobody acknowledges what was sent: the gateway is gone, follows over another link, or has let go of this one. */
  get isAbandoned(): boolean {
    return this.#unacked.length > 0 && this.#parts.nowMs() - this.#heardMs > CLUSTER_LIMITS.ackWaitMs;
  }

  /** Everything that was held back may go out. */
  announce(): void {
    for (const follow of this.#follows.values()) this.mark(follow);
  }

  stop(): void {
    for (const follow of this.#follows.values()) follow.stop();
    this.#follows.clear();
    this.#dirty.clear();
    this.#control = [];
  }

  #full(): boolean {
    if (this.#unackedBytes < CLUSTER_LIMITS.windowBytes) return false;
    if (!this.#isFull) this.#parts.counts.limits.add('windowBytes');
    this.#isFull = true;
    return true;
  }

  #send({ bytes, items }: Room): boolean {
    this.#seq += 1;
    this.#sentMs = this.#parts.nowMs();
    if (this.#unacked.length === 0) this.#heardMs = this.#sentMs;
    const size = CLUSTER_LIMITS.messageBytes - bytes + ITEM_BYTES;
    this.#unacked.push({ seq: this.#seq, bytes: size });
    this.#unackedBytes += size;
    return this.#parts.send(this.#seq, items);
  }
}

/** waiting (for the host) → opening (what it begins with is being sent) → following → stopped. */
export class OutFollow implements Follower {
  readonly id: number;
  readonly chat: ChatId;
  readonly #link: OutLink;
  #log: StreamLog | null = null;
  #cursor: Position | null = null;
  #detach: (() => void) | null = null;
  /** What is to be sent before the events. */
  #opening: Iterator<LinkItem> | null = null;
  /** The rest of an item that is larger than a message. */
  #rest: Extract<LinkItem, { bytes: Uint8Array }> | null = null;
  #stopped = false;

  constructor(id: number, chat: ChatId, link: OutLink) {
    this.id = id;
    this.chat = chat;
    this.#link = link;
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  /** The place in the log was taken in this synchronous step; `resumed`: at the cursor, else at the top. */
  begin(
    log: StreamLog,
    at: { readonly cursor: Position; readonly resumed: boolean; readonly ringFrom: Position | null },
    detach: () => void,
  ): void {
    this.#log = log;
    this.#cursor = at.cursor;
    this.#detach = detach;
    this.#opening = (
      at.resumed
        ? [{ type: 'resumed', id: this.id, position: at.cursor } as const]
        : openingOf(this.id, log, at.ringFrom)
    )[Symbol.iterator]();
    this.#link.mark(this);
  }

  onAppend(): void {
    if (this.#log !== null) this.#link.mark(this);
  }

  onEnd(): void {
    this.#link.ended(this);
  }

  stop(): void {
    this.#stopped = true;
    this.#opening = null;
    this.#detach?.();
    this.#detach = null;
  }

  /** Puts items into the room, one at least; true when there is more. */
  giveTo(room: Room): boolean {
    while (room.bytes > 0) {
      const item = this.#rest ?? this.#next(room.bytes);
      this.#rest = null;
      if (item === null) return false;
      if (!('bytes' in item) || item.bytes.length <= Math.max(room.bytes, ITEM_BYTES)) {
        put(room, item);
        continue;
      }
      if (item.bytes.length <= CLUSTER_LIMITS.messageBytes) {
        // It fits into the next message whole.
        this.#rest = item;
        return true;
      }
      const size = room.bytes;
      put(room, { type: 'part', id: this.id, bytes: item.bytes.subarray(0, size) });
      this.#rest = { ...item, bytes: item.bytes.subarray(size) };
    }
    return true;
  }

  #next(bytesMax: number): LinkItem | null {
    const opening = this.#opening?.next();
    if (opening !== undefined && opening.done !== true) return opening.value;
    this.#opening = null;
    const log = this.#log;
    if (log === null || this.#cursor === null) return null;
    const read = log.read(this.#cursor, bytesMax);
    // The ring went past this reader: it begins anew with the state.
    if (read === null) {
      this.#cursor = log.top;
      this.#opening = openingOf(this.id, log, null)[Symbol.iterator]();
      return this.#next(bytesMax);
    }
    if (read.bytes.length === 0) return null;
    this.#cursor = read.position;
    return { type: 'frames', id: this.id, bytes: read.bytes };
  }
}

/** Taken in this step, made while it is pulled: the state as of the top, and the ring from `ringFrom` on. */
function openingOf(id: number, log: StreamLog, ringFrom: Position | null): Iterable<LinkItem> {
  const position = log.top;
  const { chat, queue } = log.view;
  const live = log.view.turn();
  const ring = ringFrom === null ? null : ringOf(log, ringFrom);
  const floor =
    ring === null || ringFrom === null ? position.seq : ringFrom.epoch === position.epoch ? ringFrom.seq : 0;
  const head = {
    drop_older: false,
    disowned: false,
    retracted: null,
    removed: [],
    has_older: false,
    chat,
    queue,
    live,
  };
  return {
    *[Symbol.iterator](): Iterator<LinkItem> {
      yield { type: 'state', id, position, sealed: log.sealed, floor };
      for (const bytes of ring ?? []) yield { type: 'ring', id, bytes };
      const nextPiece = snapshotPieces(head, []);
      for (let piece = nextPiece(); piece !== null; piece = nextPiece()) {
        const frame = encodeServerFrame({ op: 'attached', chat: chat.id, outcome: 'snapshot', position, piece });
        yield { type: 'piece', id, bytes: frame };
      }
    },
  };
}

/** The frames after `from`, joined; null when the ring does not hold them. */
function ringOf(log: StreamLog, from: Position): readonly Uint8Array[] | null {
  const pieces: Uint8Array[] = [];
  for (let at = from; comparePositions(at, log.top) < 0;) {
    const read = log.read(at, CLUSTER_LIMITS.messageBytes);
    if (read === null || read.bytes.length === 0) return null;
    pieces.push(read.bytes);
    at = read.position;
  }
  return pieces;
}

function put(room: Room, item: LinkItem | undefined): void {
  if (item === undefined) return;
  room.items.push(item);
  room.bytes -= ITEM_BYTES + ('bytes' in item ? item.bytes.length : 0);
}
