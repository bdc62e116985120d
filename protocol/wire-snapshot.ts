// Pieces of a snapshot on the wire: `[last, head | nil, messages, live]` (SPEC.md §6).

import { asArray, asBool, asId, asMap, asPosition, asString, asUint, orNull, type WireMap } from './fields.ts';
import type { LiveBlock, LiveTurn } from './events.ts';
import type { SnapshotHead, SnapshotPiece } from './frames.ts';
import { uuidToBytes, type TurnId } from './ids.ts';
import { parseBlockType } from './wire-parts.ts';
import { parseLiveCompaction, wireLiveCompaction } from './wire-compaction.ts';
import { parseActions, parseLiveCall, wireAction, wireLiveCall } from './wire-tools.ts';
import type { Position } from './position.ts';
import {
  parseChat,
  parseError,
  parseMessage,
  parseQueued,
  parseUsage,
  wireChat,
  wireError,
  wireMessage,
  wireQueued,
  wireUsage,
} from './wire-content.ts';

export function wirePosition(position: Position): readonly [number, number] {
  return [position.epoch, position.seq];
}

export function wirePiece(piece: SnapshotPiece): readonly unknown[] {
  return [
    piece.last,
    piece.head === null ? null : wireHead(piece.head),
    piece.messages.map(wireMessage),
    piece.live.map(([index, offset, text]) => [index, offset, text]),
    piece.calls.map(([place, offset, text]) => [place, offset, text]),
  ];
}

export function parsePiece(value: unknown): SnapshotPiece {
  const [last, head, messages, live, calls] = asArray(value, 'piece');
  return {
    last: asBool(last, 'piece.last'),
    head: orNull(head, 'piece.head', parseHead),
    messages: asArray(messages, 'piece.messages').map(parseMessage),
    live: asArray(live, 'piece.live').map((entry) => parseSlice(entry, 'piece.live')),
    calls: (orNull(calls, 'piece.calls', asArray) ?? []).map((entry) => parseSlice(entry, 'piece.calls')),
  };
}

function parseSlice(value: unknown, field: string): readonly [number, number, string] {
  const [index, offset, text] = asArray(value, field);
  return [asUint(index, `${field}.index`), asUint(offset, `${field}.offset`), asString(text, `${field}.text`)];
}

function wireHead(head: SnapshotHead): WireMap {
  return {
    drop_older: head.drop_older,
    disowned: head.disowned,
    retracted: head.retracted === null ? null : wirePosition(head.retracted),
    removed: head.removed.map(([from, to]) => [from, to]),
    has_older: head.has_older,
    chat: wireChat(head.chat),
    queue: head.queue.map(wireQueued),
    live: head.live === null ? null : wireLive(head.live),
  };
}

function parseHead(value: unknown): SnapshotHead {
  const map = asMap(value, 'head');
  return {
    drop_older: asBool(map['drop_older'], 'head.drop_older'),
    disowned: asBool(map['disowned'], 'head.disowned'),
    retracted: orNull(map['retracted'], 'head.retracted', asPosition),
    removed: asArray(map['removed'], 'head.removed').map((range) => {
      const [from, to] = asArray(range, 'head.removed');
      return [asUint(from, 'head.removed.from'), asUint(to, 'head.removed.to')] as const;
    }),
    has_older: asBool(map['has_older'], 'head.has_older'),
    chat: parseChat(map['chat']),
    queue: asArray(map['queue'], 'head.queue').map(parseQueued),
    live: orNull(map['live'], 'head.live', parseLive),
  };
}

function wireLive(live: LiveTurn): WireMap {
  const { turn, model, step, attempt, blocks, retry, usage, calls, actions, compaction } = live;
  return {
    turn: uuidToBytes(turn),
    model,
    step,
    attempt,
    blocks: blocks.map(wireBlock),
    retry: retry === null ? null : wireRetry(retry),
    usage: usage === null ? null : wireUsage(usage),
    calls: calls.map(wireLiveCall),
    actions: actions.map(wireAction),
    compaction: compaction === null ? null : wireLiveCompaction(compaction),
  };
}

function parseLive(value: unknown): LiveTurn {
  const map = asMap(value, 'live');
  return {
    turn: asId<TurnId>(map['turn'], 'live.turn'),
    model: asString(map['model'], 'live.model'),
    step: asUint(map['step'], 'live.step'),
    attempt: asUint(map['attempt'], 'live.attempt'),
    blocks: asArray(map['blocks'], 'live.blocks').map(parseBlock),
    retry: orNull(map['retry'], 'live.retry', parseRetry),
    usage: orNull(map['usage'], 'live.usage', parseUsage),
    calls: (orNull(map['calls'], 'live.calls', asArray) ?? []).map(parseLiveCall),
    actions: orNull(map['actions'], 'live.actions', parseActions) ?? [],
    compaction: orNull(map['compaction'], 'live.compaction', parseLiveCompaction),
  };
}

function wireBlock(block: LiveBlock): WireMap {
  const { index, type, text, bytes, ended, call } = block;
  return { index, type, text, bytes, ended, ...call };
}

function parseBlock(value: unknown): LiveBlock {
  const map = asMap(value, 'block');
  const type = parseBlockType(map);
  return {
    index: asUint(map['index'], 'block.index'),
    ...type,
    text: asString(map['text'], 'block.text'),
    bytes: asUint(map['bytes'], 'block.bytes'),
    ended: asBool(map['ended'], 'block.ended'),
  };
}

function wireRetry(retry: NonNullable<LiveTurn['retry']>): WireMap {
  const { attempt, delay_ms, at, error } = retry;
  return { attempt, delay_ms, at, error: wireError(error) };
}

function parseRetry(value: unknown): NonNullable<LiveTurn['retry']> {
  const map = asMap(value, 'retry');
  return {
    attempt: asUint(map['attempt'], 'retry.attempt'),
    delay_ms: asUint(map['delay_ms'], 'retry.delay_ms'),
    at: asUint(map['at'], 'retry.at'),
    error: parseError(map['error']),
  };
}
