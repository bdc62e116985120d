// Calls of tools on the wire: the events `tool` and `action`, and what a snapshot says of them (SPEC.md §6).

import { unreachable } from './assert.ts';
import type { Action, ToolStatus } from './content.ts';
import type { LiveCall, ToolEvent } from './events.ts';
import { asArray, asMap, asString, asUint, asWord, orNull, type WireMap } from './fields.ts';
import { parseCallName, parseToolStatus } from './wire-parts.ts';
import type { FrameWriter } from './wire-writer.ts';

const TOOL = { started: 0, progress: 1, settled: 2 } as const;

export function writeTool(out: FrameWriter, event: ToolEvent): void {
  out.array(event.type === 'progress' ? 5 : 4);
  out.uint(TOOL[event.type]);
  out.uint(event.step);
  out.text(event.call);
  switch (event.type) {
    case 'started':
      return out.text(event.name);
    case 'progress':
      out.uint(event.offset);
      return out.text(event.text);
    case 'settled':
      return out.text(event.status);
    default:
      return unreachable(event);
  }
}

/** Null for a form of a later version. */
export function parseTool(payload: unknown): ToolEvent | null {
  const [type, stepField, callField, third, fourth] = asArray(payload, 'tool');
  const step = asUint(stepField, 'tool.step');
  const call = asString(callField, 'tool.call');
  switch (asUint(type, 'tool.type')) {
    case TOOL.started:
      return { kind: 'tool', type: 'started', step, call, name: asString(third, 'tool.name') };
    case TOOL.progress: {
      const offset = asUint(third, 'tool.offset');
      return { kind: 'tool', type: 'progress', step, call, offset, text: asString(fourth, 'tool.text') };
    }
    case TOOL.settled:
      return { kind: 'tool', type: 'settled', step, call, status: parseToolStatus(third, 'tool.status') };
    default:
      return null;
  }
}

export function wireAction(action: Action): WireMap {
  const { type, call, name, args, deadline_at, hash } = action;
  return { type, call, name, args, deadline_at, hash };
}

/** Actions of a type of a later version are left out: this client cannot answer them. */
export function parseActions(value: unknown): readonly Action[] {
  return asArray(value, 'actions').flatMap((item) => parseAction(item));
}

function parseAction(value: unknown): readonly Action[] {
  const map = asMap(value, 'action');
  const type = asWord(map['type'], 'action.type', ['result', 'approval', 'other'], 'other');
  if (type === 'other') return [];
  return [
    {
      type,
      ...parseCallName(map, 'action'),
      args: asString(map['args'], 'action.args'),
      deadline_at: asUint(map['deadline_at'], 'action.deadline_at'),
      hash: asString(map['hash'], 'action.hash'),
    },
  ];
}

export function wireLiveCall(live: LiveCall): WireMap {
  const { call, name, text, bytes, status } = live;
  return { call, name, text, bytes, status };
}

export function parseLiveCall(value: unknown): LiveCall {
  const map = asMap(value, 'call');
  return {
    ...parseCallName(map, 'call'),
    text: asString(map['text'], 'call.text'),
    bytes: asUint(map['bytes'], 'call.bytes'),
    status: orNull<ToolStatus>(map['status'], 'call.status', parseToolStatus),
  };
}
