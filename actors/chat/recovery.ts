// What the epoch before left behind, read from a chat as it was loaded: pure, so that a takeover can be tested as data.

import type { BlockType, CallName, Part, Usage } from '../../protocol/content.ts';
import { callField, partOfBlock } from '../../protocol/parts.ts';
import type { Epoch } from '../../protocol/ids.ts';
import { comparePositions, type Position } from '../../protocol/position.ts';
import { utf8Length } from '../../protocol/text.ts';
import type { ChatRecord, ModelBinding } from '../ports.ts';
import type { AttemptOpening, JournalPack, TurnRecord } from '../turn-ports.ts';
import type { ResumedBlock, ResumedRun } from '../background-run.ts';
import { estimatedUsage } from './ended-attempt.ts';
import type { Found } from './machine.ts';
import { withoutUnfinished } from './tool-calls.ts';
import { CHAT_LIMITS } from './settings.ts';

export type Recovered = {
  readonly openAttempts: readonly AttemptOpening[];
  /** The journaled part of what was shown; empty when none of it was. */
  readonly parts: readonly Part[];
  /** Text that was shown behind it is lost; null: none can be. */
  readonly retract: Position | null;
  /** An estimate: the provider's last word was lost with the node. */
  readonly usage: Usage;
  readonly costMicros: bigint | null;
  /** The latest attempt runs on at its provider: it is taken up there. */
  readonly resume: ResumedRun | null;
};

/** `crashed`: the actor itself failed too often, so the turn is not taken up again. `resume`: as it was recovered. */
export function foundIn(record: ChatRecord, crashed: boolean, resume: ResumedRun | null): Found {
  const { turn } = record;
  if (turn === null && record.chat.status === 'error') return 'error';
  if (turn === null) return record.wakeAtMs === null ? 'rest' : 'waiting';
  if (crashed) return 'gaveUp';
  // Somebody was told that it stops: that is how it ends, however often it was taken up.
  if (turn.stopping !== null) return 'stopping';
  if (turn.recoveries >= CHAT_LIMITS.recoveriesMax) return 'gaveUp';
  if (record.calls.length > 0) return 'calls';
  const isAsked = record.openAttempts.length > 0;
  if (turn.retry !== null && !isAsked) return 'backingOff';
  if (turn.attempt === 0 && !isAsked && !turn.compaction?.running) return 'between';
  return resume === null ? 'lost' : 'resumable';
}

/** `binding`: of the turn's model; null: it is not set up here any more, so nobody can go on listening to what it runs. */
export function recoveredFrom(record: ChatRecord, binding: Pick<ModelBinding, 'cost'> | null): Recovered {
  const packs = packsOf(record);
  // A block that has no text yet says nothing.
  const shown = joinEntries(packs).filter(({ type, text, ended }) => (type === 'tool_call' ? ended : text !== ''));
  const parts = withoutUnfinished(shown.map(partOfBlock));
  const output = parts.reduce((bytes, part) => bytes + utf8Length(part.text), 0);
  const usage = estimatedUsage(output);
  return {
    openAttempts: record.openAttempts,
    parts,
    retract: isShownSaved(record.turn) ? null : (packs.at(-1)?.position ?? shownBehind(record)),
    usage,
    costMicros: binding?.cost(usage) ?? null,
    resume: binding === null ? null : resumedRun(record),
  };
}

/** What of the latest attempt runs on at its provider, and what of it was saved; null when nothing does. */
function resumedRun(record: ChatRecord): ResumedRun | null {
  const open = record.openAttempts.at(-1);
  if (open?.providerRef === undefined || record.openAttempts.length > 1) return null;
  const packs = packsOf(record);
  const cursor = packs.at(-1)?.cursor ?? null;
  if (packs.length > 0 && cursor === null) return null;
  return { ref: open.providerRef, cursor, blocks: joinEntries(packs) };
}

/** Of the latest attempt, ascending. */
function packsOf({ openAttempts, journal }: ChatRecord): readonly JournalPack[] {
  const open = openAttempts.at(-1);
  return journal.filter((pack) => pack.step === open?.step && pack.attempt === open.attempt);
}

/** Of its latest attempt nothing was shown that was not saved. */
function isShownSaved(turn: TurnRecord | null): boolean {
  const { openedAt, shownFrom } = turn ?? {};
  return openedAt !== undefined && shownFrom !== undefined && comparePositions(openedAt, shownFrom) === 0;
}

/**
 * A position of the epoch in which the latest attempt ran, behind which its text was shown, if any was: behind its
 * `step started` and the `chat` that may follow it. Not of the epoch before this one, which may have ended before it did
 * anything: clients still stand in the older one then.
 */
function shownBehind({ turn, epoch }: ChatRecord): Position {
  const opened = turn?.openedAt;
  return opened === undefined ? { epoch: (epoch - 1) as Epoch, seq: 0 } : { epoch: opened.epoch, seq: opened.seq + 1 };
}

/** The blocks in their order. */
function joinEntries(packs: readonly JournalPack[]): readonly ResumedBlock[] {
  const blocks: { type: BlockType; text: string; ended: boolean; call?: CallName }[] = [];
  for (const entry of packs.flatMap((pack) => pack.entries)) {
    const block = (blocks[entry.index] ??= { type: entry.type, text: '', ended: false, ...callField(entry.call) });
    block.text += entry.text;
    block.ended = entry.ended;
  }
  return blocks;
}
