// Taking up an attempt that runs on at its provider: what of it was saved is shown again in this epoch, and saved as its
// first pack, so that a crash behind it finds the same again.

import { must } from '../../protocol/assert.ts';
import { callField } from '../../protocol/parts.ts';
import type { Position } from '../../protocol/position.ts';
import { sliceUtf8 } from '../../protocol/text.ts';
import type { ResumedBlock } from '../background-run.ts';
import type { ChatRecord, ModelDirectory } from '../ports.ts';
import type { JournalEntry, JournalMode, TurnRecord } from '../turn-ports.ts';
import type { Draft } from './draft.ts';
import type { Recovered } from './recovery.ts';
import { CHAT_LIMITS } from './settings.ts';

/** The provider runs something for the attempt: from this commit on whoever takes the chat up finds it. */
export function referToRun(draft: Draft, providerRef: string): Draft {
  const attempt = must(draft.state.attempt, 'what runs at a provider runs for an attempt');
  draft.attemptsReferenced.push({ id: attempt.id, providerRef });
  draft.change({ attempt: { ...attempt, providerRef } });
  return draft;
}

/** What still runs at a provider for attempts that are settled by now. */
export function giveUpRuns({ openAttempts }: ChatRecord, models: ModelDirectory): void {
  for (const { providerRef, model } of openAttempts) {
    if (providerRef !== undefined) models.find(model)?.client.cancel?.(providerRef);
  }
}

/** The turn with its latest attempt opened there. */
export function openedTurn(turn: TurnRecord, openedAt: Position, journal: JournalMode): TurnRecord {
  return { ...turn, openedAt, ...(journal === 'shown' ? { shownFrom: openedAt } : {}) };
}

/** The same attempt of the same step goes on; nothing is settled. */
export function resumeAttempt(draft: Draft, recovered: Recovered, journal: JournalMode): void {
  const { blocks, cursor } = must(recovered.resume, 'the machine found an attempt that runs on');
  const turn = must(draft.state.turn, 'the machine runs a turn');
  const { id, step, attempt } = turn;
  draft.retract = recovered.retract;
  draft.clearJournal = true;
  const openedAt = draft.push({ kind: 'step', type: 'started', turn: id, step, attempt });
  const taken = { ...turn, retry: null, recoveries: turn.recoveries + 1 };
  draft.change({ turn: openedTurn(taken, openedAt, journal) });
  let position = openedAt;
  for (const [index, block] of blocks.entries()) position = showBlock(draft, { step, index, block });
  if (cursor === null || blocks.length === 0) return;
  const entries: readonly JournalEntry[] = blocks.map((block, index) => ({ index, offset: 0, ...block }));
  draft.journal.push({ turn: id, step, attempt, pack: 1, position, entries, cursor });
}

type ShownBlock = { readonly step: number; readonly index: number; readonly block: ResumedBlock };

/** Gives the position of the last event. */
function showBlock(draft: Draft, { step, index, block }: ShownBlock): Position {
  let position = draft.push({ kind: 'block', type: 'start', step, index, block: block.type, ...callField(block.call) });
  let offset = 0;
  for (let rest = block.text; rest !== '';) {
    const { text, bytes } = sliceUtf8(rest, 0, CHAT_LIMITS.mergedDeltaBytes);
    position = draft.push({ kind: 'block', type: 'delta', step, index, offset, text });
    offset += bytes;
    rest = rest.slice(text.length);
  }
  return block.ended ? draft.push({ kind: 'block', type: 'end', step, index, bytes: offset }) : position;
}
