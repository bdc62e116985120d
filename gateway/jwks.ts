// The key set of an issuer (RFC 7517): fetched when it is needed, kept for a while, renewed without anybody waiting.
//
// A token that names a key that is not in the set makes it be fetched anew, so that a rotation needs no restart, but no
// more often than the cool-down says: until then nobody knows whether such a token is good, and it is told to come back.
// jose's own remote set has no bound on the size, no cool-down on failures and serves nothing while the issuer is away.

import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import type { Clock, Log } from '../actors/ports.ts';
import type { KeyAnswer, PublicAlgorithm, PublicKeys } from './authentication.ts';
import type { FetchDocument } from './fetch-document.ts';

export const JWKS_LIMITS = {
  /** A larger document is refused whole. */
  bytesMax: 256 * 1024,
  /** Keys that are taken from it, the first ones. */
  keysMax: 64,
  timeoutMs: 5_000,
  /** How long behind its lifetime a set still counts while it cannot be fetched; then nobody is let in by it. */
  staleMs: 24 * 60 * 60 * 1000,
  /** The next try after one that failed. */
  failureRetryMs: 5_000,
  rsaBitsMin: 2048,
  /** Verifying with a longer one takes long. */
  rsaBitsMax: 8192,
  kidCharsMax: 256,
} as const;

export type JwksParts = {
  readonly fetch: FetchDocument;
  readonly clock: Clock;
  readonly log: Log;
  readonly lifetimeMs: number;
  readonly cooldownMs: number;
};

type PublicKey = { readonly kid: string | null; readonly algorithm: PublicAlgorithm; readonly key: KeyObject };
type KeySet = { readonly keys: readonly PublicKey[]; readonly fetchedAtMs: number };

export class Jwks implements PublicKeys {
  readonly #parts: JwksParts;
  readonly #stopped = new AbortController();
  #set: KeySet | null = null;
  /** The fetch that is under way: there is never a second one. */
  #fetching: Promise<void> | null = null;
  /** None begins before. */
  #nextFetchAtMs = 0;
  #failing = false;

  constructor(parts: JwksParts) {
    this.#parts = parts;
  }

  /** Fetches the set, so that the first credential need not wait; a failure is in the log and is tried again when needed. */
  start(): void {
    void this.#refresh();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#fetching;
  }

  async find(algorithm: PublicAlgorithm, kid: string | null): Promise<KeyAnswer> {
    const askedAtMs = this.#parts.clock.nowMs();
    const set = await this.#current();
    if (set === null) return UNAVAILABLE;
    const known = pick(set, algorithm, kid);
    if (known !== null) return { outcome: 'key', key: known };
    await this.#refresh();
    const { keys, fetchedAtMs } = this.#set ?? set;
    const found = pick({ keys }, algorithm, kid);
    if (found !== null) return { outcome: 'key', key: found };
    return fetchedAtMs < askedAtMs ? UNSURE : UNKNOWN;
  }

