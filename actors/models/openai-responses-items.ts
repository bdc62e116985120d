// Output items of a response in the form in which they go back into a prompt.
//
// That form is made once, when the attempt ends, and stored. Items go back as `response.output_item.done` gave them (the
// copy in `.added` may be incomplete), without `id` and `status`: a server that stores nothing does not know the ids, and
// looks for each one that is sent. Reasoning goes back encrypted and only with the item that came of it, so it is dropped
// when nothing follows it, or what followed may not go back: a call of a response that failed (of any other all are answered,
// if only with the word that they did not run), an item of a type that we do not know.

import type { ProviderBlocks } from '../ports.ts';
import { type JsonObject, asString, isObject, parseJson } from './json.ts';

export const OPENAI = 'openai';

/** What of the finished items may go back, in order; null when nothing may. `keepsCalls`: the response is whole. */
export function itemsForPrompt(items: readonly JsonObject[], keepsCalls: boolean): ProviderBlocks | null {
  const kept: JsonObject[] = [];
  let reasoning: JsonObject[] = [];
  for (const item of items) {
    if (item['type'] === 'reasoning') {
      if ((asString(item['encrypted_content']) ?? '') !== '') reasoning.push(withoutId(item));
      continue;
    }
    const goesBack = item['type'] === 'message' ? hasText(item) : keepsCalls && isCall(item);
    if (goesBack) kept.push(...reasoning, withoutId(item));
    reasoning = [];
  }
  return kept.length === 0 ? null : encodeItems(kept);
}

/** Items as they are stored: a JSON array in UTF-8, keys in the order in which they came. */
export function encodeItems(items: readonly JsonObject[]): ProviderBlocks {
  return { provider: OPENAI, json: new TextEncoder().encode(JSON.stringify(items)) };
}

/** Stored items; null when the bytes are not a JSON array of objects. */
export function decodeItems(json: Uint8Array): readonly JsonObject[] | null {
  const parsed = parseJson(new TextDecoder().decode(json));
  if (parsed === null || !Array.isArray(parsed.value)) return null;
  const items: readonly unknown[] = parsed.value;
  return items.every(isObject) ? items : null;
}

/** The parts of a message item that are shown: text and refusals, by their index. */
export function shownContent(item: JsonObject): readonly { readonly index: number; readonly text: string }[] {
  const content: readonly unknown[] = Array.isArray(item['content']) ? (item['content'] as unknown[]) : [];
  return content.flatMap((part, index) => {
    if (!isObject(part)) return [];
    const text = asString(part['type'] === 'refusal' ? part['refusal'] : part['text']);
    return text === null ? [] : [{ index, text }];
  });
}

/** What of a reasoning item is shown: its summary, else its text; null when both are kept from us. */
export function shownReasoning(item: JsonObject): string | null {
  for (const [field, between] of [
    ['summary', '\n\n'],
    ['content', ''],
  ] as const) {
    const parts: readonly unknown[] = Array.isArray(item[field]) ? (item[field] as unknown[]) : [];
    const texts = parts.flatMap((part) => (isObject(part) ? [asString(part['text']) ?? ''] : []));
    if (texts.length > 0) return texts.join(between);
  }
  return null;
}

export function isRefusal(item: JsonObject): boolean {
  const content: readonly unknown[] = Array.isArray(item['content']) ? (item['content'] as unknown[]) : [];
  return content.some((part) => isObject(part) && part['type'] === 'refusal');
}

/** Of a function; others are declared nowhere. */
export function isCall(item: JsonObject): boolean {
  return item['type'] === 'function_call';
}

function hasText(item: JsonObject): boolean {
  return shownContent(item).some(({ text }) => text.trim() !== '');
}

function withoutId({ id: _id, status: _status, ...item }: JsonObject): JsonObject {
  return item;
}
