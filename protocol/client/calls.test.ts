import { describe, expect, test } from 'vitest';
import { CHAT, chatValue } from '../../test/client/wire.ts';
import { uuidToBytes } from '../ids.ts';
import { wireSummary } from '../wire-content.ts';
import { collectPart, listArgs, parseChatPage, parseMessagePage, parseSent, readResult, sendArgs } from './calls.ts';

const BYTES = uuidToBytes(CHAT);

describe('[client] calls', () => {
  test('[client] the slices of a part have to fit together and to come to an end', async () => {
    const whole = await collectPart((offset) =>
      Promise.resolve(offset === 0 ? { offset, text: 'ß🙂', more: true } : { offset, text: '!', more: offset < 7 }),
    );
    expect(whole).toBe('ß🙂!!');
    const moved = collectPart(() => Promise.resolve({ offset: 2, text: 'a', more: false }));
    await expect(moved).rejects.toMatchObject({ kind: 'bad_reply' });
    const endless = collectPart((offset) => Promise.resolve({ offset, text: '', more: true }));
    await expect(endless).rejects.toMatchObject({ kind: 'bad_reply' });
  });

  test('[client] a text is sent as one part, parts as they are; ids are bytes', () => {
    expect(() => sendArgs(CHAT, { text: 'é'.repeat(40_000) })).toThrow(/at most 65536 bytes/);
    expect(sendArgs(CHAT, { text: 'a' })).toMatchObject({ chat: BYTES, content: [{ type: 'text', text: 'a' }] });
    const parts = [{ type: 'text', text: 'a' } as const, { type: 'text', text: 'b' } as const];
    expect(sendArgs(CHAT, { text: parts, busy: 'reject' })).toMatchObject({ content: parts, busy: 'reject' });
    expect(listArgs({ after: { updatedAtMs: 7, id: CHAT } })).toMatchObject({ after: [7, BYTES] });
  });

  test('[client] results are read into values with ids in text form', () => {
    const page = { chats: [wireSummary({ ...chatValue(), read: 1, unread: 2 })], next: [7, BYTES], feed: 3 };
    expect(readResult(page, parseChatPage)).toEqual({
      chats: [{ ...chatValue(), read: 1, unread: 2 }],
      next: { updatedAtMs: 7, id: CHAT },
      feed: 3,
    });
    expect(readResult({ outcome: 'queued', turn: BYTES, position: [1, 2] }, parseSent)).toEqual({
      outcome: 'queued',
      turn: CHAT,
      position: { epoch: 1, seq: 2 },
    });
    const messages = [3, 2].map((number) => ({ number, id: BYTES, role: 'user', parts: [], created_at: 1 }));
    const read = readResult({ messages, has_more: true, queue: [] }, parseMessagePage);
    expect(read).toMatchObject({ hasMore: true, queue: [], messages: [{ number: 2 }, { number: 3 }] });
    expect(() => readResult({ outcome: 'started', turn: 'x' }, parseSent)).toThrow(/not what the protocol says/);
  });
});
