import { describe, expect, test } from 'vitest';
import { encodeEventFrame, joinFrames } from '../../../protocol/codec.ts';
import { type ChatId, type Epoch, uuidToBytes } from '../../../protocol/ids.ts';
import { DecodedMessages, decodeProtocol, type Loop, Positions } from './checker.ts';

const CHAT = '01890000-0000-7000-8000-000000000001' as ChatId;

/** One event per seq, joined; `span` 1 each. */
function message(...seqs: readonly number[]): Buffer {
  const frames = seqs.map((seq) =>
    encodeEventFrame(uuidToBytes(CHAT), {
      position: { epoch: 1 as Epoch, seq },
      span: 1,
      event: { kind: 'block', type: 'delta', step: 1, index: 0, offset: seq, text: 'word ' },
    }),
  );
  return Buffer.from(joinFrames(frames));
}

function faultsOf(messages: readonly Buffer[], loop: Loop | null = null): readonly (string | null)[] {
  const decoded = new DecodedMessages(decodeProtocol);
  const positions = new Positions(loop);
  return messages.map((bytes) => positions.follow(decoded.of(bytes, 0, bytes.length)));
}

describe('the checker of the fan-out', () => {
  test('[bench] a stream without a hole is right, whatever its first position', () => {
    expect(faultsOf([message(7, 8, 9), message(10), message(11, 12)])).toEqual([null, null, null]);
  });

  test('[bench] a lost message, a lost event, one that comes twice: each is found', () => {
    expect(faultsOf([message(1, 2), message(4)])[1]).toContain('from 2 to 4');
    expect(faultsOf([message(1, 3)])[0]).toContain('from 1 to 3');
    expect(faultsOf([message(1, 2), message(2, 3)])[1]).toContain('from 2 to 2');
  });

  test('[bench] a recorded stream may begin again at its end, and nowhere else', () => {
    const loop: Loop = new Map([[CHAT, { before: 0, last: 3 }]]);
    expect(faultsOf([message(1, 2), message(3), message(1, 2)], loop)).toEqual([null, null, null]);
    expect(faultsOf([message(1, 2), message(1, 2)], loop)[1]).toContain('from 2 to 1');
  });

  test('[bench] the same bytes are decoded once, other bytes of the same length again', () => {
    const decoded = new DecodedMessages(decodeProtocol);
    const [first, second] = [message(1, 2), message(3, 4)];
    expect(first.length).toBe(second.length);
    for (const bytes of [first, second, first, second]) decoded.of(bytes, 0, bytes.length);
    expect(decoded.decodes).toBe(2);
    expect(decoded.of(second, 0, second.length).stretches).toMatchObject([{ before: 2, first: 3, last: 4 }]);
  });
});
