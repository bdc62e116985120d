// Builds the request of one attempt from the prompt ledger: a pure function, so that equal items give equal bytes and
// the messages of step k are a prefix of those of step k+1 (P8; cached prompts and signed thinking depend on it). The body
// is text, put together from what is stored: what a provider sent goes back in the very bytes.
//
// Cache breakpoints, three of the four that are allowed; they are no part of the prompt's identity. One behind tools and
// system. One where the request before this one ended: an entry is there, whatever the number of blocks since, while a
// breakpoint at the end alone looks back over 20 of them and would miss it behind a step of many calls. And the top-level
// one, which the API moves to the last block: there the next request finds its entry.

import type {
  MessageCreateParamsStreaming,
  TextBlockParam,
  Tool,
  ToolResultBlockParam,
} from '@anthropic-ai/sdk/resources/messages';

import { must } from '../../protocol/assert.ts';
import type { Part } from '../../protocol/content.ts';
import type { ModelRequest, PromptItem } from '../ports.ts';
import type { ToolSpec } from '../tool-ports.ts';
import { ANTHROPIC, storedBlocks } from './anthropic-blocks.ts';
import { BLANK_MESSAGE, NO_OUTPUT } from './blank-message.ts';
import { argumentsObject } from './tool-calls.ts';

const EPHEMERAL = { type: 'ephemeral' } as const;
const MARK = `"cache_control":${JSON.stringify(EPHEMERAL)}`;

type Message = { readonly role: 'user' | 'assistant'; readonly blocks: readonly string[] };

/** The body of the request as JSON text; null when there is no message to send. */
export function anthropicRequest(request: ModelRequest): string | null {
  const messages: Message[] = [];
  for (const item of request.items) {
    const blocks = blocksOf(item);
    if (blocks.length > 0) messages.push({ role: item.role === 'assistant' ? 'assistant' : 'user', blocks });
  }
  if (messages.length === 0) return null;
  const tools = toolsOf(request);
  const system = systemBlocks(request.system);
  const head: Omit<MessageCreateParamsStreaming, 'messages'> = {
    model: request.model,
    max_tokens: must(request.maxOutputTokens, 'the API wants a limit, so the catalogue gives one'),
    cache_control: EPHEMERAL,
    ...(tools.length === 0 ? {} : { tools: markedTools(tools, system.length === 0) }),
    ...(tools.length === 0 ? {} : { tool_choice: { type: request.tools.length === 0 ? 'none' : request.toolChoice } }),
    ...(system.length === 0 ? {} : { system }),
    stream: true,
  };
  return `${JSON.stringify(head).slice(0, -1)},"messages":[${messagesJson(messages)}]}`;
}

function messagesJson(messages: readonly Message[]): string {
  const lastAnswer = messages.findLastIndex(({ role }) => role === 'assistant');
  const endBefore = messages.findLastIndex(({ role }, i) => role === 'user' && i < lastAnswer);
  return messages
    .map(({ role, blocks }, i) => `{"role":"${role}","content":[${withMark(blocks, i === endBefore).join(',')}]}`)
    .join(',');
}

/** Only a block of ours carries a mark, never one that a provider sent. */
function withMark(blocks: readonly string[], isMarked: boolean): readonly string[] {
  const last = blocks.at(-1);
  return isMarked && last !== undefined ? [...blocks.slice(0, -1), `${last.slice(0, -1)},${MARK}}`] : blocks;
}

/** A history with calls wants tools: where there are none any more, those that were called, and none may be called. */
function toolsOf({ tools, items }: ModelRequest): readonly ToolSpec[] {
  if (tools.length > 0) return tools;
  const called = items.flatMap(({ parts }) => parts.flatMap((part) => (part.type === 'tool_call' ? [part.name] : [])));
  return [...new Set(called)].toSorted().map((name) => {
    return { name, description: 'No longer available.', schema: '{"type":"object"}' };
  });
}

function markedTools(tools: readonly ToolSpec[], isMarked: boolean): Tool[] {
  return tools.map(({ name, description, schema }, i) => {
    const tool: Tool = { name, description, input_schema: JSON.parse(schema) as Tool.InputSchema };
    return isMarked && i === tools.length - 1 ? { ...tool, cache_control: EPHEMERAL } : tool;
  });
}

function systemBlocks(system: readonly string[]): TextBlockParam[] {
  const texts = system.filter((text) => text.trim() !== '');
  return texts.map((text, i) => {
    const block: TextBlockParam = { type: 'text', text };
    return i === texts.length - 1 ? { ...block, cache_control: EPHEMERAL } : block;
  });
}

/** The blocks of an item, each as JSON text; those of a provider are one text, since they are not looked into. */
function blocksOf(item: PromptItem): readonly string[] {
  if (item.provider?.provider === ANTHROPIC) {
    const blocks = storedBlocks(item.provider.json);
    // Bytes that cannot be read are replaced by the parts of the same message: a chat never gets stuck on them (P12).
    if (blocks !== null) return blocks === '' ? [] : [blocks];
  }
  const blocks = item.parts.flatMap((part) => partBlock(part));
  // Only a user's message must not vanish; an assistant's without content is left out.
  return blocks.length === 0 && item.role === 'user' ? [textBlock(BLANK_MESSAGE)] : blocks;
}

function partBlock(part: Part): readonly string[] {
  switch (part.type) {
    case 'text':
      return part.text.trim() === '' ? [] : [textBlock(part.text)];
    // The reasoning of another provider means nothing here, and unsigned thinking is refused.
    case 'reasoning':
      return [];
    case 'tool_call': {
      const head = JSON.stringify({ type: 'tool_use', id: part.call, name: part.name });
      return [`${head.slice(0, -1)},"input":${argumentsObject(part.text)}}`];
    }
    case 'tool_result': {
      const block: ToolResultBlockParam = {
        type: 'tool_result',
        tool_use_id: part.call,
        content: part.text.trim() === '' ? NO_OUTPUT : part.text,
      };
      return [JSON.stringify(part.status === 'ok' ? block : { ...block, is_error: true })];
    }
  }
}

function textBlock(text: string): string {
  return JSON.stringify({ type: 'text', text } satisfies TextBlockParam);
}
