// A session following one chat: where the client is, and what it gets next.
//
// States: `queueing` (for a place, before the host is asked), `asking` (the host was asked to attach), `snapshot` (ready
// for the first piece and, then, once per pull of the client), `following` (events are read from the log), `waiting` (a
// back-off before the host is asked again), `over` (nothing more is sent).
// Invariants: `#cursor` is what the client has applied once everything sent has reached it, so it moves only when bytes
// are handed over; the host is asked one question at a time, so that a log has this follower once; nothing is kept for
// the client but the cursor and, while it pulls, the snapshot; whoever asks or has a snapshot holds a place.

import type { Attached, ChatHost, Follower, ReadableLog } from '../actors/host/api.ts';
import type { Clock, Random } from '../actors/ports.ts';
import { assert, must, unreachable } from '../protocol/assert.ts';
import { encodeServerFrame } from '../protocol/codec.ts';
import { errorBody } from '../protocol/errors.ts';
import type { ServerFrame, SnapshotPiece } from '../protocol/frames.ts';
import type { ChatId } from '../protocol/ids.ts';
import { comparePositions, type Position } from '../protocol/position.ts';
import type { Bearer } from './authentication.ts';
import type { GatewayCounts } from './counts.ts';
import { GATEWAY_LIMITS } from './limits.ts';
import type { Asker, SnapshotPlaces } from './snapshot-places.ts';

/** What an attachment needs from its session. */
export type AttachmentOwner = {
  readonly host: ChatHost;
  readonly clock: Clock;
  readonly random: Random;
  readonly counts: GatewayCounts;
  readonly places: SnapshotPlaces;
  /** Whose rights count, at each question to the host anew; null when the credential is over. */
  principal(): Bearer | null;
  /** Queues a control frame; it leaves before anything that `fill` gives afterwards. */
  control(frame: ServerFrame): void;
  /** `fill` has something to give. */
  ready(attachment: Attachment): void;
  /** The attachment is over by itself: the chat is gone, or the host refused. */
  over(attachment: Attachment): void;
  /** A bug: the session ends, not the node. */
  crash(error: unknown): void;
};

type State =
  | { readonly kind: 'queueing' }
  | { readonly kind: 'asking' }
  | {
      readonly kind: 'snapshot';
      readonly log: ReadableLog;
      readonly position: Position;
      readonly nextPiece: () => SnapshotPiece | null;
      readonly detach: () => void;
    }
  | { readonly kind: 'following'; readonly log: ReadableLog; readonly detach: () => void }
  | { readonly kind: 'waiting'; readonly cancel: () => void }
  | { readonly kind: 'over' };

const QUEUEING: State = { kind: 'queueing' };
const ASKING: State = { kind: 'asking' };
const OVER: State = { kind: 'over' };

/**
 * It is the follower of the log itself and has no closures: there is one per chat and session, and `onAppend` and `fill`
 * run once per event and session.
 */
export class Attachment implements Follower, Asker {
  readonly chat: ChatId;
  /** It waits for its turn to `fill`; only the owner changes it. */
  isReady = false;
  readonly #owner: AttachmentOwner;
  #cursor: Position | null;
  #state: State = QUEUEING;
  /** What the host answers next holds no longer: the log has ended since, or the rights have changed. */
  #isOutdated = false;
  /** Re-attaches in a row, without bytes going out or a quiet time between: bounds a chat that cannot be followed. */
  #reattaches = 0;
  #reattachedAtMs = 0;
  /** Ends the wait for a pull of the snapshot, if there is one. */
  #cancelPullDeadline: (() => void) | null = null;

  constructor(chat: ChatId, cursor: Position | null, owner: AttachmentOwner) {
    this.chat = chat;
    this.#cursor = cursor;
    this.#owner = owner;
  }

