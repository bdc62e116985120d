// Follows one chat: keeps its state in step with the server's log, over any number of connections.
//
// States: `detached` (nobody wants it) · `offline` (wanted, no connection) · `attaching` (asked, no answer yet) ·
// `staging` (pieces of a snapshot are pulled) · `following` · `resting` (a back-off before asking again) · `gone` (the
// server has no such chat for us) · `refused` (for good). Invariants: the cursor only moves with the state, before
// anybody is told; at most one attach is on its way; every wait for the server has a deadline; whatever goes wrong is
// repaired in one way, by attaching again with the cursor (P5), and a row of repairs is spread by back-off. Only a cursor
// at which resuming did not help, and a second time, is kept back: what is lost then is told without the server.
//
// Events are judged by their position alone, in every state: what comes late from an attachment before is dropped as a
// duplicate, or fits. A gap is acted upon only while following, else the answer that is on its way repairs it.

import { unreachable } from '../assert.ts';
import type { OutgoingClientFrame } from '../codec.ts';
import type { ErrorBody } from '../errors.ts';
import type { PositionedEvent } from '../events.ts';
import type { ServerFrame } from '../frames.ts';
import type { ChatId } from '../ids.ts';
import { comparePositions, type Position } from '../position.ts';
import { fullJitterMs } from './backoff.ts';
import type { ChatState } from './chat-state.ts';
import type { ClientClock, ClientRandom } from './environment.ts';
import { CLIENT_LIMITS } from './limits.ts';
import { withLossTold } from './lost-text.ts';
import { applyEvent, type Applied, type SkippedEvent } from './reducer.ts';
import { applyPiece, applyResumed, discardStaging, type SnapshotApplied } from './snapshot.ts';

export type AttachmentStatus =
  | { readonly status: 'detached' | 'offline' | 'attaching' | 'following' | 'resting' | 'gone' }
  | { readonly status: 'refused'; readonly error: ErrorBody };

/** The frames that concern one chat. */
export type ChatFrame = ServerFrame & { readonly op: 'attached' | 'event' | 'skipped' | 'refused' };

export type AttachmentOptions = {
  readonly clock: ClientClock;
  readonly random: ClientRandom;
  /** False when there is no connection. */
  readonly send: (frame: OutgoingClientFrame) => boolean;
  /** The server says that the credential is over. */
  readonly refreshCredential: () => void;
  /** The state or the status is another one. */
  readonly onChange: () => void;
  /** An event was applied; the state has it already. */
  readonly onEvent: (event: PositionedEvent) => void;
  /** A snapshot was swapped in, or the server resumes: what could not be fetched before may be fetched now. */
  readonly onAttached: () => void;
};

type Phase =
  | { readonly kind: 'detached' | 'offline' | 'following' | 'gone' }
  | { readonly kind: 'attaching' | 'staging' | 'resting'; readonly cancel: () => void }
  | { readonly kind: 'refused'; readonly error: ErrorBody };

export class Attachment {
  readonly #chat: ChatId;
  readonly #options: AttachmentOptions;
  #state: ChatState;
  #phase: Phase = { kind: 'detached' };
  /** Repairs in a row: how far the back-off has come. */
  #repairs = 0;
  #repairedAtMs = -Infinity;
  /** The server resumed us at the cursor, and nothing has said since that it is the right one. */
  #isUnproven = false;
  /** How often that ended with a loss. It is about this cursor: neither a refusal nor another connection takes it back. */
  #vainResumes = 0;
  /** What was asked for last goes without the cursor that there is: the answer cannot say what was taken back. */
  #isBlind = false;
  /** Heartbeats since the last sign of this chat. */
  #silentBeats = 0;

  constructor(chat: ChatId, state: ChatState, options: AttachmentOptions) {
    this.#chat = chat;
    this.#state = state;
    this.#options = options;
  }

  get state(): ChatState {
    return this.#state;
  }

  get status(): AttachmentStatus {
    const phase = this.#phase;
    if (phase.kind === 'refused') return { status: 'refused', error: phase.error };
    return { status: phase.kind === 'staging' ? 'attaching' : phase.kind };
  }

  get isWanted(): boolean {
    return this.#phase.kind !== 'detached';
  }

