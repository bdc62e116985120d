// Compaction: how it is asked for and begun, the rows that it leaves, and how it is given up. Nothing is deleted: prompts
// begin anew behind the summary.

import { must } from '../../../protocol/assert.ts';
import { errorBody } from '../../../protocol/errors.ts';
import type { CompactionOutcome, CompactionSource } from '../../../protocol/events.ts';
import { uuidToBytes, uuidV8, type CommandId } from '../../../protocol/ids.ts';
import type { NewMessage } from '../../ports.ts';
import type { TurnRecord } from '../../turn-ports.ts';
import type { CompactionJudgement } from '../compaction/judgement.ts';
import { begun, NO_COMPACTION, type CompactionRecord, type RunningCompaction } from '../compaction/record.ts';
import { firstRow, leftRows, markerRows, tokensLeft } from '../compaction/rows.ts';
import type { Draft } from '../draft.ts';
import type { EffectName } from '../effect-names.ts';
import { turnOf, wirePosition, type Effect, type EffectInput } from './input.ts';
import { STEP_LIMIT_NOTE } from '../prompt.ts';
import { openedTurn } from '../resume.ts';
import { addRow, keepNote } from './messages.ts';
import { endTurn, openAside, startTurn } from './turn.ts';

export const COMPACTION_EFFECTS = {
  /** A turn without a message: it can be stopped, and a crash takes it up, as any other. */
  startCompactionTurn(draft, input) {
    const { id, trace } = must(input.compact, 'the machine was asked to compact');
    draft.requireUnarchived = true;
    const position = draft.nextPosition();
    startTurn(draft, { id, trace, message: null });
    change(draft, { requested: true, isAlone: true });
    draft.reply = {
      ok: true,
      result: { outcome: 'started', turn: uuidToBytes(id), position: wirePosition(position) },
    };
  },
  startRequestedCompaction(draft, input) {
    const id = uuidV8<CommandId>(draft.atMs, input.random.bytes(10));
    startTurn(draft, { id, trace: draft.trace, message: null });
    change(draft, { requested: true, isAlone: true });
  },
  requestCompaction(draft) {
    change(draft, { requested: true });
    draft.reply = { ok: true, result: { outcome: 'queued', turn: uuidToBytes(turnOf(draft).id) } };
  },
  replyCompacting(draft) {
    draft.reply = { ok: true, result: { outcome: 'running', turn: uuidToBytes(turnOf(draft).id) } };
  },
  refuseNothingToCompact(draft) {
    draft.reply = { ok: false, error: errorBody('nothing_to_compact') };
  },
  /** What the step has shown of an answer that did not fit is taken back: it is asked again. */
  resetStep(draft) {
    const { id, step, attempt } = turnOf(draft);
    draft.clearJournal = true;
    draft.push({ kind: 'step', type: 'reset', turn: id, step, attempt });
  },
  openCompaction(draft, input) {
    openCompaction(draft, input, recordOf(turnOf(draft)).requested ? 'manual' : 'automatic');
  },
  openOverflowCompaction(draft, input) {
    openCompaction(draft, input, 'overflow');
  },
  /** The summary was no help: what is left is made without the model. */
  cutInstead(draft) {
    const { running, remedies } = recordOf(turnOf(draft));
    const cut: RunningCompaction = { ...must(running, 'a compaction runs'), kind: 'cut', halvings: 1 };
    change(draft, { remedies: remedies + 1, running: cut });
  },
  keepCompaction(draft, input) {
    keepCompaction(draft, input);
  },
  /** With less shown to the model, when that was too much for it. */
  compactAgain(draft, input) {
    const running = must(recordOf(turnOf(draft)).running, 'a compaction runs');
    const { verdict } = compactionOf(input);
    change(draft, { running: { ...running, halvings: running.halvings + (verdict === 'again' ? 1 : 0) } });
  },
  skipCompaction(draft) {
    endCompaction(draft, 'failed', null);
    change(draft, { isSpent: true, beforeTokens: null });
  },
  endTurnCompacted(draft) {
    endTurn(draft, 'completed', null);
  },
  endTurnUncompacted(draft, input) {
    const { error } = compactionOf(input);
    endCompaction(draft, 'failed', null);
    endTurn(draft, 'error', must(error, 'a failed compaction has a cause'));
  },
} satisfies Partial<Record<EffectName, Effect>>;

export function recordOf(turn: TurnRecord): CompactionRecord {
  return turn.compaction ?? NO_COMPACTION;
}

function compactionOf(input: EffectInput): CompactionJudgement {
  return must(input.compaction, 'the machine was given the end of a compaction');
}

function change(draft: Draft, part: Partial<CompactionRecord>): void {
  const turn = turnOf(draft);
  draft.change({ turn: { ...turn, compaction: { ...recordOf(turn), ...part } } });
}

function openCompaction(draft: Draft, input: EffectInput, source: CompactionSource): void {
  const turn = turnOf(draft);
  const { contextTokens } = draft.state;
  const before = recordOf(turn);
  const record = begun(before, { source, step: turn.step, isFresh: contextTokens === null });
  const running = must(record.running, 'it was begun');
  const openedAt = draft.push({
    kind: 'compaction',
    type: 'started',
    turn: turn.id,
    source: running.source,
    context_tokens: contextTokens,
    context_limit_tokens: input.windowOf(turn.model).contextWindow,
  });
  const opened = openedTurn(turn, openedAt, input.settings.journal);
  draft.change({ turn: { ...opened, retry: null, compaction: record } });
  if (running.kind === 'summary') {
    const attempt = { purpose: 'compaction', attempt: running.tries, model: turn.model } as const;
    draft.change({ attempt: openAside(draft, input, attempt) });
  }
}

function keepCompaction(draft: Draft, input: EffectInput): void {
  const compacted = must(compactionOf(input).compacted, 'a compaction that is done has its rows');
  const { id: turn, model, compaction, limited } = turnOf(draft);
  const { source } = must(compaction?.running, 'a compaction runs');
  const { contextTokens } = draft.state;
  const spent = input.ended === null ? {} : { usage: input.ended.usage, costMicros: input.ended.costMicros };
  const add = (row: Partial<NewMessage> & Pick<NewMessage, 'role' | 'visibility' | 'parts'>): void => {
    addRow(draft, { id: uuidV8(draft.atMs, input.random.bytes(10)), turn, ...row });
  };
  add({ ...firstRow(compacted), model, ...spent, startsPrompt: true });
  const call = `compaction_${draft.state.nextNumber}`;
  const figures = { source, contextTokens, window: input.windowOf(model) };
  for (const row of markerRows(call, compacted, figures)) add({ ...row, model });
  for (const row of leftRows(compacted)) add(row);
  // A summary does not say it: the model would not know why it may call nothing.
  const isTold = compacted.left.some(({ parts }) => parts[0]?.text === STEP_LIMIT_NOTE);
  if (limited === true && !isTold) keepNote(draft, input, STEP_LIMIT_NOTE);
  draft.push({ kind: 'fork', reason: 'compaction' });
  endCompaction(draft, compacted.kind === 'cut' ? 'cut' : 'compacted', tokensLeft(compacted));
  draft.change({ contextTokens: null });
}

function endCompaction(draft: Draft, outcome: CompactionOutcome, leftTokens: number | null): void {
  const { contextTokens } = draft.state;
  const event = { kind: 'compaction', type: 'ended', turn: turnOf(draft).id, outcome } as const;
  draft.push({ ...event, context_tokens: contextTokens, left_tokens: leftTokens });
  draft.compactions.push(outcome);
  change(draft, { running: null, beforeTokens: contextTokens });
}
