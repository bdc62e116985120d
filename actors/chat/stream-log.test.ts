import { describe, expect, it } from 'vitest';
import { decodeServerMessage } from '../../protocol/codec.ts';
import type { ChatEvent, PositionedEvent } from '../../protocol/events.ts';
import type { Epoch, TurnId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import type { EvictionLimit } from './counted-limits.ts';
import { CHAT_LIMITS } from './settings.ts';
import { Tally } from '../../protocol/measures.ts';
import { RingBudget } from './ring-budget.ts';
import { StreamLog } from './stream-log.ts';
import { EXAMPLE_CHAT } from '../../protocol/vectors/example.ts';

const TURN = '01890a5d-ac96-774b-bcce-b302099a8058' as TurnId;
const at = (seq: number, epoch = 7): Position => ({ epoch: epoch as Epoch, seq });

/** A log at seq 4 of epoch 7: epoch, turn started, step started, block started. */
const NO_BOUND = Number.MAX_SAFE_INTEGER;

function streaming(
  sealed: Position | null = null,
  rings = new RingBudget(new Tally<EvictionLimit>(), NO_BOUND),
): StreamLog {
  const log = new StreamLog({
    epoch: 7 as Epoch,
    sealed,
    chat: EXAMPLE_CHAT,
    queue: [],
    turn: null,
    calls: [],
    rings,
  });
  log.append({ kind: 'turn', type: 'started', turn: TURN, model: 'scripted' });
  log.append({ kind: 'step', type: 'started', turn: TURN, step: 1, attempt: 1 });
  log.append({ kind: 'block', type: 'start', step: 1, index: 0, block: 'text' });
  return log;
}

function addDelta(log: StreamLog, text: string): void {
  const offset = Buffer.byteLength(log.view.turn()?.blocks[0]?.text ?? '');
  log.append({ kind: 'block', type: 'delta', step: 1, index: 0, offset, text });
}

function events(log: StreamLog, cursor: Position): readonly PositionedEvent[] | null {
  const read = log.read(cursor, Number.MAX_SAFE_INTEGER);
  return read === null ? null : decodeServerMessage(read.bytes).filter((frame) => frame.op === 'event');
}

describe('StreamLog', () => {
  it('[P2] gives contiguous positions from 1 in its epoch, the first of them the epoch event', () => {
    const log = streaming(at(9, 6));
    expect(events(log, at(0))?.map((event) => [event.position.seq, event.span, event.event.kind])).toEqual([
      [1, 1, 'epoch'],
      [2, 1, 'turn'],
      [3, 1, 'step'],
      [4, 1, 'block'],
    ]);
    expect(log.top).toEqual(at(4));
  });

  it('[P4] a cursor at the sealed end of the epoch before goes on; any other of an older epoch does not', () => {
    const log = streaming(at(9, 6));
    expect(log.place(at(9, 6))).toBe('here');
    expect(events(log, at(9, 6))?.[0]?.event).toEqual({ kind: 'epoch', after: at(9, 6) });
    expect(log.place(at(8, 6))).toBe('evicted');
    expect(streaming(null).place(at(9, 6))).toBe('evicted');
  });

  it('[P4] a cursor above the top is ahead, in this epoch and in a later one', () => {
    const log = streaming();
    expect(log.place(at(5))).toBe('ahead');
    expect(log.place(at(1, 8))).toBe('ahead');
    expect(log.read(at(5), 1_000)).toBeNull();
  });

  it('[P9] merges the deltas of one block for whoever catches up, without loss and with their span', () => {
    const log = streaming();
    for (const text of ['Grüße', ', ', '世界', '!']) addDelta(log, text);
    const [delta, ...rest] = events(log, at(4)) ?? [];
    expect(rest).toEqual([]);
    expect(delta).toMatchObject({ position: at(8), span: 4, event: { offset: 0, text: 'Grüße, 世界!' } });
    // A cursor inside the run gets only what it lacks.
    expect(events(log, at(6))?.[0]).toMatchObject({ span: 2, event: { offset: 9, text: '世界!' } });
  });

  it('[P9] followers with the same cursor get the same bytes object', () => {
    const log = streaming();
    expect(log.read(at(1), 10_000)?.bytes).toBe(log.read(at(1), 10_000)?.bytes);
    const before = log.read(at(1), 10_000)?.bytes;
    addDelta(log, 'x');
    expect(log.read(at(1), 10_000)?.bytes).not.toBe(before);
  });

  it('[P9] a read ends at its byte budget, gives one frame at least, and goes on where it ended', () => {
    const log = streaming();
    const seen: number[] = [];
    for (let cursor = at(0); cursor.seq < log.top.seq;) {
      const read = log.read(cursor, 1);
      seen.push(...(read === null ? [] : decodeServerMessage(read.bytes)).map(() => cursor.seq));
      cursor = read?.position ?? log.top;
    }
    expect(seen).toEqual([0, 1, 2, 3]);
  });

  it('[P2] what a committed message supersedes leaves the ring, and its event covers those places', () => {
    const log = streaming();
    for (const text of ['one', 'two']) addDelta(log, text);
    const message: ChatEvent = {
      kind: 'message',
      message: { number: 2, id: TURN, role: 'assistant', parts: [], created_at: 1, turn: TURN, step: 1 },
    };
    log.append(message);
    const [event, ...rest] = events(log, at(3)) ?? [];
    expect(rest).toEqual([]);
    expect(event).toMatchObject({ position: at(7), span: 4, event: { kind: 'message' } });
    // A cursor in the middle of what left is served all the same.
    expect(events(log, at(5))).toEqual([event]);
    expect(log.view.turn()?.blocks).toEqual([]);
  });

  it('[P2] a reset supersedes the blocks of its step only, never what came before them', () => {
    const log = streaming();
    addDelta(log, 'void');
    log.append({ kind: 'step', type: 'reset', turn: TURN, step: 1, attempt: 1 });
    expect(events(log, at(2))?.map((event) => [event.event.kind, event.span])).toEqual([
      ['step', 1],
      ['step', 3],
    ]);
  });

  it('[P11] the ring is bounded by bytes; an evicted cursor is told so', () => {
    const evictions = new Tally<EvictionLimit>();
    const log = streaming(null, new RingBudget(evictions, NO_BOUND));
    const text = 'x'.repeat(CHAT_LIMITS.ringBytes / 8);
    for (let i = 0; i < 16; i++) addDelta(log, text);
    expect(log.place(at(1))).toBe('evicted');
    expect(log.read(at(1), 1_000)).toBeNull();
    const oldest = Array.from({ length: log.top.seq }, (_, seq) => at(seq)).find(
      (cursor) => log.place(cursor) === 'here',
    );
    expect(oldest?.seq).toBeGreaterThan(8);
    expect(evictions.counts).toEqual(new Map([['ringBytes', oldest?.seq]]));
    expect(log.place(log.top)).toBe('here');
  });

  it('[P9] tells each follower of an append, and once of its end', () => {
    const log = streaming();
    const calls: string[] = [];
    const leave = log.follow({ onAppend: () => calls.push('a:append'), onEnd: () => calls.push('a:end') });
    log.follow({ onAppend: () => calls.push('b:append'), onEnd: () => calls.push('b:end') });
    addDelta(log, 'x');
    leave();
    log.end();
    log.end();
    expect(calls).toEqual(['a:append', 'b:append', 'b:end']);
  });
});

describe('the budget of all rings', () => {
  it('[P9] over it the largest give up their oldest, down to an equal share; the newest event always stays', () => {
    const evictions = new Tally<EvictionLimit>();
    const rings = new RingBudget(evictions, 8_000);
    const quiet = streaming(null, rings);
    const busy = streaming(null, rings);
    const before = quiet.ring;
    for (let i = 0; i < 200; i++) addDelta(busy, 'a word or two '.repeat(4));
    expect(rings.bytes).toBe(quiet.ring.bytes + busy.ring.bytes);
    expect(rings.bytes).toBeLessThanOrEqual(8_000);
    expect(quiet.ring).toEqual(before);
    expect(evictions.get('ringsBytes')).toBeGreaterThan(100);
    expect(busy.place(at(5))).toBe('evicted');
    expect(busy.place(at(busy.top.seq - 1))).toBe('here');
    addDelta(busy, 'x'.repeat(20_000));
    expect(busy.ring.events).toBe(1);
  });

  it('[P11] what has ended no longer counts', () => {
    const rings = new RingBudget(new Tally<EvictionLimit>(), NO_BOUND);
    const log = streaming(null, rings);
    const other = streaming(null, rings);
    log.end();
    log.end();
    addDelta(log, 'late');
    expect(rings.bytes).toBe(other.ring.bytes);
    other.end();
    expect(rings.bytes).toBe(0);
  });
});
