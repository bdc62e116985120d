// Who is at the other end: a JWT (RFC 7519).
//
// There are two sources of keys: a shared secret, for HS256 alone, and a key set (jwks.ts), for the algorithms of public
// keys alone. The algorithm in the header says which source is asked, never how its key is used: a public key is no secret
// for HS256, however a token is written. What the header says of keys besides (`jwk`, `jku`, `x5u`, `x5c`) is not read.

import { decodeProtectedHeader, errors, jwtVerify, SignJWT, type JWTPayload } from 'jose';
import type { KeyObject } from 'node:crypto';
import type { Clock, Principal } from '../actors/ports.ts';
import { type ErrorBody, errorBody } from '../protocol/errors.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { OwnerId, TokenId } from '../protocol/ids.ts';

/** A principal by the credential that it came with. */
export type Bearer = Principal & {
  /** The API token that it came with. */
  readonly token?: TokenId;
  /** The revocations up to this number were looked at; absent where there are none. */
  readonly asOf?: number;
  /** Set by the registry, once, when a revocation reaches the session. */
  revoked?: true;
};

export type Credential = { readonly principal: Bearer; readonly expiresAtMs: number };

export type Refused = {
  readonly outcome: 'refused';
  /** The close code of a connection that comes with it; `going_away`: it cannot be judged now. */
  readonly code: 'unauthorized' | 'token_expired' | 'revoked' | 'going_away';
  /** Fit for the client and for logs: it never holds a part of the credential. */
  readonly detail: string;
};

export type Authentication = { readonly outcome: 'accepted'; readonly credential: Credential } | Refused;

/** Never rejects. */
export type Authenticate = (token: string) => Promise<Authentication>;

export type Claims = { readonly issuer: string | null; readonly audience: string | null };

export type JwtOptions = Claims & {
  /** At least 32 bytes (RFC 7518 §3.2). */
  readonly secret: Uint8Array;
};

/** The algorithms of public keys: one per kind of key. */
export const PUBLIC_ALGORITHMS = ['EdDSA', 'ES256', 'RS256'] as const;
export type PublicAlgorithm = (typeof PUBLIC_ALGORITHMS)[number];

/** A key, or why there is none: `unknown` is the token's fault, `unavailable` is not. */
export type KeyAnswer =
  | { readonly outcome: 'key'; readonly key: KeyObject }
  | { readonly outcome: 'unknown' | 'unavailable'; readonly detail: string };

export type PublicKeys = { find(algorithm: PublicAlgorithm, kid: string | null): Promise<KeyAnswer> };

const ALGORITHM = 'HS256';
export const SECRET_BYTES_MIN = 32;
/** Clocks of an issuer and of a node may differ by this. */
const CLOCK_TOLERANCE_SECONDS = 5;
export const SUBJECT_BYTES_MAX = 128;
const GROUPS_MAX = 32;
const GROUP_BYTES_MAX = 128;
/** The largest date that JavaScript knows, in seconds. */
const EXPIRY_SECONDS_MAX = 8.64e12;

const EXPIRED: Authentication = { outcome: 'refused', code: 'token_expired', detail: 'it has expired' };

/** An authenticator for JWTs. `exp` and `sub` are required; `iss` and `aud` when they are set up. */
export function createAuthenticator(
  options: Claims & { readonly secret: Uint8Array | null; readonly keys?: PublicKeys },
  clock: Clock,
): Authenticate {
  const { secret, keys = null } = options;
  return async (token) => {
    if (Buffer.byteLength(token) > LIMITS.credentialBytes) return refused('it is too long');
    try {
      const found = await keyFor(decodeProtectedHeader(token), secret, keys);
      return found.outcome === 'refused' ? found : await verify(token, { ...found, ...options }, clock);
    } catch (error) {
      return explain(error);
    }
  };
}

type FoundKey = { readonly outcome: 'key'; readonly key: Uint8Array | KeyObject; readonly algorithm: string };

async function keyFor(
  { alg, kid }: { readonly alg?: unknown; readonly kid?: unknown },
  secret: Uint8Array | null,
  keys: PublicKeys | null,
): Promise<FoundKey | Refused> {
  if (alg === ALGORITHM && secret !== null) return { outcome: 'key', key: secret, algorithm: ALGORITHM };
  const algorithm = PUBLIC_ALGORITHMS.find((known) => known === alg);
  if (algorithm === undefined || keys === null) {
    const taken = [...(secret === null ? [] : [ALGORITHM]), ...(keys === null ? [] : PUBLIC_ALGORITHMS)];
    return refused(`its algorithm is not ${taken.join(', ')}`);
  }
  const answer = await keys.find(algorithm, typeof kid === 'string' ? kid : null);
  if (answer.outcome === 'key') return { ...answer, algorithm };
  return answer.outcome === 'unknown'
    ? refused(answer.detail)
    : { outcome: 'refused', code: 'going_away', detail: answer.detail };
}

