// Keeps the list of one's chats in step with the server, over any number of connections.
//
// States: `unwatched` (nobody wants it) · `offline` (wanted, no connection) · `listing` (the first page is asked for) ·
// `asking` (the server was asked to send what lies behind the cursor, and has not sent all of it) · `following` ·
// `resting` (a back-off before asking again) · `refused` (for good). Invariants: the cursor only moves with the list,
// before anybody is told; whatever goes wrong is repaired in one way, by watching again from the cursor (P5), and a row
// of repairs is spread by back-off.

import type { OutgoingClientFrame } from '../codec.ts';
import { errorBody, type ErrorBody } from '../errors.ts';
import type { FeedFrame, ServerFrame } from '../frames.ts';
import { LIMITS } from '../limits.ts';
import { fullJitterMs } from './backoff.ts';
import type { ChatPage, ListOptions } from './calls.ts';
import type { ClientClock, ClientRandom } from './environment.ts';
import { ClientError, CommandError } from './errors.ts';
import { applyChatPage, applyFeed, EMPTY_FEED_STATE, type FeedState } from './feed-state.ts';
import { CLIENT_LIMITS } from './limits.ts';
import { Listeners } from './listeners.ts';

export type FeedStatus =
  | { readonly status: 'unwatched' | 'offline' | 'listing' | 'asking' | 'following' | 'resting' }
  | { readonly status: 'refused'; readonly error: ErrorBody };

/** What the feed needs from its client. */
export type FeedOptions = {
  readonly clock: ClientClock;
  readonly random: ClientRandom;
  /** False when there is no connection. */
  readonly send: (frame: OutgoingClientFrame) => boolean;
  readonly nextRequest: () => number;
  readonly refreshCredential: () => void;
  readonly isLive: () => boolean;
  readonly list: (options: ListOptions) => Promise<ChatPage>;
  /** Calls `notify`, now or when the message under way has been handled. */
  readonly changed: () => void;
};

type Reply = ServerFrame & { readonly op: 'reply' };

type Phase =
  | { readonly kind: 'unwatched' | 'offline' | 'listing' | 'following' }
  | { readonly kind: 'asking'; readonly request: number; readonly cancel: () => void }
  | { readonly kind: 'resting'; readonly cancel: () => void }
  | { readonly kind: 'refused'; readonly error: ErrorBody };

export class Feed {
  readonly #options: FeedOptions;
  readonly #changes = new Listeners<[]>();
  #state: FeedState = EMPTY_FEED_STATE;
  #phase: Phase = { kind: 'unwatched' };
  /** Repairs in a row: how far the back-off has come. */
  #repairs = 0;
  #repairedAtMs = -Infinity;
  /** Heartbeats that did not speak of the feed since its last frame. */
  #silentBeats = 0;
  /** The page that is being fetched: a second wish for it is the same one. */
  #more: Promise<boolean> | null = null;

  /** Made by the client: `client.feed`. */
  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /** The list as of the newest frame. Kept while unwatched; watching again fetches only what it lacks. */
  get state(): FeedState {
    return this.#state;
  }

  get status(): FeedStatus {
    const phase = this.#phase;
    return phase.kind === 'refused' ? { status: phase.kind, error: phase.error } : { status: phase.kind };
  }

  /** Fetches the first page, then follows until `unwatch`, over all reconnects. */
  watch(): void {
    const { kind } = this.#phase;
    if (kind !== 'unwatched' && kind !== 'refused') return;
    this.#repairs = 0;
    this.#begin();
  }

  unwatch(): void {
    const { kind } = this.#phase;
    if (kind === 'asking' || kind === 'following' || kind === 'resting') this.#options.send({ op: 'unwatch' });
    this.#enter({ kind: 'unwatched' });
  }

  /** Called after changes of `state` and `status`. The function returned ends it. */
  subscribe(listener: () => void): () => void {
    return this.#changes.add(listener);
  }

