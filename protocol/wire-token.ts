// An API token as its owner and administrators see it (SPEC.md §8): everything but the token.

import { asId, asMap, asString, asUint, asWord, orNull } from './fields.ts';
import { uuidToBytes, type OwnerId, type TokenId } from './ids.ts';

/** What a credential allows, in rising order. */
export const ROLES = ['member', 'auditor', 'admin'] as const;
export type PrincipalRole = (typeof ROLES)[number];

export type TokenInfo = {
  readonly id: TokenId;
  readonly owner: OwnerId;
  readonly role: PrincipalRole;
  readonly name: string | null;
  readonly created_at: number;
  /** Null: it does not end. */
  readonly expires_at: number | null;
  /** To the hour; null: never. */
  readonly last_used_at: number | null;
  readonly revoked_at: number | null;
  /** The token that it was made with; null when it was made with another credential. */
  readonly parent: TokenId | null;
};

export function wireToken({ id, parent, ...rest }: TokenInfo): Readonly<Record<string, unknown>> {
  return { id: uuidToBytes(id), ...rest, parent: parent === null ? null : uuidToBytes(parent) };
}

/** Throws a `ProtocolError`. */
export function parseToken(value: unknown): TokenInfo {
  const map = asMap(value, 'token');
  return {
    id: asId<TokenId>(map['id'], 'id'),
    owner: asString(map['owner'], 'owner') as OwnerId,
    role: asWord(map['role'], 'role', ROLES, 'member'),
    name: orNull(map['name'], 'name', asString),
    created_at: asUint(map['created_at'], 'created_at'),
    expires_at: orNull(map['expires_at'], 'expires_at', asUint),
    last_used_at: orNull(map['last_used_at'], 'last_used_at', asUint),
    revoked_at: orNull(map['revoked_at'], 'revoked_at', asUint),
    parent: orNull(map['parent'], 'parent', asId<TokenId>),
  };
}
