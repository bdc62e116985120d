// Whether the chat is compacted before the step that an event would ask for, or behind the turn that it ends. Pure.

import type { ErrorBody } from '../../../protocol/errors.ts';
import type { TurnRecord } from '../../turn-ports.ts';
import type { ActorState } from '../draft.ts';
import type { EffectInput } from '../effects/input.ts';
import type { Ahead, ChatMachineEvent, LifeState } from '../machine.ts';
import { isDue, judged, NO_COMPACTION, REMEDIES_MAX, remediesOf, type CompactionVerdict } from './record.ts';
import { contextTokens } from './threshold.ts';

export function lookAhead(state: ActorState, event: ChatMachineEvent, input: EffectInput): Ahead {
  const requested = !input.restsAfter && state.turn?.compaction?.requested === true;
  return { requested, compacts: compactsFirst(state, event, input), leaves: input.leaves };
}

function compactsFirst(state: ActorState, event: ChatMachineEvent, input: EffectInput): boolean {
  if (event.type === 'compactionEnded') return false;
  const { turn, chat } = state;
  const isOver = event.type === 'attemptEnded' && event.verdict === 'completed' && event.after === 'end';
  const goingOn = turn === null || turn.stopping !== null || isOver ? null : turn;
  const tokens = heldBy(input) || state.contextTokens;
  const model = goingOn?.model ?? input.send?.model ?? chat.model;
  const record = goingOn?.compaction ?? NO_COMPACTION;
  return isDue(tokens === null ? record : judged(record, tokens), tokens, input.windowOf(model));
}

/** Of a turn that is being stopped the end of a compaction is like that of any attempt. */
export function compactionEnd(
  life: LifeState,
  { turn }: ActorState,
  { verdict, more }: { readonly verdict: CompactionVerdict; readonly more: boolean },
): ChatMachineEvent {
  if (life === 'stopping') return { type: 'attemptEnded', verdict: 'failed', after: 'end', more };
  return { type: 'compactionEnded', verdict, isAlone: turn?.compaction?.isAlone === true, more };
}

/** The request of the turn's step did not fit, and not everything was tried. */
export function canBeMended({ step, compaction = NO_COMPACTION }: TurnRecord, error: ErrorBody | null): boolean {
  return error?.code === 'context_overflow' && remediesOf(compaction, step) < REMEDIES_MAX;
}

/** By the request that has just ended; 0: nobody knows. */
function heldBy({ ended }: EffectInput): number {
  return ended === null ? 0 : contextTokens(ended.usage);
}
