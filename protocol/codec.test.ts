import { describe, expect, test } from 'vitest';
import { AssertionError } from './assert.ts';
import {
  decodeBody,
  decodeClientMessage,
  decodeServerMessage,
  encodeArgs,
  encodeBody,
  encodeClientFrame,
  encodeEventFrame,
  encodeReply,
  encodeServerFrame,
  joinFrames,
} from './codec.ts';
import { errorBody } from './errors.ts';
import { uuidToBytes, type ChatId, type CommandId } from './ids.ts';
import { LIMITS, SESSION_LIMITS } from './limits.ts';
import { ProtocolError } from './protocol-error.ts';
import { at, EVENT_SAMPLES } from './vectors/samples.ts';
import { fromHex, toHex } from './vectors/vector.ts';
import { parseChat, parseMessage, parseQueued, uuidArg, wireChat, wireMessage, wireQueued } from './wire-content.ts';

const CHAT = '01980000-0000-7000-8000-00000000c4a7' as ChatId;
const COMMAND = '01980000-0001-7000-8000-000000000001' as CommandId;
const PING = encodeClientFrame({ op: 'ping' });

function command(rawArgs: Uint8Array, trace?: string): Uint8Array {
  const frame = { op: 'command', request: 1, id: COMMAND, name: 'x', rawArgs } as const;
  return encodeClientFrame(trace === undefined ? frame : { ...frame, trace });
}

