// Builds the request of one attempt in the Chat Completions protocol: a pure function of the prompt ledger.
//
// Servers behind this protocol put the messages into a template of the model's. Many templates want one system message, in
// front, and users and assistants in turns, so consecutive messages of one role become one. Content is a plain string,
// which every server understands. Reasoning never goes back: the protocol has no place for it.

import type {
  ChatCompletionCreateParamsStreaming,
  ChatCompletionMessageParam,
} from 'openai/resources/chat/completions';

import type { ModelRequest, PromptItem } from '../ports.ts';
import { BLANK_MESSAGE } from './blank-message.ts';

/** Between texts that were apart in the ledger and are one message here. */
const SEPARATOR = '\n\n';

/** The body of the request; null when there is no message to send. */
export function chatCompletionsRequest(request: ModelRequest): ChatCompletionCreateParamsStreaming | null {
  const messages = alternating(request.items);
  if (messages.length === 0) return null;
  const system = request.system.filter((text) => text.trim() !== '').join(SEPARATOR);
  const { maxOutputTokens } = request;
  return {
    model: request.model,
    messages: system === '' ? messages : [{ role: 'system', content: system }, ...messages],
    stream: true,
    stream_options: { include_usage: true },
    // The old name of the field: the only one that all of these servers know.
    ...(maxOutputTokens === null ? {} : { max_tokens: maxOutputTokens }),
  };
}

function alternating(items: readonly PromptItem[]): ChatCompletionMessageParam[] {
  const messages: { role: 'user' | 'assistant'; content: string }[] = [];
  for (const item of items) {
    const content = contentOf(item);
    if (content === '') continue;
    const role = item.role === 'assistant' ? 'assistant' : 'user';
    const last = messages.at(-1);
    if (last?.role === role) last.content += SEPARATOR + content;
    else messages.push({ role, content });
  }
  return messages;
}

/** The text as it was shown, byte for byte; empty for an assistant's message without a visible character. */
function contentOf({ role, parts }: PromptItem): string {
  const texts = parts.flatMap((part) => (part.type === 'text' ? [part.text] : []));
  // An assistant's texts are pieces of one text, with reasoning between them; those of a user stand for themselves.
  const content = texts.join(role === 'assistant' ? '' : SEPARATOR);
  if (content.trim() !== '') return content;
  return role === 'user' ? BLANK_MESSAGE : '';
}
