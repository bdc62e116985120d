// Calls of tools: the rows of the ledger, the messages with their results, and the events that show both.

import { must } from '../../../protocol/assert.ts';
import { uuidV8 } from '../../../protocol/ids.ts';
import { eventParts } from '../../../protocol/references.ts';
import type { Draft } from '../draft.ts';
import type { EffectName } from '../effect-names.ts';
import { STEP_LIMIT_NOTE } from '../prompt.ts';
import { actionsOf, bare, type Settlement } from '../tool-calls.ts';
import { turnOf, type Effect, type EffectInput } from './input.ts';
import { EMPTY_MESSAGE, keepNote } from './messages.ts';
import { deliverSteered } from './queue.ts';

export const CALL_EFFECTS = {
  applyCalls,
  /** All calls are settled: what the user said meanwhile goes in, and the model is asked again. */
  nextStep(draft, input) {
    const turn = turnOf(draft);
    deliverSteered(draft);
    const step = turn.step + 1;
    const isLast = step > input.settings.stepsMax;
    if (isLast) {
      keepNote(draft, input, STEP_LIMIT_NOTE);
    }
    draft.change({
      calls: [],
      turn: { ...turn, step, attempt: 0, retry: null, ...(isLast ? { limited: true as const } : {}) },
    });
    draft.changeChat({ status: 'running' });
  },
  /** The step leaves the chat, and the message that asked for them with it: their results would answer nothing. */
  dropCalls(draft) {
    for (const call of draft.state.calls) {
      if (call.state !== 'settled') draft.calls.push({ ...bare(call), state: 'settled', status: 'interrupted' });
    }
  },
  replyAnswered(draft, input) {
    const status = input.plan?.settled[0]?.status ?? null;
    draft.reply = { ok: true, result: status === null ? { outcome: 'running' } : { outcome: 'settled', status } };
  },
  allowAlways(draft, input) {
    const { always } = input;
    if (always !== null && !draft.state.allowed.includes(always)) {
      draft.change({ allowed: [...draft.state.allowed, always] });
    }
  },
} satisfies Partial<Record<EffectName, Effect>>;

/** Writes what the plan changes; without a plan nothing is. */
export function applyCalls(draft: Draft, input: EffectInput): void {
  const { plan } = input;
  if (plan === null) return;
  const before = draft.state.calls;
  for (const call of plan.calls) {
    if (before.find((one) => one.index === call.index) === call) continue;
    if (!before.some((one) => one.index === call.index)) {
      draft.push({ kind: 'tool', type: 'started', step: call.step, call: call.call, name: call.name });
    }
    draft.calls.push(call);
  }
  draft.change({ calls: plan.calls });
  for (const settlement of plan.settled) addResult(draft, input, settlement);
  const actions = actionsOf(plan.calls);
  if (JSON.stringify(actions) !== JSON.stringify(actionsOf(before))) draft.push({ kind: 'action', actions });
  if (turnOf(draft).stopping === null) {
    const isRunning = plan.calls.some((call) => call.state === 'running');
    draft.changeChat({ status: actions.length > 0 && !isRunning ? 'requires_action' : 'running' });
  }
}

function addResult(draft: Draft, input: EffectInput, { index, status, text }: Settlement): void {
  const call = must(
    draft.state.calls.find((one) => one.index === index),
    'a result is one of a call',
  );
  const number = draft.state.nextNumber;
  const id = uuidV8(draft.atMs, input.random.bytes(10));
  const { turn, step } = call;
  const parts = [{ type: 'tool_result', text, call: call.call, status }] as const;
  draft.change({ nextNumber: number + 1 });
  const position = draft.push({
    kind: 'message',
    message: { number, id, role: 'tool', parts: eventParts(parts), created_at: draft.atMs, turn, step },
  });
  draft.messages.push({
    ...EMPTY_MESSAGE,
    number,
    id,
    position,
    role: 'tool',
    parts,
    createdAtMs: draft.atMs,
    turn,
    step,
  });
  draft.push({ kind: 'tool', type: 'settled', step, call: call.call, status });
}
