// What went wrong at Anthropic, in our kinds: by the SDK's typed fields (`errorCode`, `type`, `status`), never by its
// message where a type exists. The result holds no text of the provider's: its messages may quote the prompt.

import { APIConnectionError, APIConnectionTimeoutError, APIError } from '@anthropic-ai/sdk/error';

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
  return {
    kind,
    status,
    requestId: parseRequestId(error.requestID),
    detail: errorDetail(status, [error.type, error.errorCode]),
    retryAfterMs: error.headers === undefined ? null : parseRetryAfterMs(error.headers, nowMs),
  };
}

type ResponseError = APIError<number | undefined, Headers | undefined, object | undefined>;

/** A class of the SDK's with its type parameters as they are at run time, instead of `any`. */
function isApiError(error: unknown): error is ResponseError {
  return error instanceof APIError;
}

function apiErrorKind(error: ResponseError, status: number | null): ModelErrorKind {
  const byCode = kindIn(KIND_BY_CODE, error.errorCode);
  if (byCode !== null) return byCode;
  const byType = kindIn(KIND_BY_TYPE, error.type);
  if (byType !== null && byType !== 'bad_request') return byType;
  if (byType === 'bad_request' || status === 400) return badRequestKind(error.apiMessage);
  return status === null ? 'unavailable' : kindOfStatus(status);
}

/** These have no type of their own: the API gives them as `invalid_request_error` with a sentence. */
function badRequestKind(message: string | null): ModelErrorKind {
  if (message === null) return 'bad_request';
  if (/prompt is too long|exceeds? (?:the )?context (?:limit|window)/iu.test(message)) return 'context_overflow';
  // A signature that is not its own, and thinking that was made behind another prompt.
  if (/thinking/iu.test(message) && /signature|cannot be modified|different conversation/iu.test(message)) {
    return 'reasoning_rejected';
  }
  return /credit balance is too low/iu.test(message) ? 'spend_limit' : 'bad_request';
}
