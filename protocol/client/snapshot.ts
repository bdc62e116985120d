// The answers to an attach, applied to a chat's state. Pure, like the reducer.
//
// A snapshot comes in pieces that are staged: what is shown stays as it was until the last piece, then all of it is
// swapped in. Anything that makes the staged pieces worthless (a new snapshot, `resumed`) discards them.

import type { SnapshotHead, SnapshotPiece } from '../frames.ts';
import type { Position } from '../position.ts';
import { comparePositions } from '../position.ts';
import type { ChatState, Staging } from './chat-state.ts';
import { mergeMessages, withoutRanges } from './messages.ts';
import { extendText } from './reducer.ts';

export type SnapshotApplied =
  | { readonly outcome: 'applied'; readonly state: ChatState }
  /** Older than what is shown: an answer of a node that does not know yet that it lost the chat. Attach again. */
  | { readonly outcome: 'stale' }
  /** A piece without the ones before it. Attach again. */
  | { readonly outcome: 'gap' };

/** Stages one piece as of `position`; the state shown changes with the last one. */
export function applyPiece(state: ChatState, position: Position, piece: SnapshotPiece): SnapshotApplied {
  const { head } = piece;
  if (head !== null && !head.disowned && state.position !== null && comparePositions(position, state.position) < 0) {
    return { outcome: 'stale' };
  }
  const begun = head === null ? continuedStaging(state, position) : newStaging(position, head);
  if (begun === null) return { outcome: 'gap' };
  const blocks = withTexts(begun.blocks, piece.live, (block) => block.index);
  const calls = withTexts(begun.calls, piece.calls, (_call, place) => place);
  if (blocks === null || calls === null) return { outcome: 'gap' };
  const staging = { ...begun, messages: mergeMessages(begun.messages, piece.messages), blocks, calls };
  return { outcome: 'applied', state: piece.last ? swapIn(state, staging) : { ...state, staging } };
}

/** The server goes on from the cursor; catching up will end at `position`. */
export function applyResumed(state: ChatState, position: Position): SnapshotApplied {
  if (state.position === null) return { outcome: 'gap' };
  if (comparePositions(position, state.position) < 0) return { outcome: 'stale' };
  return { outcome: 'applied', state: discardStaging(state) };
}

/** Forgets the pieces of a snapshot that will not be completed, as when the connection was lost. */
export function discardStaging(state: ChatState): ChatState {
  return state.staging === null ? state : { ...state, staging: null };
}

function newStaging(position: Position, head: SnapshotHead): Staging {
  const blocks = (head.live?.blocks ?? []).map((block) => ({ ...block, text: '', bytes: 0 }));
  const calls = (head.live?.calls ?? []).map((call) => ({ ...call, text: '', bytes: 0 }));
  return { position, head, messages: [], blocks, calls };
}

function continuedStaging({ staging }: ChatState, position: Position): Staging | null {
  return staging !== null && comparePositions(staging.position, position) === 0 ? staging : null;
}

/** `live` names what it goes into by what `indexOf` gives. */
function withTexts<T extends { readonly text: string; readonly bytes: number }>(
  begun: readonly T[],
  live: SnapshotPiece['live'],
  indexOf: (item: T, place: number) => number,
): readonly T[] | null {
  const extended = [...begun];
  for (const [index, offset, text] of live) {
    const at = extended.findIndex((item, place) => indexOf(item, place) === index);
    const item = extended[at];
    const next = item === undefined ? null : extendText(item, offset, text);
    if (next === null) return null;
    extended[at] = next;
  }
  return extended;
}

function swapIn(state: ChatState, { position, head, messages, blocks, calls }: Staging): ChatState {
  // After `disowned` what was known belongs to a history that the server no longer has.
  const drop = head.drop_older || head.disowned || state.position === null;
  const kept = drop ? [] : withoutRanges(state.messages, head.removed);
  const merged = mergeMessages(kept, messages);
  const left = drop || head.removed.length > 0;
  return {
    position,
    chat: head.chat,
    messages: merged,
    // Where the cache is kept only the client knows how far back it reaches.
    hasOlder: drop ? head.has_older : state.hasOlder,
    oldest: drop ? (merged[0]?.number ?? null) : (state.oldest ?? merged[0]?.number ?? null),
    history: left ? state.history + 1 : state.history,
    queue: head.queue,
    turn: head.live === null ? null : { ...head.live, blocks, calls },
    lastTurn: head.chat.last_turn,
    retracted: head.retracted ?? state.retracted,
    staging: null,
  };
}
