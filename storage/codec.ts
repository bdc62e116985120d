// What stands in the `bytea` columns: JSON in UTF-8. Never jsonb, which refuses NUL, reorders keys and drops `1.0`.

import type { Part, TextPart, ToolStatus, TurnEnd } from '../protocol/content.ts';
import type { ErrorBody } from '../protocol/errors.ts';
import type { JournalEntry, TurnRecord } from '../actors/turn-ports.ts';
import type { ToolSpec } from '../actors/tool-ports.ts';
import { UnreadableRow } from './errors.ts';

/** `{"parts": […]}`, each part with `type` and `text`. */
export const CONTENT_VERSION = 1;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

export function encodeContent(parts: readonly Part[]): Uint8Array {
  return encodeJson({ parts });
}

/** Throws `UnreadableRow` for a version that this code does not know. */
export function decodeContent(version: number, bytes: Uint8Array): readonly Part[] {
  if (version !== CONTENT_VERSION) {
    throw new UnreadableRow(`content_version ${version} is not known to this version of Parley: upgrade it`);
  }
  const value = parseJson(bytes);
  if (!isRecord(value) || !Array.isArray(value['parts'])) throw new UnreadableRow('a message without parts');
  return value['parts'].map(parsePart);
}

/** The parts of a queued message: what a user sends is text only. */
export function decodeTextParts(version: number, bytes: Uint8Array): readonly TextPart[] {
  return decodeContent(version, bytes).map((part) => {
    if (part.type !== 'text') throw new UnreadableRow(`a queued message with a part of type ${part.type}`);
    return part;
  });
}

export function encodeJson(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value));
}

/** Labels as written by `encodeJson`. */
export function decodeLabels(bytes: Uint8Array): Readonly<Record<string, string>> {
  const value = parseJson(bytes);
  if (!isRecord(value)) throw new UnreadableRow('labels that are no object');
  const labels: Record<string, string> = {};
  for (const [key, label] of Object.entries(value)) {
    if (typeof label === 'string') Object.defineProperty(labels, key, { value: label, enumerable: true });
  }
  return labels;
}

export function decodeStrings(bytes: Uint8Array): readonly string[] {
  const value = parseJson(bytes);
  if (!Array.isArray(value)) throw new UnreadableRow('a list of strings that is no list');
  return value.map((item) => {
    if (typeof item !== 'string') throw new UnreadableRow('a list of strings with something else in it');
    return item;
  });
}

/** Tools as written by `encodeJson`. */
export function decodeTools(bytes: Uint8Array): readonly ToolSpec[] {
  const value = parseJson(bytes);
  if (!Array.isArray(value)) throw new UnreadableRow('tools that are no list');
  return value.map((tool: unknown) => {
    if (!isRecord(tool)) throw new UnreadableRow('a tool that is no object');
    const { name, description, schema } = tool;
    if (typeof name !== 'string' || typeof description !== 'string' || typeof schema !== 'string') {
      throw new UnreadableRow('a tool that this version of Parley does not know: upgrade it');
    }
    return { name, description, schema };
  });
}

export function decodeLastError(bytes: Uint8Array): ErrorBody {
  const value = parseJson(bytes);
  if (!isRecord(value) || typeof value['code'] !== 'string') throw new UnreadableRow('an error without a code');
  return value as ErrorBody;
}

export function decodeLastTurn(bytes: Uint8Array): TurnEnd {
  const value = parseJson(bytes);
  if (!isRecord(value) || typeof value['outcome'] !== 'string')
    throw new UnreadableRow('an end of a turn without an outcome');
  return value as TurnEnd;
}

/** What an actor wrote about its turn; versioned, because a node of another version may read it. */
const TURN_VERSION = 1;

export function encodeTurn(turn: TurnRecord): Uint8Array {
  return encodeJson({ version: TURN_VERSION, turn });
}

export function decodeTurn(bytes: Uint8Array): TurnRecord {
  const value = parseJson(bytes);
  if (!isRecord(value) || value['version'] !== TURN_VERSION || !isRecord(value['turn'])) {
    throw new UnreadableRow('a turn that this version of Parley does not know: upgrade it');
  }
  return value['turn'] as TurnRecord;
}

const JOURNAL_VERSION = 1;

export function encodeJournal(entries: readonly JournalEntry[]): Uint8Array {
  return encodeJson({ version: JOURNAL_VERSION, entries });
}

export function decodeJournal(bytes: Uint8Array): readonly JournalEntry[] {
  const value = parseJson(bytes);
  if (!isRecord(value) || value['version'] !== JOURNAL_VERSION || !Array.isArray(value['entries'])) {
    throw new UnreadableRow('a journal that this version of Parley does not know: upgrade it');
  }
  return value['entries'] as JournalEntry[];
}

function parsePart(value: unknown): Part {
  if (isRecord(value) && typeof value['text'] === 'string') {
    const { type, text, call, name, status } = value;
    if (type === 'text' || type === 'reasoning') return { type, text };
    if (type === 'tool_call' && typeof call === 'string' && typeof name === 'string') return { type, text, call, name };
    if (type === 'tool_result' && typeof call === 'string' && isStatus(status)) return { type, text, call, status };
  }
  throw new UnreadableRow('a part of a type that this version of Parley does not know: upgrade it');
}

const STATUSES: readonly unknown[] = [
  'ok',
  'error',
  'denied',
  'timeout',
  'interrupted',
  'unknown',
] satisfies readonly ToolStatus[];

function isStatus(value: unknown): value is ToolStatus {
  return STATUSES.includes(value);
}

export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch (cause) {
    throw new UnreadableRow(`a column that holds no JSON: ${cause instanceof Error ? cause.name : 'unknown'}`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