async function verify(
  token: string,
  { key, algorithm, issuer, audience }: Claims & FoundKey,
  clock: Clock,
): Promise<Authentication> {
  const { payload } = await jwtVerify(token, key, {
    algorithms: [algorithm],
    requiredClaims: ['exp', 'sub'],
    clockTolerance: CLOCK_TOLERANCE_SECONDS,
    currentDate: new Date(clock.nowMs()),
    ...(issuer === null ? {} : { issuer }),
    ...(audience === null ? {} : { audience }),
  });
  const authentication = readClaims(payload);
  // The tolerance is for clocks that differ at the begin of a token; one that is over would be refused all it asks.
  const over = authentication.outcome === 'accepted' && authentication.credential.expiresAtMs <= clock.nowMs();
  return over ? EXPIRED : authentication;
}

/** The refusal as the reply to `auth`. */
export function refusalBody({ code, detail }: Refused): ErrorBody {
  if (code === 'going_away') return errorBody('unavailable', detail, 1_000);
  return errorBody(code === 'revoked' ? 'unauthorized' : code, detail);
}

/** A token for `subject`, for development and tests. */
export async function signToken(
  options: JwtOptions,
  claims: {
    readonly subject: string;
    readonly expiresAtMs: number;
    readonly role?: Principal['role'];
    readonly groups?: readonly string[];
  },
): Promise<string> {
  const token = new SignJWT({
    ...(claims.role === undefined ? {} : { role: claims.role }),
    ...(claims.groups === undefined ? {} : { groups: [...claims.groups] }),
  })
    .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
    .setSubject(claims.subject)
    .setExpirationTime(Math.floor(claims.expiresAtMs / 1000));
  if (options.issuer !== null) token.setIssuer(options.issuer);
  if (options.audience !== null) token.setAudience(options.audience);
  return await token.sign(options.secret);
}

function readClaims(payload: JWTPayload): Authentication {
  const { sub, exp, role = 'member', groups = [] } = payload;
  if (typeof sub !== 'string' || !isName(sub, SUBJECT_BYTES_MAX)) {
    return refused(`"sub" must be 1 to ${SUBJECT_BYTES_MAX} bytes of text`);
  }
  if (typeof exp !== 'number' || !(exp > 0 && exp <= EXPIRY_SECONDS_MAX)) return refused('"exp" is no date');
  if (!isRole(role)) return refused('"role" must be member, auditor or admin');
  if (!areGroups(groups)) return refused(`"groups" must be at most ${GROUPS_MAX} names`);
  const principal = { owner: sub as OwnerId, role, groups: Object.freeze([...groups]) };
  return { outcome: 'accepted', credential: { principal, expiresAtMs: Math.floor(exp * 1000) } };
}

export function isName(text: string, bytesMax: number): boolean {
  return text.length > 0 && Buffer.byteLength(text) <= bytesMax && !text.includes('\0') && text.isWellFormed();
}

export function isRole(value: unknown): value is Principal['role'] {
  return value === 'member' || value === 'auditor' || value === 'admin';
}

function areGroups(value: unknown): value is readonly string[] {
  return (
    Array.isArray(value) &&
    value.length <= GROUPS_MAX &&
    value.every((group) => typeof group === 'string' && isName(group, GROUP_BYTES_MAX))
  );
}

function refused(detail: string): Refused {
  return { outcome: 'refused', code: 'unauthorized', detail };
}

/** jose names the claim that failed; what it says of anything else could quote the token, so that is not passed on. */
function explain(error: unknown): Authentication {
  if (error instanceof errors.JWTExpired)
    return { outcome: 'refused', code: 'token_expired', detail: 'it has expired' };
  if (error instanceof errors.JWTClaimValidationFailed) {
    return refused(`the claim "${error.claim}" is missing or does not fit`);
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return refused('its signature does not fit the key');
  return refused('it is not a signed JWT');
}

/** Whether a fresh credential of the same owner allows what the one before did. */
export function sameRights(a: Principal, b: Principal): boolean {
  return (
    a.role === b.role && a.groups.length === b.groups.length && a.groups.every((group) => b.groups.includes(group))
  );
}
