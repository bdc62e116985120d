// What the real API looks at in a request before it answers: roles, blocks that may not be empty, pairs of tool calls
// and results, thinking bound to its prefix; and how much of the prompt its cache held.

import { createHash, createHmac } from 'node:crypto';

export type Block = { readonly type: string; readonly [key: string]: unknown };
export type Turn = { readonly role: 'user' | 'assistant'; readonly blocks: readonly Block[] };
export type Prompt = {
  readonly model: string;
  readonly maxTokens: number;
  readonly system: readonly Block[];
  readonly turns: readonly Turn[];
};

export type CacheUsage = { readonly input: number; readonly cacheRead: number; readonly cacheWrite: number };

const CHARS_PER_TOKEN = 4;
/** Blocks that a breakpoint looks back for an entry. */
const LOOKBACK_BLOCKS = 20;
const BREAKPOINTS_MAX = 4;

/** The prompt of a request body, or the sentence with which the API refuses it. */
export function readPrompt(body: unknown, secret: string): Prompt | string {
  if (!isObject(body)) return 'the body is not a JSON object';
  const { model, max_tokens: maxTokens, stream } = body;
  if (typeof model !== 'string' || model === '') return 'model: field required';
  if (typeof maxTokens !== 'number' || !Number.isInteger(maxTokens) || maxTokens < 1)
    return 'max_tokens: must be at least 1';
  if (stream !== true) return 'stream: this fake only streams';
  const system = readBlocks(body['system'] ?? [], 'system');
  if (typeof system === 'string') return system;
  const turns = readTurns(body['messages']);
  if (typeof turns === 'string') return turns;
  const prompt: Prompt = { model, maxTokens, system, turns };
  return breakpointFault(prompt, body['cache_control']) ?? pairFault(turns) ?? thinkingFault(prompt, secret) ?? prompt;
}

function readTurns(messages: unknown): readonly Turn[] | string {
  if (!Array.isArray(messages) || messages.length === 0) return 'messages: at least one message is required';
  const turns: Turn[] = [];
  for (const [i, message] of (messages as unknown[]).entries()) {
    if (!isObject(message)) return `messages.${i}: not an object`;
    const { role, content } = message;
    if (role !== 'user' && role !== 'assistant') return `messages.${i}.role: user or assistant`;
    const blocks = readBlocks(content, `messages.${i}.content`);
    if (typeof blocks === 'string') return blocks;
    if (blocks.length === 0) return `messages.${i}: all messages must have non-empty content`;
    const last = blocks.at(-1)?.type;
    if (role === 'assistant' && (last === 'thinking' || last === 'redacted_thinking')) {
      return `messages.${i}: the final block in an assistant message cannot be thinking`;
    }
    turns.push({ role, blocks });
  }
  if (turns[0]?.role !== 'user') return 'messages: first message must use the user role';
  if (turns.at(-1)?.role !== 'user')
    return 'messages: the last message uses the assistant role; prefill is not supported';
  return turns;
}

function readBlocks(content: unknown, path: string): readonly Block[] | string {
  const list: unknown = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
  if (!Array.isArray(list)) return `${path}: a string or an array of blocks`;
  const blocks: Block[] = [];
  for (const [i, block] of (list as unknown[]).entries()) {
    if (!isObject(block) || typeof block['type'] !== 'string') return `${path}.${i}.type: field required`;
    const text = block['text'];
    if (block['type'] === 'text' && (typeof text !== 'string' || text.trim() === '')) {
      return `${path}.${i}: text content blocks must contain non-whitespace text`;
    }
    blocks.push({ ...block, type: block['type'] });
  }
  return blocks;
}

function breakpointFault(prompt: Prompt, topLevel: unknown): string | null {
  const marked = allBlocks(prompt).filter((block) => block['cache_control'] !== undefined);
  if (marked.some((block) => block.type.endsWith('thinking')))
    return 'cache_control: cannot be set for thinking blocks';
  const count = marked.length + (topLevel === undefined ? 0 : 1);
  return count > BREAKPOINTS_MAX ? `a maximum of 4 blocks with cache_control may be provided, found ${count}` : null;
}

/** Every call is answered in the next message, which begins with the results: all of them, each once. */
function pairFault(turns: readonly Turn[]): string | null {
  for (const [i, turn] of turns.entries()) {
    const calls = turn.blocks.filter((block) => block.type === 'tool_use').map((block) => block['id']);
    const results = (turns[i + 1]?.blocks ?? []).slice(0, calls.length).map((block) => block['tool_use_id']);
    if (calls.some((id) => !results.includes(id))) return `messages.${i}: tool_use ids were found without tool_result`;
    const served = turn.blocks.filter((block) => block.type === 'server_tool_use').map((block) => block['id']);
    const answers = new Set(turn.blocks.map((block) => block['tool_use_id']));
    if (served.some((id) => !answers.has(id))) return `messages.${i}: server_tool_use without its result`;
  }
  return null;
}

