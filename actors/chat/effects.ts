// What each effect of the machine writes. Every function adds to a draft and nothing else; the order in which the
// machine names them is the order of the events.

import type { Part, QueuedMessage, TextPart, TurnOutcome, Usage } from '../../protocol/content.ts';
import { errorBody, type ErrorBody } from '../../protocol/errors.ts';
import { uuidToBytes, uuidV8, type AttemptId, type CommandId, type OwnerId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Position } from '../../protocol/position.ts';
import { eventParts } from '../../protocol/references.ts';
import { must } from '../../protocol/assert.ts';
import type { TraceParent } from '../../protocol/trace-parent.ts';
import type { NewMessage, QueuedItem, Random, TurnRecord } from '../ports.ts';
import type { Draft } from './draft.ts';
import type { EndedAttempt } from './ended-attempt.ts';
import type { EffectName } from './machine.ts';
import { RECOVERY_NOTE, systemPrompt } from './prompt.ts';
import type { Recovered } from './recovery.ts';
import { resumeAttempt } from './resume.ts';
import { CHAT_LIMITS } from './settings.ts';
import { nameChat, titleFrom } from './title.ts';

export type SendInput = {
  readonly id: CommandId;
  readonly parts: readonly TextPart[];
  readonly sender: OwnerId;
  /** Null: the chat's. Another one becomes the chat's. */
  readonly model: string | null;
  readonly trace: TraceParent | null;
};

/** What the effects of one transition draw from; each is there when the machine can ask for it. */
export type EffectInput = {
  readonly random: Random;
  readonly deploymentPrompt: string;
  /** The provider of a model, for the ledger. */
  readonly providerOf: (model: string) => string;
  readonly send: SendInput | null;
  /** Of the command that asked for this; null: of none. */
  readonly trace: TraceParent | null;
  readonly ended: EndedAttempt | null;
  readonly recovered: Recovered | null;
};

export function applyEffect(name: EffectName, draft: Draft, input: EffectInput): void {
  EFFECTS[name](draft, input);
}

const EFFECTS: Readonly<Record<EffectName, (draft: Draft, input: EffectInput) => void>> = {
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
    startTurn(draft, id, trace);
  },
  openAttempt(draft, input) {
    openAttempt(draft, input);
  },
  enqueue(draft, input) {
    enqueue(draft, sendOf(input), 'last');
  },
  enqueueFirst(draft, input) {
    enqueue(draft, sendOf(input), 'first');
  },
  promote(draft) {
    const [head, ...rest] = draft.state.queue;
    const item = must(head, 'only a queue with messages is promoted');
    draft.requireUnarchived = true;
    draft.dequeue.push(item.id);
    draft.change({ queue: rest });
    draft.push({ kind: 'queue', queue: rest });
    acceptMessage(draft, item);
    startTurn(draft, item.id, item.trace ?? null);
  },
  refuseBusy(draft) {
    draft.reply = { ok: false, error: errorBody('busy') };
  },
  refuseQueueFull(draft) {
    draft.limits.push(draft.state.queue.length >= LIMITS.queuedMessages ? 'queuedMessages' : 'queuedBytes');
    draft.reply = {
      ok: false,
      error: errorBody('queue_full', `at most ${LIMITS.queuedMessages}, or ${LIMITS.queuedBytes} bytes`),
    };
  },
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
    const { error, delayMs } = endedOf(input);
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
    const outcome = reason === 'refusal' ? 'refused' : reason === 'max_tokens' ? 'max_tokens' : 'completed';
    endTurn(draft, outcome, null);
  },
  endTurnStopped(draft) {
    endTurn(draft, turnOf(draft).stopping ?? 'stopped', null);
  },
  endTurnFailed(draft, input) {
    endTurn(draft, 'error', must(endedOf(input).error, 'a failed turn has a cause'));
  },
  resumeAttempt(draft, input) {
    resumeAttempt(draft, recoveredOf(input));
  },
  recoverStep(draft, input) {
    const recovered = recoveredOf(input);
    const turn = turnOf(draft);
    settleLost(draft, recovered);
    if (recovered.parts.length > 0) {
      keepRecovered(draft, recovered);
      keepNote(draft, input);
      draft.change({
        turn: { ...turn, step: turn.step + 1, attempt: 0, retry: null, recoveries: turn.recoveries + 1 },
      });
      return;
    }
    draft.change({ turn: { ...turn, retry: null, recoveries: turn.recoveries + 1 } });
    draft.push({ kind: 'step', type: 'reset', turn: turn.id, step: turn.step, attempt: turn.attempt });
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
};

/** The model is written only when it differs. */
function setModel(draft: Draft, model: string | null): void {
  if (model !== null && model !== draft.state.chat.model) draft.changeChat({ model });
}

function acceptMessage(draft: Draft, item: QueuedMessage): Position {
  const number = draft.state.nextNumber;
  draft.change({ nextNumber: number + 1 });
  const { id, parts, created_by } = item;
  const position = draft.push({
    kind: 'message',
    message: { number, id, role: 'user', parts, created_at: draft.atMs, created_by },
  });
  draft.messages.push({
    ...EMPTY_MESSAGE,
    number,
    id,
    position,
    role: 'user',
    parts,
    createdAtMs: draft.atMs,
    createdBy: created_by as OwnerId,
  });
  if (draft.state.chat.title === null) nameChat(draft, titleFrom(parts), 'fallback');
  return position;
}

const EMPTY_MESSAGE = {
  visibility: 'both',
  provider: null,
  createdBy: null,
  model: null,
  turn: null,
  step: null,
  interrupted: false,
  usage: null,
  costMicros: null,
} as const;

