import { describe, expect, it } from 'vitest';
import type { JournalMode } from '../../actors/turn-ports.ts';
import { must } from '../../protocol/assert.ts';
import { CHAT_LIMITS } from '../../actors/chat/settings.ts';
import { StepWriter } from '../../actors/chat/step-writer.ts';
import { Tally } from '../../protocol/measures.ts';
import { RingBudget } from '../../actors/chat/ring-budget.ts';
import { StreamLog } from '../../actors/chat/stream-log.ts';
import { decodeServerMessage } from '../../protocol/codec.ts';
import type { ChatId, Epoch, TurnId } from '../../protocol/ids.ts';
import { SimClock } from '../sim/clock.ts';
import { EXAMPLE_CHAT } from '../../protocol/vectors/example.ts';

const ID = '01890a5d-ac96-774b-bcce-b302099a8057' as ChatId;
const TURN = ID as string as TurnId;
const WINDOW_MS = 15;
function setUp(journal: JournalMode = 'batched') {
  const clock = new SimClock(1_000_000);
  const turn = { id: TURN, model: 'm', step: 1, attempt: 1, stopping: null, retry: null, recoveries: 0 };
  const log = new StreamLog({
    epoch: 1 as Epoch,
    sealed: null,
    chat: EXAMPLE_CHAT,
    queue: [],
    turn,
    calls: [],
    rings: new RingBudget(new Tally(), Number.MAX_SAFE_INTEGER),
  });
  const calls: string[] = [];
  const writer = new StepWriter({
    log,
    clock,
    mergeWindowMs: WINDOW_MS,
    turn: TURN,
    step: 1,
    attemptNumber: 1,
    resume: null,
    onProviderRef: (ref) => calls.push(ref),
    onFirstBlock: () => calls.push('first block'),
    onDue: journal === 'shown' ? () => calls.push('due') : null,
    onOverflow: () => calls.push('overflow'),
    onFault: () => calls.push('fault'),
  });
  const shown = (): readonly unknown[] => {
    const read = log.read({ epoch: 1 as Epoch, seq: 1 }, Number.MAX_SAFE_INTEGER);
    const frames = read === null ? [] : decodeServerMessage(read.bytes);
    return frames.flatMap((frame) => (frame.op === 'event' && frame.event.kind === 'block' ? [frame.event] : []));
  };
  return { clock, log, writer, calls, shown };
}

/** The text of the block as it was shown. */
function textOf(log: StreamLog): string | undefined {
  return log.view.turn()?.blocks[0]?.text;
}

