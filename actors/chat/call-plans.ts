// Which plan for the calls of a step goes with which event of a turn. Pure.

import type { Part } from '../../protocol/content.ts';
import type { CallRow } from '../tool-ports.ts';
import type { TurnRecord } from '../turn-ports.ts';
import { asksForTools, type EndedAttempt } from './ended-attempt.ts';
import type { After, Found, LifeState, Verdict } from './machine.ts';
import {
  afterCalls,
  callsIn,
  expireWaiting,
  NOT_RUN,
  openCalls,
  recoverCalls,
  settleAll,
  type CallPlan,
  type OpenSource,
} from './tool-calls.ts';

export type CallSource = Omit<OpenSource, 'parts' | 'refused' | 'turn'> & {
  readonly turn: TurnRecord | null;
  readonly calls: readonly CallRow[];
};

/** What becomes of the calls of an answer, and where the turn goes with it. */
export function planOfAnswer(
  ended: EndedAttempt,
  verdict: Verdict,
  source: CallSource,
): { readonly plan: CallPlan | null; readonly after: After } {
  const { turn } = source;
  if (verdict === 'retry' || turn === null) return { plan: null, after: 'end' };
  const mayRun = asksForTools(ended.result) && turn.stopping === null;
  const refused = mayRun ? (turn.limited === true ? NOT_RUN.limited : null) : reasonOf(ended, turn);
  const plan = planOf(ended.parts, refused, source);
  return { plan, after: plan === null || refused !== null ? 'end' : afterCalls(plan) };
}

function reasonOf({ result }: EndedAttempt, { stopping }: TurnRecord): OpenSource['refused'] {
  return result.outcome === 'completed' && stopping === null ? NOT_RUN.cut : NOT_RUN.interrupted;
}

/** Null: there are no calls. */
function planOf(parts: readonly Part[], refused: OpenSource['refused'], source: CallSource): CallPlan | null {
  const { turn } = source;
  if (turn === null || callsIn(parts).length === 0) return null;
  return openCalls({ ...source, turn, parts, refused });
}

/** At a deadline: the grace of a stop is over, or somebody has not answered in time. */
export function duePlan(life: LifeState, ended: EndedAttempt | null, source: CallSource): CallPlan | null {
  switch (life) {
    case 'stopping':
      return ended === null ? settleAll(source.calls, source.tools) : planOf(ended.parts, NOT_RUN.interrupted, source);
    case 'tools':
    case 'awaitingAction':
      return expireWaiting(source.calls, source.atMs);
    default:
      return null;
  }
}

/** `parts`: what was journaled of an answer that was lost. */
export function recoveryPlan(found: Found, parts: readonly Part[], source: CallSource): CallPlan | null {
  switch (found) {
    case 'calls':
      return recoverCalls(source.calls, source.tools);
    case 'lost':
      return planOf(parts, NOT_RUN.interrupted, source);
    case 'stopping':
    case 'gaveUp':
      return source.calls.length > 0
        ? settleAll(source.calls, source.tools)
        : planOf(parts, NOT_RUN.interrupted, source);
    default:
      return null;
  }
}
