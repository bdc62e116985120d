// Makes text that arrives in pieces fit for the log: no piece ends inside a code point, none holds NUL or a lone
// surrogate (both become U+FFFD). Providers escape JSON as they like, so the two halves of one emoji may arrive apart.

import { isPlain } from '../../protocol/text.ts';

const REPLACEMENT = '\uFFFD';

/** One per block. It holds back at most one UTF-16 unit: the first half of a pair whose second has not come yet. */
export class TextGuard {
  #held: string;

  /** `held`: what the guard before this one held back, when the block goes on from elsewhere. */
  constructor(held = '') {
    this.#held = held;
  }

  /** What waits for its other half; empty mostly. */
  get held(): string {
    return this.#held;
  }

  /** What can be shown now; empty when only half a code point has come. */
  push(piece: string): string {
    if (this.#held === '' && isPlain(piece)) return piece;
    let text = this.#held + piece;
    const last = text.charCodeAt(text.length - 1);
    const isHalf = last >= 0xd800 && last <= 0xdbff;
    this.#held = isHalf ? text.slice(-1) : '';
    if (isHalf) text = text.slice(0, -1);
    return text.toWellFormed().replaceAll('\0', REPLACEMENT);
  }

  /** What was still held back when the block ends. */
  flush(): string {
    const rest = this.#held === '' ? '' : REPLACEMENT;
    this.#held = '';
    return rest;
  }
}

/** `text` without half a code point at its end: what to keep of a text that was broken off. */
export function wholeCodePoints(text: string): string {
  const last = text.charCodeAt(text.length - 1);
  return last >= 0xd800 && last <= 0xdbff ? text.slice(0, -1) : text;
}
