// Compaction on the wire: the event, and what a snapshot says of one that runs (SPEC.md §6).

import type { CompactionEvent, CompactionOutcome, CompactionSource, LiveCompaction } from './events.ts';
import { asArray, asId, asMap, asUint, asWord, orNull, type WireMap } from './fields.ts';
import { uuidToBytes, type TurnId } from './ids.ts';
import type { FrameWriter } from './wire-writer.ts';

const COMPACTION = { started: 0, ended: 1 } as const;
const SOURCES: readonly CompactionSource[] = ['automatic', 'manual', 'overflow'];
const OUTCOMES: readonly CompactionOutcome[] = ['compacted', 'cut', 'failed'];

export function writeCompaction(out: FrameWriter, event: CompactionEvent): void {
  out.array(5);
  out.uint(COMPACTION[event.type]);
  out.id(uuidToBytes(event.turn));
  out.text(event.type === 'started' ? event.source : event.outcome);
  writeTokens(out, event.context_tokens);
  writeTokens(out, event.type === 'started' ? event.context_limit_tokens : event.left_tokens);
}

function writeTokens(out: FrameWriter, tokens: number | null): void {
  if (tokens === null) out.nil();
  else out.uint(tokens);
}

/** Null for a form of a later version. */
export function parseCompaction(payload: unknown): CompactionEvent | null {
  const [type, turnField, word, before, figure] = asArray(payload, 'compaction');
  const kind = 'compaction';
  const turn = asId<TurnId>(turnField, 'compaction.turn');
  const context_tokens = orNull(before, 'compaction.context_tokens', asUint);
  switch (asUint(type, 'compaction.type')) {
    case COMPACTION.started: {
      const context_limit_tokens = orNull(figure, 'compaction.context_limit_tokens', asUint);
      return { kind, type: 'started', turn, source: parseSource(word), context_tokens, context_limit_tokens };
    }
    case COMPACTION.ended: {
      // Whatever a later version has done to it, it is done.
      const outcome = asWord(word, 'compaction.outcome', OUTCOMES, 'compacted');
      const left_tokens = orNull(figure, 'compaction.left_tokens', asUint);
      return { kind, type: 'ended', turn, outcome, context_tokens, left_tokens };
    }
    default:
      return null;
  }
}

export function wireLiveCompaction({ source, context_tokens, context_limit_tokens }: LiveCompaction): WireMap {
  return { source, context_tokens, context_limit_tokens };
}

export function parseLiveCompaction(value: unknown): LiveCompaction {
  const map = asMap(value, 'live.compaction');
  return {
    source: parseSource(map['source']),
    context_tokens: orNull(map['context_tokens'], 'live.compaction.context_tokens', asUint),
    context_limit_tokens: orNull(map['context_limit_tokens'], 'live.compaction.context_limit_tokens', asUint),
  };
}

function parseSource(value: unknown): CompactionSource {
  return asWord(value, 'compaction.source', SOURCES, 'automatic');
}
