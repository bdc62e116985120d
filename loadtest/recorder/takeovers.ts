// How long chats were without an owner, as their clients see it: from a fault to the first event, or the first answer to an
// attach, of a later epoch.

import type { ServerFrame } from '../../protocol/frames.ts';
import type { ChatId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';

type Waiting = { readonly fromMs: number; readonly epoch: number };

export class Takeovers {
  /** One figure a chat and fault, in milliseconds. */
  readonly tookMs: number[] = [];
  readonly #waiting = new Map<ChatId, Waiting>();
  readonly #whenDone = new Set<() => void>();

  /** The owner of these chats, of that epoch each, is gone as of now. One that waits already goes on waiting. */
  begin(chats: Iterable<readonly [ChatId, number]>): void {
    const fromMs = performance.now();
    for (const [chat, epoch] of chats) if (!this.#waiting.has(chat)) this.#waiting.set(chat, { fromMs, epoch });
    this.#settle();
  }

  get pending(): number {
    return this.#waiting.size;
  }

  /** Forgets those that nobody will take up: they had nothing to do. */
  abandon(chats: Iterable<ChatId>): void {
    for (const chat of chats) this.#waiting.delete(chat);
    this.#settle();
  }

  get waiting(): readonly ChatId[] {
    return [...this.#waiting.keys()];
  }

  onFrame(chat: ChatId, frame: ServerFrame): void {
    const waiting = this.#waiting.get(chat);
    const position = waiting === undefined ? null : positionOf(frame);
    if (waiting === undefined || position === null || position.epoch <= waiting.epoch) return;
    this.#waiting.delete(chat);
    this.tookMs.push(performance.now() - waiting.fromMs);
    this.#settle();
  }

  /** Resolves when no chat waits. */
  done(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenDone.add(resolve);
      this.#settle();
    });
  }

  #settle(): void {
    if (this.#waiting.size > 0) return;
    for (const resolve of this.#whenDone) resolve();
    this.#whenDone.clear();
  }
}

/** The figure below which that share of the figures lies, rounded; null of none. */
export function percentile(figures: readonly number[], share: number): number | null {
  const sorted = figures.toSorted((a, b) => a - b);
  const figure = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return figure === undefined ? null : Math.round(figure);
}

function positionOf(frame: ServerFrame): Position | null {
  return frame.op === 'event' || (frame.op === 'attached' && frame.outcome !== 'gone') ? frame.position : null;
}
