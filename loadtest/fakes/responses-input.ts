// What a request to the Responses API must look like: the rules of the real API that histories break on, with its words.

import { createHmac } from 'node:crypto';

import type { Conversation, Refusal } from './scenario-endpoint.ts';

export type ResponsesRequest = {
  readonly model: string;
  readonly background: boolean;
  readonly maxTokens: number;
  /** Deltas carry random padding unless the request says no. */
  readonly obfuscation: boolean;
  readonly cacheKey: string;
  /** Tools, instructions and input, for counting and caching. */
  readonly prompt: string;
  readonly conversation: Conversation;
};

type JsonObject = { readonly [key: string]: unknown };

const PARAMETERS = new Set([
  'model',
  'instructions',
  'input',
  'max_output_tokens',
  'prompt_cache_key',
  'store',
  'stream',
  'stream_options',
  'background',
  'include',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
]);
const CACHE_KEY_MAX = 64;
const OUTPUT_TOKENS_MIN = 16;

export function readResponsesRequest(body: unknown, secret: string): ResponsesRequest | Refusal {
  if (!isObject(body)) return bad('We could not parse the JSON body of your request.', null);
  const unknown = Object.keys(body).find((name) => !PARAMETERS.has(name));
  if (unknown !== undefined) return bad(`Unknown parameter: '${unknown}'.`, 'unknown_parameter');
  const { model, background, store, stream } = body;
  if (typeof model !== 'string' || model === '') return bad("Missing required parameter: 'model'.", MISSING);
  if (stream !== true) return bad('This server only streams.', null);
  if (background === true && store === false) return bad("Background mode requires 'store' to be true.", null);
  const limit = body['max_output_tokens'] ?? 128_000;
  if (typeof limit !== 'number' || limit < OUTPUT_TOKENS_MIN) {
    return bad("Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16.", BELOW);
  }
  const cacheKey = body['prompt_cache_key'] ?? '';
  if (typeof cacheKey !== 'string' || cacheKey.length > CACHE_KEY_MAX) {
    return bad("Invalid 'prompt_cache_key': string too long.", 'string_above_max_length');
  }
  const fault = toolsFault(body) ?? inputFault(body['input'], secret);
  if (fault !== null) return fault;
  const options = isObject(body['stream_options']) ? body['stream_options'] : {};
  return {
    model,
    background: background === true,
    maxTokens: limit,
    obfuscation: options['include_obfuscation'] !== false,
    cacheKey,
    prompt: JSON.stringify([body['tools'] ?? [], body['instructions'] ?? '', body['input']]),
    conversation: { ...conversationOf(body['input']), mayCall: body['tool_choice'] !== 'none' },
  };
}

/** Reasoning as it leaves the server: sealed, so that one that was touched is noticed. */
export function seal(reasoning: string, secret: string): string {
  const mac = createHmac('sha256', secret).update(reasoning).digest('base64url');
  return `gAAA.${Buffer.from(reasoning).toString('base64url')}.${mac}`;
}

const MISSING = 'missing_required_parameter';
const BELOW = 'integer_below_min_value';

function bad(message: string, code: string | null): Refusal {
  return { status: 400, type: 'invalid_request_error', message, code };
}

const TOOL_NAME = /^[a-zA-Z0-9_-]{1,64}$/u;

function toolsFault({ tools, tool_choice: choice }: JsonObject): Refusal | null {
  const list: readonly unknown[] = Array.isArray(tools) ? tools : [];
  if (choice !== undefined && list.length === 0) {
    return bad("Tool choice 'auto' must be specified with 'tools' parameter.", null);
  }
  const names = new Set<string>();
  for (const [i, tool] of list.entries()) {
    const at = `tools[${i}]`;
    if (!isObject(tool) || tool['type'] !== 'function') return bad(`Invalid value for '${at}.type'.`, 'invalid_value');
    const { name, parameters, strict } = tool;
    if (typeof name !== 'string' || !TOOL_NAME.test(name)) {
      return bad(`Invalid '${at}.name': string does not match pattern.`, 'invalid_value');
    }
    if (names.has(name)) return bad(`Duplicate tool name '${name}'.`, 'invalid_value');
    names.add(name);
    if (!isObject(parameters) || parameters['type'] !== 'object') {
      return bad(`Invalid schema for function '${name}': schema must be a JSON Schema of 'type: "object"'.`, SCHEMA);
    }
    if (strict !== false && parameters['additionalProperties'] !== false) {
      const why = "'additionalProperties' is required to be supplied and to be false.";
      return bad(`Invalid schema for function '${name}': In context=(), ${why}`, SCHEMA);
    }
  }
  return null;
}

const SCHEMA = 'invalid_function_parameters';

function inputFault(input: unknown, secret: string): Refusal | null {
  if (typeof input === 'string') return input === '' ? emptyInput() : null;
  if (!Array.isArray(input) || input.length === 0) return emptyInput();
  const items: readonly unknown[] = input;
  const called = new Map<string, boolean>();
  for (const [index, item] of items.entries()) {
    if (!isObject(item)) return bad(`Invalid type for 'input[${index}]': expected an object.`, 'invalid_type');
    const fault = itemFault(item, { index, next: items[index + 1], called, secret });
    if (fault !== null) return fault;
  }
  const open = [...called].find(([, answered]) => !answered)?.[0];
  return open === undefined ? null : bad(`No tool output found for function call ${open}.`, null);
}