  /** Asks the host, when there is a place; `attached` or `refused` follows. */
  start(): void {
    this.#state = QUEUEING;
    if (this.#owner.places.enter(this)) this.ask();
    else this.#owner.counts.limits.add('snapshotsPerSession');
  }

  ask(): void {
    if (this.#state.kind === 'queueing') void this.#ask();
  }

  /**
   * The client asks for the next piece; false when there is no snapshot under way. While the host is asked the pull is
   * for a snapshot that is void by then: what comes next says so.
   */
  pull(): boolean {
    if (this.#state.kind === 'snapshot') {
      this.#endPullDeadline();
      this.#owner.ready(this);
    }
    return this.#state.kind !== 'following';
  }

  /** The next bytes for the client, of about `bytesMax`; null when there are none now. `ready` is called for more. */
  fill(bytesMax: number): Uint8Array | null {
    const state = this.#state;
    switch (state.kind) {
      case 'snapshot':
        return this.#fillPiece(state);
      case 'following':
        return this.#fillEvents(state, bytesMax);
      case 'queueing':
      case 'asking':
      case 'waiting':
      case 'over':
        return null;
      default:
        return unreachable(state);
    }
  }

  /**
   * Where the client is when it has everything, for the heartbeat; null while it is on its way. All that leads there was
   * sent before: a client that stands elsewhere has lost something.
   */
  settled(): Position | null {
    const state = this.#state;
    if (state.kind !== 'following') return null;
    const cursor = this.#place();
    if (comparePositions(cursor, state.log.top) === 0) return cursor;
    // Never needed as long as every append is announced; it makes a lost announcement a delay instead of a standstill.
    this.#owner.ready(this);
    return null;
  }

  /** Asks the host anew with the cursor, with the rights of now. */
  reattach(): void {
    if (this.#state.kind === 'over' || this.#state.kind === 'queueing') return;
    if (this.#state.kind === 'asking') {
      this.#isOutdated = true;
      return;
    }
    this.#release();
    const nowMs = this.#owner.clock.nowMs();
    if (nowMs - this.#reattachedAtMs > GATEWAY_LIMITS.reattachQuietMs) this.#reattaches = 0;
    this.#reattachedAtMs = nowMs;
    this.#reattaches += 1;
    if (this.#reattaches > GATEWAY_LIMITS.reattachesMax) {
      this.#owner.counts.limits.add('reattachesMax');
      this.#end({ op: 'refused', chat: this.chat, error: errorBody('unavailable', 'the chat cannot be followed now') });
      return;
    }
    // The first one at once: a chat that was rebuilt is there again. The next ones spread, so that the sessions of a
    // chat that keeps failing do not come back together. Never from here: this may run inside the actor.
    const backoffMs = this.#reattaches === 1 ? 0 : GATEWAY_LIMITS.reattachDelayMs * 2 ** (this.#reattaches - 2);
    const delayMs = backoffMs * (0.5 + 0.5 * this.#owner.random.fraction());
    this.#state = { kind: 'waiting', cancel: this.#owner.clock.after(delayMs, () => this.start()) };
  }

  /** Lets the chat go; nothing is sent for it any more. */
  stop(): void {
    this.#release();
    this.#state = OVER;
  }

  onAppend(): void {
    if (!this.isReady && this.#state.kind === 'following') this.#owner.ready(this);
  }

  onEnd(): void {
    this.reattach();
  }

  async #ask(): Promise<void> {
    this.#state = ASKING;
    this.#isOutdated = false;
    try {
      const principal = this.#owner.principal();
      if (principal === null) {
        this.#end({ op: 'refused', chat: this.chat, error: errorBody('token_expired') });
        return;
      }
      const attached = await this.#owner.host.attach(principal, this.chat, this.#cursor, this);
      if (this.#state.kind === 'over') {
        if ('detach' in attached) attached.detach();
        return;
      }
      this.#take(attached);
      if (this.#isOutdated) this.reattach();
    } catch (error) {
      this.#owner.crash(error);
    } finally {
      // Also of one that was superseded meanwhile: until the host has answered, what it reads is held.
      if (this.#state.kind !== 'snapshot') this.#owner.places.leave(this);
    }
  }

  #take(attached: Attached): void {
    switch (attached.outcome) {
      case 'resumed': {
        const { log, position, detach } = attached;
        assert(this.#cursor !== null, 'only a client with a cursor is resumed');
        this.#state = { kind: 'following', log, detach };
        // It may end the session, and this with it: the client takes nothing and asks for more.
        this.#owner.control({ op: 'attached', chat: this.chat, outcome: 'resumed', position });
        if (this.#state.kind === 'following') this.#owner.ready(this);
        return;
      }
      case 'snapshot': {
        const { log, position, nextPiece, detach } = attached;
        this.#state = { kind: 'snapshot', log, position, nextPiece, detach };
        this.#owner.ready(this);
        return;
      }
      case 'gone':
        this.#end({ op: 'attached', chat: this.chat, outcome: 'gone', position: null });
        return;
      case 'refused':
        this.#end({ op: 'refused', chat: this.chat, error: attached.error });
        return;
      default:
        unreachable(attached);
    }
  }

  #fillPiece(state: State & { readonly kind: 'snapshot' }): Uint8Array {
    const piece = state.nextPiece();
    assert(piece !== null, 'a snapshot ends with the piece that says so');
    const { log, position, detach } = state;
    if (piece.last) {
      this.#cursor = position;
      this.#state = { kind: 'following', log, detach };
      this.#owner.places.leave(this);
      this.#owner.ready(this);
    } else {
      this.#armPullDeadline();
    }
    this.#reattaches = 0;
    return encodeServerFrame({ op: 'attached', chat: this.chat, outcome: 'snapshot', position, piece });
  }

  #fillEvents(state: State & { readonly kind: 'following' }, bytesMax: number): Uint8Array | null {
    const place = this.#place();
    const read = state.log.read(place, bytesMax);
    if (read === null) {
      // The ring went past this reader: what it missed comes merged, or as a snapshot.
      this.reattach();
      return null;
    }
    if (read.bytes.length === 0) return null;
    // Seqs begin anew with an epoch.
    const { epoch, seq } = read.position;
    this.#owner.counts.eventsOut += epoch === place.epoch ? seq - place.seq : seq;
    this.#cursor = read.position;
    this.#reattaches = 0;
    if (comparePositions(read.position, state.log.top) < 0) this.#owner.ready(this);
    return read.bytes;
  }

  #place(): Position {
    return must(this.#cursor, 'who follows has a place');
  }

  #end(frame: ServerFrame): void {
    this.stop();
    this.#owner.control(frame);
    this.#owner.over(this);
  }

  /** The client has its piece: a snapshot that it pulls no more of is let go. */
  #armPullDeadline(): void {
    this.#endPullDeadline();
    this.#cancelPullDeadline = this.#owner.clock.after(GATEWAY_LIMITS.snapshotPullMs, () => {
      this.#owner.counts.limits.add('snapshotPullMs');
      this.#end({ op: 'refused', chat: this.chat, error: errorBody('not_attached', 'the snapshot was not pulled') });
    });
  }

  #endPullDeadline(): void {
    this.#cancelPullDeadline?.();
    this.#cancelPullDeadline = null;
  }

  /** Lets go of the log, the timer or the place, whichever there is. While the host is asked the place is still needed. */
  #release(): void {
    const state = this.#state;
    this.#endPullDeadline();
    if (state.kind === 'waiting') state.cancel();
    if (state.kind === 'snapshot' || state.kind === 'queueing') this.#owner.places.leave(this);
    if (state.kind !== 'snapshot' && state.kind !== 'following') return;
    this.#state = ASKING;
    state.detach();
  }
}
