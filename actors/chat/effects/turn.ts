// Turns and their attempts: how one starts, what is kept of it, how it ends.

import { must } from '../../../protocol/assert.ts';
import type { TurnOutcome, Usage } from '../../../protocol/content.ts';
import type { ErrorBody } from '../../../protocol/errors.ts';
import { uuidToBytes, uuidV8, type AttemptId, type CommandId } from '../../../protocol/ids.ts';
import type { TraceParent } from '../../../protocol/trace-parent.ts';
import type { AttemptOpening, AttemptPurpose, TurnRecord } from '../../turn-ports.ts';
import { judged } from '../compaction/record.ts';
import { contextTokens } from '../compaction/threshold.ts';
import type { Draft } from '../draft.ts';
import type { EndedAttempt } from '../ended-attempt.ts';
import type { EffectName } from '../effect-names.ts';
import { systemPrompt } from '../prompt.ts';
import { openedTurn } from '../resume.ts';
import { endedOf, sendOf, setModel, turnOf, wirePosition, type Effect, type EffectInput } from './input.ts';
import { titleRequestText } from '../title.ts';
import { acceptMessage, keepMessage } from './messages.ts';
import { dropReasoning } from './reasoning.ts';

export const TURN_EFFECTS = {
  acceptMessage(draft, input) {
    const { id, parts, sender, model } = sendOf(input);
    draft.requireUnarchived = true;
    setModel(draft, model);
    const position = acceptMessage(draft, { id, parts, created_by: sender, created_at: draft.atMs });
    const number = draft.state.nextNumber - 1;
    draft.reply = {
      ok: true,
      result: { outcome: 'started', number, turn: uuidToBytes(id), position: wirePosition(position) },
    };
  },
  startTurn(draft, input) {
    const { id, trace } = sendOf(input);
    startTurn(draft, { id, trace, message: draft.state.nextNumber - 1 });
    openTitle(draft, input);
  },
  openAttempt,
  replyStopping(draft) {
    draft.reply = { ok: true, result: { outcome: 'stopping' } };
  },
  replyNotRunning(draft) {
    draft.reply = { ok: true, result: { outcome: 'not_running' } };
  },
  beginStop(draft) {
    draft.change({ turn: { ...turnOf(draft), stopping: 'stopped', retry: null } });
    draft.changeChat({ status: 'stopping' });
  },
  beginInterrupt(draft) {
    draft.change({ turn: { ...turnOf(draft), stopping: 'interrupted', retry: null } });
    draft.changeChat({ status: 'stopping' });
  },
  keepReply(draft, input) {
    const { result, parts } = endedOf(input);
    const refused = result.outcome === 'completed' && result.stopReason === 'refusal';
    // A refused answer stays on the screen but goes into no prompt again: providers would refuse what follows.
    keepMessage(draft, { input, parts, interrupted: false, visibility: refused ? 'user' : 'both' });
  },
  keepInterrupted(draft, input) {
    if (input.ended === null) return;
    keepMessage(draft, { input, parts: input.ended.parts, interrupted: true, visibility: 'both' });
  },
  settleAttempt(draft, input) {
    if (input.ended !== null) settleAttempt(draft, input.ended);
  },
  scheduleRetry(draft, input) {
    const { result, error, delayMs } = endedOf(input);
    if (result.outcome === 'failed' && result.error.kind === 'reasoning_rejected') dropReasoning(draft);
    const turn = turnOf(draft);
    const retry = { error: must(error, 'a retry has a cause'), delayMs, atMs: draft.atMs + delayMs };
    const { id, step, attempt } = turn;
    draft.clearJournal = true;
    draft.change({ turn: { ...turn, retry } });
    draft.push({ kind: 'step', type: 'reset', turn: id, step, attempt });
    draft.push({ kind: 'retry', turn: id, step, attempt, delay_ms: delayMs, at: retry.atMs, error: retry.error });
  },
  endTurn(draft, input) {
    const { result } = endedOf(input);
    const reason = result.outcome === 'completed' ? result.stopReason : 'end_turn';
    const { limited } = turnOf(draft);
    const outcome =
      limited === true
        ? 'step_limit'
        : reason === 'refusal'
          ? 'refused'
          : reason === 'max_tokens'
            ? 'max_tokens'
            : 'completed';
    endTurn(draft, outcome, null);
  },
  endTurnStopped(draft) {
    endTurn(draft, turnOf(draft).stopping ?? 'stopped', null);
  },
  endTurnFailed(draft, input) {
    endTurn(draft, 'error', must(endedOf(input).error, 'a failed turn has a cause'));
  },
} satisfies Partial<Record<EffectName, Effect>>;

