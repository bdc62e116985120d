// Who is at the other end: a JWT (RFC 7519) signed with HS256, the one algorithm of a shared secret.

import { errors, jwtVerify, SignJWT, type JWTPayload } from 'jose';
import type { Clock, Principal } from '../actors/ports.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { OwnerId } from '../protocol/ids.ts';

export type Credential = { readonly principal: Principal; readonly expiresAtMs: number };

/** `detail` is fit for the client and for logs: it never holds a part of the credential. */
export type Authentication =
  | { readonly outcome: 'accepted'; readonly credential: Credential }
  | { readonly outcome: 'refused'; readonly code: 'unauthorized' | 'token_expired'; readonly detail: string };

/** Never rejects. */
export type Authenticate = (token: string) => Promise<Authentication>;

export type JwtOptions = {
  /** At least 32 bytes (RFC 7518 §3.2). */
  readonly secret: Uint8Array;
  readonly issuer: string | null;
  readonly audience: string | null;
};

const ALGORITHM = 'HS256';
export const SECRET_BYTES_MIN = 32;
/** Clocks of an issuer and of a node may differ by this. */
const CLOCK_TOLERANCE_SECONDS = 5;
const SUBJECT_BYTES_MAX = 128;
const GROUPS_MAX = 32;
const GROUP_BYTES_MAX = 128;
/** The largest date that JavaScript knows, in seconds. */
const EXPIRY_SECONDS_MAX = 8.64e12;

const EXPIRED: Authentication = { outcome: 'refused', code: 'token_expired', detail: 'it has expired' };

/** An authenticator for one secret. `exp` and `sub` are required; `iss` and `aud` when they are set up. */
export function createAuthenticator(options: JwtOptions, clock: Clock): Authenticate {
  return async (token) => {
    if (Buffer.byteLength(token) > LIMITS.credentialBytes) return refused('it is too long');
    try {
      const { payload } = await jwtVerify(token, options.secret, {
        algorithms: [ALGORITHM],
        requiredClaims: ['exp', 'sub'],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        currentDate: new Date(clock.nowMs()),
        ...(options.issuer === null ? {} : { issuer: options.issuer }),
        ...(options.audience === null ? {} : { audience: options.audience }),
      });
      const authentication = readClaims(payload);
      // The tolerance is for clocks that differ at the begin of a token; one that is over would be refused all it asks.
      const over = authentication.outcome === 'accepted' && authentication.credential.expiresAtMs <= clock.nowMs();
      return over ? EXPIRED : authentication;
    } catch (error) {
      return explain(error);
    }
  };
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

function isName(text: string, bytesMax: number): boolean {
  return text.length > 0 && Buffer.byteLength(text) <= bytesMax && !text.includes('\0') && text.isWellFormed();
}

function isRole(value: unknown): value is Principal['role'] {
  return value === 'member' || value === 'auditor' || value === 'admin';
}

function areGroups(value: unknown): value is readonly string[] {
  return (
    Array.isArray(value) &&
    value.length <= GROUPS_MAX &&
    value.every((group) => typeof group === 'string' && isName(group, GROUP_BYTES_MAX))
  );
}

function refused(detail: string): Authentication {
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
  if (error instanceof errors.JOSEAlgNotAllowed) return refused(`its algorithm is not ${ALGORITHM}`);
  return refused('it is not a signed JWT');
}

/** Whether a fresh credential of the same owner allows what the one before did. */
export function sameRights(a: Principal, b: Principal): boolean {
  return (
    a.role === b.role && a.groups.length === b.groups.length && a.groups.every((group) => b.groups.includes(group))
  );
}
