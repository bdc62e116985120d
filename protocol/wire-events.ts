// Payloads of events on the wire (SPEC.md §7). Blocks are arrays without maps: a delta is the one frame that is sent
// for every few letters of every answer to every reader.

import { unreachable } from './assert.ts';
import { EVENT_KINDS, type BlockEvent, type ChatEvent, type EventKind, type TurnEvent } from './events.ts';
import { asArray, asId, asPosition, asString, asUint, orNull } from './fields.ts';
import { uuidToBytes, type TurnId } from './ids.ts';
import {
  parseChat,
  parseError,
  parseMessage,
  parseOutcome,
  parseQueued,
  parseUsage,
  wireChat,
  wireError,
  wireMessage,
  wireQueued,
  wireUsage,
} from './wire-content.ts';
import { packValue, type FrameWriter } from './wire-writer.ts';

const KIND_OF = new Map<number, EventKind>(
  Object.entries(EVENT_KINDS).map(([kind, number]) => [number, kind as EventKind]),
);

const TURN = { started: 0, ended: 1 } as const;
const STEP = { started: 0, reset: 1 } as const;
const BLOCK = { start: 0, delta: 1, end: 2 } as const;
const BLOCK_TYPE = { text: 0, reasoning: 1 } as const;

export function writePayload(out: FrameWriter, event: ChatEvent): void {
  switch (event.kind) {
    case 'block':
      return writeBlock(out, event);
    case 'epoch':
      out.array(1);
      if (event.after === null) return out.nil();
      out.array(2);
      out.uint(event.after.epoch);
      return out.uint(event.after.seq);
    case 'chat':
      return out.raw(packValue(wireChat(event.chat)));
    case 'message':
      return out.raw(packValue(wireMessage(event.message)));
    case 'rewind':
      out.array(2);
      out.uint(event.from);
      return out.uint(event.to);
    case 'queue':
      return out.raw(packValue(event.queue.map(wireQueued)));
    case 'turn':
      return writeTurn(out, event);
    case 'step':
      out.array(4);
      out.uint(STEP[event.type]);
      return writeAttempt(out, event);
    case 'retry':
      out.array(6);
      writeAttempt(out, event);
      out.uint(event.delay_ms);
      out.uint(event.at);
      return out.raw(packValue(wireError(event.error)));
    case 'usage':
      out.array(4);
      writeAttempt(out, event);
      return out.raw(packValue(wireUsage(event.usage)));
    default:
      return unreachable(event);
  }
}

function writeBlock(out: FrameWriter, event: BlockEvent): void {
  out.array(event.type === 'delta' ? 5 : 4);
  out.uint(BLOCK[event.type]);
  out.uint(event.step);
  out.uint(event.index);
  switch (event.type) {
    case 'start':
      return out.uint(BLOCK_TYPE[event.block]);
    case 'delta':
      out.uint(event.offset);
      return out.text(event.text);
    case 'end':
      return out.uint(event.bytes);
    default:
      return unreachable(event);
  }
}

function writeTurn(out: FrameWriter, event: TurnEvent): void {
  const started = event.type === 'started';
  out.array(started ? 3 : 4);
  out.uint(TURN[event.type]);
  out.id(uuidToBytes(event.turn));
  if (started) return out.text(event.model);
  out.text(event.outcome);
  if (event.error === null) return out.nil();
  return out.raw(packValue(wireError(event.error)));
}

function writeAttempt(out: FrameWriter, at: { turn: TurnId; step: number; attempt: number }): void {
  out.id(uuidToBytes(at.turn));
  out.uint(at.step);
  out.uint(at.attempt);
}

/** The event; null for a kind, or a form of a kind, of a later version. Throws a `ProtocolError` for a bad payload. */
export function parseEvent(kindNumber: number, payload: unknown): ChatEvent | null {
  const kind = KIND_OF.get(kindNumber);
  switch (kind) {
    case 'block':
      return parseBlock(payload);
    case 'epoch':
      return { kind, after: orNull(asArray(payload, 'epoch')[0], 'epoch.after', asPosition) };
    case 'chat':
      return { kind, chat: parseChat(payload) };
    case 'message':
      return { kind, message: parseMessage(payload) };
    case 'rewind': {
      const [from, to] = asArray(payload, 'rewind');
      return { kind, from: asUint(from, 'rewind.from'), to: asUint(to, 'rewind.to') };
    }
    case 'queue':
      return { kind, queue: asArray(payload, 'queue').map(parseQueued) };
    case 'turn':
      return parseTurn(payload);
    case 'step': {
      const [type, ...at] = asArray(payload, 'step');
      const number = asUint(type, 'step.type');
      if (number !== STEP.started && number !== STEP.reset) return null;
      return { kind, type: number === STEP.started ? 'started' : 'reset', ...parseAttempt(at) };
    }
    case 'retry': {
      const fields = asArray(payload, 'retry');
      return {
        kind,
        ...parseAttempt(fields),
        delay_ms: asUint(fields[3], 'retry.delay_ms'),
        at: asUint(fields[4], 'retry.at'),
        error: parseError(fields[5]),
      };
    }
    case 'usage': {
      const fields = asArray(payload, 'usage');
      return { kind, ...parseAttempt(fields), usage: parseUsage(fields[3]) };
    }
    default:
      return null;
  }
}

function parseBlock(payload: unknown): BlockEvent | null {
  const [type, stepField, indexField, third, fourth] = asArray(payload, 'block');
  const step = asUint(stepField, 'block.step');
  const index = asUint(indexField, 'block.index');
  switch (asUint(type, 'block.type')) {
    case BLOCK.start: {
      // A type of a later version reads as what is not the answer itself.
      const block = asUint(third, 'block.block') === BLOCK_TYPE.text ? 'text' : 'reasoning';
      return { kind: 'block', type: 'start', step, index, block };
    }
    case BLOCK.delta: {
      const offset = asUint(third, 'block.offset');
      return { kind: 'block', type: 'delta', step, index, offset, text: asString(fourth, 'block.text') };
    }
    case BLOCK.end:
      return { kind: 'block', type: 'end', step, index, bytes: asUint(third, 'block.bytes') };
    default:
      return null;
  }
}

function parseTurn(payload: unknown): TurnEvent | null {
  const [type, turnField, third, fourth] = asArray(payload, 'turn');
  const number = asUint(type, 'turn.type');
  if (number !== TURN.started && number !== TURN.ended) return null;
  const turn = asId<TurnId>(turnField, 'turn.turn');
  if (number === TURN.started) return { kind: 'turn', type: 'started', turn, model: asString(third, 'turn.model') };
  const error = orNull(fourth, 'turn.error', parseError);
  return { kind: 'turn', type: 'ended', turn, outcome: parseOutcome(third), error };
}

function parseAttempt(fields: readonly unknown[]): { turn: TurnId; step: number; attempt: number } {
  return {
    turn: asId<TurnId>(fields[0], 'turn'),
    step: asUint(fields[1], 'step'),
    attempt: asUint(fields[2], 'attempt'),
  };
}
