// Parts of messages and the types of blocks on the wire (SPEC.md §7).

import type { BlockType, CallName, Part, PartOrReference, TextPart, ToolStatus } from './content.ts';
import { asMap, asString, asUint, asWord, type WireMap } from './fields.ts';

const PART_TYPES = ['text', 'reasoning', 'tool_call', 'tool_result'] as const satisfies readonly Part['type'][];
const BLOCK_TYPES: readonly BlockType[] = ['text', 'reasoning', 'tool_call'];
const STATUSES: readonly ToolStatus[] = ['ok', 'error', 'denied', 'timeout', 'interrupted', 'unknown'];

export function wirePart(part: PartOrReference): WireMap {
  return { ...part };
}

/** A part of a type of a later version keeps its place, with no text: parts are named by their index. */
export function parsePart(value: unknown): PartOrReference {
  const map = asMap(value, 'part');
  const word = asString(map['type'], 'part.type');
  const type = PART_TYPES.find((known) => known === word);
  if (type === undefined) return { type: 'text', text: '' };
  const body =
    map['text'] === undefined
      ? { bytes: asUint(map['bytes'], 'part.bytes') }
      : { text: asString(map['text'], 'part.text') };
  switch (type) {
    case 'tool_call':
      return { type, ...body, ...parseCallName(map, 'part') };
    case 'tool_result':
      return {
        type,
        ...body,
        call: asString(map['call'], 'part.call'),
        status: parseToolStatus(map['status'], 'part.status'),
      };
    default:
      return { type, ...body } as PartOrReference;
  }
}

export function parseQueuedPart(value: unknown): TextPart {
  const part = parsePart(value);
  return { type: 'text', text: part.type === 'text' && 'text' in part ? part.text : '' };
}

export function parseCallName(map: WireMap, field: string): CallName {
  return { call: asString(map['call'], `${field}.call`), name: asString(map['name'], `${field}.name`) };
}

/** A status of a later version reads as `unknown`. */
export function parseToolStatus(value: unknown, field: string): ToolStatus {
  return asWord(value, field, STATUSES, 'unknown');
}

/** Of a live block, with the call of a `tool_call`. A type of a later version reads as what is not the answer itself. */
export function parseBlockType(map: WireMap): { readonly type: BlockType; readonly call?: CallName } {
  const type = asWord(map['type'], 'block.type', BLOCK_TYPES, 'reasoning');
  return type === 'tool_call' ? { type, call: parseCallName(map, 'block') } : { type };
}
