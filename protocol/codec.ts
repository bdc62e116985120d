// Frames to bytes and back (SPEC.md §4 to §7): the one place that knows the order of the fields.
//
// Text, ids and limits are checked here in both directions; what a frame means is for others. Isomorphic: no Buffer, no
// node: import. The parts:
//   wire-content.ts   wireChat, wireMessage, … and parseChat, parseMessage, …; uuidArg for args
//   wire-events.ts    payloads of events            wire-snapshot.ts  pieces of snapshots
//   scanner.ts        which bytes are admitted      wire-reader.ts, wire-writer.ts  msgpack
//   fields.ts         typed reading of fields       protocol-error.ts ProtocolError

import { assert, AssertionError, unreachable } from './assert.ts';
import { errorBody, type ErrorBody } from './errors.ts';
import { EVENT_KINDS, type PositionedEvent } from './events.ts';
import { asArray, asBool, asId, asMap, asPosition, asString, asUint, orNull } from './fields.ts';
import { OPS, type Args, type ClientFrame, type FeedFrame, type ServerFrame, type SessionLimits } from './frames.ts';
import { uuidToBytes, type ChatId, type CommandId } from './ids.ts';
import { LIMITS, type FrameLimit } from './limits.ts';
import type { Position } from './position.ts';
import { ProtocolError } from './protocol-error.ts';
import { CLIENT_SCAN_LIMITS, scan, SERVER_SCAN_LIMITS } from './scanner.ts';
import { utf8Length } from './text.ts';
import { parseError, parseSummary, wireError, wireSummary } from './wire-content.ts';
import { parseEvent, writePayload } from './wire-events.ts';
import { readValues, WireReader } from './wire-reader.ts';
import { parsePiece, wirePiece, wirePosition } from './wire-snapshot.ts';
import { FrameWriter, packForeignValue, packValue } from './wire-writer.ts';

/** What a client sends. A command takes its args encoded, once for all tries: equal bytes make it the same command. */
export type OutgoingClientFrame =
  | Exclude<ClientFrame, { readonly op: 'command' }>
  | {
      readonly op: 'command';
      readonly request: number;
      readonly id: CommandId;
      readonly name: string;
      readonly rawArgs: Uint8Array;
      readonly trace?: string;
    };

/** A well-formed frame whose op the server does not know: to be answered `unknown_op`. */
export type UnknownOp = { readonly op: 'unknown'; readonly number: number };
export type IncomingClientFrame = ClientFrame | UnknownOp;

export type DecodedClientMessage = {
  /** Those before the faulty one, in order. */
  readonly frames: readonly IncomingClientFrame[];
  /** What stopped it (`bad_frame`, `bad_text`, `too_large`): the connection is closed after these frames. */
  readonly error: ErrorBody | null;
  /** The limit that it was over, when it was that. */
  readonly limit?: FrameLimit;
};

/** The body of a reply as it was first encoded; a retry is answered with the same bytes. */
export type ReplyBody = { readonly ok: boolean; readonly body: Uint8Array };

const writer = new FrameWriter();

/** Room for the fields of a command around its args. */
const COMMAND_HEAD_BYTES = 1024;

// ------------------------------------------------------------------------------------------------ client → server

/** Throws a `ProtocolError` for text that the protocol does not allow. */
export function encodeClientFrame(frame: OutgoingClientFrame): Uint8Array {
  const op = OPS[frame.op];
  switch (frame.op) {
    case 'hello':
      return packForeignValue([op, frame.version, frame.credential, frame.client]);
    case 'auth':
      return packForeignValue([op, frame.request, frame.credential]);
    case 'attach':
      return packValue([op, uuidToBytes(frame.chat), frame.cursor === null ? null : wirePosition(frame.cursor)]);
    case 'more':
    case 'detach':
      return packValue([op, uuidToBytes(frame.chat)]);
    case 'command':
      writer.begin(frame.trace === undefined ? 5 : 6);
      writer.uint(op);
      writer.uint(frame.request);
      writer.id(uuidToBytes(frame.id));
      writer.text(frame.name);
      writer.raw(frame.rawArgs);
      if (frame.trace !== undefined) writer.text(frame.trace);
      return writer.take();
    case 'query': {
      const rawArgs = encodeArgs(frame.args);
      writer.begin(4);
      writer.uint(op);
      writer.uint(frame.request);
      writer.text(frame.name);
      writer.raw(rawArgs);
      return writer.take();
    }
    case 'ping':
    case 'unwatch':
      return packValue([op]);
    case 'watch':
      return packValue([op, frame.request, frame.cursor]);
    default:
      return unreachable(frame);
  }
}

