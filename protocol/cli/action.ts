// What a screen is told to print, one thing after the other.
import type { BlockType } from '../content.ts';
import type { Line } from './wording.ts';

export type Action =
  /** A whole line of its own; `fit`: cut to one row of the screen. */
  | ({ readonly kind: 'line'; readonly fit?: true } & Line)
  /** A block begins on a line of its own. */
  | { readonly kind: 'begin'; readonly block: BlockType }
  /** A call of a tool begins on a line of its own; its arguments follow as a stream, of which one row is shown. */
  | { readonly kind: 'call'; readonly label: string }
  /** Sanitized text of the block that has begun. */
  | { readonly kind: 'stream'; readonly block: BlockType; readonly text: string }
  /** The block is over: what comes next begins on a new line. */
  | { readonly kind: 'end' };
