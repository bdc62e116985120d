// What went wrong at Anthropic, in our kinds: by the SDK's typed fields (`errorCode`, `type`, `status`), never by its
// message where a type exists. The result holds no text of the provider's: its messages may quote the prompt.

import { APIConnectionError, APIConnectionTimeoutError, APIError } from '@anthropic-ai/sdk/error';

import type { ModelError, ModelErrorKind } from '../ports.ts';

/** Ceiling on what a provider may ask us to wait: the SDK itself would obey up to 24 days. */
export const RETRY_AFTER_MAX_MS = 10 * 60 * 1000;

/** Finer than the HTTP status: spend limits come as 429, and to try them again is useless. */
const KIND_BY_CODE: Readonly<Record<string, ModelErrorKind>> = {
  enforced_spend_limit_reached: 'spend_limit',
  contract_spend_limit_reached: 'spend_limit',
  linked_organization_spend_limit_reached: 'spend_limit',
  linked_organization_billing_unavailable: 'spend_limit',
  organization_on_hold: 'unauthorized',
  ramp_limit_exceeded: 'rate_limited',
  request_body_too_large_after_decoding: 'context_overflow',
};

/** The only thing that an error in the middle of a stream has: there its status is undefined. */
const KIND_BY_TYPE: Readonly<Record<string, ModelErrorKind>> = {
  overloaded_error: 'overloaded',
  api_error: 'unavailable',
  timeout_error: 'unavailable',
  conflict_error: 'unavailable',
  rate_limit_error: 'rate_limited',
  authentication_error: 'unauthorized',
  permission_error: 'unauthorized',
  billing_error: 'spend_limit',
  not_found_error: 'model_not_found',
  request_too_large: 'context_overflow',
  invalid_request_error: 'bad_request',
};

/** Anything that reading a stream of the SDK can throw. `nowMs` turns a date in `retry-after` into a duration. */
export function classifyError(error: unknown, nowMs: number): ModelError {
  if (error instanceof APIConnectionTimeoutError) {
    return modelError('unavailable', 'no answer in time');
  }
  if (error instanceof APIConnectionError || !isApiError(error)) return connectionError(error);
  const status = error.status ?? null;
  const kind = apiErrorKind(error, status);
  const names = [status === null ? 'an error within the stream' : `HTTP ${status}`, error.type, error.errorCode];
  return {
    kind,
    status,
    requestId: parseRequestId(error.requestID),
    detail: names.filter((name) => name !== null && isPlain(name)).join(', '),
    retryAfterMs: error.headers === undefined ? null : parseRetryAfterMs(error.headers, nowMs),
  };
}

type ResponseError = APIError<number | undefined, Headers | undefined, object | undefined>;

/** A class of the SDK's with its type parameters as they are at run time, instead of `any`. */
function isApiError(error: unknown): error is ResponseError {
  return error instanceof APIError;
}

/** A failure that has no response behind it. */
export function modelError(kind: ModelErrorKind, detail: string): ModelError {
  return { kind, status: null, requestId: null, detail, retryAfterMs: null };
}

function apiErrorKind(error: ResponseError, status: number | null): ModelErrorKind {
  const byCode = own(KIND_BY_CODE, error.errorCode);
  if (byCode !== null) return byCode;
  const byType = own(KIND_BY_TYPE, error.type);
  if (byType !== null && byType !== 'bad_request') return byType;
  if (byType === 'bad_request' || status === 400) return badRequestKind(error.apiMessage);
  return status === null ? 'unavailable' : kindOfStatus(status);
}

/** For bodies without a type: a proxy in between that answers in HTML, say. */
function kindOfStatus(status: number): ModelErrorKind {
  if (status === 429) return 'rate_limited';
  if (status === 529) return 'overloaded';
  if (status === 401 || status === 403) return 'unauthorized';
  if (status === 402) return 'spend_limit';
  if (status === 404) return 'model_not_found';
  if (status === 413) return 'context_overflow';
  if (status >= 500 || status === 408 || status === 409 || status === 499) return 'unavailable';
  return 'bad_request';
}

/** These two have no type of their own: the API gives them as `invalid_request_error` with a sentence. */
function badRequestKind(message: string | null): ModelErrorKind {
  if (message === null) return 'bad_request';
  if (/prompt is too long|exceeds? (?:the )?context (?:limit|window)/iu.test(message)) return 'context_overflow';
  return /credit balance is too low/iu.test(message) ? 'spend_limit' : 'bad_request';
}

/** No connection, a reset, a body that broke off or made no sense. undici puts its reason into `cause`s. */
function connectionError(error: unknown): ModelError {
  const code = causeCode(error);
  const kind = code === 'UND_ERR_BODY_TIMEOUT' ? 'silent' : 'unavailable';
  return modelError(kind, code === null ? 'the connection failed' : `the connection failed: ${code}`);
}

function causeCode(error: unknown): string | null {
  let current = error;
  // A chain of causes is three long in practice; the bound is for one that goes round.
  for (let depth = 0; depth < 8 && current instanceof Error; depth++) {
    const code = 'code' in current ? current.code : null;
    if (typeof code === 'string' && isPlain(code)) return code;
    current = current.cause;
  }
  return null;
}

/** `retry-after-ms`, else `retry-after` in seconds or as an HTTP date: milliseconds up to the ceiling, or null. */
export function parseRetryAfterMs(headers: Headers, nowMs: number): number | null {
  const ms = headers.get('retry-after-ms')?.trim() ?? '';
  if (/^\d+(?:\.\d+)?$/u.test(ms)) return bounded(Number(ms));
  const after = headers.get('retry-after')?.trim() ?? '';
  if (/^\d+(?:\.\d+)?$/u.test(after)) return bounded(Number(after) * 1000);
  const dateMs = Date.parse(after);
  return Number.isNaN(dateMs) ? null : bounded(dateMs - nowMs);
}

function bounded(durationMs: number): number | null {
  return durationMs > 0 ? Math.min(Math.ceil(durationMs), RETRY_AFTER_MAX_MS) : null;
}

/** An id from a header of others: only what looks like one gets into logs and rows. */
export function parseRequestId(value: string | null | undefined): string | null {
  return typeof value === 'string' && /^[\w.:-]{1,128}$/u.test(value) ? value : null;
}

/** A name from a catalogue, not a sentence. */
function isPlain(name: string): boolean {
  return /^[\w ]{1,64}$/u.test(name);
}

function own(record: Readonly<Record<string, ModelErrorKind>>, key: string | null): ModelErrorKind | null {
  return key !== null && Object.hasOwn(record, key) ? (record[key] ?? null) : null;
}
