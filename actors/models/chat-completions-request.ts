// Builds the request of one attempt in the Chat Completions protocol: a pure function of the prompt ledger.
//
// Servers behind this protocol put the messages into a template of the model's. Many templates want one system message, in
// front, and users and assistants in turns, so consecutive messages of one role become one. Content is a plain string,
// which every server understands. Reasoning never goes back: the protocol has no place for it. Between results of tools and
// a user that comes right behind them stands a word of the assistant's: such templates do not count a message with calls.

import type {
  ChatCompletionCreateParamsStreaming,
  ChatCompletionFunctionTool,
  ChatCompletionMessageFunctionToolCall,
  ChatCompletionMessageParam,
} from 'openai/resources/chat/completions';

import type { ModelRequest, PromptItem } from '../ports.ts';
import type { ToolSpec } from '../tool-ports.ts';
import { BLANK_MESSAGE, NO_OUTPUT } from './blank-message.ts';
import { argumentsObject } from './tool-calls.ts';

/** Between texts that were apart in the ledger and are one message here. */
const SEPARATOR = '\n\n';

/** The assistant's word between results and the next user. */
const NOTED = '(noted)';

/** The body of the request; null when there is no message to send. */
export function chatCompletionsRequest(request: ModelRequest): ChatCompletionCreateParamsStreaming | null {
  const messages = alternating(request.items);
  if (messages.length === 0) return null;
  const system = request.system.filter((text) => text.trim() !== '').join(SEPARATOR);
  const { maxOutputTokens } = request;
  return {
    model: request.model,
    messages: system === '' ? messages : [{ role: 'system', content: system }, ...messages],
    ...(request.tools.length === 0 ? {} : { tools: request.tools.map(functionTool), tool_choice: request.toolChoice }),
    stream: true,
    stream_options: { include_usage: true },
    // The old name of the field: the only one that all of these servers know.
    ...(maxOutputTokens === null ? {} : { max_tokens: maxOutputTokens }),
  };
}

function functionTool({ name, description, schema }: ToolSpec): ChatCompletionFunctionTool {
  return {
    type: 'function',
    function: { name, description, parameters: JSON.parse(schema) as Record<string, unknown> },
  };
}

type Calls = readonly ChatCompletionMessageFunctionToolCall[];
type Result = { readonly role: 'tool'; readonly tool_call_id: string; readonly content: string };
type Said = { readonly role: 'user' | 'assistant'; readonly content: string; readonly calls: Calls };

function alternating(items: readonly PromptItem[]): ChatCompletionMessageParam[] {
  const messages: (Said | Result)[] = [];
  for (const item of items) {
    if (item.role === 'tool') messages.push(...resultsOf(item));
    else add(messages, saidBy(item.role, item));
  }
  return messages.map((message) => ('calls' in message ? messageOf(message) : message));
}

function saidBy(role: Said['role'], item: PromptItem): Said {
  return { role, content: contentOf(role, item), calls: role === 'assistant' ? callsOf(item) : [] };
}

function add(messages: (Said | Result)[], said: Said): void {
  if (said.content === '' && said.calls.length === 0) return;
  const last = messages.at(-1);
  if (last?.role === 'tool' && said.role === 'user') messages.push({ role: 'assistant', content: NOTED, calls: [] });
  if (last === undefined || !('calls' in last) || last.role !== said.role || last.calls.length > 0) {
    messages.push(said);
    return;
  }
  const content = [last.content, said.content].filter((text) => text !== '').join(SEPARATOR);
  messages[messages.length - 1] = { ...said, content };
}

function messageOf({ role, content, calls }: Said): ChatCompletionMessageParam {
  if (role === 'user' || calls.length === 0) return { role, content };
  return { role, content: content === '' ? null : content, tool_calls: [...calls] };
}

/** Servers read the arguments for their templates: what is no JSON is wrapped into some. */
function callsOf({ parts }: PromptItem): Calls {
  return parts.flatMap((part) => {
    if (part.type !== 'tool_call') return [];
    return [{ id: part.call, type: 'function', function: { name: part.name, arguments: argumentsObject(part.text) } }];
  });
}

/** One message per result; the protocol has no field for a failure: the content says it. */
function resultsOf({ parts }: PromptItem): readonly Result[] {
  return parts.flatMap((part) => {
    if (part.type !== 'tool_result') return [];
    return [{ role: 'tool', tool_call_id: part.call, content: part.text.trim() === '' ? NO_OUTPUT : part.text }];
  });
}

/** The text as it was shown, byte for byte; empty for an assistant's message without a visible character. */
function contentOf(role: 'user' | 'assistant', { parts }: PromptItem): string {
  const texts = parts.flatMap((part) => (part.type === 'text' ? [part.text] : []));
  // An assistant's texts are pieces of one text, with reasoning between them; those of a user stand for themselves.
  const content = texts.join(role === 'assistant' ? '' : SEPARATOR);
  if (content.trim() !== '') return content;
  return role === 'user' ? BLANK_MESSAGE : '';
}
