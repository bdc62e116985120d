// Chat Completions through the official OpenAI SDK, for whatever server speaks that protocol: vLLM, Ollama, gateways. One
// attempt of one step, raw chunks, our own accumulation.

import { APIError } from 'openai/error';

import type { AttemptResult, Clock, ModelClient, ModelError, ModelRequest, StepSink } from '../ports.ts';
import { chatCompletionsRequest } from './chat-completions-request.ts';
import { ChatAnswer } from './chat-completions-stream.ts';
import { isObject } from './json.ts';
import { OPENAI_REQUEST_ID, type OpenAiAccess, openAiClient } from './openai-client.ts';
import { classifyOpenAiError } from './openai-errors.ts';
import { modelError } from './provider-errors.ts';
import { attemptResult, readStream, type StreamSource } from './stream-attempt.ts';

export type ChatCompletionsOptions = OpenAiAccess & { readonly clock: Clock };

/** The usage comes behind the end of the answer, and from a busy server not at once. */
const USAGE_WAIT_MS = 2_000;

/** A model client for one server. It holds no state between requests: any number of them may run at once. */
export function chatCompletionsModel(options: ChatCompletionsOptions): ModelClient {
  return {
    stream: (request, sink, signal) => stream(options, { request, sink, signal }),
  };
}

type Call = { readonly request: ModelRequest; readonly sink: StepSink; readonly signal: AbortSignal };

async function stream(options: ChatCompletionsOptions, { request, sink, signal }: Call): Promise<AttemptResult> {
  const body = chatCompletionsRequest(request);
  const answer = new ChatAnswer(sink, JSON.stringify([body?.tools ?? [], body?.messages ?? []]).length, request);
  if (body === null) {
    const error = modelError('bad_request', 'there is no message to answer');
    return attemptResult(signal.aborted ? { how: 'aborted', requestId: null } : { how: 'failed', error }, answer);
  }
  const sdk = openAiClient(options, request, sink);
  const source: StreamSource = {
    clock: options.clock,
    requestIdHeader: OPENAI_REQUEST_ID,
    drainMs: USAGE_WAIT_MS,
    open: async (requestSignal) => {
      const { data, response } = await sdk.chat.completions.create(body, { signal: requestSignal }).withResponse();
      const type = response.headers.get('content-type') ?? '';
      if (/html|json/iu.test(type)) throw new NoStream();
      return { data: withErrors(data, response.headers), response };
    },
    classify,
  };
  return attemptResult(await readStream(source, answer, signal), answer);
}

/** A 200 that is a page or a document: another service listens there, or one that cannot stream. */
class NoStream extends Error {}

/** Older vLLM sends an error as a chunk of its own kind, which the SDK lets through. */
async function* withErrors(chunks: AsyncIterable<unknown>, headers: Headers): AsyncGenerator {
  for await (const chunk of chunks) {
    if (isObject(chunk) && chunk['object'] === 'error') throw new APIError(undefined, chunk, undefined, headers);
    yield chunk;
  }
}

function classify(error: unknown, nowMs: number): ModelError {
  if (error instanceof NoStream) return modelError('bad_request', `the server sends no event stream; ${CHECK_URL}`);
  const classified = classifyOpenAiError(error, nowMs);
  // A server that knows the path says which model is missing; the others know nothing of this protocol.
  if (classified.status !== 404 || !(error instanceof APIError) || hasMessage(error.error)) return classified;
  return { ...classified, kind: 'bad_request', detail: `HTTP 404: no chat completions there; ${CHECK_URL}` };
}

const CHECK_URL = 'check the base URL, which for most servers ends in /v1';

function hasMessage(body: unknown): boolean {
  return isObject(body) && typeof body['message'] === 'string';
}
