// Payloads of events on the wire (SPEC.md §7). Blocks are arrays without maps: a delta is the one frame that is sent
// for every few letters of every answer to every reader.

import { unreachable } from './assert.ts';
import {
  EVENT_KINDS,
  type BlockEvent,
  type ChatEvent,
  type EventKind,
  type ForkReason,
  type TurnEvent,
} from './events.ts';
import { asArray, asId, asPosition, asString, asUint, asWord, orNull } from './fields.ts';
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
import { parseCompaction, writeCompaction } from './wire-compaction.ts';
import { parseActions, parseTool, wireAction, writeTool } from './wire-tools.ts';
import { packValue, type FrameWriter } from './wire-writer.ts';

const KIND_OF = new Map<number, EventKind>(
  Object.entries(EVENT_KINDS).map(([kind, number]) => [number, kind as EventKind]),
);

const TURN = { started: 0, ended: 1 } as const;
const STEP = { started: 0, reset: 1 } as const;
const BLOCK = { start: 0, delta: 1, end: 2 } as const;
const BLOCK_TYPE = { text: 0, reasoning: 1, tool_call: 2 } as const;
const FORK_REASONS: readonly ForkReason[] = ['compaction', 'edit', 'model', 'tools', 'clear', 'reasoning'];

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
    case 'tool':
      return writeTool(out, event);
    case 'action':
      return out.raw(packValue(event.actions.map(wireAction)));
    case 'compaction':
      return writeCompaction(out, event);
    case 'fork':
      out.array(1);
      return out.text(event.reason);
    case 'usage':
      out.array(4);
      writeAttempt(out, event);
      return out.raw(packValue(wireUsage(event.usage)));
    default:
      return unreachable(event);
  }
}

function writeBlock(out: FrameWriter, event: BlockEvent): void {
  const call = event.type === 'start' ? event.call : undefined;
  out.array(call !== undefined ? 6 : event.type === 'delta' ? 5 : 4);
  out.uint(BLOCK[event.type]);
  out.uint(event.step);
  out.uint(event.index);
  switch (event.type) {
    case 'start':
      out.uint(BLOCK_TYPE[event.block]);
      if (call === undefined) return;
      out.text(call.call);
      return out.text(call.name);
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
    case 'tool':
      return parseTool(payload);
    case 'action':
      return { kind, actions: parseActions(payload) };
    case 'compaction':
      return parseCompaction(payload);
    case 'fork': {
      const [reason] = asArray(payload, 'fork');
      // Whatever the reason of a later version is: the prompt is another one than it was.
      return { kind, reason: asWord(reason, 'fork.reason', FORK_REASONS, 'edit') };
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
  const [type, stepField, indexField, third, fourth, fifth] = asArray(payload, 'block');
  const step = asUint(stepField, 'block.step');
  const index = asUint(indexField, 'block.index');
  switch (asUint(type, 'block.type')) {
    case BLOCK.start: {
      const number = asUint(third, 'block.block');
      if (number === BLOCK_TYPE.tool_call) {
        const call = { call: asString(fourth, 'block.call'), name: asString(fifth, 'block.name') };
        return { kind: 'block', type: 'start', step, index, block: 'tool_call', call };
      }
      // A type of a later version reads as what is not the answer itself.
      const block = number === BLOCK_TYPE.text ? 'text' : 'reasoning';
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
