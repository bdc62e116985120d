// What servers of the Chat Completions protocol look at in a request before they answer, and stricter than any one of them
// where they differ: fields that only some know are refused by all, so that a bad prompt of ours is seen.

import { isObject } from './anthropic-block.ts';
import type { Conversation } from './scenario-endpoint.ts';

export type Dialect = 'openai' | 'vllm' | 'ollama';

export type ChatPrompt = {
  readonly model: string;
  /** Null: the server decides. */
  readonly maxTokens: number | null;
  readonly includesUsage: boolean;
  /** Tools and messages, for counting and caching. */
  readonly prompt: string;
  readonly conversation: Conversation;
};

type Message = Readonly<Record<string, unknown>>;

const REQUEST_FIELDS = ['model', 'messages', 'stream', 'stream_options', 'max_tokens', 'tools', 'tool_choice'];
const MESSAGE_FIELDS: Readonly<Record<string, readonly string[]>> = {
  system: ['role', 'content'],
  user: ['role', 'content'],
  assistant: ['role', 'content', 'tool_calls'],
  tool: ['role', 'content', 'tool_call_id'],
};

/** The prompt of a request body, or the sentence with which the server refuses it. */
export function readChatPrompt(body: unknown, dialect: Dialect): ChatPrompt | string {
  if (!isObject(body)) return 'the body is not a JSON object';
  const { model, messages, max_tokens: maxTokens = null, stream_options: options } = body;
  const unknown = Object.keys(body).find((field) => !REQUEST_FIELDS.includes(field));
  if (unknown !== undefined) return `Unrecognized request argument supplied: ${unknown}`;
  if (typeof model !== 'string' || model === '') return 'you must provide a model parameter';
  if (body['stream'] !== true) return 'stream: this fake only streams';
  if (maxTokens !== null && !(typeof maxTokens === 'number' && Number.isInteger(maxTokens) && maxTokens > 0)) {
    return `max_tokens must be at least 1, got ${JSON.stringify(maxTokens)}`;
  }
  if (!Array.isArray(messages) || messages.length === 0) return "[] is too short - 'messages'";
  const read: Message[] = [];
  for (const [i, message] of (messages as readonly unknown[]).entries()) {
    const fault = isObject(message) ? messageFault(message) : 'is not an object';
    if (fault !== null) return `messages.[${i}]: ${fault}`;
    read.push(message as Message);
  }
  const fault = toolsFault(body) ?? callFault(read) ?? (dialect === 'vllm' ? templateFault(read) : null);
  if (fault !== null) return fault;
  return {
    model,
    maxTokens,
    includesUsage: isObject(options) && options['include_usage'] === true,
    prompt: JSON.stringify([body['tools'] ?? [], messages]),
    conversation: { ...conversationOf(read), mayCall: body['tool_choice'] !== 'none' },
  };
}

function conversationOf(messages: readonly Message[]): Pick<Conversation, 'lastUserText' | 'results'> {
  const asked = messages.findLastIndex((message) => message['role'] === 'user');
  const results: string[][] = [];
  for (const message of messages.slice(asked + 1)) {
    if (message['role'] === 'assistant' && message['tool_calls'] !== undefined) results.push([]);
    if (message['role'] === 'tool') results.at(-1)?.push(textOf(message));
  }
  return { lastUserText: textOf(messages[asked]), results };
}

const TOOL_NAME = /^[a-zA-Z0-9_-]{1,64}$/u;

function toolsFault({ tools, tool_choice: choice }: Message): string | null {
  if (tools === undefined)
    return choice === undefined ? null : "'tool_choice' is only allowed when 'tools' are specified";
  if (!Array.isArray(tools) || tools.length === 0) return "[] is too short - 'tools'";
  for (const [i, tool] of (tools as readonly unknown[]).entries()) {
    const called = isObject(tool) && tool['type'] === 'function' ? tool['function'] : null;
    if (!isObject(called)) return `tools.[${i}]: not a function`;
    const { name, parameters } = called;
    if (typeof name !== 'string' || !TOOL_NAME.test(name)) return `tools.[${i}].function.name: does not match`;
    if (!isObject(parameters) || parameters['type'] !== 'object') return `tools.[${i}].function.parameters: no object`;
  }
  return null;
}

function textOf(message: Message | undefined): string {
  const content = message?.['content'];
  return typeof content === 'string' ? content : '';
}

function messageFault(message: Message): string | null {
  const { role, content, tool_calls: calls } = message;
  const fields = typeof role === 'string' && Object.hasOwn(MESSAGE_FIELDS, role) ? MESSAGE_FIELDS[role] : undefined;
  if (fields === undefined) return `role: ${JSON.stringify(role)} is not one of system, user, assistant, tool`;
  const unknown = Object.keys(message).find((field) => !fields.includes(field));
  if (unknown !== undefined) return `property '${unknown}' is unsupported`;
  if (calls !== undefined && !areCalls(calls)) return 'tool_calls: not a list of calls with JSON arguments';
  // Only an assistant that calls tools may say nothing.
  if (content === null && calls !== undefined) return null;
  if (typeof content !== 'string') return 'content: a string is expected';
  if (content.trim() === '' && role !== 'tool') return 'content: must hold a visible character';
  return content.isWellFormed() ? null : 'content: not valid Unicode';
}

function areCalls(calls: unknown): boolean {
  if (!Array.isArray(calls) || calls.length === 0) return false;
  return (calls as readonly unknown[]).every((call) => {
    if (!isObject(call) || typeof call['id'] !== 'string' || call['type'] !== 'function') return false;
    const called = call['function'];
    return isObject(called) && typeof called['name'] === 'string' && isJson(called['arguments']);
  });
}

function isJson(text: unknown): boolean {
  try {
    return typeof text === 'string' && isObject(JSON.parse(text));
  } catch {
    return false;
  }
}

/** Each call has its result right behind the message that made it, each once; no result is without a call. */
function callFault(messages: readonly Message[]): string | null {
  let open: readonly unknown[] = [];
  for (const message of messages) {
    if (message['role'] === 'tool') {
      const id = message['tool_call_id'];
      if (!open.includes(id))
        return "messages with role 'tool' must be a response to a preceding message with 'tool_calls'";
      open = open.filter((waiting) => waiting !== id);
      continue;
    }
    if (open.length > 0) break;
    const calls = message['tool_calls'];
    open = Array.isArray(calls) ? (calls as readonly Message[]).map((call) => call['id']) : [];
  }
  if (open.length === 0) return null;
  return `An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id': ${String(open[0])}`;
}

/** What the templates of many models want of the messages; vLLM gives their complaint as it is. */
function templateFault(messages: readonly Message[]): string | null {
  const roles = messages.map((message) => message['role']);
  if (roles.lastIndexOf('system') > 0) return 'System message must be at the beginning.';
  // Messages with calls and their results are not counted.
  const counted = messages.filter(({ tool_calls: calls }) => calls === undefined).map((message) => message['role']);
  const turns = counted.filter((role) => role !== 'system' && role !== 'tool');
  if (turns.some((role, i) => role !== (i % 2 === 0 ? 'user' : 'assistant'))) {
    return 'After the optional system message, conversation roles must alternate user/assistant/user/assistant/...';
  }
  return turns.at(-1) === 'user' || roles.at(-1) === 'tool' ? null : 'Expected last role User or Tool.';
}