  /** The set, as far as it may still be used. */
  async #current(): Promise<KeySet | null> {
    const { clock, lifetimeMs } = this.#parts;
    const ageMs = this.#set === null ? Infinity : clock.nowMs() - this.#set.fetchedAtMs;
    if (ageMs <= lifetimeMs) return this.#set;
    const renewed = this.#refresh();
    // Within the time of grace nobody waits for the issuer.
    if (ageMs <= lifetimeMs + JWKS_LIMITS.staleMs) return this.#set;
    await renewed;
    const set = this.#set;
    return set !== null && clock.nowMs() - set.fetchedAtMs <= lifetimeMs ? set : null;
  }

  /** Joins the fetch that is under way, begins one, or does nothing while none may begin. */
  #refresh(): Promise<void> {
    const nowMs = this.#parts.clock.nowMs();
    if (this.#fetching === null && nowMs >= this.#nextFetchAtMs && !this.#stopped.signal.aborted) {
      this.#nextFetchAtMs = nowMs + this.#parts.cooldownMs;
      this.#fetching = this.#fetch(nowMs).finally(() => {
        this.#fetching = null;
      });
    }
    return this.#fetching ?? Promise.resolve();
  }

  async #fetch(startedAtMs: number): Promise<void> {
    const { fetch, log, clock, cooldownMs } = this.#parts;
    try {
      const { keys, ignored } = parseKeySet(await fetch(this.#stopped.signal));
      if (keys.length === 0) throw new Error('it holds no key that can be used');
      this.#set = { keys, fetchedAtMs: startedAtMs };
      if (ignored.length > 0) log.warn('keys of the key set are not used', { reasons: ignored });
      if (this.#failing) log.info('the key set can be fetched again', { keys: keys.length });
      this.#failing = false;
    } catch (error) {
      if (this.#stopped.signal.aborted) return;
      this.#nextFetchAtMs = clock.nowMs() + Math.min(JWKS_LIMITS.failureRetryMs, cooldownMs);
      this.#failing = true;
      const detail = error instanceof Error ? error.message : 'unknown';
      const fields = { detail, servingOldKeys: this.#set !== null };
      // Nobody else can come in by it: somebody has to act.
      if (this.#set === null) log.error('the key set cannot be had', fields);
      else log.warn('the key set cannot be renewed', fields);
    }
  }
}

const UNAVAILABLE: KeyAnswer = { outcome: 'unavailable', detail: 'its key cannot be had now' };
const UNSURE: KeyAnswer = { outcome: 'unavailable', detail: 'its key is not known yet' };
const UNKNOWN: KeyAnswer = { outcome: 'unknown', detail: 'no key of the key set fits it' };

/** The key of that name; without a name the one of that algorithm, when there is only one. */
function pick({ keys }: Pick<KeySet, 'keys'>, algorithm: PublicAlgorithm, kid: string | null): KeyObject | null {
  const fitting = keys.filter((key) => key.algorithm === algorithm && (kid === null || key.kid === kid));
  const [first] = fitting;
  return first === undefined || (kid === null && fitting.length > 1) ? null : first.key;
}

/** The keys that can be used, and why the others cannot. Throws for what is no key set. */
export function parseKeySet(text: string): {
  readonly keys: readonly PublicKey[];
  readonly ignored: readonly string[];
} {
  const document: unknown = parseJson(text);
  const members = isMap(document) ? document['keys'] : null;
  if (!Array.isArray(members)) throw new Error('it is no key set');
  const keys: PublicKey[] = [];
  const ignored: string[] = [];
  for (const member of members.slice(0, JWKS_LIMITS.keysMax) as readonly unknown[]) {
    const key = parseKey(member);
    if (typeof key === 'string') ignored.push(key);
    else if (keys.some(({ kid, algorithm }) => kid !== null && kid === key.kid && algorithm === key.algorithm)) {
      ignored.push('a name that another key has');
    } else keys.push(key);
  }
  if (members.length > JWKS_LIMITS.keysMax) ignored.push(`more than ${JWKS_LIMITS.keysMax} keys`);
  return { keys, ignored: [...new Set(ignored)] };
}

/** The key, or the reason why it is left out. */
function parseKey(member: unknown): PublicKey | string {
  if (!isMap(member)) return 'no key';
  const { kid, use, alg, key_ops: operations } = member;
  const algorithm = algorithmOf(member);
  if (algorithm === null) return 'another kind of key';
  if (alg !== undefined && alg !== algorithm) return 'another algorithm';
  if (use !== undefined && use !== 'sig') return 'another use';
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return 'another use';
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > JWKS_LIMITS.kidCharsMax)) return 'no name';
  if ('d' in member) return 'a private key: it must not be published';
  const key = importKey(member);
  if (key === null) return 'a damaged key';
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (bits !== undefined && bits < JWKS_LIMITS.rsaBitsMin) return `RSA of less than ${JWKS_LIMITS.rsaBitsMin} bits`;
  if (bits !== undefined && bits > JWKS_LIMITS.rsaBitsMax) return `RSA of more than ${JWKS_LIMITS.rsaBitsMax} bits`;
  return { kid: kid ?? null, algorithm, key };
}

/** One algorithm per kind of key. */
function algorithmOf({ kty, crv }: Readonly<Record<string, unknown>>): PublicAlgorithm | null {
  if (kty === 'OKP' && crv === 'Ed25519') return 'EdDSA';
  if (kty === 'EC' && crv === 'P-256') return 'ES256';
  return kty === 'RSA' ? 'RS256' : null;
}

/** Node.js checks the form of the numbers, and that a point lies on its curve. */
function importKey({ kty, crv, x, y, n, e }: Readonly<Record<string, unknown>>): KeyObject | null {
  try {
    return createPublicKey({ format: 'jwk', key: { kty, crv, x, y, n, e } as JsonWebKey });
  } catch {
    return null;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('it is no JSON');
  }
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