// -------------------------------------------------------------------------------------------------- thinking

/** A signature over the thinking and everything that came before its message: no state, so any process can check it. */
export function sign(thinking: string, prefix: string, secret: string): string {
  return createHmac('sha256', secret)
    .update(JSON.stringify([thinking, prefix]))
    .digest('base64');
}

/** The prefix that an answer to this prompt is bound to. */
export function promptPrefix(prompt: Prompt): string {
  return prefixOf(prompt, prompt.turns.length);
}

function prefixOf(prompt: Prompt, turns: number): string {
  const hash = createHash('sha256');
  for (const block of prompt.system) hash.update(`system${canonical(block)}`);
  for (const turn of prompt.turns.slice(0, turns)) {
    for (const block of turn.blocks) hash.update(`${turn.role}${canonical(block)}`);
  }
  return hash.digest('base64');
}

function thinkingFault(prompt: Prompt, secret: string): string | null {
  for (const [i, turn] of prompt.turns.entries()) {
    for (const [j, block] of turn.blocks.entries()) {
      const { type, signature, thinking, data } = block;
      if (type !== 'thinking' && type !== 'redacted_thinking') continue;
      const path = `messages.${i}.content.${j}`;
      if (turn.role !== 'assistant') return `${path}: thinking blocks are the assistant's`;
      const prefix = prefixOf(prompt, i);
      if (type === 'redacted_thinking' && data !== sign('redacted', prefix, secret)) return `${path}: ${BOUND}`;
      if (type === 'thinking' && (typeof signature !== 'string' || signature === ''))
        return `${path}.signature: field required`;
      if (type === 'thinking' && signature !== sign(String(thinking), prefix, secret)) return `${path}: ${BOUND}`;
    }
  }
  return null;
}

const BOUND = 'thinking blocks cannot be modified, or are bound to a different conversation';

// ----------------------------------------------------------------------------------------------------- cache

/** The prompt cache: prefixes by their hash, the newest `entriesMax` of them. */
export class PromptCache {
  readonly #entries = new Set<string>();
  readonly #entriesMax: number;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  /** What the request costs, and its own prefixes remembered. Without breakpoints nothing is read or written. */
  account(prompt: Prompt, body: unknown): CacheUsage {
    const blocks = allBlocks(prompt);
    const hash = createHash('sha256').update(prompt.model);
    const prefixes: { readonly id: string; readonly tokens: number }[] = [];
    let tokens = 0;
    for (const block of blocks) {
      tokens += Math.ceil(canonical(block).length / CHARS_PER_TOKEN);
      prefixes.push({ id: hash.update(canonical(block)).copy().digest('base64'), tokens });
    }
    const marked = blocks.flatMap((block, i) => (block['cache_control'] === undefined ? [] : [i]));
    if (isObject(body) && body['cache_control'] !== undefined) marked.push(blocks.length - 1);
    const read = Math.max(
      0,
      ...marked.map((at) => this.#longest(prefixes.slice(Math.max(0, at + 1 - LOOKBACK_BLOCKS), at + 1))),
    );
    const written = Math.max(read, ...marked.map((at) => prefixes[at]?.tokens ?? 0));
    for (const at of marked) this.#remember(prefixes[at]?.id ?? '');
    return { input: tokens - written, cacheRead: read, cacheWrite: written - read };
  }

  #longest(prefixes: readonly { readonly id: string; readonly tokens: number }[]): number {
    return prefixes.findLast((prefix) => this.#entries.has(prefix.id))?.tokens ?? 0;
  }

  #remember(id: string): void {
    this.#entries.delete(id);
    this.#entries.add(id);
    if (this.#entries.size <= this.#entriesMax) return;
    for (const oldest of this.#entries) {
      this.#entries.delete(oldest);
      return;
    }
  }
}

// ---------------------------------------------------------------------------------------------------- helpers

/** The text of the last user message; empty when there is none. */
export function lastUserText(prompt: Prompt): string {
  const last = prompt.turns.findLast((turn) => turn.role === 'user');
  return (last?.blocks ?? []).map((block) => (typeof block['text'] === 'string' ? block['text'] : '')).join('\n');
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function allBlocks(prompt: Prompt): readonly Block[] {
  return [...prompt.system, ...prompt.turns.flatMap((turn) => turn.blocks)];
}

/** Keys in order and without cache markers, which are no part of what a prompt says. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${(value as unknown[]).map(canonical).join(',')}]`;
  if (!isObject(value)) return JSON.stringify(value) ?? 'null';
  const keys = Object.keys(value).filter((key) => key !== 'cache_control');
  return `{${keys
    .toSorted()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)
    .join(',')}}`;
}
