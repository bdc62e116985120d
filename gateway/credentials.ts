// Who may come in: a JWT or an API token whose owner is not shut out. What the database has to say of many credentials
// that come together is asked in one go.

import { timingSafeEqual } from 'node:crypto';
import type { Clock, Read } from '../actors/ports.ts';
import { hashApiToken, looksLikeApiToken } from '../protocol/api-token.ts';
import { must } from '../protocol/assert.ts';
import type { AccessAnswer, AccessQuestion, AccessStore } from '../storage/access.ts';
import { USE_NOTED_EVERY_MS } from '../storage/access-statements.ts';
import type { Authenticate, Authentication, Bearer, Refused } from './authentication.ts';
import { GATEWAY_LIMITS } from './limits.ts';

export type CredentialParts = {
  readonly access: Pick<AccessStore, 'ask' | 'noteUse'>;
  readonly jwt: Authenticate;
  readonly clock: Clock;
  /** The token of this process for the administrator's command line. */
  readonly local: { readonly hash: Uint8Array; readonly principal: Bearer } | null;
};

/** When a credential without an end ends, towards clients: the last second of the year 9999. */
export const NEVER_MS = Date.UTC(9999, 11, 31, 23, 59, 59);

export function createCredentials(parts: CredentialParts): Authenticate {
  const { jwt, clock } = parts;
  const questions = new Questions(parts.access);
  return async (credential) => {
    if (looksLikeApiToken(credential)) return apiToken(credential, parts, questions);
    const verified = await jwt(credential);
    if (verified.outcome === 'refused') return verified;
    const { principal, expiresAtMs } = verified.credential;
    const answer = await questions.ask({ owner: principal.owner });
    if (answer.outcome === 'unavailable') return UNREACHABLE;
    if (answer.value.ownerRevoked) return OWNER_REVOKED;
    if (expiresAtMs <= clock.nowMs()) return EXPIRED;
    return accepted({ ...principal, asOf: answer.value.asOf }, expiresAtMs);
  };
}

async function apiToken(
  credential: string,
  { access, clock, local }: CredentialParts,
  questions: Questions,
): Promise<Authentication> {
  const hash = await hashApiToken(credential);
  if (hash === null) return refused('unauthorized', 'it is not a token that was made here');
  if (local !== null && timingSafeEqual(hash, local.hash)) return accepted(local.principal, NEVER_MS);
  const answer = await questions.ask({ hash });
  if (answer.outcome === 'unavailable') return UNREACHABLE;
  const { token, ownerRevoked, asOf } = answer.value;
  if (token === null) return refused('unauthorized', 'it is not known here');
  if (token.revokedAtMs !== null) return refused('revoked', 'it was revoked');
  if (ownerRevoked) return OWNER_REVOKED;
  const nowMs = clock.nowMs();
  const expiresAtMs = token.expiresAtMs ?? NEVER_MS;
  if (expiresAtMs <= nowMs) return EXPIRED;
  const notedAtMs = token.lastUsedAtMs;
  if (notedAtMs === null || nowMs - notedAtMs >= USE_NOTED_EVERY_MS) await access.noteUse(token.id, nowMs);
  return accepted({ owner: token.owner, role: token.role, groups: [], token: token.id, asOf }, expiresAtMs);
}

function accepted(principal: Bearer, expiresAtMs: number): Authentication {
  return { outcome: 'accepted', credential: { principal, expiresAtMs } };
}

function refused(code: Refused['code'], detail: string): Refused {
  return { outcome: 'refused', code, detail };
}

const EXPIRED = refused('token_expired', 'it has expired');
const OWNER_REVOKED = refused('revoked', 'its owner was shut out');
const UNREACHABLE = refused('going_away', 'the database cannot be reached');

type Waiting = {
  readonly question: AccessQuestion;
  readonly resolve: (answer: Read<AccessAnswer>) => void;
  readonly reject: (error: unknown) => void;
};

/** One question to the database is under way at a time; what comes meanwhile goes with the next one. */
class Questions {
  readonly #access: Pick<AccessStore, 'ask'>;
  /** Bounded by the connections: each asks for one credential at a time. */
  #waiting: Waiting[] = [];
  #asking = false;

  constructor(access: Pick<AccessStore, 'ask'>) {
    this.#access = access;
  }

  ask(question: AccessQuestion): Promise<Read<AccessAnswer>> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ question, resolve, reject });
      if (!this.#asking) void this.#work();
    });
  }

  async #work(): Promise<void> {
    this.#asking = true;
    while (this.#waiting.length > 0) {
      const round = this.#waiting.splice(0, GATEWAY_LIMITS.credentialsPerQuestion);
      try {
        const answers = await this.#access.ask(round.map(({ question }) => question));
        for (const [i, { resolve }] of round.entries()) {
          resolve(
            answers.outcome === 'unavailable'
              ? answers
              : { outcome: 'read', value: must(answers.value[i], 'each question has an answer') },
          );
        }
      } catch (error) {
        // A bug: it ends the sessions that asked, not the logins that come after them.
        for (const { reject } of round) reject(error);
      }
    }
    this.#asking = false;
  }
}
