// A fake of the Anthropic Messages API over real HTTP: it streams, validates, caches and fails like the real one, on
// demand.

import type { IncomingHttpHeaders } from 'node:http';

import { ANTHROPIC_CACHE_MINIMUM, PromptCache } from './anthropic-cache.ts';
import { conversationOf, promptPrefix, readPrompt, sign } from './anthropic-prompt.ts';
import { ANTHROPIC_STATUSES } from './anthropic-statuses.ts';
import { type StepContext, event, messageSteps } from './anthropic-steps.ts';
import { RECORDED_MAX } from './fake-server.ts';
import { encodeEvent } from './player.ts';
import type { Scenario } from './scenario.ts';
import { FakeProvider, type Protocol, type Refusal, type Script } from './scenario-endpoint.ts';

export type FakeAnthropic = FakeProvider<StepContext>;

export type AnthropicProtocolOptions = {
  /** When given, another key is refused. */
  readonly apiKey?: string;
  /** What a request without a directive gets. */
  readonly defaults?: Partial<Scenario>;
  /** Shorter prefixes are not cached. */
  readonly cacheMinimumTokens?: number;
  /** What it signs thinking with: one that changes takes no thinking of before. */
  readonly secret?: string;
  /** Tokens of the prompt: more is refused. */
  readonly contextTokens?: number;
  readonly script?: Script;
};

const SECRET = 'fake-anthropic';

/** Listens on 127.0.0.1; port 0: any free one. */
export async function startFakeAnthropic(
  options: AnthropicProtocolOptions & { readonly port?: number } = {},
): Promise<FakeAnthropic> {
  const fake = new FakeProvider(anthropicProtocol(options), options.script);
  await fake.listen(options.port ?? 0);
  return fake;
}

export function anthropicProtocol(options: AnthropicProtocolOptions): Protocol<StepContext> {
  const { apiKey, defaults = {}, cacheMinimumTokens = ANTHROPIC_CACHE_MINIMUM, secret = SECRET } = options;
  const { contextTokens = Number.POSITIVE_INFINITY } = options;
  const cache = new PromptCache(RECORDED_MAX, cacheMinimumTokens);
  return {
    name: 'anthropic',
    cache: () => cache.books.totals,
    speaks: (path) => path === '/v1/messages',
    requestIdHeader: 'request-id',
    vocabulary: { statuses: ANTHROPIC_STATUSES, words: {} },
    ping: encodeEvent('ping', { type: 'ping' }),
    defaults,
    receive: ({ number, method, headers, body }) => {
      const fault = headerFault(method, headers, apiKey ?? null);
      if (fault !== null) return fault;
      const prompt = readPrompt(body, secret);
      if (typeof prompt === 'string') return { status: 400, type: 'invalid_request_error', message: prompt };
      const usage = cache.account(prompt, body);
      const tokens = usage.input + usage.cacheRead + usage.cacheWrite;
      if (tokens > contextTokens) {
        const message = `prompt is too long: ${tokens} tokens > ${contextTokens} maximum`;
        return { status: 400, type: 'invalid_request_error', message };
      }
      const prefix = promptPrefix(prompt);
      const context: StepContext = {
        number,
        messageId: `msg_fake_${number}`,
        model: prompt.model,
        usage,
        maxTokens: prompt.maxTokens,
        sign: (thinking) => sign(thinking, prefix, secret),
      };
      return { context, conversation: conversationOf(prompt) };
    },
    refusalBody: ({ type, message, code = null }, id) => {
      const details = code === null ? null : { error_code: code };
      return { type: 'error', error: { type, message, details }, request_id: id };
    },
    message: messageSteps,
    errorEvent: (type) => [
      event('error', { type: 'error', error: { type, message: 'my secret prompt broke it', details: null } }),
    ],
  };
}

function headerFault(method: string, headers: IncomingHttpHeaders, apiKey: string | null): Refusal | null {
  const key = headers.authorization?.replace(/^Bearer /u, '') ?? headers['x-api-key'];
  const message = 'my secret prompt: invalid x-api-key';
  if (key === undefined || (apiKey ?? key) !== key) return { status: 401, type: 'authentication_error', message };
  if (method !== 'POST') return { status: 404, type: 'not_found_error', message: 'not found' };
  if (headers['anthropic-version'] !== undefined) return null;
  return { status: 400, type: 'invalid_request_error', message: 'anthropic-version: header is required' };
}
