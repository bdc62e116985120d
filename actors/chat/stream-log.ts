// The stream log of one chat: gives each event its position, encodes it once, keeps the newest in a ring and lets any
// number of followers read from their own cursors.
//
// Invariants: positions of the ring are contiguous (each entry begins where the one before ends); `view` is the state
// at `top`; an entry is never changed after a follower could have read it. Only the actor appends.

import { encodeEventFrame, joinFrames } from '../../protocol/codec.ts';
import type { Chat, QueuedMessage } from '../../protocol/content.ts';
import type { BlockEvent, ChatEvent, LiveTurn } from '../../protocol/events.ts';
import { uuidToBytes, type ChatId, type Epoch } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import { assert, must } from '../../protocol/assert.ts';
import type { Follower, ReadableLog } from '../host/api.ts';
import type { CallRow } from '../tool-ports.ts';
import type { TurnRecord } from '../turn-ports.ts';
import type { EvictionLimit } from './counted-limits.ts';
import { LiveView } from './live-view.ts';
import type { BudgetedRing, RingBudget } from './ring-budget.ts';
import { CHAT_LIMITS } from './settings.ts';

type Entry = {
  readonly seq: number;
  readonly span: number;
  readonly frame: Uint8Array;
  /**
   * Kept of blocks only, to see what a later event makes needless and to merge deltas for those who catch up. What other
   * events hold (a chat, a message) the frame holds already.
   */
  readonly block: BlockEvent | null;
};

const NOTHING = new Uint8Array(0);

type ReadResult = { readonly bytes: Uint8Array; readonly position: Position };

/** Where a cursor lies: in the ring, before it, or at a place that this log has not reached. */
export type CursorPlace = 'here' | 'evicted' | 'ahead';

export type LogOpening = {
  readonly epoch: Epoch;
  /** Last position of the epoch before, when it ended in order. */
  readonly sealed: Position | null;
  readonly chat: Chat;
  readonly queue: readonly QueuedMessage[];
  /** The turn that runs on from the epoch before. */
  readonly turn: TurnRecord | null;
  /** Those of its step that are not settled. */
  readonly calls: readonly CallRow[];
  /** Of the node: what its ring holds counts there. */
  readonly rings: RingBudget;
  /** While it says so nobody reads anything new: this node may have lost the chat to another. */
  readonly isSuspended?: () => boolean;
};

/** What a log that follows another one begins with: the state as of `top`, and the ring from `floor` up to there. */
export type LogCopy = {
  readonly top: Position;
  readonly live: LiveTurn | null;
  /** The seq that the ring begins behind. */
  readonly floor: number;
  readonly ring: readonly CopiedFrame[];
};

/** An event as its owner encoded it; `event` is null for a kind of a later version. */
export type CopiedFrame = {
  readonly position: Position;
  readonly span: number;
  readonly event: ChatEvent | null;
  readonly frame: Uint8Array;
};

export class StreamLog implements ReadableLog, BudgetedRing {
  readonly chat: ChatId;
  readonly epoch: Epoch;
  readonly view: LiveView;
  readonly #chatBytes: Uint8Array;
  readonly #sealed: Position | null;
  readonly #rings: RingBudget;
  readonly #isSuspended: (() => boolean) | undefined;
  readonly #followers = new Set<Follower>();
  #entries: Entry[] = [];
  /** Entries before this index have left the ring. */
  #head = 0;
  #ringBytes = 0;
  #hasEnded = false;
  #top: Position;
  /** Reads at the present top, by the seq that they begin behind. */
  readonly #reads = new Map<number, ReadResult>();
  /** The latest of them and its cursor: followers that keep up share both objects, so that one look is enough. */
  #latest: { readonly cursor: Position; readonly result: ReadResult } | null = null;

  /** `copy`: of a log of another node, which `take` keeps up with; absent: the log of a new epoch. */
  constructor(opening: LogOpening, copy?: LogCopy) {
    this.chat = opening.chat.id;
    this.epoch = opening.epoch;
    this.#chatBytes = uuidToBytes(opening.chat.id);
    this.#sealed = opening.sealed;
    this.#rings = opening.rings;
    this.#rings.enter(this);
    this.#isSuspended = opening.isSuspended;
    this.view = new LiveView({ ...opening, live: copy?.live ?? null });
    this.#top = { epoch: opening.epoch, seq: copy?.floor ?? 0 };
    if (copy === undefined) this.append({ kind: 'epoch', after: opening.sealed });
    else this.#begin(copy);
  }

  get top(): Position {
    return this.#top;
  }

