// Anthropic content blocks while they stream in, and the form in which they go back into a prompt.
//
// That form is made once, when the attempt ends, and stored: thinking blocks are bound to the exact messages before
// them, so a history that is rendered differently later is refused. What may go back:
// finished blocks as they came; of an unfinished text the text so far; never thinking without its signature, a tool
// call (no tools are declared, so nothing could answer it), a server tool's call without its result, a blank text
// (refused by the API), nor thinking as the last block (likewise).

import type { ProviderBlocks } from '../ports.ts';
import { type JsonObject, asString, isObject, parseJson } from './json.ts';
import { wholeCodePoints } from './text-guard.ts';

export const ANTHROPIC = 'anthropic';

/** One block as far as it has come. Only the accumulator writes to it. */
export type OpenBlock = {
  /** As `content_block_start` gave it. */
  readonly start: JsonObject;
  readonly type: string;
  /** Of a text or thinking block: start and deltas, joined. */
  text: string;
  /** The last one wins: `signature_delta` replaces. */
  signature: string;
  /** Fragments of a tool's input, joined: JSON only once the block has ended. */
  inputJson: string;
  readonly citations: unknown[];
  /** A delta came whose meaning we do not know: a block of an unknown type cannot be rebuilt then. */
  hasUnknownDelta: boolean;
  ended: boolean;
};

export function openBlock(start: JsonObject, type: string): OpenBlock {
  const text = type === 'thinking' ? asString(start['thinking']) : type === 'text' ? asString(start['text']) : null;
  return {
    start,
    type,
    text: text ?? '',
    signature: asString(start['signature']) ?? '',
    inputJson: '',
    citations: [],
    hasUnknownDelta: false,
    ended: false,
  };
}

/** What of `blocks` may go back to the provider, in order; null when nothing may. */
export function promptForm(blocks: Iterable<OpenBlock>): ProviderBlocks | null {
  const kept: JsonObject[] = [];
  for (const block of blocks) {
    const form = blockForm(block);
    if (form !== null) kept.push(form);
  }
  const answered = withoutUnansweredServerTools(kept);
  while (isThinking(answered.at(-1))) answered.pop();
  return answered.length === 0 ? null : encodeBlocks(answered);
}

/** Blocks as they are stored: a JSON array in UTF-8, keys in the order in which they came. */
export function encodeBlocks(blocks: readonly JsonObject[]): ProviderBlocks {
  return { provider: ANTHROPIC, json: new TextEncoder().encode(JSON.stringify(blocks)) };
}

/** Stored blocks; null when the bytes are not a JSON array of objects. */
export function decodeBlocks(json: Uint8Array): readonly JsonObject[] | null {
  const parsed = parseJson(new TextDecoder().decode(json));
  if (parsed === null || !Array.isArray(parsed.value)) return null;
  const blocks: readonly unknown[] = parsed.value;
  return blocks.every(isObject) ? blocks : null;
}

function blockForm(block: OpenBlock): JsonObject | null {
  switch (block.type) {
    case 'text':
      return textForm(block);
    case 'thinking':
      if (!block.ended || block.signature === '') return null;
      return { ...block.start, thinking: block.text, signature: block.signature };
    case 'tool_use':
      return null;
    case 'server_tool_use':
      return toolForm(block);
    default:
      return block.ended && !block.hasUnknownDelta ? block.start : null;
  }
}

function textForm(block: OpenBlock): JsonObject | null {
  const text = (block.ended ? block.text : wholeCodePoints(block.text)).toWellFormed();
  if (text.trim() === '') return null;
  if (block.citations.length === 0) return { ...block.start, text };
  const before: unknown = block.start['citations'];
  const citations: unknown[] = [...(Array.isArray(before) ? (before as unknown[]) : []), ...block.citations];
  return { ...block.start, text, citations };
}

/** The input is parsed strictly: the SDK's helper would make a partial object of a cut one. */
function toolForm(block: OpenBlock): JsonObject | null {
  if (!block.ended) return null;
  if (block.inputJson === '') return block.start;
  const input = parseJson(block.inputJson);
  return input === null || !isObject(input.value) ? null : { ...block.start, input: input.value };
}

/** A call that a server tool did not answer (an attempt broken off in between) makes the next request invalid. */
function withoutUnansweredServerTools(blocks: readonly JsonObject[]): JsonObject[] {
  const answered = new Set(blocks.map((block) => block['tool_use_id']));
  return blocks.filter((block) => block['type'] !== 'server_tool_use' || answered.has(block['id']));
}

function isThinking(block: JsonObject | undefined): boolean {
  return block?.['type'] === 'thinking' || block?.['type'] === 'redacted_thinking';
}