function emptyInput(): Refusal {
  const names = '"input" or "previous_response_id" or \'prompt\' or \'conversation_id\'';
  return bad(`One of ${names} must be provided.`, MISSING);
}

type Place = {
  readonly index: number;
  readonly next: unknown;
  /** Calls so far, and whether their output came. */
  readonly called: Map<string, boolean>;
  readonly secret: string;
};

function itemFault(item: JsonObject, place: Place): Refusal | null {
  const { index, called } = place;
  const callId = String(item['call_id']);
  if (typeof item['id'] === 'string') {
    const why = 'Items are not persisted when `store` is set to false.';
    const message = `Item with id '${item['id']}' not found. ${why} Try again with \`store\` set to true, or remove this item from your input.`;
    return { status: 404, type: 'invalid_request_error', message };
  }
  switch (item['type'] ?? 'message') {
    case 'message':
      return messageFault(item, index);
    case 'reasoning':
      return reasoningFault(item, place);
    case 'function_call':
      return callFault(item, place);
    case 'function_call_output':
      if (!called.has(callId)) return bad(`No tool call found for function call output with call_id ${callId}.`, null);
      if (called.get(callId) === true) return bad(`Duplicate function call output for call_id ${callId}.`, null);
      if (typeof item['output'] !== 'string')
        return bad(`Missing required parameter: 'input[${index}].output'.`, MISSING);
      called.set(callId, true);
      return null;
    default:
      return bad(`Invalid value: '${String(item['type'])}' for 'input[${index}].type'.`, 'invalid_value');
  }
}

const CALL_ID_MAX = 64;

function callFault(item: JsonObject, { index, called }: Place): Refusal | null {
  const { call_id: id, name, arguments: args } = item;
  if (typeof id !== 'string' || id === '')
    return bad(`Missing required parameter: 'input[${index}].call_id'.`, MISSING);
  if (id.length > CALL_ID_MAX)
    return bad(`Invalid 'input[${index}].call_id': string too long.`, 'string_above_max_length');
  if (called.has(id)) return bad(`Duplicate function call with call_id ${id}.`, null);
  if (typeof name !== 'string' || !TOOL_NAME.test(name)) {
    return bad(`Invalid 'input[${index}].name': string does not match pattern.`, 'invalid_value');
  }
  if (typeof args !== 'string') return bad(`Missing required parameter: 'input[${index}].arguments'.`, MISSING);
  called.set(id, false);
  return null;
}

function messageFault(item: JsonObject, index: number): Refusal | null {
  const { role, content } = item;
  if (role !== 'user' && role !== 'assistant' && role !== 'developer' && role !== 'system') {
    return bad(`Invalid value: '${String(role)}' for 'input[${index}].role'.`, 'invalid_value');
  }
  if (typeof content === 'string') return null;
  if (!Array.isArray(content) || content.length === 0) {
    return bad(`Missing required parameter: 'input[${index}].content'.`, MISSING);
  }
  const allowed = role === 'assistant' ? ['output_text', 'refusal'] : ['input_text', 'input_image', 'input_file'];
  for (const part of content as readonly unknown[]) {
    const type = isObject(part) ? String(part['type']) : 'null';
    if (!allowed.includes(type)) {
      const supported = allowed.map((name) => `'${name}'`).join(', ');
      return bad(`Invalid value: '${type}'. Supported values are: ${supported}.`, 'invalid_value');
    }
  }
  return null;
}

function reasoningFault(item: JsonObject, { index, next, secret }: Place): Refusal | null {
  const sealed = item['encrypted_content'];
  const name = `input[${index}]`;
  if (!Array.isArray(item['summary'])) return bad(`Missing required parameter: '${name}.summary'.`, MISSING);
  if (typeof sealed !== 'string') return bad(`Missing required parameter: '${name}.encrypted_content'.`, MISSING);
  const reasoning = Buffer.from(sealed.split('.')[1] ?? '', 'base64url').toString();
  if (seal(reasoning, secret) !== sealed) {
    return bad('The encrypted content could not be verified. my secret prompt', 'invalid_encrypted_content');
  }
  const type = isObject(next) ? (next['type'] ?? 'message') : null;
  const follows =
    type === 'function_call' ||
    type === 'reasoning' ||
    (type === 'message' && isObject(next) && next['role'] === 'assistant');
  return follows ? null : bad("Item of type 'reasoning' was provided without its required following item.", null);
}

function conversationOf(input: unknown): Pick<Conversation, 'lastUserText' | 'results'> {
  if (typeof input === 'string') return { lastUserText: input, results: [] };
  const items = (Array.isArray(input) ? (input as readonly unknown[]) : []).filter(isObject);
  const asked = items.findLastIndex((item) => item['role'] === 'user');
  const results: string[][] = [];
  for (const [i, item] of items.entries()) {
    if (i <= asked || item['type'] !== 'function_call_output') continue;
    if (items[i - 1]?.['type'] === 'function_call_output') results.at(-1)?.push(String(item['output']));
    else results.push([String(item['output'])]);
  }
  return { lastUserText: textOf(items[asked]), results };
}

function textOf(item: JsonObject | undefined): string {
  const content = item?.['content'];
  if (typeof content === 'string') return content;
  const parts: readonly unknown[] = Array.isArray(content) ? content : [];
  return parts.map((part) => (isObject(part) && typeof part['text'] === 'string' ? part['text'] : '')).join('');
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
