// Builds the request of one attempt from the prompt ledger: a pure function, so that equal items give equal bytes and
// the input of step k is a prefix of that of step k+1 (P8; the cache of prompts depends on it).
//
// Nothing is kept at the provider (`store: false`), and its reasoning goes back encrypted; only a response that runs in
// the background has to be stored there, since that is how it is asked for again.

import type {
  FunctionTool,
  ResponseCreateParamsStreaming,
  ResponseInputItem,
} from 'openai/resources/responses/responses';

import type { Part } from '../../protocol/content.ts';
import type { ModelRequest, PromptItem } from '../ports.ts';
import type { ToolSpec } from '../tool-ports.ts';
import { BLANK_MESSAGE, NO_OUTPUT } from './blank-message.ts';
import { OPENAI, decodeItems } from './openai-responses-items.ts';

/** The body of the request; null when there is no message to send. */
export function responsesRequest(request: ModelRequest): ResponseCreateParamsStreaming | null {
  const input = request.items.flatMap(inputOf);
  if (input.length === 0) return null;
  const instructions = request.system.filter((text) => text.trim() !== '').join('\n\n');
  return {
    model: request.model,
    ...(instructions === '' ? {} : { instructions }),
    ...(request.tools.length === 0 ? {} : { tools: request.tools.map(functionTool), tool_choice: request.toolChoice }),
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
  const tools = JSON.stringify(body.tools ?? []).length;
  return Math.ceil(((body.instructions ?? '').length + tools + JSON.stringify(body.input).length) / 4);
}

/** Not strict: that mode takes only schemas of its own kind, and those of clients are what they are. */
function functionTool({ name, description, schema }: ToolSpec): FunctionTool {
  const parameters = JSON.parse(schema) as FunctionTool['parameters'];
  return { type: 'function', name, description, parameters, strict: false };
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
  const said: readonly ResponseInputItem[] = texts.length === 0 ? [] : [{ role: 'assistant', content: texts.join('') }];
  return [...said, ...item.parts.flatMap(callOrOutput)];
}

function callOrOutput(part: Part): readonly ResponseInputItem[] {
  switch (part.type) {
    case 'tool_call':
      return [{ type: 'function_call', call_id: part.call, name: part.name, arguments: part.text }];
    // The protocol has no field for a failure: the output says it.
    case 'tool_result': {
      const output = part.text.trim() === '' ? NO_OUTPUT : part.text;
      return [{ type: 'function_call_output', call_id: part.call, output }];
    }
    case 'text':
    case 'reasoning':
      return [];
  }
}