/**
 * The bytes of a command's args, to be kept for its retries. Ids in them are 16-byte Uint8Arrays; keys whose value is
 * undefined are left out. Throws a `ProtocolError`: `bad_text`, `bad_frame` (no form on the wire, or over a limit of
 * the scanner) or `too_large` (more than a message holds).
 */
export function encodeArgs(args: Args): Uint8Array {
  const bytes = packForeignValue(args);
  if (bytes.length > LIMITS.inboundMessageBytes - COMMAND_HEAD_BYTES) {
    throw new ProtocolError('too_large', `args of ${bytes.length} bytes`);
  }
  // The frame around the args is one level and at most 6 items more.
  const { depth, items } = CLIENT_SCAN_LIMITS;
  const { fault } = scan(bytes, { ...CLIENT_SCAN_LIMITS, depth: depth - 1, items: items - 6 });
  if (fault !== null) throw new ProtocolError(fault.code, fault.detail);
  return bytes;
}

/** Decodes what came from a client. Never throws and keeps nothing of `bytes`. */
export function decodeClientMessage(bytes: Uint8Array): DecodedClientMessage {
  if (bytes.length > LIMITS.inboundMessageBytes) {
    return { frames: [], error: errorBody('too_large'), limit: 'inboundMessageBytes' };
  }
  if (bytes.length === 0) return { frames: [], error: errorBody('bad_frame', 'an empty message') };
  const { ends, fault } = scan(bytes, CLIENT_SCAN_LIMITS);
  const frames: IncomingClientFrame[] = [];
  let start = 0;
  for (const end of ends) {
    try {
      frames.push(readClientFrame(bytes.subarray(start, end)));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return { frames, error: errorBody(error.code, error.message), ...over(error.limit) };
    }
    start = end;
  }
  if (fault === null) return { frames, error: null };
  return { frames, error: errorBody(fault.code, fault.detail), ...over(fault.limit ?? null) };
}

function over(limit: FrameLimit | null): { readonly limit?: FrameLimit } {
  return limit === null ? {} : { limit };
}

function readClientFrame(bytes: Uint8Array): IncomingClientFrame {
  const reader = new WireReader(bytes);
  const length = reader.arrayHeader();
  if (length === null || length === 0) throw new ProtocolError('bad_frame', 'a value that is no frame');
  const op = asUint(reader.value(), 'op');
  const fields: unknown[] = [];
  // Of a command the args are the last field: their bytes are kept as they came.
  const argsIndex = op === OPS.command ? 3 : -1;
  let rawArgs: Uint8Array | null = null;
  for (let i = 0; i < length - 1; i++) {
    const begin = reader.offset;
    fields.push(reader.value());
    if (i === argsIndex) rawArgs = new Uint8Array(bytes.subarray(begin, reader.offset));
  }
  return clientFrame(op, fields, rawArgs);
}

function clientFrame(op: number, fields: readonly unknown[], rawArgs: Uint8Array | null): IncomingClientFrame {
  const [first, second, third] = fields;
  switch (op) {
    case OPS.hello:
      return {
        op: 'hello',
        version: asUint(first, 'hello.version'),
        credential: bounded(asString(second, 'hello.credential'), 'credentialBytes', 'hello.credential'),
        client: bounded(asString(third, 'hello.client'), 'clientNameBytes', 'hello.client'),
      };
    case OPS.auth: {
      const credential = bounded(asString(second, 'auth.credential'), 'credentialBytes', 'auth.credential');
      return { op: 'auth', request: asUint(first, 'auth.request'), credential };
    }
    case OPS.attach:
      return {
        op: 'attach',
        chat: asId<ChatId>(first, 'attach.chat'),
        cursor: orNull(second, 'attach.cursor', asPosition),
      };
    case OPS.more:
      return { op: 'more', chat: asId<ChatId>(first, 'more.chat') };
    case OPS.detach:
      return { op: 'detach', chat: asId<ChatId>(first, 'detach.chat') };
    case OPS.command: {
      const args = asMap(fields[3], 'command.args');
      assert(rawArgs !== null, 'a command with args has their bytes');
      return {
        op: 'command',
        request: asUint(first, 'command.request'),
        id: asId<CommandId>(second, 'command.id'),
        name: asString(third, 'command.name'),
        args,
        rawArgs,
        ...(typeof fields[4] === 'string' ? { trace: fields[4] } : {}),
      };
    }
    case OPS.query:
      return {
        op: 'query',
        request: asUint(first, 'query.request'),
        name: asString(second, 'query.name'),
        args: asMap(third, 'query.args'),
      };
    case OPS.ping:
      return { op: 'ping' };
    case OPS.watch:
      return {
        op: 'watch',
        request: asUint(first, 'watch.request'),
        cursor: orNull(second, 'watch.cursor', asUint),
      };
    case OPS.unwatch:
      return { op: 'unwatch' };
    default:
      return { op: 'unknown', number: op };
  }
}

