import { describe, expect, it } from 'vitest';
import { encodeServerFrame } from '../../protocol/codec.ts';
import type { Message } from '../../protocol/content.ts';
import type { SnapshotHead, SnapshotPiece } from '../../protocol/frames.ts';
import type { ChatId, Epoch, TurnId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { utf8Length } from '../../protocol/text.ts';
import { newestChanges, snapshotPieces } from './snapshot.ts';
import { EXAMPLE_CHAT } from '../../protocol/vectors/example.ts';

const ID = '01890a5d-ac96-774b-bcce-b302099a8057' as ChatId;
const HEAD: SnapshotHead = {
  drop_older: true,
  disowned: false,
  retracted: null,
  removed: [],
  has_older: false,
  chat: EXAMPLE_CHAT,
  queue: [],
  live: null,
};

function message(number: number, text: string): Message {
  return { number, id: ID, role: 'user', parts: [{ type: 'text', text }], created_at: 1 };
}

function allPieces(head: SnapshotHead, messages: readonly Message[]): readonly SnapshotPiece[] {
  const next = snapshotPieces(head, messages);
  const pieces: SnapshotPiece[] = [];
  for (let piece = next(); piece !== null; piece = next()) pieces.push(piece);
  return pieces;
}

describe('snapshotPieces', () => {
  it('[P4] an empty chat is one piece', () => {
    expect(allPieces(HEAD, [])).toEqual([{ last: true, head: HEAD, messages: [], live: [], calls: [] }]);
  });

  it('[P4] no piece is larger than its limit, the head comes once, the messages in order', () => {
    const messages = Array.from({ length: 50 }, (_, i) => message(i + 1, 'ü'.repeat(LIMITS.inlinePartBytes / 2)));
    const pieces = allPieces(HEAD, messages);
    expect(pieces.length).toBeGreaterThan(2);
    expect(pieces.flatMap((piece) => piece.messages)).toEqual(messages);
    expect(pieces.map((piece) => piece.head !== null)).toEqual(pieces.map((_, i) => i === 0));
    expect(pieces.map((piece) => piece.last)).toEqual(pieces.map((_, i) => i === pieces.length - 1));
    const position = { epoch: 1 as Epoch, seq: 1 };
    for (const piece of pieces) {
      const frame = encodeServerFrame({ op: 'attached', chat: ID, outcome: 'snapshot', position, piece });
      expect(frame.length).toBeLessThanOrEqual(LIMITS.snapshotPieceBytes);
    }
  });

  it('[P4] live text of any length travels in slices that join to the whole', () => {
    const text = '世界🙂'.repeat(60_000);
    const bytes = utf8Length(text);
    const block = { index: 0, type: 'text', text, bytes, ended: false } as const;
    const live = {
      turn: ID as string as TurnId,
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
    const pieces = allPieces({ ...HEAD, live }, []);
    expect(pieces[0]?.head?.live?.blocks[0]).toEqual({ ...block, text: '', bytes: 0 });
    const slices = pieces.flatMap((piece) => piece.live);
    expect(slices.map(([, , slice]) => slice).join('')).toBe(text);
    let offset = 0;
    for (const [, begin, slice] of slices) {
      expect(begin).toBe(offset);
      offset += utf8Length(slice);
    }
    expect(offset).toBe(bytes);
  });
});

describe('newestChanges', () => {
  const changes = { dropOlder: false, messages: [], removed: [[1, 2]], hasOlder: false, retracted: null } as const;

  it('[P9] what changed is given as it is, up to what a snapshot may hold', () => {
    const messages = Array.from({ length: 50 }, (_, i) => message(i + 1, 'x'.repeat(LIMITS.inlinePartBytes)));
    expect(newestChanges({ ...changes, messages })).toEqual({ ...changes, messages });
  });

  it('[P9] beyond it the newest are given, the client drops what it has and knows that there are older ones', () => {
    const parts = Array.from({ length: 16 }, () => ({
      type: 'text' as const,
      text: 'x'.repeat(LIMITS.inlinePartBytes),
    }));
    const messages = Array.from({ length: 10 }, (_, i) => ({ ...message(i + 1, ''), parts }));
    const newest = newestChanges({ ...changes, messages });
    expect(newest).toMatchObject({ dropOlder: true, removed: [], hasOlder: true });
    expect(newest.messages.map(({ number }) => number)).toEqual([8, 9, 10]);
  });
});
