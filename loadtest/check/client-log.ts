// Plays one chat's frames, as one client saw them, by the rules of protocol/SPEC.md sections 5 and 6 (rule b).
//
// It holds what the client must show by what it was sent. `following` says that nothing may be missing: from the answer
// to an attach until the connection or the log ends. A gap then is a loss that the server did not tell of (P5).

import type { ChatFrame } from '../../protocol/client/attachment.ts';
import { EMPTY_CHAT_STATE, type ChatState } from '../../protocol/client/chat-state.ts';
import { applyEvent, type SkippedEvent } from '../../protocol/client/reducer.ts';
import { applyPiece, applyResumed, discardStaging } from '../../protocol/client/snapshot.ts';
import { unreachable } from '../../protocol/assert.ts';
import type { ChatEvent, PositionedEvent } from '../../protocol/events.ts';
import type { SnapshotHead } from '../../protocol/frames.ts';
import { comparePositions, formatPosition, type Position } from '../../protocol/position.ts';
import type { Looked } from './looked.ts';
import type { Rule } from './violation.ts';

/** Why a state became another one. */
export type Cause =
  | { readonly kind: 'event'; readonly event: ChatEvent; readonly span: number }
  | { readonly kind: 'snapshot'; readonly head: SnapshotHead };

export type ClientLogParts = {
  readonly looked: Looked;
  readonly fail: (rule: Rule, position: Position | null, what: string) => void;
  /** The state has moved. */
  readonly onMoved: (before: ChatState, after: ChatState, cause: Cause) => void;
};

/** Messages kept of a chat: what a fresh attach is compared with, and some more. */
const MESSAGES_MAX = 200;
const MESSAGES_KEPT = 100;

export class ClientLog {
  readonly #parts: ClientLogParts;
  #state: ChatState = EMPTY_CHAT_STATE;
  #following = false;
  /** Nobody wants the chat: what still comes is dropped. */
  #detached = false;
  /** Where the server resumed and nothing has fitted since: the client may give its cursor up. */
  #resumedAt: Position | null = null;
  /** Of the snapshot that is being staged. */
  #head: SnapshotHead | null = null;

  constructor(parts: ClientLogParts) {
    this.#parts = parts;
  }

  get state(): ChatState {
    return this.#state;
  }

  get isAttached(): boolean {
    return !this.#detached;
  }

  onDetached(): void {
    this.onLost();
    this.#detached = true;
  }

  /** The client asks to follow the chat from `cursor`, which must be where it stands. */
  onAttach(cursor: Position | null): void {
    const { position } = this.#state;
    this.#following = false;
    this.#detached = false;
    if (cursor === null) {
      const suspect = this.#resumedAt !== null;
      if (position !== null && !suspect) this.#fail('The client gave its cursor up for no reason.');
      return;
    }
    if (position !== null && comparePositions(cursor, position) === 0) return;
    const stands = position === null ? 'nowhere' : `at ${formatPosition(position)}`;
    const way = position !== null && comparePositions(cursor, position) < 0 ? 'went back' : 'skipped something';
    this.#fail(`The client ${way}: it attached from ${formatPosition(cursor)} and stands ${stands}.`);
  }

  onLost(): void {
    this.#following = false;
    this.#resumedAt = null;
    this.#state = discardStaging(this.#state);
  }

  onFrame(frame: ChatFrame): void {
    if (this.#detached) return;
    switch (frame.op) {
      case 'event':
        return this.#onEvent(frame);
      case 'skipped':
        return this.#onEvent({ position: frame.position, span: frame.span, event: null });
      case 'attached':
        return this.#onAttached(frame);
      case 'refused':
        this.#following = false;
        return;
      default:
        return unreachable(frame);
    }
  }

  #onAttached(frame: ChatFrame & { readonly op: 'attached' }): void {
    switch (frame.outcome) {
      case 'gone':
        return this.#fail('The chat is gone for a client that owns it.');
      case 'resumed':
        return this.#onResumed(frame.position);
      case 'snapshot':
        return this.#onPiece(frame);
      default:
        return unreachable(frame);
    }
  }

  #onResumed(position: Position): void {
    const result = applyResumed(this.#state, position);
    if (result.outcome === 'gap') return this.#fail('The server resumed a client that has no cursor.');
    if (result.outcome === 'stale') {
      this.#parts.looked.stale += 1;
      return;
    }
    this.#parts.looked.resumed += 1;
    this.#state = result.state;
    this.#resumedAt = result.state.position;
    this.#following = true;
  }

  #onPiece({ position, piece }: ChatFrame & { readonly op: 'attached'; readonly outcome: 'snapshot' }): void {
    if (piece.head !== null) this.#head = piece.head;
    const before = this.#state;
    const result = applyPiece(before, position, piece);
    if (result.outcome === 'stale') this.#parts.looked.stale += 1;
    if (result.outcome !== 'applied') return;
    this.#state = result.state;
    if (!piece.last || this.#head === null) return;
    this.#parts.looked.snapshots += 1;
    if (this.#head.retracted !== null) this.#parts.looked.retractions += 1;
    if (this.#head.disowned) this.#fail('The server disowned a cursor though storage was never set back.');
    this.#moved(before, { kind: 'snapshot', head: this.#head });
    this.#head = null;
    this.#resumedAt = null;
    this.#following = true;
  }

  #onEvent(positioned: PositionedEvent | SkippedEvent): void {
    const { looked } = this.#parts;
    const { position, span, event } = positioned;
    const before = this.#state;
    const applied = applyEvent(before, positioned);
    switch (applied.outcome) {
      case 'duplicate':
        looked.duplicates += 1;
        return;
      case 'gap':
        return this.#onGap(position, span);
      case 'applied':
        looked.events += 1;
        if (event?.kind === 'block') looked.deltas += 1;
        this.#state = trimmed(applied.state);
        this.#resumedAt = null;
        if (event !== null) this.#moved(before, { kind: 'event', event, span });
        return;
      default:
        return unreachable(applied);
    }
  }

  #onGap(position: Position, span: number): void {
    if (!this.#following) return;
    this.#following = false;
    const last = this.#state.position;
    if (last !== null && position.epoch > last.epoch) {
      // SPEC.md 6.5: whoever does not stand where the epoch before has ended attaches again.
      this.#parts.looked.epochBreaks += 1;
      return;
    }
    const covers = `covers ${span} up to ${formatPosition(position)}`;
    const isMissing = last !== null && position.seq - span > last.seq;
    this.#fail(isMissing ? `Events are missing: the next one ${covers}.` : `An event that ${covers} does not fit.`);
  }

  #moved(before: ChatState, cause: Cause): void {
    this.#parts.onMoved(before, this.#state, cause);
  }

  #fail(what: string): void {
    this.#parts.fail('b', this.#state.position, what);
  }
}

/** Bounded: of a long chat the newest messages are kept. */
function trimmed(state: ChatState): ChatState {
  if (state.messages.length <= MESSAGES_MAX) return state;
  const messages = state.messages.slice(-MESSAGES_KEPT);
  return { ...state, messages, hasOlder: true, oldest: messages[0]?.number ?? null };
}
