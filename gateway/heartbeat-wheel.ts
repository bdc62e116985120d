// One timer for the heartbeats of all sessions: a wheel of slots, one of them is beaten at each step.
//
// A timer per session would cost a heap entry each and would fire in bunches after a reconnect storm; the wheel spreads
// sessions evenly because a new one joins the emptiest of the slots.

import type { Clock } from '../actors/ports.ts';
import { must } from '../protocol/assert.ts';

const SLOTS = 20;

export type Beating = {
  /** Sends a heartbeat. Never throws. */
  beat(nowMs: number): void;
};

export class HeartbeatWheel {
  readonly #clock: Clock;
  readonly #stepMs: number;
  readonly #slots: readonly Set<Beating>[] = Array.from({ length: SLOTS }, () => new Set<Beating>());
  /** The slot that is beaten at the next step. */
  #next = 0;
  #cancel: (() => void) | null = null;

  /** Each member is beaten every `intervalMs`, for the first time after at most that. */
  constructor(clock: Clock, intervalMs: number) {
    this.#clock = clock;
    this.#stepMs = Math.max(1, Math.floor(intervalMs / SLOTS));
  }

  /** The function returned takes the member out. */
  add(member: Beating): () => void {
    const slot = this.#slots.reduce((least, candidate) => (candidate.size < least.size ? candidate : least));
    slot.add(member);
    if (this.#cancel === null) this.#arm();
    return () => slot.delete(member);
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  #arm(): void {
    this.#cancel = this.#clock.after(this.#stepMs, () => this.#step());
  }

  #step(): void {
    const slot = must(this.#slots[this.#next], 'the next slot is one of the wheel');
    this.#next = (this.#next + 1) % SLOTS;
    const nowMs = this.#clock.nowMs();
    for (const member of slot) member.beat(nowMs);
    // A wheel without members stands still: it leaves no timer behind.
    if (this.#slots.some((slot) => slot.size > 0)) this.#arm();
    else this.#cancel = null;
  }
}
