// Frames of a server for one chat, short to write.

import type { Chat, Message } from '../../protocol/content.ts';
import type { ChatEvent } from '../../protocol/events.ts';
import type { ServerFrame, SnapshotHead, SnapshotPiece } from '../../protocol/frames.ts';
import type { ChatId, Epoch, TurnId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import { mustUuid } from './ids.ts';

export const CHAT: ChatId = mustUuid('00000000-0000-7000-8000-00000000000a');
export const TURN: TurnId = mustUuid('00000000-0000-7000-8000-00000000000b');

export function at(epoch: number, seq: number): Position {
  return { epoch: epoch as Epoch, seq };
}

export function chatValue(changes: Partial<Chat> = {}): Chat {
  return {
    id: CHAT,
    owner: 'owner',
    parent: null,
    root: CHAT,
    title: null,
    status: 'waiting',
    archived: false,
    model: 'm',
    last_error: null,
    last_turn: null,
    labels: {},
    created_at: 1,
    updated_at: 1,
    ...changes,
  };
}

export function userMessage(number: number, text = `message ${number}`): Message {
  const id = `00000000-0000-7000-9000-${String(number).padStart(12, '0')}`;
  return { number, id, role: 'user', parts: [{ type: 'text', text }], created_at: number, created_by: 'owner' };
}

export function event(position: Position, value: ChatEvent, span = 1): ServerFrame {
  return { op: 'event', chat: CHAT, position, span, event: value };
}

export function delta(position: Position, offset: number, text: string): ServerFrame {
  return event(position, { kind: 'block', type: 'delta', step: 1, index: 0, offset, text });
}

export function head(changes: Partial<SnapshotHead> = {}): SnapshotHead {
  return {
    drop_older: true,
    disowned: false,
    retracted: null,
    removed: [],
    has_older: false,
    chat: chatValue(),
    queue: [],
    live: null,
    ...changes,
  };
}

export function piece(changes: Partial<SnapshotPiece> = {}): SnapshotPiece {
  return { last: true, head: head(), messages: [], live: [], calls: [], ...changes };
}

export function snapshot(position: Position, changes: Partial<SnapshotPiece> = {}): ServerFrame {
  return { op: 'attached', chat: CHAT, outcome: 'snapshot', position, piece: piece(changes) };
}

export function resumed(position: Position): ServerFrame {
  return { op: 'attached', chat: CHAT, outcome: 'resumed', position };
}

/** A snapshot in the middle of an answer that begins with `text`. */
export function streaming(position: Position, text: string): ServerFrame {
  const block = { index: 0, type: 'text' as const, text: '', bytes: 0, ended: false };
  const live = {
    turn: TURN,
    model: 'm',
    step: 1,
    attempt: 1,
    blocks: [block],
    retry: null,
    usage: null,
    calls: [],
    actions: [],
    compaction: null,
  };
  return snapshot(position, { head: head({ live }), live: text === '' ? [] : [[0, 0, text]] });
}
