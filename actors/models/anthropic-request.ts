// Builds the request of one attempt from the prompt ledger: a pure function, so that equal items give equal bytes and
// the messages of step k are a prefix of those of step k+1 (P8; cached prompts and signed thinking depend on it).
//
// Cache breakpoints: one on the last system block, and the top-level one, which the API moves to the last block that
// can carry it. They are no part of the prompt's identity, and two of the four that are allowed are enough.

import type { MessageCreateParamsStreaming, MessageParam, TextBlockParam } from '@anthropic-ai/sdk/resources/messages';

import { must } from '../../protocol/assert.ts';
import type { ModelRequest, PromptItem } from '../ports.ts';
import { ANTHROPIC, decodeBlocks } from './anthropic-blocks.ts';
import { BLANK_MESSAGE } from './blank-message.ts';

type ContentBlocks = Extract<MessageParam['content'], readonly unknown[]>;

/** The body of the request; null when there is no message to send. */
export function anthropicRequest(request: ModelRequest): MessageCreateParamsStreaming | null {
  const messages: MessageParam[] = [];
  for (const item of request.items) {
    const content = contentOf(item);
    if (content.length > 0) messages.push({ role: item.role === 'assistant' ? 'assistant' : 'user', content });
  }
  if (messages.length === 0) return null;
  const system = systemBlocks(request.system);
  return {
    model: request.model,
    max_tokens: must(request.maxOutputTokens, 'the API wants a limit, so the catalogue gives one'),
    cache_control: { type: 'ephemeral' },
    ...(system.length === 0 ? {} : { system }),
    messages,
    stream: true,
  };
}

function systemBlocks(system: readonly string[]): TextBlockParam[] {
  const texts = system.filter((text) => text.trim() !== '');
  return texts.map((text, i) => {
    const block: TextBlockParam = { type: 'text', text };
    return i === texts.length - 1 ? { ...block, cache_control: { type: 'ephemeral' } } : block;
  });
}

function contentOf(item: PromptItem): ContentBlocks {
  if (item.provider?.provider === ANTHROPIC) {
    const blocks = decodeBlocks(item.provider.json);
    // Bytes that cannot be read are replaced by the text of the same message: a chat never gets stuck on them (P12).
    if (blocks !== null) return blocks as unknown as ContentBlocks;
  }
  const texts: TextBlockParam[] = [];
  for (const part of item.parts) {
    // The reasoning of another provider means nothing here, and unsigned thinking is refused.
    if (part.type === 'text' && part.text.trim() !== '') texts.push({ type: 'text', text: part.text });
  }
  // Only a user's message must not vanish; an assistant's without content is left out.
  if (texts.length === 0 && item.role === 'user') texts.push({ type: 'text', text: BLANK_MESSAGE });
  return texts;
}
