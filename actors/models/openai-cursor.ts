// Where the stream of a response is, in a form that can be stored: the number of its last event, and for each block on the
// screen where it comes from. Half a code point that waits for its other half is part of it.

import { asCount, asString, isObject, parseJson } from './json.ts';

export type ResponseCursor = {
  /** `sequence_number` of the last event whose content was passed on; -1: none. */
  readonly sequence: number;
  /** In the order on the screen: the key of the block at the provider, and what of its text is held back. */
  readonly blocks: readonly (readonly [key: string, held: string])[];
};

const BEGINNING: ResponseCursor = { sequence: -1, blocks: [] };

export function formatCursor({ sequence, blocks }: ResponseCursor): string {
  // Escaped, since a lone surrogate has no form in UTF-8.
  const units = blocks.map(([key, held]) => [key, held === '' ? 0 : held.charCodeAt(0)]);
  return JSON.stringify({ sequence, blocks: units });
}

/** Anything that is no cursor is the beginning. */
export function parseCursor(text: string | null): ResponseCursor {
  const value = text === null ? null : parseJson(text)?.value;
  if (!isObject(value)) return BEGINNING;
  const sequence = asCount(value['sequence']);
  const blocks: readonly unknown[] = Array.isArray(value['blocks']) ? value['blocks'] : [];
  if (sequence === null) return BEGINNING;
  return {
    sequence,
    blocks: blocks.map((block) => {
      const [key, unit]: readonly unknown[] = Array.isArray(block) ? (block as unknown[]) : [];
      const held = asCount(unit) ?? 0;
      return [asString(key) ?? '', held === 0 ? '' : String.fromCharCode(held)] as const;
    }),
  };
}
