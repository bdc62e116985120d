// A fake of servers that speak the Chat Completions protocol, over real HTTP. The path says which dialect: /v1/… is
// OpenAI's, /vllm/v1/… and /ollama/v1/… are theirs.

import { type ChatContext, CHAT_WORDS, DONE, answerSteps } from './chat-completions-steps.ts';
import { type Dialect, readChatPrompt } from './chat-completions-prompt.ts';
import { RECORDED_MAX } from './fake-server.ts';
import type { Step } from './player.ts';
import { PrefixCache } from './prefix-cache.ts';
import type { Scenario, Statuses } from './scenario.ts';
import {
  type Accepted,
  FakeProvider,
  type Protocol,
  type Received,
  type Refusal,
  type Script,
} from './scenario-endpoint.ts';

export type FakeChatCompletions = FakeProvider<ChatContext>;

export type ChatProtocolOptions = {
  /** When given, a request without it is refused; else none is needed. */
  readonly apiKey?: string;
  /** What a request without a directive gets. */
  readonly defaults?: Partial<Scenario>;
  /** Tokens of prompt and answer together: more is refused, but by Ollama, which cuts the prompt in silence. */
  readonly contextTokens?: number;
  readonly script?: Script;
};

/** Bodies as the servers give them. They quote the prompt on purpose: an adapter must not pass them on. */
export const CHAT_STATUSES: Statuses = {
  '400': [400, 'invalid_request_error', 'messages.[0].content: "my secret prompt" is not valid'],
  too_long: [
    400,
    'invalid_request_error',
    "This model's maximum context length is 8192 tokens.",
    'context_length_exceeded',
  ],
  vllm_too_long: [
    400,
    'BadRequestError',
    "This model's maximum context length is 4096 tokens. However, you requested more.",
    400,
  ],
  llama_too_long: [400, 'exceed_context_size_error', 'the request exceeds the available context size', 400],
  '401': [401, 'invalid_request_error', 'Incorrect API key provided: my secret prompt', 'invalid_api_key'],
  '402': [402, 'insufficient_credits', 'not enough credits'],
  '403': [403, 'permission_error', 'the key may not use this resource'],
  '404': [404, 'invalid_request_error', 'The model `x` does not exist', 'model_not_found'],
  vllm_404: [404, 'NotFoundError', 'The model `x` does not exist.', 404],
  ollama_404: [404, 'not_found_error', "model 'x' not found"],
  '408': [408, 'timeout_error', 'request timed out'],
  '409': [409, 'conflict_error', 'conflict'],
  '413': [413, 'invalid_request_error', 'request entity too large'],
  '422': [422, 'invalid_request_error', 'unprocessable'],
  '429': [429, 'requests', 'Rate limit reached', 'rate_limit_exceeded'],
  quota: [429, 'insufficient_quota', 'You exceeded your current quota', 'insufficient_quota'],
  '500': [500, 'server_error', 'The server had an error'],
  vllm_500: [500, 'InternalServerError', 'EngineCore encountered an issue', 500],
  '502': [502, 'server_error', 'bad gateway'],
  '503': [503, 'server_error', 'That model is currently overloaded'],
  '504': [504, 'server_error', 'gateway timeout'],
  '529': [529, 'overloaded_error', 'overloaded'],
};

/** The beginning of a prompt that finds its server and so its cache. */
const KEY_CHARS = 1_024;

const PATH = /^\/(?:(vllm|ollama)\/)?v1\/chat\/completions$/u;

/** Listens on 127.0.0.1; port 0: any free one. */
export async function startFakeChatCompletions(
  options: ChatProtocolOptions & { readonly port?: number } = {},
): Promise<FakeChatCompletions> {
  const fake = new FakeProvider(chatCompletionsProtocol(options), options.script);
  await fake.listen(options.port ?? 0);
  return fake;
}

export function chatCompletionsProtocol(options: ChatProtocolOptions): Protocol<ChatContext> {
  const cache = new PrefixCache(RECORDED_MAX);
  return {
    name: 'chat_completions',
    cache: () => cache.books.totals,
    speaks: (path) => PATH.test(path),
    requestIdHeader: 'x-request-id',
    vocabulary: { statuses: CHAT_STATUSES, words: CHAT_WORDS },
    ping: new TextEncoder().encode(': ping\n\n'),
    defaults: { stopReason: 'stop', ...options.defaults },
    receive: (received) => receive(received, options, cache),
    refusalBody: ({ type, message, code = null }) => ({ error: { message, type, param: null, code } }),
    message: answerSteps,
    errorEvent,
  };
}

function receive(
  { number, method, path, headers, body }: Received,
  { apiKey, contextTokens }: ChatProtocolOptions,
  cache: PrefixCache,
): Accepted<ChatContext> | Refusal {
  const type = 'invalid_request_error';
  if (apiKey !== undefined && headers.authorization !== `Bearer ${apiKey}`) {
    return { status: 401, type, message: 'Incorrect API key provided', code: 'invalid_api_key' };
  }
  if (method !== 'POST') return { status: 405, type, message: 'Method Not Allowed' };
  const dialect: Dialect = path.startsWith('/vllm/') ? 'vllm' : path.startsWith('/ollama/') ? 'ollama' : 'openai';
  const prompt = readChatPrompt(body, dialect);
  if (typeof prompt === 'string') return { status: 400, type, message: prompt };
  const { conversation, prompt: text, ...rest } = prompt;
  // There is no key: a chat is known by how it begins.
  const { inputTokens, cachedTokens } = cache.account(`${prompt.model} ${text.slice(0, KEY_CHARS)}`, text);
  const asked = inputTokens + (prompt.maxTokens ?? 0);
  if (contextTokens !== undefined && asked > contextTokens && dialect !== 'ollama') {
    const message = `This model's maximum context length is ${contextTokens} tokens. However, you requested ${asked} tokens.`;
    return { status: 400, type, message, code: dialect === 'openai' ? 'context_length_exceeded' : 400 };
  }
  return { context: { ...rest, number, dialect, promptTokens: inputTokens, cachedTokens }, conversation };
}

/** vLLM names the status as a number, and ends in order all the same. */
function errorEvent(type: string, context: ChatContext): readonly Step[] {
  const message = 'my secret prompt broke it';
  const status = /^\d{3}$/u.test(type) ? Number(type) : null;
  const named = status === null ? type : 'InternalServerError';
  const error = { message, type: named, param: null, code: status };
  const step: Step = { do: 'event', event: null, data: { error } };
  return context.dialect === 'vllm' ? [step, DONE] : [step];
}