function bounded(text: string, limit: 'credentialBytes' | 'clientNameBytes', field: string): string {
  const bytesMax = LIMITS[limit];
  if (utf8Length(text) > bytesMax) throw new ProtocolError('too_large', `${field} is over ${bytesMax} bytes`, limit);
  return text;
}

// ------------------------------------------------------------------------------------------------ server → client

export function encodeServerFrame(frame: ServerFrame): Uint8Array {
  switch (frame.op) {
    case 'welcome': {
      const { version, session, node, owner, heartbeatMs, expiresAtMs, limits } = frame;
      const { messageBytes, attachments, requests } = limits;
      const told = [messageBytes, attachments, requests];
      return packValue([OPS.welcome, version, session, node, owner, heartbeatMs, expiresAtMs, told]);
    }
    case 'reply': {
      const ok = frame.error === null;
      return encodeReply(frame.request, { ok, body: packValue(ok ? frame.result : wireError(frame.error)) });
    }
    case 'attached': {
      const at = frame.position === null ? [null, null] : wirePosition(frame.position);
      const piece = frame.outcome === 'snapshot' ? wirePiece(frame.piece) : null;
      return packValue([OPS.attached, uuidToBytes(frame.chat), frame.outcome, ...at, piece]);
    }
    case 'event':
      return encodeEventFrame(uuidToBytes(frame.chat), frame);
    case 'skipped':
      throw new AssertionError('a skipped event is what a client made of one that it does not know');
    case 'heartbeat': {
      const positions = frame.positions.map(([chat, at]) => [uuidToBytes(chat), ...wirePosition(at)]);
      return packValue([OPS.heartbeat, frame.nowMs, positions, ...(frame.feed === undefined ? [] : [frame.feed])]);
    }
    case 'feed':
      return packValue([OPS.feed, frame.from, frame.cursor, frame.more, frame.chats.map(wireSummary)]);
    case 'drain':
      return packValue([OPS.drain, frame.afterMs]);
    case 'bye':
      return packValue([OPS.bye, frame.code, frame.reason]);
    case 'refused':
      return packValue([OPS.refused, uuidToBytes(frame.chat), wireError(frame.error)]);
    default:
      return unreachable(frame);
  }
}

/** The frame of an event; `chatBytes` are the 16 bytes of the chat's id. The hot path: by hand, one copy. */
export function encodeEventFrame(chatBytes: Uint8Array, positioned: PositionedEvent): Uint8Array {
  const { position, span, event } = positioned;
  beginEvent(chatBytes, position, span);
  writer.uint(EVENT_KINDS[event.kind]);
  writePayload(writer, event);
  return writer.take();
}

function beginEvent(chatBytes: Uint8Array, position: Position, span: number): void {
  assert(span >= 1 && span <= position.seq, 'a span lies within its epoch');
  writer.begin(7);
  writer.uint(OPS.event);
  writer.id(chatBytes);
  writer.uint(position.epoch);
  writer.uint(position.seq);
  writer.uint(span);
}

/** The reply around a body that was encoded before (`encodeBody`): the body's bytes stay as they are. */
export function encodeReply(request: number, reply: ReplyBody): Uint8Array {
  writer.begin(4);
  writer.uint(OPS.reply);
  writer.uint(request);
  writer.bool(reply.ok);
  writer.raw(reply.body);
  return writer.take();
}

/** The bytes of a result or of an `ErrorBody`: a plain value in which ids are Uint8Arrays already (`wireChat` …). */
export function encodeBody(value: unknown): Uint8Array {
  return packValue(value);
}

/** The value of a body; ids stay bytes (`parseChat` … read them). Throws a `ProtocolError`. */
export function decodeBody(bytes: Uint8Array): unknown {
  const values = readValues(bytes, SERVER_SCAN_LIMITS);
  if (values.length !== 1) throw new ProtocolError('bad_frame', 'a body is one value');
  return values[0];
}

/** One message of many frames: one copy, nothing is encoded again. A single frame is handed back as it is. */
export function joinFrames(frames: readonly Uint8Array[]): Uint8Array {
  const [first] = frames;
  if (first !== undefined && frames.length === 1) return first;
  let length = 0;
  for (const frame of frames) length += frame.length;
  const joined = new Uint8Array(length);
  let at = 0;
  for (const frame of frames) {
    joined.set(frame, at);
    at += frame.length;
  }
  return joined;
}

/**
 * Decodes what came from a server: ops of a later version are left out, events of a kind of a later version become
 * `skipped`. Throws a `ProtocolError` for everything that is no frame: the connection is worth nothing any more.
 */
