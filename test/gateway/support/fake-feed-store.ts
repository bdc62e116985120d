// The feeds of owners as values that a test changes, with a count of what was read of them.
import type { FeedPage } from '../../../actors/history-ports.ts';
import type { Read } from '../../../actors/ports.ts';
import type { FeedStore } from '../../../gateway/feeds.ts';
import type { ChatSummary } from '../../../protocol/content.ts';
import type { ChatId, OwnerId } from '../../../protocol/ids.ts';
import { EXAMPLE_CHAT } from '../../../protocol/vectors/example.ts';

const UNAVAILABLE = { outcome: 'unavailable', detail: 'as the test says' } as const;

type Fed = { readonly seq: number; readonly chat: ChatSummary };

export class FakeFeedStore implements FeedStore {
  /** Calls, in order: the cursors that were read behind, and how many owners were looked at. */
  readonly readings: number[] = [];
  readonly looks: number[] = [];
  isAway = false;
  /** Awaited before an answer is given; the answer is as of the call. */
  gate: Promise<void> = Promise.resolve();
  readonly #feeds = new Map<string, Map<ChatId, Fed>>();

  /** The chat `n` of the owner changes. Gives its new place. */
  change(owner: string, n: number, title = `title ${n}`): number {
    const feed = this.#feeds.get(owner) ?? new Map<ChatId, Fed>();
    this.#feeds.set(owner, feed);
    const id = `00000000-0000-7000-8000-${n.toString(16).padStart(12, '0')}` as ChatId;
    const seq = this.#top(owner) + 1;
    feed.set(id, { seq, chat: { ...EXAMPLE_CHAT, id, root: id, owner, title, read: 0, unread: 0 } });
    return seq;
  }

  /** The database is set back to when the owner had nothing. */
  forget(owner: string): void {
    this.#feeds.delete(owner);
  }

  async feed(owner: OwnerId, after: number, limit: number): Promise<Read<FeedPage>> {
    this.readings.push(after);
    const top = this.#top(owner);
    const entries = [...(this.#feeds.get(owner)?.values() ?? [])]
      .filter(({ seq }) => seq > after)
      .toSorted((a, b) => a.seq - b.seq)
      .slice(0, limit);
    const { isAway } = this;
    await this.gate;
    if (isAway) return UNAVAILABLE;
    return {
      outcome: 'read',
      value: { entries, cursor: entries.length < limit ? top : (entries.at(-1)?.seq ?? top), top },
    };
  }

  feedTops(owners: readonly OwnerId[]): Promise<Read<ReadonlyMap<OwnerId, number>>> {
    this.looks.push(owners.length);
    if (this.isAway) return Promise.resolve(UNAVAILABLE);
    const tops = owners.map((owner) => [owner, this.#top(owner)] as const).filter(([, top]) => top > 0);
    return Promise.resolve({ outcome: 'read', value: new Map(tops) });
  }

  #top(owner: string): number {
    return Math.max(0, ...[...(this.#feeds.get(owner)?.values() ?? [])].map(({ seq }) => seq));
  }
}
