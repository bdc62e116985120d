// Anthropic content blocks while they stream in, and the form in which they go back into a prompt.
//
// That form is made once, when the attempt ends, and stored: thinking blocks are bound to the exact messages before
// them, so a history that is rendered differently later is refused. What may go back:
// finished blocks as they came; of an unfinished text the text so far; never thinking without its signature, a tool
// call of a message that is not whole (nothing will answer it), a server tool's call without its result, a blank text
// (refused by the API), nor thinking as the last block (likewise). Calls of a whole message are all answered, if only with
// the word that they did not run.
//
// Inputs of tools are kept as the text that the model wrote: read and written again, `1.0` would become `1`, and thinking
// is bound to what was there.

import type { ProviderBlocks } from '../ports.ts';
import { type JsonObject, asString, isObject, parseJson } from './json.ts';
import { wholeCodePoints } from './text-guard.ts';
import { argumentsObject } from './tool-calls.ts';

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

/** A block that goes back: what it is, and the bytes of it. */
type Kept = { readonly block: JsonObject; readonly json: string };

/** What of `blocks` may go back to the provider, in order; null when nothing may. `keepsCalls`: the message is whole. */
export function promptForm(blocks: Iterable<OpenBlock>, keepsCalls: boolean): ProviderBlocks | null {
  const kept: Kept[] = [];
  for (const block of blocks) {
    const form = block.type === 'tool_use' && !keepsCalls ? null : blockForm(block);
    if (form !== null) kept.push(form);
  }
  const answered = withoutUnansweredServerTools(kept);
  while (isThinking(answered.at(-1)?.block)) answered.pop();
  return answered.length === 0 ? null : encodeBlocks(answered.map(({ json }) => json));
}

/** Blocks as they are stored: a JSON array in UTF-8, keys in the order in which they came. */
export function encodeBlocks(blocks: readonly string[]): ProviderBlocks {
  return { provider: ANTHROPIC, json: new TextEncoder().encode(`[${blocks.join(',')}]`) };
}

/** Stored blocks, as the text between the brackets of their array; null when the bytes are no JSON array of objects. */
export function storedBlocks(json: Uint8Array): string | null {
  const text = new TextDecoder().decode(json);
  const parsed = parseJson(text);
  if (parsed === null || !Array.isArray(parsed.value) || !(parsed.value as unknown[]).every(isObject)) return null;
  return text.trim().slice(1, -1);
}

function blockForm(block: OpenBlock): Kept | null {
  switch (block.type) {
    case 'text':
      return written(textForm(block));
    case 'thinking':
      if (!block.ended || block.signature === '') return null;
      return written({ ...block.start, thinking: block.text, signature: block.signature });
    case 'tool_use':
      return block.ended ? withInput(block.start, argumentsObject(argumentsOf(block))) : null;
    case 'server_tool_use':
      return serverToolForm(block);
    default:
      return written(block.ended && !block.hasUnknownDelta ? block.start : null);
  }
}

/** What a call of a tool was given, as the model wrote it; where nothing was streamed, what its start had. */
export function argumentsOf({ start, inputJson }: OpenBlock): string {
  return inputJson === '' ? JSON.stringify(start['input'] ?? {}) : inputJson;
}

function written(block: JsonObject | null): Kept | null {
  return block === null ? null : { block, json: JSON.stringify(block) };
}

/** `block` with the text `input` in the place of its own. */
function withInput(block: JsonObject, input: string): Kept {
  const fields = Object.entries({ ...block, input: null }).map(([key, value]) => {
    return `${JSON.stringify(key)}:${key === 'input' ? input : JSON.stringify(value)}`;
  });
  return { block, json: `{${fields.join(',')}}` };
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
function serverToolForm(block: OpenBlock): Kept | null {
  if (!block.ended) return null;
  if (block.inputJson === '') return written(block.start);
  const input = parseJson(block.inputJson);
  return input === null || !isObject(input.value) ? null : withInput(block.start, block.inputJson);
}

/** A call that a server tool did not answer (an attempt broken off in between) makes the next request invalid. */
function withoutUnansweredServerTools(kept: readonly Kept[]): Kept[] {
  const answered = new Set(kept.map(({ block }) => block['tool_use_id']));
  return kept.filter(({ block }) => block['type'] !== 'server_tool_use' || answered.has(block['id']));
}

function isThinking(block: JsonObject | undefined): boolean {
  return block?.['type'] === 'thinking' || block?.['type'] === 'redacted_thinking';
}