  /** Changes the state from outside the log: pages and parts that were fetched. */
  change(change: (state: ChatState) => ChatState): void {
    const next = change(this.#state);
    if (next === this.#state) return;
    this.#state = next;
    this.#options.onChange();
  }

  // ------------------------------------------------------------------------------------------ wishes and links

  /** Wants the chat; one that is gone or was refused is asked for again. */
  attach(isLive: boolean): void {
    const { kind } = this.#phase;
    if (kind !== 'detached' && kind !== 'gone' && kind !== 'refused') return;
    this.#repairs = 0;
    this.#trust();
    if (isLive) this.#ask();
    else this.#enter({ kind: 'offline' });
  }

  detach(): void {
    const { kind } = this.#phase;
    if (kind === 'detached') return;
    if (kind !== 'offline' && kind !== 'gone' && kind !== 'refused') {
      this.#options.send({ op: 'detach', chat: this.#chat });
    }
    this.#state = discardStaging(this.#state);
    this.#enter({ kind: 'detached' });
  }

  onUp(): void {
    if (this.#phase.kind === 'offline') this.#ask();
  }

  onDown(): void {
    const { kind } = this.#phase;
    if (kind === 'detached' || kind === 'gone' || kind === 'refused') return;
    // That the connection was lost says nothing against the cursor.
    this.#isUnproven = false;
    this.#state = discardStaging(this.#state);
    this.#enter({ kind: 'offline' });
  }

  // --------------------------------------------------------------------------------------------------- frames

  onFrame(frame: ChatFrame): void {
    const { kind } = this.#phase;
    if (kind === 'detached' || kind === 'offline' || kind === 'gone' || kind === 'refused') return;
    this.#silentBeats = 0;
    switch (frame.op) {
      case 'event':
        return this.#apply(frame);
      case 'skipped':
        return this.#apply({ position: frame.position, span: frame.span, event: null });
      case 'attached':
        return this.#onAttached(frame);
      case 'refused':
        return this.#onRefused(frame.error);
      default:
        return unreachable(frame);
    }
  }

  /** `position` is where the server says this client stands; null when the heartbeat does not speak of the chat. */
  onHeartbeat(position: Position | null): void {
    if (this.#phase.kind !== 'following') return;
    if (position === null) {
      this.#silentBeats += 1;
      if (this.#silentBeats > CLIENT_LIMITS.silentBeatsMax) this.#repair();
      return;
    }
    this.#silentBeats = 0;
    const cursor = this.#state.position;
    if (cursor === null || comparePositions(position, cursor) !== 0) this.#repair();
    else this.#trust();
  }

  #apply(positioned: PositionedEvent | SkippedEvent): void {
    const applied: Applied = applyEvent(this.#state, positioned);
    switch (applied.outcome) {
      case 'applied':
        this.#state = applied.state;
        this.#trust();
        this.#options.onChange();
        if (positioned.event !== null) this.#options.onEvent(positioned);
        return;
      case 'duplicate':
        return;
      case 'gap':
        if (this.#phase.kind === 'following') this.#repair();
        return;
      default:
        return unreachable(applied);
    }
  }

  #onAttached(frame: ServerFrame & { readonly op: 'attached' }): void {
    switch (frame.outcome) {
      case 'resumed': {
        if (!this.#accept(applyResumed(this.#state, frame.position))) return;
        this.#isUnproven = true;
        this.#enter({ kind: 'following' });
        return this.#options.onAttached();
      }
      case 'snapshot': {
        const before = this.#state;
        if (!this.#accept(applyPiece(before, frame.position, frame.piece))) return;
        if (!frame.piece.last) return this.#pull();
        if (this.#isBlind) this.#state = withLossTold(before, this.#state);
        this.#isBlind = false;
        this.#trust();
        this.#enter({ kind: 'following' });
        return this.#options.onAttached();
      }
      case 'gone':
        this.#state = discardStaging(this.#state);
        return this.#enter({ kind: 'gone' });
      default:
        return unreachable(frame);
    }
  }

  /** Takes the new state over; one that cannot be is an answer to be asked for again. */
  #accept(result: SnapshotApplied): boolean {
    if (result.outcome === 'applied') {
      this.#state = result.state;
      return true;
    }
    // Only a server that hears of the cursor can disown it.
    if (this.#isBlind && result.outcome === 'stale') this.#vainResumes = 0;
    this.#rest(null);
    return false;
  }

  #onRefused(error: ErrorBody): void {
    // It says nothing against the cursor, which is needed to hear of text that a crash took back.
    this.#isUnproven = false;
    if (error.code === 'token_expired') this.#options.refreshCredential();
    // `not_attached` answers a pull that the server has no snapshot for: that one is lost, the chat is not.
    if (error.retry !== 'never' || error.code === 'not_attached') this.#rest(error);
    else this.#enter({ kind: 'refused', error });
  }

  // ------------------------------------------------------------------------------------------------- asking

  #ask(): void {
    const cursor = this.#state.position;
    this.#isBlind = cursor !== null && this.#vainResumes >= CLIENT_LIMITS.vainResumesMax;
    this.#isUnproven = false;
    this.#silentBeats = 0;
    const sent = this.#options.send({ op: 'attach', chat: this.#chat, cursor: this.#isBlind ? null : cursor });
    if (sent) this.#enter({ kind: 'attaching', cancel: this.#answerDeadline() });
    else this.#enter({ kind: 'offline' });
  }

  #pull(): void {
    this.#options.send({ op: 'more', chat: this.#chat });
    this.#enter({ kind: 'staging', cancel: this.#answerDeadline() });
  }

  #answerDeadline(): () => void {
    return this.#options.clock.after(CLIENT_LIMITS.attachTimeoutMs, () => this.#rest(null));
  }

  /** Something is missing: at once for the first time in a while, else after a back-off. */
  #repair(): void {
    if (this.#isUnproven) this.#vainResumes += 1;
    if (this.#options.clock.nowMs() - this.#repairedAtMs > CLIENT_LIMITS.repairQuietMs) {
      this.#repairedAtMs = this.#options.clock.nowMs();
      this.#repairs = 0;
      this.#ask();
    } else this.#rest(null);
  }

  #rest(error: ErrorBody | null): void {
    const { clock, random } = this.#options;
    if (clock.nowMs() - this.#repairedAtMs > CLIENT_LIMITS.repairQuietMs) this.#repairs = 0;
    this.#repairedAtMs = clock.nowMs();
    const delayMs = (error?.retry_after_ms ?? 0) + fullJitterMs(this.#repairs, random);
    this.#repairs += 1;
    this.#enter({ kind: 'resting', cancel: clock.after(delayMs, () => this.#ask()) });
  }

  /** The cursor is right, or is another one. */
  #trust(): void {
    this.#isUnproven = false;
    this.#vainResumes = 0;
  }

  #enter(next: Phase): void {
    if ('cancel' in this.#phase) this.#phase.cancel();
    this.#phase = next;
    this.#options.onChange();
  }
}
