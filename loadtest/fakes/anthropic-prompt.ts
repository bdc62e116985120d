// What the real API looks at in a request before it answers: roles, blocks that may not be empty, pairs of tool calls
// and results, thinking bound to its prefix; and how much of the prompt its cache held.

import { createHash, createHmac } from 'node:crypto';

import { type Block, type Turn, canonical, isObject } from './anthropic-block.ts';
import { pairFault, toolsFault } from './anthropic-tools.ts';
import type { Conversation } from './scenario-endpoint.ts';

export type Prompt = {
  readonly model: string;
  readonly maxTokens: number;
  readonly tools: readonly Block[];
  readonly mayCall: boolean;
  readonly system: readonly Block[];
  readonly turns: readonly Turn[];
};

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
  const fault = toolsFault(body, turns) ?? pairFault(turns);
  if (fault !== null) return fault;
  const tools = ((body['tools'] ?? []) as readonly object[]).map((tool) => ({ type: 'tool', ...tool }));
  const choice = body['tool_choice'];
  const mayCall = !isObject(choice) || choice['type'] !== 'none';
  const prompt: Prompt = { model, maxTokens, tools, mayCall, system, turns };
  return breakpointFault(prompt, body['cache_control']) ?? thinkingFault(prompt, secret) ?? prompt;
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
  for (const tool of prompt.tools) hash.update(`tool${canonical(tool)}`);
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

// ---------------------------------------------------------------------------------------------------- helpers

/** What the user said last, and what the tools said since. */
export function conversationOf({ turns, mayCall }: Prompt): Conversation {
  const asked = turns.findLastIndex(
    ({ role, blocks }) => role === 'user' && blocks.some(({ type }) => type === 'text'),
  );
  const since = turns.slice(asked + 1).filter(({ role }) => role === 'user');
  return {
    lastUserText: (turns[asked]?.blocks ?? []).map(textOf).join('\n'),
    results: since.map(({ blocks }) => blocks.filter(({ type }) => type === 'tool_result').map(contentOf)),
    mayCall,
  };
}

function textOf(block: Block): string {
  return typeof block['text'] === 'string' ? block['text'] : '';
}

function contentOf({ content }: Block): string {
  if (typeof content === 'string') return content;
  return Array.isArray(content) ? (content as readonly Block[]).map(textOf).join('') : '';
}

/** In the order of the API's own prompt. */
export function allBlocks(prompt: Prompt): readonly Block[] {
  return [...prompt.tools, ...prompt.system, ...prompt.turns.flatMap((turn) => turn.blocks)];
}