describe('from clients', () => {
  test('[codec] a span must lie in its epoch', () => {
    const event = { kind: 'rewind', from: 1, to: 2 } as const;
    const chat = uuidToBytes(CHAT);
    for (const span of [0, 4, 1.5]) {
      expect(() => encodeEventFrame(chat, { position: at(1, 3), span, event })).toThrow(AssertionError);
    }
  });

  test('[codec] the args of a command are kept as they came, also in a form that we would not write', () => {
    const rawArgs = fromHex('de0001 d90161 d10001');
    const { frames, error } = decodeClientMessage(joinFrames([PING, command(rawArgs), PING]));
    expect(error).toBe(null);
    expect(frames[1]).toEqual({ op: 'command', request: 1, id: COMMAND, name: 'x', args: { a: 1 }, rawArgs });
  });

  test('[codec] a command may end with a trace; what is no text in its place is ignored', () => {
    const rawArgs = encodeArgs({});
    const traced = decodeClientMessage(command(rawArgs, '00-trace')).frames[0];
    expect(traced).toEqual({ op: 'command', request: 1, id: COMMAND, name: 'x', args: {}, rawArgs, trace: '00-trace' });
    const plain = command(rawArgs);
    const numbered = Uint8Array.of(0x96, ...plain.subarray(1), 0x07);
    expect(decodeClientMessage(numbered).frames).toEqual(decodeClientMessage(plain).frames);
  });

  test('[codec] nothing of a message is kept: its bytes belong to the socket', () => {
    const message = Buffer.from(command(encodeArgs({ chat: uuidToBytes(CHAT), text: 'é'.repeat(100) })));
    const { frames } = decodeClientMessage(message);
    const before = structuredClone(frames);
    message.fill(0xc1);
    expect(frames).toEqual(before);
  });

  test('[codec] an op that is not known is handed on, for the session to answer', () => {
    const { frames, error } = decodeClientMessage(joinFrames([fromHex('911f'), fromHex('92cd0400c0'), PING]));
    expect(frames).toEqual([{ op: 'unknown', number: 31 }, { op: 'unknown', number: 1024 }, { op: 'ping' }]);
    expect(error).toBe(null);
  });

  test('[codec] frames before a faulty one are done, whatever finds the fault', () => {
    for (const [bad, code] of [
      [fromHex('9104'), 'bad_frame'],
      [fromHex('92d4000000'), 'bad_frame'],
      [fromHex('940701a100a0'), 'bad_text'],
    ] as const) {
      const { frames, error } = decodeClientMessage(joinFrames([PING, PING, bad, PING]));
      expect(frames).toHaveLength(2);
      expect(error?.code).toBe(code);
    }
    // The fault of a field comes before one of the bytes behind it.
    const both = decodeClientMessage(joinFrames([PING, fromHex('9104'), PING, fromHex('a100')]));
    expect(both.frames).toHaveLength(1);
    expect(both.error?.message).toContain('more.chat');
  });

  test('[codec] a message as large as the limit is taken, a larger one is not even scanned', () => {
    const filler = new Uint8Array(LIMITS.inboundMessageBytes).fill(0x01);
    expect(decodeClientMessage(filler).error?.code).toBe('bad_frame');
    expect(decodeClientMessage(new Uint8Array(LIMITS.inboundMessageBytes + 1)).error).toEqual(errorBody('too_large'));
  });

  test('[codec] a credential and a client name at their limits are taken', () => {
    const hello = (credential: string, client: string): unknown =>
      decodeClientMessage(encodeClientFrame({ op: 'hello', version: 1, credential, client })).error?.code;
    expect(hello('x'.repeat(LIMITS.credentialBytes), 'é'.repeat(LIMITS.clientNameBytes / 2))).toBe(undefined);
    expect(hello('x'.repeat(LIMITS.credentialBytes + 1), 'x')).toBe('too_large');
    expect(hello('x', 'é'.repeat(LIMITS.clientNameBytes / 2) + 'x')).toBe('too_large');
  });

  test('[codec] ids inside args stay bytes until the command reads them', () => {
    const { frames } = decodeClientMessage(command(encodeArgs({ chat: uuidToBytes(CHAT) })));
    const [frame] = frames;
    if (frame?.op !== 'command') throw new Error('a command was sent');
    expect(uuidArg(frame.args['chat'])).toBe(CHAT);
    expect([uuidArg(CHAT), uuidArg(new Uint8Array(15)), uuidArg(undefined)]).toEqual([null, null, null]);
  });

  test('[P3] args that are encoded once make equal frames, so that a retry is the same command', () => {
    const rawArgs = encodeArgs({ b: 1, a: 'x' });
    expect(command(rawArgs)).toEqual(command(rawArgs));
    expect(toHex(encodeArgs({ b: 1, a: 'x' }))).toBe(toHex(rawArgs));
  });

  test('[codec] args that a server would refuse are refused before they are sent', () => {
    const code = (args: Record<string, unknown>): string => {
      try {
        encodeArgs(args);
        return 'none';
      } catch (error) {
        return error instanceof ProtocolError ? error.code : String(error);
      }
    };
    expect(code({ text: 'a\0' })).toBe('bad_text');
    expect(code({ text: '\ud800'.padEnd(500, 'x') })).toBe('bad_text');
    expect(code({ when: new Date(0) })).toBe('bad_frame');
    expect(code(JSON.parse('{"__proto__": 1}') as Record<string, unknown>)).toBe('bad_frame');
    expect(code({ text: 'x'.repeat(LIMITS.scannedStringBytes + 1) })).toBe('bad_frame');
    expect(code({ list: Array(LIMITS.scannedItems - 8).fill(0) })).toBe('none');
    expect(code({ list: Array(LIMITS.scannedItems - 7).fill(0) })).toBe('bad_frame');
    const quarter = 'x'.repeat(LIMITS.scannedStringBytes);
    expect(code({ a: quarter, b: quarter, c: quarter, d: quarter })).toBe('too_large');
    expect(code({ a: undefined, b: 1 })).toBe('none');
  });

  test('[codec] the largest args that encode make a command that decodes', () => {
    const deepest = JSON.parse(`{"a":${'['.repeat(30)}${']'.repeat(30)}}`) as Record<string, unknown>;
    const widest = { list: Array(LIMITS.scannedItems - 8).fill(0) };
    for (const args of [deepest, widest]) {
      expect(decodeClientMessage(command(encodeArgs(args), '00-trace')).error).toBe(null);
    }
    expect(() => encodeArgs({ a: deepest })).toThrow('levels');
  });
});

