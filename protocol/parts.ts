// Parts and the live blocks that become them.

import { must } from './assert.ts';
import type { BlockType, CallName, Part, PartReference } from './content.ts';

/** What a block becomes when its message is committed. */
export function partOfBlock(block: {
  readonly type: BlockType;
  readonly text: string;
  readonly call?: CallName | undefined;
}): Part {
  const { type, text } = block;
  if (type !== 'tool_call') return type === 'text' ? { type, text } : { type, text };
  const { call, name } = must(block.call, 'a block of a call says which');
  return { type, text, call, name };
}

/** The part that the reference stands for. */
export function withText(reference: PartReference, text: string): Part {
  const { bytes: _bytes, ...rest } = reference;
  return { ...rest, text };
}

/** The call as a field that is only there when there is one. */
export function callField(call: CallName | undefined): { readonly call?: CallName } {
  return call === undefined ? {} : { call };
}
