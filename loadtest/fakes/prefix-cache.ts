// OpenAI's prompt cache, as its guides describe it: automatic, for prompts of 1,024 tokens and more, in steps of 128 tokens,
// found by the model and the `prompt_cache_key` that the request gives.

import { CacheBooks } from './cache-books.ts';

export type PrefixUsage = {
  readonly inputTokens: number;
  readonly cachedTokens: number;
  readonly writtenTokens: number;
};

const CHARS_PER_TOKEN = 4;
const MINIMUM_TOKENS = 1_024;
const STEP_TOKENS = 128;
/** Prompts that a new one is held against to see what could have been read, whatever their keys. */
const COMPARED_MAX = 16;

export class PrefixCache {
  readonly books = new CacheBooks();
  readonly #keysMax: number;
  /** The latest prompt under its key: a chat's prompts only grow. */
  readonly #latest = new Map<string, string>();

  constructor(keysMax: number) {
    this.#keysMax = keysMax;
  }

  /** The prompt in tokens; what it has in common with the one before is read, the rest is written. */
  account(key: string, prompt: string): PrefixUsage {
    const inputTokens = Math.ceil(prompt.length / CHARS_PER_TOKEN);
    const cachedTokens = cacheable(commonChars(this.#latest.get(key) ?? '', prompt) / CHARS_PER_TOKEN);
    const newest = [...this.#latest.values()].slice(-COMPARED_MAX);
    const readable = cacheable(Math.max(0, ...newest.map((other) => commonChars(other, prompt))) / CHARS_PER_TOKEN);
    const writtenTokens = Math.max(0, cacheable(inputTokens) - cachedTokens);
    this.#remember(key, prompt);
    this.books.add({ prompt: inputTokens, read: cachedTokens, written: writtenTokens, readable });
    return { inputTokens, cachedTokens, writtenTokens };
  }

  #remember(key: string, prompt: string): void {
    this.#latest.delete(key);
    this.#latest.set(key, prompt);
    for (const oldest of this.#latest.keys()) {
      if (this.#latest.size <= this.#keysMax) return;
      this.#latest.delete(oldest);
    }
  }
}

function commonChars(before: string, prompt: string): number {
  let common = 0;
  while (common < before.length && before[common] === prompt[common]) common += 1;
  return common;
}

function cacheable(tokens: number): number {
  return tokens < MINIMUM_TOKENS ? 0 : Math.floor(tokens / STEP_TOKENS) * STEP_TOKENS;
}
