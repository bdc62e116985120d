// What becomes of a turn that the epoch before left behind.

import { errorBody } from '../../../protocol/errors.ts';
import type { Draft } from '../draft.ts';
import type { EffectName } from '../effect-names.ts';
import { RECOVERY_NOTE } from '../prompt.ts';
import type { Recovered } from '../recovery.ts';
import { resumeAttempt } from '../resume.ts';
import { CHAT_LIMITS } from '../settings.ts';
import { applyCalls } from './calls.ts';
import { recoveredOf, turnOf, type Effect } from './input.ts';
import { addReply, keepNote } from './messages.ts';
import { endTurn } from './turn.ts';

export const RECOVERY_EFFECTS = {
  resumeAttempt(draft, input) {
    resumeAttempt(draft, recoveredOf(input), input.settings.journal);
  },
  recoverStep(draft, input) {
    const recovered = recoveredOf(input);
    const turn = turnOf(draft);
    settleLost(draft, recovered);
    if (recovered.parts.length > 0) {
      keepRecovered(draft, recovered);
      applyCalls(draft, input);
      keepNote(draft, input, RECOVERY_NOTE);
      draft.change({
        calls: [],
        turn: { ...turn, step: turn.step + 1, attempt: 0, retry: null, recoveries: turn.recoveries + 1 },
      });
      return;
    }
    draft.change({ turn: { ...turn, retry: null, recoveries: turn.recoveries + 1 } });
    draft.push({ kind: 'step', type: 'reset', turn: turn.id, step: turn.step, attempt: turn.attempt });
  },
  /** The calls of the step go on where they were. Waiting on is no recovery: only what ran when the server went down is. */
  recoverCalls(draft, input) {
    const turn = turnOf(draft);
    const hasRun = draft.state.calls.some(({ state }) => state === 'running');
    if (hasRun) draft.change({ turn: { ...turn, recoveries: turn.recoveries + 1 } });
    applyCalls(draft, input);
  },
  /** It was left between two steps, in order: nothing is lost, and no recovery is counted. */
  resumeTurn(draft) {
    const { id: turn, step, attempt } = turnOf(draft);
    draft.push({ kind: 'step', type: 'reset', turn, step, attempt });
  },
  recoverText(draft, input) {
    const recovered = recoveredOf(input);
    settleLost(draft, recovered);
    if (recovered.parts.length > 0) keepRecovered(draft, recovered);
  },
  giveUp(draft) {
    if (turnOf(draft).recoveries >= CHAT_LIMITS.recoveriesMax) draft.limits.push('recoveriesMax');
    endTurn(draft, 'error', errorBody('chat_crashed'));
  },
} satisfies Partial<Record<EffectName, Effect>>;

function keepRecovered(draft: Draft, recovered: Recovered): void {
  addReply(draft, {
    parts: recovered.parts,
    interrupted: true,
    visibility: 'both',
    provider: null,
    usage: recovered.usage,
    costMicros: recovered.costMicros,
  });
}

/** The attempts of an epoch that is over: nobody will ever say what they have used. */
function settleLost(draft: Draft, recovered: Recovered): void {
  draft.clearJournal = true;
  draft.retract = recovered.retract;
  for (const attempt of recovered.openAttempts) {
    draft.attemptsSettled.push({
      id: attempt.id,
      outcome: 'lost',
      errorCode: null,
      requestId: null,
      settledAtMs: draft.atMs,
      usage: recovered.usage,
      costMicros: recovered.costMicros,
    });
  }
}