describe('StepWriter', () => {
  it('[P9] cuts what came in one piece into events that a slow reader can take, never inside a code point', () => {
    const { log, writer, shown } = setUp();
    const text = `a${'😀漢'.repeat(20_000)}`;
    writer.blockStart(0, 'text');
    writer.flush();
    writer.blockDelta(0, text);
    writer.flush();
    expect(textOf(log)).toBe(text);
    const texts = shown().flatMap((event) => (event as { readonly text?: string }).text ?? []);
    expect(texts.join('')).toBe(text);
    expect(texts.length).toBeGreaterThan(140_000 / CHAT_LIMITS.mergedDeltaBytes);
    for (const one of texts) {
      expect(Buffer.byteLength(one)).toBeLessThanOrEqual(CHAT_LIMITS.mergedDeltaBytes);
      expect(one.isWellFormed()).toBe(true);
    }
  });

  it('[P2] shows the first chunk at once and merges what follows within the window', async () => {
    const { clock, log, writer, calls } = setUp();
    writer.blockStart(0, 'text');
    expect(calls).toEqual(['first block']);
    const before = log.top.seq;
    for (const chunk of ['a', 'b', 'c']) writer.blockDelta(0, chunk);
    expect(log.top.seq).toBe(before);
    await clock.runFor(WINDOW_MS);
    expect(textOf(log)).toBe('abc');
    expect(log.top.seq).toBe(before + 1);
  });

  it('[P2] nothing is shown while a durable batch holds the log, and nothing of it is lost', async () => {
    const { clock, log, writer } = setUp();
    writer.blockStart(0, 'text');
    await clock.runFor(WINDOW_MS);
    writer.hold();
    const top = log.top.seq;
    writer.blockDelta(0, 'held ');
    await clock.runFor(1_000);
    writer.flush();
    expect(log.top.seq).toBe(top);
    log.append({ kind: 'queue', queue: [] });
    writer.release();
    writer.blockDelta(0, 'back');
    await clock.runFor(WINDOW_MS);
    expect(textOf(log)).toBe('held back');
  });

  it('[P6] a closed writer ignores its adapter and drops what was never shown', async () => {
    const { clock, log, writer } = setUp();
    writer.blockStart(0, 'text');
    writer.blockDelta(0, 'waiting');
    writer.close();
    writer.blockDelta(0, 'late');
    writer.blockEnd(0);
    await clock.runFor(1_000);
    expect(textOf(log)).toBe('');
  });

  it('[P2] a surrogate pair that a provider split is put together; what has no other half becomes U+FFFD', async () => {
    const { clock, log, writer } = setUp();
    writer.blockStart(0, 'text');
    const [high, low] = ['🙂'.slice(0, 1), '🙂'.slice(1)];
    for (const chunk of [`a${high}`, `${low}b`, 'c\0d', high]) {
      writer.blockDelta(0, chunk);
      await clock.runFor(WINDOW_MS);
    }
    writer.blockEnd(0);
    await clock.runFor(WINDOW_MS);
    expect(textOf(log)).toBe('a🙂bc\uFFFDd\uFFFD');
  });

  it('[P5] packs hold what was shown since the one before, with offsets and the position that they cover', async () => {
    const { clock, log, writer } = setUp();
    writer.blockStart(0, 'reasoning');
    writer.blockDelta(0, 'hm');
    writer.blockEnd(0);
    writer.blockStart(1, 'text');
    writer.blockDelta(1, 'Grüße');
    await clock.runFor(WINDOW_MS);
    expect(writer.takePack()).toEqual({
      pack: {
        turn: TURN,
        step: 1,
        attempt: 1,
        pack: 1,
        position: log.top,
        entries: [
          { index: 0, type: 'reasoning', offset: 0, text: 'hm', ended: true },
          { index: 1, type: 'text', offset: 0, text: 'Grüße', ended: false },
        ],
      },
      events: [],
    });
    expect(writer.takePack()).toBeNull();
    writer.blockDelta(1, '!');
    await clock.runFor(WINDOW_MS);
    const entries = [{ index: 1, type: 'text', offset: 7, text: '!', ended: false }];
    expect(writer.takePack()).toMatchObject({ pack: { pack: 2, position: log.top, entries }, events: [] });
  });

  it('[P5] shown once it is saved: what is due waits for whoever saves it, and comes with the position that it will have', async () => {
    const { clock, log, writer, calls, shown } = setUp('shown');
    const top = log.top.seq;
    writer.blockStart(0, 'text');
    for (const chunk of ['Grü', 'ße']) writer.blockDelta(0, chunk);
    // Not before the adapter has said all that it makes of one event.
    expect(calls).toEqual(['first block']);
    await clock.runFor(1_000);
    writer.flush();
    expect([log.top.seq, calls]).toEqual([top, ['first block', 'due']]);

    const taken = must(writer.takePack(), 'it is due');
    const entries = [{ index: 0, type: 'text', offset: 0, text: 'Grüße', ended: false }];
    expect(taken.pack).toMatchObject({ pack: 1, position: { epoch: 1, seq: top + 2 }, entries });
    expect(shown()).toEqual([]);
    writer.hold();
    writer.blockDelta(0, '!');
    writer.blockEnd(0);
    await clock.runFor(1_000);
    for (const event of taken.events) log.append(event);
    expect([log.top, calls.length]).toEqual([taken.pack.position, 2]);
    writer.release();
    await clock.runFor(0);
    expect(calls.length).toBe(3);
    expect(writer.takePack()?.events).toEqual([
      { kind: 'block', type: 'delta', step: 1, index: 0, offset: 7, text: '!' },
      { kind: 'block', type: 'end', step: 1, index: 0, bytes: 8 },
    ]);
    await clock.runFor(1_000);
    expect([writer.takePack(), calls.length]).toEqual([null, 3]);
  });

  it('[P11] an attempt that streams without end is given up', () => {
    const { writer, calls } = setUp();
    writer.blockStart(0, 'text');
    const chunk = 'x'.repeat(1024 * 1024);
    for (let bytes = 0; bytes <= CHAT_LIMITS.stepBytes; bytes += chunk.length) writer.blockDelta(0, chunk);
    expect(calls).toEqual(['first block', 'overflow']);
  });

  it('[P2] the blocks that are shown are those that were written, in order', async () => {
    const { clock, writer, shown } = setUp();
    writer.blockStart(0, 'text');
    writer.blockDelta(0, 'one');
    writer.blockEnd(0);
    await clock.runFor(WINDOW_MS);
    expect(shown()).toEqual([
      { kind: 'block', type: 'start', step: 1, index: 0, block: 'text' },
      { kind: 'block', type: 'delta', step: 1, index: 0, offset: 0, text: 'one' },
      { kind: 'block', type: 'end', step: 1, index: 0, bytes: 3 },
    ]);
  });
});
