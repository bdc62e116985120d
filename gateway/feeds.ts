// The feeds that sessions of this node watch, one `OwnerFeed` per owner, and how they learn that there is more.
//
// A commit on this node says so at once (`moved`). What others commit is found by one statement per second for all
// owners that are watched: its number grows with the nodes, not with the sessions. A bus between nodes would call `moved`
// too and leave that look for the rare loss.

import type { ChatStore, Clock } from '../actors/ports.ts';
import type { ErrorBody } from '../protocol/errors.ts';
import type { OwnerId } from '../protocol/ids.ts';
import type { Bearer } from './authentication.ts';
import { GATEWAY_LIMITS } from './limits.ts';
import { OwnerFeed, type FeedFollower, type FeedSource } from './owner-feed.ts';

export type FeedStore = Pick<ChatStore, 'feed' | 'feedTops'>;

export type FeedsParts = FeedSource & {
  readonly store: FeedStore;
  readonly clock: Clock;
  /** What there is against the bearer now, of all that was acknowledged before the call; null: nothing. */
  readonly objection: (bearer: Bearer) => Promise<ErrorBody | null>;
};

export type FeedsStats = {
  /** Owners whose feed is watched, and the sessions that do. */
  readonly owners: number;
  readonly followers: number;
};

export class Feeds {
  readonly #parts: FeedsParts;
  /** Those with followers: bounded by the sessions. */
  readonly #byOwner = new Map<string, OwnerFeed>();
  #cancel: (() => void) | null = null;
  #stopped = false;
  /** Frames that watching sessions took, since the start. */
  framesSent = 0;

  constructor(parts: FeedsParts) {
    this.#parts = parts;
  }

  get stats(): FeedsStats {
    let followers = 0;
    for (const feed of this.#byOwner.values()) followers += feed.followers;
    return { owners: this.#byOwner.size, followers };
  }

  objection(bearer: Bearer): Promise<ErrorBody | null> {
    return this.#parts.objection(bearer);
  }

  follow(owner: OwnerId, follower: FeedFollower): OwnerFeed {
    const feed = this.#byOwner.get(owner) ?? new OwnerFeed(owner, this.#parts);
    this.#byOwner.set(owner, feed);
    feed.add(follower);
    this.#arm();
    return feed;
  }

  leave(feed: OwnerFeed, follower: FeedFollower): void {
    feed.remove(follower);
    if (feed.followers === 0) this.#byOwner.delete(feed.owner);
  }

  /** A commit has moved the feed of this owner. Marks and returns; never throws. */
  moved(owner: string): void {
    this.#byOwner.get(owner)?.moved();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
    this.#cancel = null;
  }

  /** Nothing watched: nothing is asked, and no timer is left behind. */
  #arm(): void {
    if (this.#cancel !== null || this.#stopped || this.#byOwner.size === 0) return;
    const { clock, onFault } = this.#parts;
    this.#cancel = clock.after(GATEWAY_LIMITS.feedLookMs, () => {
      const again = (): void => {
        this.#cancel = null;
        this.#arm();
      };
      this.#look().catch(onFault).finally(again);
    });
  }

  async #look(): Promise<void> {
    const feeds = [...this.#byOwner.values()];
    for (let start = 0; start < feeds.length; start += GATEWAY_LIMITS.feedOwnersPerLook) {
      const round = feeds.slice(start, start + GATEWAY_LIMITS.feedOwnersPerLook);
      const tops = await this.#parts.store.feedTops(round.map(({ owner }) => owner));
      // What the database could not answer is asked again at the next look.
      if (tops.outcome === 'unavailable') return;
      for (const feed of round) feed.look(tops.value.get(feed.owner) ?? 0);
    }
  }
}
