// The feed of one owner as the sessions that watch it read it: reading it from the database once for all of them.
//
// Followers pull, as they do from the log of a chat: they hold a cursor and are told that there may be more. A reading is
// made when somebody lacks it, one at a time; followers wait in a line, and what was read for the first of them serves
// all whose cursor it fits. Invariants: `#top` is null, or no commit of which this node has heard lies above it; the
// latest page alone is kept, until the next look at the database.

import type { FeedPage } from '../actors/history-ports.ts';
import type { ChatStore } from '../actors/ports.ts';
import { must } from '../protocol/assert.ts';
import { encodeBody, encodeServerFrame } from '../protocol/codec.ts';
import type { OwnerId } from '../protocol/ids.ts';
import { LIMITS } from '../protocol/limits.ts';
import { wireSummary } from '../protocol/wire-content.ts';

/** Called inside actors: mark and return. */
export type FeedFollower = {
  /** There may be something behind the cursor. */
  onFeed(): void;
};

/** One encoded frame: never write to its bytes, all followers get the same. */
export type FeedBytes = {
  /** Null: for the cursor `of` only, which was never given. */
  readonly from: number | null;
  readonly of: number;
  readonly cursor: number;
  readonly bytes: Uint8Array;
};

export type FeedSource = {
  readonly store: Pick<ChatStore, 'feed'>;
  /** A bug: what could not be read is read again at the next look. */
  readonly onFault: (error: unknown) => void;
};

export class OwnerFeed {
  readonly owner: OwnerId;
  readonly #parts: FeedSource;
  readonly #followers = new Set<FeedFollower>();
  /** Who waits for a reading, in the order of arrival, and behind which cursor. */
  readonly #waiting = new Map<FeedFollower, number>();
  #top: number | null = null;
  #page: FeedBytes | null = null;
  #reading = false;
  /** Something was committed since the reading under way was begun: it may not have it. */
  #movedMeanwhile = false;

  constructor(owner: OwnerId, parts: FeedSource) {
    this.owner = owner;
    this.#parts = parts;
  }

  get followers(): number {
    return this.#followers.size;
  }

  add(follower: FeedFollower): void {
    this.#followers.add(follower);
  }

  remove(follower: FeedFollower): void {
    this.#followers.delete(follower);
    this.#waiting.delete(follower);
  }

  /** Whether nothing lies behind the cursor, as far as this node has heard. */
  isTop(cursor: number): boolean {
    return this.#top === cursor;
  }

  /** What lies behind the cursor; null when there is nothing, or nothing yet: then `onFeed` is called. */
  read(cursor: number, follower: FeedFollower): FeedBytes | null {
    if (this.#page !== null && fits(this.#page, cursor)) return this.#page;
    if (!this.isTop(cursor)) {
      this.#waiting.set(follower, cursor);
      void this.#read();
    }
    return null;
  }

  moved(): void {
    this.#top = null;
    this.#movedMeanwhile = true;
    for (const follower of this.#followers) follower.onFeed();
  }

  /** The top as the database has it now. Also when readings fail or go astray, it goes on from here. */
  look(top: number): void {
    this.#page = null;
    if (this.#top !== top) this.moved();
    void this.#read();
  }

  /** Reads for the one that waits longest. A database that does not answer is asked again at the next look. */
  async #read(): Promise<void> {
    const [after] = this.#waiting.values();
    if (this.#reading || after === undefined) return;
    this.#reading = true;
    this.#movedMeanwhile = false;
    const { store, onFault } = this.#parts;
    const read = await readFrame(store, this.owner, after).catch((error: unknown) => {
      onFault(error);
      return null;
    });
    this.#reading = false;
    if (read === null) return;
    this.#page = read.frame;
    this.#top = this.#movedMeanwhile ? null : read.top;
    for (const [follower, cursor] of this.#waiting) {
      if (!this.isTop(cursor) && (read.frame === null || !fits(read.frame, cursor))) continue;
      this.#waiting.delete(follower);
      follower.onFeed();
    }
    void this.#read();
  }
}

function fits(frame: FeedBytes, cursor: number): boolean {
  // Whoever has a part of it already gets the same chats once more, which changes nothing.
  return frame.from === null ? frame.of === cursor : frame.from <= cursor && cursor < frame.cursor;
}

/** Null when the database does not answer; no frame when there is nothing behind `after`. */
async function readFrame(
  store: FeedSource['store'],
  owner: OwnerId,
  after: number,
): Promise<{ readonly frame: FeedBytes | null; readonly top: number } | null> {
  const read = await store.feed(owner, after, LIMITS.feedChats);
  if (read.outcome === 'unavailable') return null;
  const { top, cursor } = read.value;
  if (after <= top) return { frame: cursor === after ? null : frameOf(after, after, read.value), top };
  // The place was never given: the database was set back, and what the client has may be of a future that is no more.
  const anew = await store.feed(owner, 0, LIMITS.feedChats);
  return anew.outcome === 'unavailable' ? null : { frame: frameOf(null, after, anew.value), top: anew.value.top };
}

function frameOf(from: number | null, of: number, { entries, cursor, top }: FeedPage): FeedBytes {
  let bytes = 0;
  const end = entries.findIndex(({ chat }, i) => {
    bytes += encodeBody(wireSummary(chat)).length;
    return i > 0 && bytes > LIMITS.feedFrameBytes;
  });
  const within = end === -1 ? entries : entries.slice(0, end);
  const reached = end === -1 ? cursor : must(within.at(-1), 'a frame holds one chat at least').seq;
  const chats = within.map(({ chat }) => chat);
  const frame = encodeServerFrame({ op: 'feed', from, cursor: reached, more: reached < top, chats });
  return { from, of, cursor: reached, bytes: frame };
}
