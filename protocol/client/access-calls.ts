// The commands and queries about access as typed functions (SPEC.md §8), for the client and for the administrator's
// command line. A token is made here: the server gets its hash.

import { makeApiToken } from '../api-token.ts';
import { asArray, asId, asString, asUint, orNull } from '../fields.ts';
import type { Args } from '../frames.ts';
import { uuidToBytes, type TokenId } from '../ids.ts';
import { parseToken, type PrincipalRole, type TokenInfo } from '../wire-token.ts';
import { readResult } from './calls.ts';

/** Sends a command or a query and gives its result; rejects with a `CommandError` or a `ClientError`. */
export type Caller = {
  command(name: string, args: Args): Promise<unknown>;
  query(name: string, args: Args): Promise<unknown>;
};

export type NewToken = {
  /** Another's needs the role admin. */
  readonly owner?: string;
  readonly name?: string;
  /** `member` when absent; never above one's own. */
  readonly role?: PrincipalRole;
  /** Unix ms; absent: it does not end. */
  readonly expiresAtMs?: number;
};

/** `token` is shown this once: nobody else has it. */
export type MadeToken = { readonly token: string; readonly info: TokenInfo };

export type TokenCursor = { readonly createdAtMs: number; readonly id: TokenId };

export type TokenPage = { readonly tokens: readonly TokenInfo[]; readonly next: TokenCursor | null };

/** `secret`: 32 random bytes, which the token is made of. */
export async function createToken(caller: Caller, secret: Uint8Array, options: NewToken): Promise<MadeToken> {
  const { token, hash } = await makeApiToken(secret);
  const { owner, name, role, expiresAtMs } = options;
  const args = { hash, owner: owner ?? null, name: name ?? null, role: role ?? null, expires_at: expiresAtMs ?? null };
  const result = await caller.command('tokens.create', args);
  return { token, info: readResult(result, (map) => parseToken(map['token'])) };
}

/** Newest first. Without an owner: one's own, or for an administrator everybody's. */
export async function listTokens(
  caller: Caller,
  { owner, after }: { readonly owner?: string; readonly after?: TokenCursor | null },
): Promise<TokenPage> {
  const cursor = after === undefined || after === null ? null : [after.createdAtMs, uuidToBytes(after.id)];
  return readResult(await caller.query('tokens.list', { owner: owner ?? null, after: cursor }), ({ tokens, next }) => {
    return {
      tokens: asArray(tokens, 'tokens').map(parseToken),
      next: orNull(next, 'next', (pair) => {
        const [createdAtMs, id] = asArray(pair, 'next');
        return { createdAtMs: asUint(createdAtMs, 'next'), id: asId<TokenId>(id, 'next') };
      }),
    };
  });
}

export async function revokeToken(caller: Caller, id: TokenId): Promise<void> {
  await caller.command('tokens.revoke', { id: uuidToBytes(id) });
}

/** Shuts the owner out, whatever credential they have, until `restoreOwner`. */
export async function revokeOwner(caller: Caller, owner: string): Promise<string> {
  return readOwner(await caller.command('owners.revoke', { owner }));
}

export async function restoreOwner(caller: Caller, owner: string): Promise<string> {
  return readOwner(await caller.command('owners.restore', { owner }));
}

function readOwner(result: unknown): string {
  return readResult(result, (map) => asString(map['owner'], 'owner'));
}
