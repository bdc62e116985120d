// The requests of a session (commands, queries, watches, attaches): how many it may make, by itself and together with the other sessions of its
// owner, and how many may wait for their reply, in number and in the bytes they came in.
//
// One too many is refused with the time to wait. Who goes on regardless uses up an allowance of refusals too, as large as
// that of requests, and is closed.

import type { QueryResult } from '../actors/host/api.ts';
import { encodeServerFrame } from '../protocol/codec.ts';
import { errorBody, type ErrorBody } from '../protocol/errors.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { GatewayLimit } from './counts.ts';
import { GATEWAY_LIMITS, type SessionLimits } from './limits.ts';
import { Rate } from './rate.ts';
import type { OwnerShare } from './shares.ts';

/** The reply to a query. */
export function encodeAnswer(request: number, answer: QueryResult): Uint8Array {
  return encodeServerFrame(
    answer.ok
      ? { op: 'reply', request, result: answer.result, error: null }
      : { op: 'reply', request, result: null, error: answer.error },
  );
}

/** The limit that keeps a request out, and what its client is told. */
type Refusal = { readonly limit: GatewayLimit; readonly error: ErrorBody };

/** `flood`: it was told no often enough. */
export type Admission = 'entered' | 'flood' | Refusal;

/** The rates that all sessions of a node share: what each has used of them is a number of its own. */
export class SessionRates {
  readonly frames: Rate;
  readonly requests: Rate;
  readonly ownerRequests: Rate;

  constructor(limits: SessionLimits) {
    this.frames = new Rate({ perSecond: limits.framesPerSecond, burst: limits.framesBurst });
    this.requests = new Rate({ perSecond: limits.commandsPerSecond, burst: limits.commandsBurst });
    this.ownerRequests = new Rate({ perSecond: limits.ownerCommandsPerSecond, burst: limits.ownerCommandsBurst });
  }
}

export class Requests {
  readonly #rates: SessionRates;
  readonly #share: OwnerShare;
  #count = 0;
  #bytes = 0;
  #usedUntilMs = 0;
  #refusedUntilMs = 0;

  constructor(rates: SessionRates, share: OwnerShare) {
    this.#rates = rates;
    this.#share = share;
  }

  /** Takes a request of `bytes` in, or says why not; `leave` takes it out. */
  enter(bytes: number, nowMs: number): Admission {
    const admission = this.#admit(this.#crowded(bytes) ?? this.#tooFast(nowMs), nowMs);
    if (admission !== 'entered') return admission;
    this.#count += 1;
    this.#bytes += bytes;
    return admission;
  }

  /** An attach: it counts like a request, but those under way are bounded in a way of their own. */
  pass(nowMs: number): Admission {
    return this.#admit(this.#tooFast(nowMs), nowMs);
  }

  leave(bytes: number): void {
    this.#count -= 1;
    this.#bytes -= bytes;
  }

  #admit(refusal: Refusal | null, nowMs: number): Admission {
    if (refusal === null) return 'entered';
    const refused = this.#rates.requests.take(this.#refusedUntilMs, 1, nowMs);
    if (refused === null) return 'flood';
    this.#refusedUntilMs = refused;
    return refusal;
  }

  #crowded(bytes: number): Refusal | null {
    const isFull = this.#count >= LIMITS.requestsPerSession;
    if (!isFull && this.#bytes + bytes <= GATEWAY_LIMITS.inboundBytesPerSession) return null;
    const limit = isFull ? 'requestsPerSession' : 'inboundBytesPerSession';
    return { limit, error: errorBody('too_many', 'requests without a reply', 1000) };
  }

  #tooFast(nowMs: number): Refusal | null {
    const { requests, ownerRequests } = this.#rates;
    const share = this.#share;
    const own = requests.take(this.#usedUntilMs, 1, nowMs);
    const shared = ownerRequests.take(share.requestsUsedUntilMs, 1, nowMs);
    if (own === null) {
      const waitMs = requests.waitMs(this.#usedUntilMs, 1, nowMs);
      return { limit: 'commandsPerSecond', error: errorBody('rate_limited', undefined, waitMs) };
    }
    if (shared === null) {
      const waitMs = ownerRequests.waitMs(share.requestsUsedUntilMs, 1, nowMs);
      const error = errorBody('rate_limited', 'this owner, over all connections', waitMs);
      return { limit: 'ownerCommandsPerSecond', error };
    }
    this.#usedUntilMs = own;
    share.requestsUsedUntilMs = shared;
    return null;
  }
}
