// What the adapters of all providers share in naming a failure. Nothing here keeps text of a provider's: its messages
// may quote the prompt.

import type { ModelError, ModelErrorKind } from '../ports.ts';

/** Ceiling on what a provider may ask us to wait: the SDKs themselves would obey up to 24 days. */
export const RETRY_AFTER_MAX_MS = 10 * 60 * 1000;

/** A failure that has no response behind it. */
export function modelError(kind: ModelErrorKind, detail: string): ModelError {
  return { kind, status: null, requestId: null, detail, retryAfterMs: null };
}

/** For bodies that say no more than their status: a proxy in between that answers in HTML, say. */
export function kindOfStatus(status: number): ModelErrorKind {
  if (status === 429) return 'rate_limited';
  if (status === 529) return 'overloaded';
  if (status === 401 || status === 403) return 'unauthorized';
  if (status === 402) return 'spend_limit';
  if (status === 404) return 'model_not_found';
  if (status === 413) return 'context_overflow';
  if (status >= 500 || status === 408 || status === 409 || status === 499) return 'unavailable';
  return 'bad_request';
}

/** No connection, a reset, a body that broke off or made no sense. undici puts its reason into `cause`s. */
export function connectionError(error: unknown): ModelError {
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

/** The status and the provider's own names of the error, as far as they are names. */
export function errorDetail(status: number | null, names: readonly unknown[]): string {
  const head = status === null ? 'an error within the stream' : `HTTP ${status}`;
  return [head, ...names].filter((name) => typeof name === 'string' && isPlain(name)).join(', ');
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

/** The kind that a table gives to a name of the provider's; null for one that it does not know. */
export function kindIn(table: Readonly<Record<string, ModelErrorKind>>, name: unknown): ModelErrorKind | null {
  return typeof name === 'string' && Object.hasOwn(table, name) ? (table[name] ?? null) : null;
}

/** A name from a catalogue, not a sentence. */
function isPlain(name: string): boolean {
  return /^[\w ]{1,64}$/u.test(name);
}
