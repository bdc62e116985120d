// Hands one durable step to the store until it says what became of it.

import type { ChatStore, Clock, CommitIntent, CommitResult } from '../ports.ts';
import type { TraceParent } from '../../protocol/trace-parent.ts';
import type { Tracer } from '../tracing.ts';
import type { ActorCounts } from './counts.ts';
import { CHAT_LIMITS } from './settings.ts';

export type HandIn = {
  readonly store: ChatStore;
  readonly clock: Clock;
  readonly counts: ActorCounts;
  readonly tracer: Tracer;
  readonly intent: CommitIntent;
  /** What the step belongs to; null: it is not traced. */
  readonly trace: TraceParent | null;
  /** The actor has ended: what the store says concerns nobody any more. */
  readonly isOver: () => boolean;
  /** How often one that was certainly not applied is handed in. */
  readonly triesMax: () => number;
};

/** Null when the actor ended meanwhile. `unavailable` only after the last try. */
export async function handIn(task: HandIn): Promise<CommitResult | null> {
  const { tracer, trace, intent } = task;
  if (trace === null) return commit(task);
  const span = tracer.begin('commit', trace, { 'parley.chat': intent.chat, epoch: intent.epoch });
  const result = await commit(task);
  span.end(result?.outcome ?? 'ended', result?.outcome !== 'committed');
  return result;
}

async function commit({ store, clock, counts, intent, isOver, triesMax }: HandIn): Promise<CommitResult | null> {
  for (let tries = 1; !isOver(); tries++) {
    const result = await store.commit(intent);
    if (isOver()) return null;
    if (result.outcome !== 'unavailable') return result;
    if (tries >= triesMax()) {
      counts.limits.add('commitTries');
      return result;
    }
    const delayMs = Math.min(CHAT_LIMITS.commitRetryCeilingMs, CHAT_LIMITS.commitRetryBaseMs * 2 ** (tries - 1));
    await new Promise<void>((resolve) => clock.after(delayMs, resolve));
  }
  return null;
}
