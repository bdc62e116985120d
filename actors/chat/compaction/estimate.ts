// How much of a window something takes, where no provider has counted it yet. Pure.

import { utf8Length } from '../../../protocol/text.ts';
import type { PromptItem } from '../../ports.ts';

/** The rule of thumb that providers give; text that is not English takes up to twice as many tokens. */
const BYTES_PER_TOKEN = 4;

/** A step goes back as its provider sent it, with reasoning and signatures. */
export function itemBytes({ parts, provider }: PromptItem): number {
  const shown = parts.reduce((sum, part) => sum + utf8Length(part.text), 0);
  return Math.max(shown, provider?.json.length ?? 0);
}

export function estimatedTokens(items: readonly PromptItem[]): number {
  return tokensOf(items.reduce((sum, item) => sum + itemBytes(item), 0));
}

export function tokensOf(bytes: number): number {
  return Math.ceil(bytes / BYTES_PER_TOKEN);
}

export function bytesOf(tokens: number): number {
  return Math.floor(tokens) * BYTES_PER_TOKEN;
}
