// What an attempt that has ended means for its turn: done, another try, or not possible as it was. Pure but for the dice.

import { must } from '../../protocol/assert.ts';
import type { Random } from '../ports.ts';
import { planOfAnswer, type CallSource } from './call-plans.ts';
import { canBeMended } from './compaction/due.ts';
import type { ActorState } from './draft.ts';
import type { EndedAttempt } from './ended-attempt.ts';
import type { After, Verdict } from './machine.ts';
import type { ChatSettings } from './settings.ts';
import type { CallPlan } from './tool-calls.ts';
import { judge } from './verdict.ts';

export type AttemptEnd = {
  /** Without an error and a wait. */
  readonly ended: EndedAttempt;
  readonly state: ActorState;
  readonly calls: CallSource;
};

export type JudgedEnd = {
  readonly ended: EndedAttempt;
  readonly verdict: Verdict;
  readonly plan: CallPlan | null;
  readonly after: After;
};

export function judgedEnd(
  { ended, state, calls }: AttemptEnd,
  { settings, random }: { readonly settings: ChatSettings; readonly random: Random },
): JudgedEnd {
  const turn = must(state.turn, 'an attempt belongs to a turn');
  const source = { result: ended.result, attempt: turn.attempt, settings, fraction: random.fraction() };
  const judgement = judge({ ...source, sendsReasoning: state.reasoningFrom < state.nextNumber });
  const judged = { ...ended, error: judgement.error, delayMs: judgement.delayMs };
  // Nothing is kept of an answer that is asked for again, and so none of its calls.
  if (canBeMended(turn, judgement.error) && turn.stopping === null) {
    return { ended: judged, verdict: 'overflow', plan: null, after: 'end' };
  }
  return { ended: judged, verdict: judgement.verdict, ...planOfAnswer(judged, judgement.verdict, calls) };
}