describe('from servers', () => {
  test('[P3] the body of a reply is spliced in, byte for byte', () => {
    const body = encodeBody({ outcome: 'started', position: [1, 4], when: 2 ** 40 });
    const first = encodeReply(7, { ok: true, body });
    const retry = encodeReply(70_000, { ok: true, body });
    expect(first.subarray(-body.length)).toEqual(body);
    expect(retry.subarray(-body.length)).toEqual(body);
    expect(decodeServerMessage(first)).toEqual([{ op: 'reply', request: 7, result: decodeBody(body), error: null }]);
    const refused = encodeReply(8, { ok: false, body: encodeBody(errorBody('busy')) });
    expect(decodeServerMessage(refused)).toEqual([{ op: 'reply', request: 8, result: null, error: errorBody('busy') }]);
  });

  test('[codec] one frame is joined without a copy, none to no bytes', () => {
    expect(joinFrames([PING])).toBe(PING);
    expect(joinFrames([])).toEqual(new Uint8Array(0));
    expect(decodeServerMessage(new Uint8Array(0))).toEqual([]);
  });

  test('[codec] after an encoder that threw the next frame is whole', () => {
    const chat = uuidToBytes(CHAT);
    const bad = { kind: 'block', type: 'end', step: 1, index: 0, bytes: -1 } as const;
    expect(() => encodeEventFrame(chat, { position: at(1, 1), span: 1, event: bad })).toThrow(AssertionError);
    expect(decodeServerMessage(encodeReply(1, { ok: true, body: encodeBody(null) }))).toHaveLength(1);
  });

  test('[P2] an event of an unknown kind still says what it covers', () => {
    const [frame] = decodeServerMessage(fromHex(`9724c410${toHex(uuidToBytes(CHAT))}030804 6380`));
    expect(frame).toEqual({ op: 'skipped', chat: CHAT, position: at(3, 8), span: 4 });
    expect(() => frame && encodeServerFrame(frame)).toThrow(AssertionError);
  });

  test('[codec] content survives its maps', () => {
    for (const { frame } of EVENT_SAMPLES) {
      if (frame.op !== 'event') continue;
      const { event } = frame;
      if (event.kind === 'chat') expect(parseChat(decodeBody(encodeBody(wireChat(event.chat))))).toEqual(event.chat);
      if (event.kind === 'message') expect(parseMessage(wireMessage(event.message))).toEqual(event.message);
      if (event.kind === 'queue') expect(event.queue.map((one) => parseQueued(wireQueued(one)))).toEqual(event.queue);
    }
    for (const parse of [parseChat, parseMessage, parseQueued]) expect(() => parse({ id: 1 })).toThrow(ProtocolError);
  });
});

describe('sizes', () => {
  test('[P4] what a reconnect costs beside the credential stays far below 300 bytes', () => {
    const uuid = CHAT;
    const sent = [
      encodeClientFrame({ op: 'hello', version: 1, credential: '', client: 'parley-cli/0.1.0' }),
      encodeClientFrame({ op: 'attach', chat: CHAT, cursor: at(70_000, 70_000) }),
      encodeServerFrame({
        op: 'welcome',
        version: 1,
        session: uuid,
        node: uuid,
        owner: 'development',
        heartbeatMs: LIMITS.heartbeatMs,
        expiresAtMs: 1_767_225_600_000,
        limits: SESSION_LIMITS,
      }),
      encodeServerFrame({ op: 'attached', chat: CHAT, outcome: 'resumed', position: at(70_000, 70_000) }),
    ];
    expect(joinFrames(sent).length).toBeLessThanOrEqual(210);
  });

  test('[codec] a delta costs at most 40 bytes beside its text', () => {
    const text = 'x'.repeat(31);
    const event = { kind: 'block', type: 'delta', step: 3, index: 1, offset: 30_000, text } as const;
    const frame = encodeEventFrame(uuidToBytes(CHAT), { position: at(200, 60_000), span: 1, event });
    expect(frame.length - text.length).toBeLessThanOrEqual(40);
  });
});