export function decodeServerMessage(bytes: Uint8Array): readonly ServerFrame[] {
  const frames: ServerFrame[] = [];
  for (const value of readValues(bytes, SERVER_SCAN_LIMITS)) {
    const frame = serverFrame(asArray(value, 'frame'));
    if (frame !== null) frames.push(frame);
  }
  return frames;
}

function serverFrame(fields: readonly unknown[]): ServerFrame | null {
  const [op, first, second, third, fourth, fifth, sixth, seventh] = fields;
  switch (asUint(op, 'op')) {
    case OPS.event:
      return eventFrame(fields);
    case OPS.reply: {
      const request = asUint(first, 'reply.request');
      if (asBool(second, 'reply.ok')) return { op: 'reply', request, result: third ?? null, error: null };
      return { op: 'reply', request, result: null, error: parseError(third) };
    }
    case OPS.attached:
      return attachedFrame(fields);
    case OPS.heartbeat:
      return heartbeatFrame(fields);
    case OPS.feed:
      return feedFrame(fields);
    case OPS.welcome:
      return {
        op: 'welcome',
        version: asUint(first, 'welcome.version'),
        session: asString(second, 'welcome.session'),
        node: asString(third, 'welcome.node'),
        owner: asString(fourth, 'welcome.owner'),
        heartbeatMs: asUint(fifth, 'welcome.heartbeat_ms'),
        expiresAtMs: asUint(sixth, 'welcome.expires_at'),
        limits: parseSessionLimits(seventh),
      };
    case OPS.drain:
      return { op: 'drain', afterMs: asUint(first, 'drain.after_ms') };
    case OPS.bye:
      return { op: 'bye', code: asUint(first, 'bye.code'), reason: asString(second, 'bye.reason') };
    case OPS.refused:
      return { op: 'refused', chat: asId<ChatId>(first, 'refused.chat'), error: parseError(second) };
    default:
      return null;
  }
}

function feedFrame([, first, second, third, fourth]: readonly unknown[]): FeedFrame {
  const from = orNull(first, 'feed.from', asUint);
  const cursor = asUint(second, 'feed.cursor');
  if (cursor < (from ?? 0)) throw new ProtocolError('bad_frame', 'feed.cursor lies before what it goes on from');
  const more = asBool(third, 'feed.more');
  return { op: 'feed', from, cursor, more, chats: asArray(fourth, 'feed.chats').map(parseSummary) };
}

function heartbeatFrame([, now, positions, third]: readonly unknown[]): ServerFrame {
  const feed = orNull(third, 'heartbeat.feed', asUint);
  return {
    op: 'heartbeat',
    nowMs: asUint(now, 'heartbeat.now'),
    positions: asArray(positions, 'heartbeat.positions').map(heartbeatPosition),
    ...(feed === null ? {} : { feed }),
  };
}

function eventFrame(fields: readonly unknown[]): ServerFrame {
  const chat = asId<ChatId>(fields[1], 'event.chat');
  const position = asPosition([fields[2], fields[3]], 'event.position');
  const span = asUint(fields[4], 'event.span');
  if (span < 1 || span > position.seq) throw new ProtocolError('bad_frame', 'event.span does not lie in its epoch');
  const event = parseEvent(asUint(fields[5], 'event.kind'), fields[6]);
  return event === null ? { op: 'skipped', chat, position, span } : { op: 'event', chat, position, span, event };
}

function attachedFrame(fields: readonly unknown[]): ServerFrame {
  const chat = asId<ChatId>(fields[1], 'attached.chat');
  const outcome = asString(fields[2], 'attached.outcome');
  if (outcome === 'gone') return { op: 'attached', chat, outcome, position: null };
  const position = asPosition([fields[3], fields[4]], 'attached.position');
  if (outcome === 'resumed') return { op: 'attached', chat, outcome, position };
  if (outcome === 'snapshot') return { op: 'attached', chat, outcome, position, piece: parsePiece(fields[5]) };
  throw new ProtocolError('bad_frame', 'attached.outcome is not one of the three');
}

function parseSessionLimits(value: unknown): SessionLimits {
  const [messageBytes, attachments, requests] = asArray(value, 'welcome.limits');
  return {
    messageBytes: asUint(messageBytes, 'welcome.limits'),
    attachments: asUint(attachments, 'welcome.limits'),
    requests: asUint(requests, 'welcome.limits'),
  };
}

function heartbeatPosition(value: unknown): readonly [ChatId, Position] {
  const [chat, epoch, seq] = asArray(value, 'heartbeat.positions');
  return [asId<ChatId>(chat, 'heartbeat.chat'), asPosition([epoch, seq], 'heartbeat.position')];
}
