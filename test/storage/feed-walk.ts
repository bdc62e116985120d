// A client that pages through a list while it follows the feed, and everything else that goes on meanwhile: what the
// property of pages and feed is checked on, with the reducer of the client library.

import type { ChatList } from '../../actors/history-ports.ts';
import fc from 'fast-check';
import type { ChatStore, CommitIntent } from '../../actors/ports.ts';
import { must } from '../../protocol/assert.ts';
import { applyChatPage, applyFeed, EMPTY_FEED_STATE, type FeedState } from '../../protocol/client/index.ts';
import type { ChatSummary } from '../../protocol/content.ts';
import type { ChatId, OwnerId } from '../../protocol/ids.ts';
import { at, commandOf, createTaken, epochOf, intentOf, messageOf, newOwner, NOW_MS, valueOf } from './fixture.ts';

/** `which` names a chat among those that there are by then, `ms` a clock that may be behind that of another node. */
export type Change =
  | { readonly kind: 'create'; readonly below: boolean; readonly which: number; readonly ms: number }
  | { readonly kind: 'title' | 'status' | 'answer' | 'ask' | 'read'; readonly which: number; readonly ms: number }
  | { readonly kind: 'archive' | 'unarchive'; readonly which: number; readonly ms: number };

/** What goes on between two pages: one transaction that is held open, others at the same time, the feed read meanwhile. */
export type Round = {
  readonly held: 'none' | 'before its place' | 'behind its place';
  readonly heldWhich: number;
  readonly meanwhile: readonly Change[];
  readonly after: readonly Change[];
  readonly pageSize: number;
  readonly feedSize: number;
  readonly readsFeed: boolean;
};

/** A transaction that has begun and waits for its end. */
export type Held = { finish(): Promise<void> };

export type WalkOptions = {
  readonly store: ChatStore;
  /** Begins the transaction of an intent and holds it; null where there is one session only. */
  readonly hold: ((intent: CommitIntent, place: 'before its place' | 'behind its place') => Promise<Held>) | null;
};

const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('create' as const),
      below: fc.boolean(),
      which: fc.nat(20),
      ms: fc.nat(90),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom('title', 'status', 'answer', 'ask', 'read', 'archive', 'unarchive'),
      which: fc.nat(20),
      ms: fc.nat(90),
    }),
  },
);

export const rounds: fc.Arbitrary<readonly Round[]> = fc.array(
  fc.record({
    held: fc.constantFrom('none', 'before its place', 'behind its place'),
    heldWhich: fc.nat(20),
    meanwhile: fc.array(change, { maxLength: 4 }),
    after: fc.array(change, { maxLength: 3 }),
    pageSize: fc.integer({ min: 1, max: 3 }),
    feedSize: fc.integer({ min: 1, max: 3 }),
    readsFeed: fc.boolean(),
  }),
  { minLength: 1, maxLength: 4 },
);

const CHATS_AT_FIRST = 5;

/** Walks through all rounds and to the end of list and feed; what the client has then, and what there is. */
export async function walk(
  options: WalkOptions,
  all: readonly Round[],
): Promise<{ readonly shown: readonly ChatSummary[]; readonly real: readonly ChatSummary[] }> {
  const world = new FeedWorld(options, newOwner());
  for (let i = 0; i < CHATS_AT_FIRST; i++) await world.change({ kind: 'create', below: i > 2, which: 0, ms: i });
  let state: FeedState = await world.nextPage(EMPTY_FEED_STATE, 2);
  for (const round of all) {
    const held = await world.hold(round);
    const meanwhile = Promise.all(round.meanwhile.map((one) => world.change(one)));
    if (round.readsFeed) state = await world.nextFeed(state, round.feedSize);
    state = await world.nextPage(state, round.pageSize);
    await held?.finish();
    await meanwhile;
    for (const one of round.after) await world.change(one);
    state = await world.nextFeed(state, round.feedSize);
  }
  while (state.next !== null) state = await world.nextPage(state, 2);
  for (let before = -1; state.cursor !== before;) {
    before = must(state.cursor, 'the first page has brought it');
    state = await world.nextFeed(state, 2);
  }
  return { shown: sorted([...state.chats.values()]), real: sorted(await world.everyChat()) };
}

