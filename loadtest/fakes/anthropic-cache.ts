// Anthropic's prompt cache: nothing is written or read but at the breakpoints of a request. Each of them looks back over at
// most 20 blocks for the end of a prefix that an earlier breakpoint wrote; prefixes under the minimum are not cached, and
// nobody is told.

import { createHash } from 'node:crypto';

import { canonical, isObject } from './anthropic-block.ts';
import { type Prompt, allBlocks } from './anthropic-prompt.ts';
import { CacheBooks, Newest } from './cache-books.ts';

export type CacheUsage = { readonly input: number; readonly cacheRead: number; readonly cacheWrite: number };

const CHARS_PER_TOKEN = 4;
const LOOKBACK_BLOCKS = 20;
/** Of the larger models; the API tells it only by reading nothing. */
export const ANTHROPIC_CACHE_MINIMUM = 1_024;

type Prefix = { readonly id: string; readonly tokens: number };

export class PromptCache {
  readonly books = new CacheBooks();
  readonly #minimum: number;
  /** Prefixes that a breakpoint wrote. */
  readonly #written: Newest;
  /** Every prefix of every prompt: what could have been read. */
  readonly #seen: Newest;

  constructor(entriesMax: number, minimumTokens: number) {
    this.#minimum = minimumTokens;
    this.#written = new Newest(entriesMax);
    this.#seen = new Newest(entriesMax * 100);
  }

  /** What the request costs, and its own prefixes remembered. Without breakpoints nothing is read or written. */
  account(prompt: Prompt, body: unknown): CacheUsage {
    const blocks = allBlocks(prompt);
    const prefixes = prefixesOf(prompt);
    const total = prefixes.at(-1)?.tokens ?? 0;
    const marked = blocks.flatMap((block, i) => (block['cache_control'] === undefined ? [] : [i]));
    if (isObject(body) && body['cache_control'] !== undefined) marked.push(blocks.length - 1);
    const readable = this.#longest(prefixes, this.#seen);
    const read = Math.max(
      0,
      ...marked.map((at) =>
        this.#longest(prefixes.slice(Math.max(0, at + 1 - LOOKBACK_BLOCKS), at + 1), this.#written),
      ),
    );
    const ends = marked.flatMap((at) => prefixes[at] ?? []).filter(({ tokens }) => tokens >= this.#minimum);
    const written = Math.max(read, ...ends.map(({ tokens }) => tokens));
    for (const { id } of ends) this.#written.add(id);
    for (const { id } of prefixes) this.#seen.add(id);
    this.books.add({ prompt: total, read, written: written - read, readable });
    return { input: total - written, cacheRead: read, cacheWrite: written - read };
  }

  #longest(prefixes: readonly Prefix[], known: Newest): number {
    return prefixes.findLast(({ id, tokens }) => tokens >= this.#minimum && known.has(id))?.tokens ?? 0;
  }
}

function prefixesOf(prompt: Prompt): readonly Prefix[] {
  const hash = createHash('sha256').update(prompt.model);
  let tokens = 0;
  return allBlocks(prompt).map((block) => {
    const text = canonical(block);
    tokens += Math.ceil(text.length / CHARS_PER_TOKEN);
    return { id: hash.update(text).copy().digest('base64'), tokens };
  });
}
