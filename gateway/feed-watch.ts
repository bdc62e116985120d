// A session that watches the feed of its owner's chats: where the client is, and what it gets next.
//
// It holds a cursor and whether there may be more behind it, never what is there: a reader that is too slow to take a
// frame costs nothing until it asks again (P9).

import { encodeServerFrame } from '../protocol/codec.ts';
import type { ErrorBody } from '../protocol/errors.ts';
import type { Bearer } from './authentication.ts';
import type { Feeds } from './feeds.ts';
import type { FeedFollower, OwnerFeed } from './owner-feed.ts';

export class FeedWatch implements FeedFollower {
  readonly #feeds: Feeds;
  readonly #wake: () => void;
  /** Null: nothing is watched. */
  #feed: OwnerFeed | null = null;
  #cursor = 0;
  /** The client has had a frame since it asked. */
  #answered = false;
  #pending = false;
  /** Wishes of the client: a watch that is allowed after the next one came is void. */
  #wishes = 0;

  /** `wake` has the session call `fill`, unless its reader has to take what it was sent first. */
  constructor(feeds: Feeds, wake: () => void) {
    this.#feeds = feeds;
    this.#wake = wake;
  }

  /** There may be something to fill in. */
  get pending(): boolean {
    return this.#pending;
  }

  /**
   * The client asks for what lies behind the cursor; null, or why it may not. Asked again it goes on from there with the
   * feed that it has: making that anew would cost a reading of the database each time.
   */
  async watch(bearer: Bearer, cursor: number): Promise<ErrorBody | null> {
    this.#wishes += 1;
    const wish = this.#wishes;
    const error = await this.#feeds.objection(bearer);
    if (error !== null || wish !== this.#wishes) return error;
    this.#feed ??= this.#feeds.follow(bearer.owner, this);
    this.#cursor = cursor;
    this.#answered = false;
    this.onFeed();
    return null;
  }

  stop(): void {
    this.#wishes += 1;
    if (this.#feed !== null) this.#feeds.leave(this.#feed, this);
    this.#feed = null;
    this.#pending = false;
  }

  onFeed(): void {
    this.#pending = true;
    this.#wake();
  }

  /** Adds the next frame to `chunks`, unless there is none now, or no room at all; gives its bytes. */
  fill(bytesMax: number, chunks: Uint8Array[]): number {
    const frame = bytesMax > 0 && this.#pending ? this.#next() : null;
    if (frame === null) return 0;
    this.#feeds.framesSent += 1;
    chunks.push(frame);
    return frame.length;
  }

  #next(): Uint8Array | null {
    const feed = this.#feed;
    this.#pending = false;
    if (feed === null) return null;
    const next = feed.read(this.#cursor, this);
    if (next !== null) {
      this.#cursor = next.cursor;
      this.#answered = true;
      this.#pending = !feed.isTop(next.cursor);
      return next.bytes;
    }
    // A client that has everything hears that as well: only then does it know that it follows.
    if (this.#answered || !feed.isTop(this.#cursor)) return null;
    this.#answered = true;
    return encodeServerFrame({ op: 'feed', from: this.#cursor, cursor: this.#cursor, more: false, chats: [] });
  }

  /** Where the client is when it has everything, for the heartbeat; nothing while it is on its way, or not watching. */
  settled(): { readonly feed?: number } {
    const isThere = this.#answered && !this.#pending && this.#feed?.isTop(this.#cursor) === true;
    return isThere ? { feed: this.#cursor } : {};
  }
}
