// What a screen is told to print, one thing after the other.
import type { BlockType } from '../content.ts';
import type { Line } from './wording.ts';

export type Action =
  /** A whole line of its own. */
  | ({ readonly kind: 'line' } & Line)
  /** A block begins on a line of its own. */
  | { readonly kind: 'begin'; readonly block: BlockType }
  /** Sanitized text of the block that has begun. */
  | { readonly kind: 'stream'; readonly block: BlockType; readonly text: string }
  /** The block is over: what comes next begins on a new line. */
  | { readonly kind: 'end' };