  /** Last position of the epoch before, when that ended in order. */
  get sealed(): Position | null {
    return this.#sealed;
  }

  /** The lowest cursor of this epoch that can be served. */
  get floor(): Position {
    return { epoch: this.epoch, seq: this.#floor() };
  }

  get followers(): number {
    return this.#followers.size;
  }

  /** What the ring holds now. */
  get ring(): { readonly events: number; readonly bytes: number } {
    return { events: this.#entries.length - this.#head, bytes: this.#ringBytes };
  }

  follow(follower: Follower): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  /** Ends the log for its followers: they attach again, to whoever owns the chat then. */
  end(): void {
    this.#hasEnded = true;
    this.#rings.leave(this);
    const followers = [...this.#followers];
    this.#followers.clear();
    for (const follower of followers) follower.onEnd();
  }

  append(event: ChatEvent): Position {
    this.view.apply(event);
    const bytes = this.#ringBytes;
    const span = 1 + this.#dropSuperseded(event, 0);
    const position = { epoch: this.epoch, seq: this.#top.seq + 1 };
    this.#top = position;
    const frame = encodeEventFrame(this.#chatBytes, { position, span, event });
    this.#entries.push({ seq: position.seq, span, frame, block: event.kind === 'block' ? event : null });
    this.#ringBytes += frame.length;
    this.#evict();
    this.#count(bytes);
    this.#announce();
    return position;
  }

  /** Takes over what another node has appended. False: it does not go on from here, this log has lost something. */
  take({ position, span, event, frame }: CopiedFrame): boolean {
    if (!this.#continues(position, span)) return false;
    if (event !== null) this.view.apply(event);
    this.#enter({ position, span, event, frame });
    this.#announce();
    return true;
  }

  /** Followers look again: what was withheld from them may be read. */
  announce(): void {
    this.#announce();
  }

  place(cursor: Position): CursorPlace {
    if (cursor.epoch > this.epoch) return 'ahead';
    if (cursor.epoch < this.epoch) {
      const goesOn = this.#sealed !== null && this.#sealed.epoch === cursor.epoch && this.#sealed.seq === cursor.seq;
      return goesOn && this.#floor() === 0 ? 'here' : 'evicted';
    }
    if (cursor.seq > this.#top.seq) return 'ahead';
    return cursor.seq >= this.#floor() ? 'here' : 'evicted';
  }

  read(cursor: Position, bytesMax: number): ReadResult | null {
    const latest = this.#latest;
    if (latest !== null && latest.cursor === cursor && latest.result.bytes.length <= bytesMax) return latest.result;
    if (this.#isSuspended?.() === true) return { bytes: NOTHING, position: cursor };
    if (this.place(cursor) !== 'here') return null;
    const after = cursor.epoch === this.epoch ? cursor.seq : 0;
    if (after === this.#top.seq) return { bytes: NOTHING, position: this.#top };
    const cached = this.#reads.get(after);
    const result = cached !== undefined && cached.bytes.length <= bytesMax ? cached : this.#collect(after, bytesMax);
    if (this.#reads.size < CHAT_LIMITS.cachedReads) this.#reads.set(after, result);
    this.#latest = { cursor, result };
    return result;
  }

  #begin({ ring, top }: LogCopy): void {
    for (const one of ring) {
      assert(this.#continues(one.position, one.span), 'the ring of a copy has no hole');
      this.#enter(one);
    }
    assert(this.#top.seq === top.seq, 'the ring of a copy ends at its top');
  }

  #continues(position: Position, span: number): boolean {
    const { epoch, seq } = this.#top;
    return position.epoch === epoch && position.seq > seq && position.seq - span <= seq;
  }

  /**
   * As `append` enters an event, with the bytes that it was given. Only what the frame itself covers leaves the ring: its
   * owner may have held less of it than this one.
   */
  #enter({ position, span, event, frame }: CopiedFrame): void {
    const before = this.#top.seq;
    const bytes = this.#ringBytes;
    const covered = event === null ? 0 : this.#dropSuperseded(event, position.seq - span);
    const block = event?.kind === 'block' ? event : null;
    this.#entries.push({ seq: position.seq, span: position.seq - before + covered, frame, block });
    this.#top = position;
    this.#ringBytes += frame.length;
    this.#evict();
    this.#count(bytes);
  }

  #announce(): void {
    this.#reads.clear();
    this.#latest = null;
    for (const follower of this.#followers) follower.onAppend();
  }

  #collect(after: number, bytesMax: number): ReadResult {
    const frames: Uint8Array[] = [];
    let bytes = 0;
    let index = this.#indexAfter(after);
    let seq = after;
    while (index < this.#entries.length) {
      const { frame, entries } = this.#frameAt(index);
      if (bytes > 0 && bytes + frame.length > bytesMax) break;
      frames.push(frame);
      bytes += frame.length;
      index += entries;
      seq = this.#entry(index - 1).seq;
    }
    const joined = frames.length === 1 ? must(frames[0], 'one frame was collected') : joinFrames(frames);
    return { bytes: joined, position: seq === this.#top.seq ? this.#top : { epoch: this.epoch, seq } };
  }

  /** The frame for the entry, with the deltas behind it that continue the same block merged into it. */
  #frameAt(index: number): { readonly frame: Uint8Array; readonly entries: number } {
    const first = this.#entry(index);
    const { block } = first;
    if (block?.type !== 'delta') return { frame: first.frame, entries: 1 };
    const parts = [block.text];
    let bytes = first.frame.length;
    let last = first;
    for (let next = index + 1; next < this.#entries.length; next++) {
      const entry = this.#entry(next);
      if (entry.block?.type !== 'delta' || entry.block.index !== block.index) break;
      if (bytes + entry.frame.length > CHAT_LIMITS.mergedDeltaBytes) break;
      parts.push(entry.block.text);
      bytes += entry.frame.length;
      last = entry;
    }
    if (parts.length === 1) return { frame: first.frame, entries: 1 };
    const frame = encodeEventFrame(this.#chatBytes, {
      position: { epoch: this.epoch, seq: last.seq },
      span: last.seq - (first.seq - first.span),
      event: { ...block, text: parts.join('') },
    });
    return { frame, entries: parts.length };
  }

  /** Takes the entries above `floor` out that `event` makes needless; returns how many positions they covered. */
  #dropSuperseded(event: ChatEvent, floor: number): number {
    const step = supersededStep(event);
    if (step === null) return 0;
    let covered = 0;
    while (this.#entries.length > this.#head) {
      const entry = this.#entry(this.#entries.length - 1);
      if (entry.block?.step !== step || entry.seq - entry.span < floor) break;
      covered += entry.span;
      this.#ringBytes -= entry.frame.length;
      this.#entries.pop();
    }
    return covered;
  }

  shrink(bytesMax: number): number {
    const before = this.#ringBytes;
    while (this.#entries.length - this.#head > 1 && this.#ringBytes > bytesMax) this.#dropOldest('ringsBytes');
    this.#compact();
    return before - this.#ringBytes;
  }

  /** What was appended to a log that has ended is held for nobody. */
  #count(bytesBefore: number): void {
    if (!this.#hasEnded) this.#rings.changed(this.#ringBytes - bytesBefore);
  }

  #evict(): void {
    while (this.#entries.length - this.#head > 1 && this.#isFull()) {
      this.#dropOldest(this.#ringBytes > CHAT_LIMITS.ringBytes ? 'ringBytes' : 'ringEvents');
    }
    this.#compact();
  }

  #dropOldest(limit: EvictionLimit): void {
    this.#rings.evictions.add(limit);
    this.#ringBytes -= this.#entry(this.#head).frame.length;
    this.#head += 1;
  }

  #compact(): void {
    // Shifting one by one would copy the array each time; compacting at half is amortised constant.
    if (this.#head > 64 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
  }

  #isFull(): boolean {
    return this.#ringBytes > CHAT_LIMITS.ringBytes || this.#entries.length - this.#head > CHAT_LIMITS.ringEvents;
  }

  /** The seq before the oldest entry: the lowest cursor of this epoch that can be served. */
  #floor(): number {
    const oldest = this.#entries[this.#head];
    return oldest === undefined ? this.#top.seq : oldest.seq - oldest.span;
  }

  #entry(index: number): Entry {
    return must(this.#entries[index], 'the index lies in the ring');
  }

  /** The first entry with a seq above `after`. */
  #indexAfter(after: number): number {
    let low = this.#head;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#entry(middle).seq > after) high = middle;
      else low = middle + 1;
    }
    assert(low < this.#entries.length, 'there is an entry above a cursor below the top');
    return low;
  }
}

/**
 * The step whose blocks are needless once `event` is there. Only they go: whoever skips a `step started` would show
 * another attempt than whoever saw it (P2).
 */
function supersededStep(event: ChatEvent): number | null {
  if (event.kind === 'message' && event.message.step !== undefined) return event.message.step;
  return event.kind === 'step' && event.type === 'reset' ? event.step : null;
}
