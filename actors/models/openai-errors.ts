// What went wrong at OpenAI, or at a server that speaks its protocols, in our kinds: by the codes and types of the API,
// never by its message where a code exists. The result holds no text of the provider's: it may quote the prompt.

import { APIConnectionError, APIConnectionTimeoutError, APIError } from 'openai/error';

import type { ModelError, ModelErrorKind } from '../ports.ts';
import {
  connectionError,
  errorDetail,
  kindIn,
  kindOfStatus,
  modelError,
  parseRequestId,
  parseRetryAfterMs,
} from './provider-errors.ts';

/** Finer than the HTTP status: an empty account comes as 429, and to try it again is useless. */
const KIND_BY_CODE: Readonly<Record<string, ModelErrorKind>> = {
  insufficient_quota: 'spend_limit',
  billing_hard_limit_reached: 'spend_limit',
  billing_not_active: 'spend_limit',
  rate_limit_exceeded: 'rate_limited',
  context_length_exceeded: 'context_overflow',
  string_above_max_length: 'context_overflow',
  model_not_found: 'model_not_found',
  invalid_api_key: 'unauthorized',
  account_deactivated: 'unauthorized',
  unsupported_country_region_territory: 'unauthorized',
  server_error: 'unavailable',
  server_is_overloaded: 'overloaded',
  overloaded_error: 'overloaded',
  slow_down: 'overloaded',
  vector_store_timeout: 'unavailable',
  invalid_prompt: 'bad_request',
  invalid_encrypted_content: 'reasoning_rejected',
  data_residency_mismatch: 'bad_request',
};

/** All that an error within a stream may have; there its status is undefined. */
const KIND_BY_TYPE: Readonly<Record<string, ModelErrorKind>> = {
  insufficient_quota: 'spend_limit',
  requests: 'rate_limited',
  tokens: 'rate_limited',
  rate_limit_error: 'rate_limited',
  rate_limit_exceeded: 'rate_limited',
  server_error: 'unavailable',
  api_error: 'unavailable',
  overloaded_error: 'overloaded',
  service_unavailable_error: 'overloaded',
  authentication_error: 'unauthorized',
  invalid_authentication_error: 'unauthorized',
  permission_error: 'unauthorized',
  not_found_error: 'model_not_found',
  // llama.cpp; vLLM says it in a sentence.
  exceed_context_size_error: 'context_overflow',
  invalid_request_error: 'bad_request',
  image_generation_user_error: 'bad_request',
};

/** Anything that reading a stream of the SDK can throw. `nowMs` turns a date in `retry-after` into a duration. */
export function classifyOpenAiError(error: unknown, nowMs: number): ModelError {
  if (error instanceof APIConnectionTimeoutError) return modelError('unavailable', 'no answer in time');
  // This SDK takes what is left of a line at the end of a body for an event, and then cannot read it.
  if (error instanceof SyntaxError) return modelError('cut', 'the answer broke off within an event');
  if (error instanceof APIConnectionError || !isApiError(error)) return connectionError(error);
  const status = error.status ?? null;
  return {
    kind: errorKind({ status, code: error.code, type: error.type, message: messageOf(error.error) }),
    status,
    requestId: parseRequestId(error.requestID),
    detail: errorDetail(status, [error.type, error.code]),
    retryAfterMs: error.headers === undefined ? null : parseRetryAfterMs(error.headers, nowMs),
  };
}

/** The `error` of a response that failed, or of a final body: an object with a code, whatever else it has. */
export function statedError(error: unknown): ModelError {
  const { code, type, message } = fieldsOf(error);
  const kind = errorKind({ status: null, code, type, message: typeof message === 'string' ? message : null });
  return { ...modelError(kind, errorDetail(null, [type, code])) };
}

type Stated = {
  readonly status: number | null;
  readonly code: unknown;
  readonly type: unknown;
  readonly message: string | null;
};

type ResponseError = APIError<number | undefined, Headers | undefined, object | undefined>;

/** A class of the SDK's with its type parameters as they are at run time, instead of `any`. */
function isApiError(error: unknown): error is ResponseError {
  return error instanceof APIError;
}

function errorKind({ status: sent, code, type, message }: Stated): ModelErrorKind {
  // vLLM repeats the status as the code, which within a stream is all that it says.
  const status = sent ?? (typeof code === 'number' && code >= 400 && code <= 599 ? code : null);
  const byCode = kindIn(KIND_BY_CODE, code);
  if (byCode !== null && byCode !== 'bad_request') return byCode;
  const byType = kindIn(KIND_BY_TYPE, type);
  if (byType !== null && byType !== 'bad_request') return byType;
  if (status !== null && status !== 400) return kindOfStatus(status);
  if (byCode !== null || byType !== null || status === 400) return badRequestKind(message);
  return 'unavailable';
}

/** Servers that only speak the protocol give a full window as a sentence, without a code. */
function badRequestKind(message: string | null): ModelErrorKind {
  if (message === null) return 'bad_request';
  if (/item of type 'reasoning' was provided without/iu.test(message)) return 'reasoning_rejected';
  const full = /maximum context length|context (?:length|window|size)|exceeds? the (?:model's )?context/iu;
  return full.test(message) ? 'context_overflow' : 'bad_request';
}

function messageOf(body: unknown): string | null {
  const { message } = fieldsOf(body);
  return typeof message === 'string' ? message : null;
}

function fieldsOf(value: unknown): { readonly code?: unknown; readonly type?: unknown; readonly message?: unknown } {
  return typeof value === 'object' && value !== null ? value : {};
}
