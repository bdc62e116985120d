// Builds the request of one attempt from the prompt ledger: a pure function, so that equal items give equal bytes and
// the input of step k is a prefix of that of step k+1 (P8; the cache of prompts depends on it).
//
// Nothing is kept at the provider (`store: false`), and its reasoning goes back encrypted; only a response that runs in
// the background has to be stored there, since that is how it is asked for again.

import type { ResponseCreateParamsStreaming, ResponseInputItem } from 'openai/resources/responses/responses';

import type { ModelRequest, PromptItem } from '../ports.ts';
import { BLANK_MESSAGE } from './blank-message.ts';
import { OPENAI, decodeItems } from './openai-responses-items.ts';

/** The body of the request; null when there is no message to send. */
export function responsesRequest(request: ModelRequest): ResponseCreateParamsStreaming | null {
  const input = request.items.flatMap(inputOf);
  if (input.length === 0) return null;
  const instructions = request.system.filter((text) => text.trim() !== '').join('\n\n');
  return {
    model: request.model,
    ...(instructions === '' ? {} : { instructions }),
    input,
    max_output_tokens: request.maxOutputTokens,
    // Requests of one chat share their beginning: this sends them where that is cached.
    prompt_cache_key: request.chat,
    store: request.background,
    ...(request.background ? { background: true } : {}),
    stream: true,
    // The padding of deltas to one length is for networks that others listen to; TLS to the provider is not one.
    stream_options: { include_obfuscation: false },
  };
}

/** About four characters a token: the provider counts the prompt only at the end, which an attempt may not see. */
export function estimatedInputTokens(body: ResponseCreateParamsStreaming): number {
  return Math.ceil(((body.instructions ?? '').length + JSON.stringify(body.input).length) / 4);
}

function inputOf(item: PromptItem): readonly ResponseInputItem[] {
  if (item.provider?.provider === OPENAI) {
    const items = decodeItems(item.provider.json);
    // Bytes that cannot be read are replaced by the text of the same message: a chat never gets stuck on them (P12).
    if (items !== null) return items as unknown as readonly ResponseInputItem[];
  }
  // The reasoning of another provider means nothing here.
  const texts = item.parts.flatMap(({ type, text }) => (type === 'text' && text.trim() !== '' ? [text] : []));
  if (item.role === 'user') {
    const shown = texts.length === 0 ? [BLANK_MESSAGE] : texts;
    return [{ role: 'user', content: shown.map((text) => ({ type: 'input_text', text })) }];
  }
  return texts.length === 0 ? [] : [{ role: 'assistant', content: texts.join('') }];
}
