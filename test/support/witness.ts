// Follows one chat through a client and judges everything that the client shows, by the positions alone: what it checks it
// works out itself, not with the client's reducer.

import type { ChatHandle, ChatState, ParleyClient, Position, ServerFrame } from '../../protocol/client/index.ts';
import { comparePositions, formatPosition } from '../../protocol/client/index.ts';

export type Outcomes = { resumed: number; snapshot: number; gone: number };

/** An event that was applied, or a snapshot (span null). */
type Entry = { readonly position: Position; readonly span: number | null };

export class Witness {
  readonly handle: ChatHandle;
  /** Called when an attach was answered. */
  onAttached: () => void = () => {};
  /** How attaches ended; a snapshot counts once, with its first piece. */
  readonly outcomes: Outcomes = { resumed: 0, snapshot: 0, gone: 0 };
  /** Everything that moved the cursor, in order. */
  readonly record: Entry[] = [];
  /** Events that came and were not applied, since the client had what they cover. */
  duplicates = 0;
  /** What should not have happened, in words. */
  readonly faults: string[] = [];
  /** The text that the client showed last, and the longest it ever showed. */
  shown = '';
  longest = '';
  readonly #stop: (() => void)[];

  /** `expected`: what the turn will say, where that is known. */
  constructor(client: ParleyClient, handle: ChatHandle, expected: string | null = null) {
    this.handle = handle;
    this.#stop = [
      client.onFrame((frame) => this.#onFrame(frame)),
      handle.onEvent(({ position, span }) => this.#onApplied({ position, span })),
      handle.subscribe(() => this.#onChange(expected)),
    ];
  }

  get applied(): number {
    return this.record.filter(({ span }) => span !== null).length;
  }

  stop(): void {
    for (const stop of this.#stop) stop();
  }

  #onFrame(frame: ServerFrame): void {
    if (frame.op === 'attached' && frame.chat === this.handle.id) {
      if (frame.outcome !== 'snapshot' || frame.piece.head !== null) {
        this.outcomes[frame.outcome] += 1;
        this.onAttached();
      }
      if (frame.outcome === 'snapshot' && frame.piece.last) this.record.push({ position: frame.position, span: null });
    }
    if (frame.op !== 'event' || frame.chat !== this.handle.id) return;
    const cursor = this.handle.state.position;
    if (cursor !== null && comparePositions(frame.position, cursor) <= 0) this.duplicates += 1;
  }

  /** Called after the state has the event. */
  #onApplied(entry: Entry & { readonly span: number }): void {
    const last = this.record.at(-1);
    const { position, span } = entry;
    this.record.push(entry);
    if (last === undefined) return;
    if (comparePositions(position, last.position) <= 0) this.#fault('applied twice or backwards', entry);
    const sameEpoch = position.epoch === last.position.epoch;
    if (sameEpoch && position.seq - span > last.position.seq) this.#fault('applied over a gap', entry);
    if (!sameEpoch && position.seq - span !== 0) this.#fault('applied over the end of an epoch', entry);
  }

  #onChange(expected: string | null): void {
    const text = answerText(this.handle.state);
    if (expected !== null && !expected.startsWith(text)) this.faults.push(`shows ${JSON.stringify(text.slice(-80))}`);
    this.shown = text;
    if (text.length > this.longest.length) this.longest = text;
  }

  #fault(what: string, { position, span }: Entry): void {
    this.faults.push(`${what}: ${formatPosition(position)} with span ${span}`);
  }
}

/** What a model has said so far in answer to the last message of a user: its messages, then the live blocks. */
export function answerText(state: ChatState): string {
  const asked = state.messages.findLastIndex(({ role }) => role === 'user');
  const kept = state.messages.slice(asked + 1).flatMap(({ parts }) => parts);
  const said = kept.map((part) => (part.type === 'text' && 'text' in part ? part.text : ''));
  const live = (state.turn?.blocks ?? []).map(({ type, text }) => (type === 'text' ? text : ''));
  return [...said, ...live].join('');
}

/** What two clients at the same position must agree on. How the last turn ended a snapshot does not say. */
export function sharedState({ position, chat, messages, queue, turn }: ChatState): unknown {
  return { position, chat, messages, queue, turn };
}
