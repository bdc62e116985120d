// The next moment at which the actor has something to do by itself. All of them are in the state: a crash forgets none. Pure.

import { must } from '../../protocol/assert.ts';
import type { ActorState } from './draft.ts';
import type { LifeState } from './machine.ts';
import { heldUntil } from './queue.ts';
import { nextDeadlineMs } from './tool-calls.ts';

export type DueSource = {
  readonly life: LifeState;
  readonly state: ActorState;
  /** Nothing is in flight that a stop would wait for. */
  readonly isIdle: boolean;
  /** A node that goes down begins nothing any more. */
  readonly isDraining: boolean;
  readonly nowMs: number;
  readonly stopGraceMs: number;
};

/** `name` is the same as long as it is the same moment. */
export type Due = { readonly name: string; readonly delayMs: number };

export function nextDue({ life, state, isIdle, isDraining, nowMs, stopGraceMs }: DueSource): Due | null {
  if (life === 'stopping') return { name: life, delayMs: isIdle ? 0 : stopGraceMs };
  if (isDraining) return null;
  if (life === 'backingOff') {
    const { atMs } = must(state.turn?.retry, 'a turn that backs off has a time for its next attempt');
    return { name: life, delayMs: Math.max(0, atMs - nowMs) };
  }
  const heldMs = heldUntil(state.queue, nowMs);
  if (life === 'idle' && heldMs !== null) return { name: `${life} ${heldMs}`, delayMs: heldMs - nowMs };
  const atMs = nextDeadlineMs(state.calls);
  return atMs === null ? null : { name: `call ${atMs}`, delayMs: Math.max(0, atMs - nowMs) };
}