function sorted(chats: readonly ChatSummary[]): readonly ChatSummary[] {
  return chats.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

class FeedWorld {
  readonly #options: WalkOptions;
  readonly #owner: OwnerId;
  readonly #chats: ChatId[] = [];
  /** Titles given so far: each is another one, and the same in a run that is replayed. */
  #titles = 0;
  /** Messages of each chat so far. */
  readonly #numbers = new Map<ChatId, number>();

  constructor(options: WalkOptions, owner: OwnerId) {
    this.#options = options;
    this.#owner = owner;
  }

  async nextPage(state: FeedState, limit: number): Promise<FeedState> {
    if (state.cursor !== null && state.next === null) return state;
    return applyChatPage(state, await this.#list(limit, state.next));
  }

  async nextFeed(state: FeedState, limit: number): Promise<FeedState> {
    const from = must(state.cursor, 'the first page has brought it');
    const { entries, cursor, top } = valueOf(await this.#options.store.feed(this.#owner, from, limit));
    const chats = entries.map(({ chat }) => chat);
    const applied = applyFeed(state, { op: 'feed', from, cursor, more: cursor < top, chats });
    return applied.outcome === 'applied' ? applied.state : state;
  }

  async everyChat(): Promise<readonly ChatSummary[]> {
    return (await this.#list(1_000, null)).chats;
  }

  hold({ held, heldWhich }: Round): Promise<Held> | null {
    const { hold } = this.#options;
    const chat = this.#pick(heldWhich);
    return hold === null || held === 'none' ? null : hold(this.#intent('title', chat, 50), held);
  }

  async change(one: Change): Promise<void> {
    const { store } = this.#options;
    const atMs = NOW_MS + one.ms;
    switch (one.kind) {
      case 'create': {
        const parent = one.below ? this.#pick(one.which) : null;
        // Below an archived chat none is made.
        const made = await createTaken(store, { owner: this.#owner, parent, atMs }).catch(() => null);
        if (made !== null) this.#chats.push(made.chat);
        return;
      }
      case 'archive':
      case 'unarchive': {
        const request = { chat: this.#pick(one.which), epoch: epochOf(1), archived: one.kind === 'archive', atMs };
        await store.archiveTree({ ...request, command: commandOf(this.#owner) });
        return;
      }
      default:
        await store.commit(this.#intent(one.kind, this.#pick(one.which), one.ms));
    }
  }

  #intent(kind: 'title' | 'status' | 'answer' | 'ask' | 'read', chat: ChatId, ms: number): CommitIntent {
    const atMs = NOW_MS + ms;
    const number = (this.#numbers.get(chat) ?? 0) + 1;
    switch (kind) {
      case 'title':
        return intentOf(chat, 1, { listed: true, atMs, patch: { title: `title ${(this.#titles += 1)}` } });
      case 'status':
        return intentOf(chat, 1, { listed: true, atMs, patch: { status: ms % 2 === 0 ? 'error' : 'waiting' } });
      case 'answer':
      case 'ask': {
        this.#numbers.set(chat, number);
        const role = kind === 'ask' ? 'user' : 'assistant';
        const messages = [messageOf(number, at(1, number), { role })];
        return intentOf(chat, 1, { fed: kind === 'answer', messages, patch: { nextNumber: number + 1 } });
      }
      case 'read':
        return intentOf(chat, 1, { fed: true, patch: { readNumber: ms % (number + 1) } });
    }
  }

  #pick(which: number): ChatId {
    return must(this.#chats[which % this.#chats.length], 'there are chats from the first');
  }

  async #list(limit: number, after: ChatList['next']): Promise<ChatList> {
    const viewer = { owner: this.#owner, role: 'member', groups: [] } as const;
    return valueOf(await this.#options.store.list({ viewer, owner: null, archived: null, limit, after }));
  }
}