function startTurn(draft: Draft, id: CommandId, trace: TraceParent | null): void {
  const { model } = draft.state.chat;
  const turn: TurnRecord = {
    id: id as string as TurnRecord['id'],
    model,
    step: 1,
    attempt: 0,
    stopping: null,
    retry: null,
    recoveries: 0,
    ...(trace === null ? {} : { trace }),
  };
  draft.change({ turn });
  draft.push({ kind: 'turn', type: 'started', turn: turn.id, model });
  draft.changeChat({ status: 'running', last_error: null });
}

function openAttempt(draft: Draft, input: EffectInput): void {
  const openedAt = draft.nextPosition();
  const turn = { ...turnOf(draft), attempt: turnOf(draft).attempt + 1, retry: null, openedAt };
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
  draft.change({ turn, attempt: opening });
  if (draft.state.fixedSystem === null) {
    draft.change({ fixedSystem: systemPrompt(input.deploymentPrompt, draft.state.systemPrompt) });
  }
  draft.push({ kind: 'step', type: 'started', turn: id, step, attempt });
}

function enqueue(draft: Draft, send: SendInput, place: 'first' | 'last'): void {
  const { id, parts, sender, trace } = send;
  const message: QueuedMessage = { id, parts, created_by: sender, created_at: draft.atMs };
  const item: QueuedItem = trace === null ? message : { ...message, trace };
  const queue = place === 'first' ? [item, ...draft.state.queue] : [...draft.state.queue, item];
  draft.requireUnarchived = true;
  setModel(draft, send.model);
  (place === 'first' ? draft.enqueueFirst : draft.enqueue).push(item);
  draft.change({ queue });
  const position = draft.push({ kind: 'queue', queue });
  draft.reply = {
    ok: true,
    result: { outcome: 'queued', turn: uuidToBytes(send.id), position: wirePosition(position) },
  };
}

type Kept = {
  readonly input: EffectInput;
  readonly parts: readonly Part[];
  readonly interrupted: boolean;
  readonly visibility: NewMessage['visibility'];
};

/** The assistant's message of the step; nothing when it said nothing. */
function keepMessage(draft: Draft, kept: Kept): void {
  const { result, usage, costMicros } = endedOf(kept.input);
  draft.clearJournal = true;
  if (kept.parts.length === 0) return;
  // What an interrupted step goes into prompts as is fixed here, once: the text that was shown, and none of the
  // provider's blocks, whose reasoning may be unsigned and whose text may reach further than what was shown.
  addReply(draft, {
    parts: kept.parts,
    interrupted: kept.interrupted,
    visibility: kept.visibility,
    provider: kept.interrupted ? null : result.provider,
    usage,
    costMicros,
  });
}

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

type ReplyRow = Pick<NewMessage, 'parts' | 'interrupted' | 'visibility' | 'provider' | 'costMicros'> & {
  readonly usage: Usage;
};

function addReply(draft: Draft, row: ReplyRow): void {
  const number = draft.state.nextNumber;
  const { id: turn, step, model } = turnOf(draft);
  const attempt = must(draft.state.attempt, 'a reply comes from an attempt');
  draft.change({ nextNumber: number + 1 });
  const position = draft.push({
    kind: 'message',
    message: {
      number,
      id: attempt.id,
      role: 'assistant',
      parts: eventParts(row.parts),
      created_at: draft.atMs,
      model,
      turn,
      step,
      ...(row.interrupted ? { interrupted: true } : {}),
      usage: row.usage,
    },
  });
  draft.messages.push({
    ...row,
    number,
    id: attempt.id,
    position,
    role: 'assistant',
    createdAtMs: draft.atMs,
    createdBy: null,
    model,
    turn,
    step,
  });
}

/** A note that only the model sees: many models refuse a prompt that ends with their own words. */
function keepNote(draft: Draft, input: EffectInput): void {
  const number = draft.state.nextNumber;
  draft.change({ nextNumber: number + 1 });
  draft.messages.push({
    ...EMPTY_MESSAGE,
    number,
    id: uuidV8(draft.atMs, input.random.bytes(10)),
    position: draft.nextPosition(),
    role: 'user',
    visibility: 'model',
    parts: [{ type: 'text', text: RECOVERY_NOTE }],
    createdAtMs: draft.atMs,
    turn: turnOf(draft).id,
  });
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
  const { turn, step, attempt: number } = attempt;
  draft.push({ kind: 'usage', turn, step, attempt: number, usage });
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

function endTurn(draft: Draft, outcome: TurnOutcome, error: ErrorBody | null): void {
  const { id: turn } = turnOf(draft);
  draft.push({ kind: 'turn', type: 'ended', turn, outcome, error });
  draft.clearJournal = true;
  draft.change({ turn: null, attempt: null });
  draft.changeChat({
    status: error === null ? 'waiting' : 'error',
    last_error: error,
    last_turn: { turn, outcome, error },
  });
}

function wirePosition(position: Position): readonly [number, number] {
  return [position.epoch, position.seq];
}

function turnOf(draft: Draft): TurnRecord {
  return must(draft.state.turn, 'the machine runs a turn');
}

function sendOf(input: EffectInput): SendInput {
  return must(input.send, 'the machine was given a message');
}

function endedOf(input: EffectInput): EndedAttempt {
  return must(input.ended, 'the machine was given the end of an attempt');
}

function recoveredOf(input: EffectInput): Recovered {
  return must(input.recovered, 'the machine was given what the epoch before left behind');
}