  /** Resolves with the first state that fits. */
  until(fits: (state: FeedState) => boolean): Promise<FeedState> {
    return new Promise((resolve) => {
      const check = (): boolean => {
        if (fits(this.#state)) resolve(this.#state);
        return fits(this.#state);
      };
      if (check()) return;
      const stop = this.subscribe(() => {
        if (check()) stop();
      });
    });
  }

  /** Fetches the next page of older chats; resolves with whether there is another one behind it. */
  loadMore(limit?: number): Promise<boolean> {
    this.#more ??= this.#loadMore(limit).finally(() => {
      this.#more = null;
    });
    return this.#more;
  }

  // ------------------------------------------------------------------------------------- for the client only

  onUp(): void {
    if (this.#phase.kind === 'offline') this.#begin();
  }

  onDown(): void {
    const { kind } = this.#phase;
    // The query for the first page waits for the next connection by itself.
    if (kind !== 'unwatched' && kind !== 'refused' && kind !== 'listing') this.#enter({ kind: 'offline' });
  }

  /** True when it was the answer to a watch. */
  onReply({ request, error }: Reply): boolean {
    const phase = this.#phase;
    if (phase.kind !== 'asking' || phase.request !== request) return false;
    if (error === null) return true;
    if (error.code === 'token_expired') this.#options.refreshCredential();
    if (error.retry === 'never') this.#enter({ kind: 'refused', error });
    else this.#rest(error);
    return true;
  }

  onFrame(frame: FeedFrame): void {
    const { kind } = this.#phase;
    if (kind !== 'asking' && kind !== 'following' && kind !== 'resting') return;
    this.#silentBeats = 0;
    const applied = applyFeed(this.#state, frame);
    if (applied.outcome === 'gap') {
      // While the server is asked, its answer repairs it.
      if (kind === 'following') this.#repair();
      return;
    }
    if (applied.outcome === 'applied') this.#state = applied.state;
    if (kind === 'asking' && !frame.more) this.#enter({ kind: 'following' });
    else if (applied.outcome === 'applied') this.#options.changed();
  }

  /** `cursor` is where the server says this client stands; null when the heartbeat does not speak of the feed. */
  onHeartbeat(cursor: number | null): void {
    if (this.#phase.kind !== 'following') return;
    if (cursor === null) {
      this.#silentBeats += 1;
      if (this.#silentBeats > CLIENT_LIMITS.silentBeatsMax) this.#repair();
      return;
    }
    this.#silentBeats = 0;
    if (cursor !== this.#state.cursor) this.#repair();
  }

  notify(): void {
    this.#changes.call();
  }

  #begin(): void {
    if (!this.#options.isLive()) return this.#enter({ kind: 'offline' });
    if (this.#state.cursor !== null) return this.#ask();
    this.#enter({ kind: 'listing' });
    void this.#listFirst();
  }

  /** The cursor comes with the first page: what changes from then on is behind it. */
  async #listFirst(): Promise<void> {
    try {
      const page = await this.#options.list({ limit: LIMITS.pageChatsDefault });
      if (this.#phase.kind !== 'listing') return;
      this.#state = applyChatPage(this.#state, page);
      this.#begin();
    } catch (error) {
      if (this.#phase.kind !== 'listing') return;
      // The connection was closed for good; whoever opens it again finds us waiting.
      if (error instanceof ClientError) this.#enter({ kind: 'offline' });
      else this.#rest(error instanceof CommandError ? error.body : errorBody('internal'));
    }
  }

  async #loadMore(limit: number | undefined): Promise<boolean> {
    const { next } = this.#state;
    if (next === null) return false;
    const page = await this.#options.list({ limit: limit ?? LIMITS.pageChatsDefault, after: next });
    // A list that began anew meanwhile has no use for it.
    if (this.#state.next === next) {
      this.#state = applyChatPage(this.#state, page);
      this.#options.changed();
    }
    return this.#state.next !== null;
  }

  #ask(): void {
    const { clock, nextRequest, send } = this.#options;
    this.#silentBeats = 0;
    const request = nextRequest();
    if (!send({ op: 'watch', request, cursor: this.#state.cursor })) return this.#enter({ kind: 'offline' });
    const cancel = clock.after(CLIENT_LIMITS.attachTimeoutMs, () => this.#rest(null));
    this.#enter({ kind: 'asking', request, cancel });
  }

  /** Something is missing: at once for the first time in a while, else after a back-off. */
  #repair(): void {
    const { clock } = this.#options;
    if (clock.nowMs() - this.#repairedAtMs <= CLIENT_LIMITS.repairQuietMs) return this.#rest(null);
    this.#repairedAtMs = clock.nowMs();
    this.#repairs = 0;
    this.#ask();
  }

  #rest(error: ErrorBody | null): void {
    const { clock, random } = this.#options;
    if (clock.nowMs() - this.#repairedAtMs > CLIENT_LIMITS.repairQuietMs) this.#repairs = 0;
    this.#repairedAtMs = clock.nowMs();
    const delayMs = (error?.retry_after_ms ?? 0) + fullJitterMs(this.#repairs, random);
    this.#repairs += 1;
    this.#enter({ kind: 'resting', cancel: clock.after(delayMs, () => this.#begin()) });
  }

  #enter(next: Phase): void {
    if ('cancel' in this.#phase) this.#phase.cancel();
    this.#phase = next;
    this.#options.changed();
  }
}