/** `message`: the number of the one that it answers; null: it answers none. */
export function startTurn(
  draft: Draft,
  {
    id,
    trace,
    message,
  }: { readonly id: CommandId; readonly trace: TraceParent | null; readonly message: number | null },
): void {
  const { model } = draft.state.chat;
  const turn: TurnRecord = {
    id: id as string as TurnRecord['id'],
    model,
    step: 1,
    attempt: 0,
    stopping: null,
    retry: null,
    recoveries: 0,
    ...(message === null ? {} : { from: message }),
    ...(trace === null ? {} : { trace }),
  };
  draft.change({ turn });
  draft.push({ kind: 'turn', type: 'started', turn: turn.id, model });
  draft.changeChat({ status: 'running', last_error: null });
}

function openAttempt(draft: Draft, input: EffectInput): void {
  askModel(draft);
  const turn = { ...turnOf(draft), attempt: turnOf(draft).attempt + 1, retry: null };
  const { id, step, attempt, model } = turn;
  const opening = {
    id: uuidV8<AttemptId>(draft.atMs, input.random.bytes(10)),
    turn: id,
    step,
    attempt,
    provider: input.providerOf(model),
    model,
    startedAtMs: draft.atMs,
  };
  draft.attemptsOpened.push(opening);
  if (draft.state.toolsHash !== input.toolsHash) {
    if (draft.state.toolsHash !== null) draft.push({ kind: 'fork', reason: 'tools' });
    draft.change({ toolsHash: input.toolsHash });
  }
  draft.change({ turn: openedTurn(turn, draft.nextPosition(), input.settings.journal), attempt: opening });
  if (draft.state.fixedSystem === null) {
    draft.change({ fixedSystem: systemPrompt(input.deploymentPrompt, draft.state.systemPrompt) });
  }
  draft.push({ kind: 'step', type: 'started', turn: id, step, attempt });
}

/** What another model has cached is of no use to this one (P8). */
function askModel(draft: Draft): void {
  const { model } = turnOf(draft);
  const before = draft.state.promptModel;
  if (before === model) return;
  if (before !== null) draft.push({ kind: 'fork', reason: 'model' });
  draft.change({ promptModel: model });
}

function settleAttempt(draft: Draft, ended: EndedAttempt): void {
  const attempt = draft.state.attempt;
  if (attempt === null) return;
  const { result, usage, error, costMicros } = ended;
  draft.attemptsSettled.push({
    id: attempt.id,
    outcome: result.outcome,
    errorCode: error?.code ?? null,
    requestId: result.outcome === 'failed' ? result.error.requestId : result.requestId,
    settledAtMs: draft.atMs,
    usage,
    costMicros,
  });
  draft.change({ attempt: null });
  if (attempt.purpose !== undefined) return;
  const { turn, step, attempt: number } = attempt;
  draft.push({ kind: 'usage', turn, step, attempt: number, usage });
  const seconds = (draft.atMs - attempt.startedAtMs) / 1000;
  if (seconds > 0 && usage.output_tokens > 0) draft.change({ tokensPerSecond: usage.output_tokens / seconds });
  // What did not fit was not answered: nothing of it is known to fit, and there may be nothing to summarise.
  if (error?.code !== 'context_overflow') noteContext(draft, usage);
}

/** What the request held, as far as the provider has said, and with it what the compaction before it has gained. */
function noteContext(draft: Draft, usage: Usage): void {
  const tokens = contextTokens(usage);
  if (tokens === 0) return;
  draft.change({ contextTokens: tokens });
  const { turn } = draft.state;
  if (turn?.compaction !== undefined) {
    draft.change({ turn: { ...turn, compaction: judged(turn.compaction, tokens) } });
  }
}

/** The first message has just named the chat by its beginning: a model may do better. */
function openTitle(draft: Draft, input: EffectInput): void {
  const isNamed = draft.before.titleSource === null && draft.state.titleSource === 'fallback';
  const model = isNamed ? input.titleModelFor(turnOf(draft).model) : null;
  if (model === null) return;
  const opening = openAside(draft, input, { purpose: 'title', attempt: 1, model });
  draft.change({ titling: { opening, text: titleRequestText(sendOf(input).parts) } });
}

/** An attempt that is no step of the turn. */
export function openAside(
  draft: Draft,
  input: EffectInput,
  aside: Pick<AttemptOpening, 'attempt' | 'model'> & { readonly purpose: Exclude<AttemptPurpose, 'turn'> },
): AttemptOpening {
  const { id: turn, step } = turnOf(draft);
  const opening: AttemptOpening = {
    id: uuidV8<AttemptId>(draft.atMs, input.random.bytes(10)),
    turn,
    step,
    provider: input.providerOf(aside.model),
    startedAtMs: draft.atMs,
    ...aside,
  };
  draft.attemptsOpened.push(opening);
  return opening;
}

export function endTurn(draft: Draft, outcome: TurnOutcome, error: ErrorBody | null): void {
  const { id: turn } = turnOf(draft);
  draft.push({ kind: 'turn', type: 'ended', turn, outcome, error });
  draft.clearJournal = true;
  draft.change({ turn: null, attempt: null, calls: [] });
  draft.changeChat({
    status: error === null ? 'waiting' : 'error',
    last_error: error,
    last_turn: { turn, outcome, error },
  });
}
