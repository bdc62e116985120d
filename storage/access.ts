// Who may come in: what is kept of API tokens and of owners that were shut out, and what has changed since.
//
// Every change is one statement that also keeps the command's reply, so that it takes effect once (P3); a revocation takes
// the next number of the clock. Reading is by number: see `revocationsSince`.

import type { CommandRow, Principal, Read } from '../actors/ports.ts';
import type { OwnerId, TokenId } from '../protocol/ids.ts';
import * as statements from './access-statements.ts';
import { must } from '../protocol/assert.ts';
import { arrayLiteral, byteaLiteral } from './array-literal.ts';
import { findOn } from './commands.ts';
import { commandKeptUntilMs } from './commit-statements.ts';
import type { Connection, Statement } from './connection.ts';
import type { Connections } from './connections.ts';
import { describe } from './errors.ts';
import type { StoreLimits } from './limits.ts';
import { transactAgain } from './transaction.ts';

export type ApiTokenRecord = {
  readonly id: TokenId;
  readonly owner: OwnerId;
  readonly role: Principal['role'];
  readonly name: string | null;
  readonly createdAtMs: number;
  /** Null: it does not end. */
  readonly expiresAtMs: number | null;
  /** To the hour; null: never. */
  readonly lastUsedAtMs: number | null;
  readonly revokedAtMs: number | null;
  /** The token that it was made with; null when it was made with another credential. */
  readonly parent: TokenId | null;
};

export type NewApiToken = Pick<ApiTokenRecord, 'id' | 'owner' | 'role' | 'name' | 'expiresAtMs' | 'parent'> & {
  /** SHA-256 of the token. */
  readonly hash: Uint8Array;
};

/** By the owner that a JWT names, or by the hash of an API token. */
export type AccessQuestion = { readonly owner: OwnerId } | { readonly hash: Uint8Array };

export type AccessAnswer = {
  /** Revocations up to this number are part of the answer. */
  readonly asOf: number;
  /** Of the token; null for a JWT, and for a hash that nobody knows. */
  readonly token: ApiTokenRecord | null;
  readonly ownerRevoked: boolean;
};

export type Revocation =
  | { readonly kind: 'token'; readonly token: TokenId; readonly seq: number }
  | { readonly kind: 'owner'; readonly owner: OwnerId; readonly seq: number };

export type TokenListRequest = {
  /** Null: of everybody. */
  readonly owner: OwnerId | null;
  readonly limit: number;
  /** Tokens behind this one in (created_at, id) descending. */
  readonly after: { readonly createdAtMs: number; readonly id: TokenId } | null;
};

/** What became of a change. */
export type AccessChange =
  | { readonly outcome: 'done' }
  /** The command was done before. */
  | { readonly outcome: 'repeated'; readonly row: CommandRow }
  /** As many tokens as an owner may have. */
  | { readonly outcome: 'too_many' }
  /** The hash, or the id, is another token's. */
  | { readonly outcome: 'taken' }
  /** The token that it was to be made with is no more. */
  | { readonly outcome: 'parent_revoked' }
  | { readonly outcome: 'unknown'; readonly detail: string }
  | { readonly outcome: 'unavailable'; readonly detail: string };

export type AccessConnections = {
  readonly connections: Connections;
  /** For reading what was revoked, and nothing else where that is possible: load must not delay it. */
  readonly revocations: Connections;
};

export class AccessStore {
  readonly #connections: Connections;
  readonly #revocations: Connections;
  readonly #limits: StoreLimits;

  constructor({ connections, revocations }: AccessConnections, limits: StoreLimits) {
    this.#connections = connections;
    this.#revocations = revocations;
    this.#limits = limits;
  }

  /** Answers in the order of the questions, all as of one moment. */
  ask(questions: readonly AccessQuestion[]): Promise<Read<readonly AccessAnswer[]>> {
    const owners = arrayLiteral(questions.map((question) => ('owner' in question ? question.owner : null)));
    const hashes = byteaLiteral(questions.map((question) => ('hash' in question ? question.hash : null)));
    return this.#connections.read(async (connection) => {
      const rows = await connection.query<AnswerRow>({ text: statements.ASK, values: [owners, hashes] });
      return rows.map(({ seq, owner_revoked, ...token }) => ({
        asOf: seq,
        token: isToken(token) ? tokenFromRow(token) : null,
        ownerRevoked: owner_revoked,
      }));
    });
  }

  /** The number of the latest revocation. */
  clock(): Promise<Read<number>> {
    return this.#revocations.read(async (connection) => {
      const [row] = await connection.query<{ seq: number }>({ text: statements.CLOCK_NOW, values: [] });
      return must(row, 'the migration has set the clock up').seq;
    });
  }

  /**
   * The revocations behind number `seq`, at most `statements.REVOCATIONS_MAX` numbers of them, and the number up to which
   * they are complete; call it again while `more`.
   */
  revocationsSince(
    seq: number,
  ): Promise<Read<{ readonly asOf: number; readonly more: boolean; readonly revocations: readonly Revocation[] }>> {
    return this.#revocations.read(async (connection) => {
      const rows = await connection.query<RevocationRow>({ text: statements.REVOCATIONS, values: [seq] });
      const top = rows[0]?.top ?? seq;
      const asOf = Math.min(top, seq + statements.REVOCATIONS_MAX);
      return { asOf, more: asOf < top, revocations: rows.flatMap(revocationFromRow) };
    });
  }

  /** Newest first. */
  listTokens({ owner, limit, after }: TokenListRequest): Promise<Read<readonly ApiTokenRecord[]>> {
    const page = [after?.createdAtMs ?? null, after?.id ?? null, limit] as const;
    return this.#tokens(
      owner === null
        ? { text: statements.TOKENS_OF_ALL, values: page }
        : { text: statements.TOKENS_OF_OWNER, values: [...page, owner] },
    );
  }

  async findToken(id: TokenId): Promise<Read<ApiTokenRecord | null>> {
    const found = await this.#tokens({ text: statements.TOKEN, values: [id] });
    return found.outcome === 'read' ? { outcome: 'read', value: found.value[0] ?? null } : found;
  }

  /** At most `tokensPerOwner` that are in force, and ten times as many with those that were. */
  async createToken(token: NewApiToken, command: CommandRow): Promise<AccessChange> {
    const { id, hash, owner, role, name, expiresAtMs, parent } = token;
    const insert = {
      text: statements.CREATE_TOKEN,
      values: [
        ...commandValues(command),
        id,
        hash,
        owner,
        role,
        name,
        expiresAtMs,
        parent,
        this.#limits.tokensPerOwner,
        this.#limits.tokensPerOwner * 10,
      ],
    };
    const lockParent = { text: statements.LOCK_TOKEN_FOR_SHARE, values: [parent] };
    const locks = [{ text: statements.LOCK_OWNER, values: [owner] }, ...(parent === null ? [] : [lockParent])];
    return this.#change(command, [...locks, insert], async (connection) => {
      const [row] = await connection.query<{ taken: boolean; parent_revoked: boolean }>({
        text: statements.WHY_NOT_CREATED,
        values: [id, hash, parent],
      });
      if (row?.taken === true) return { outcome: 'taken' };
      return { outcome: row?.parent_revoked === true ? 'parent_revoked' : 'too_many' };
    });
  }

  /** With those that were made with it. Revoking again changes nothing. */
  revokeToken(id: TokenId, command: CommandRow): Promise<AccessChange> {
    return this.#change(command, [
      LOCK_CLOCK,
      { text: statements.LOCK_TOKEN_FOR_UPDATE, values: [id] },
      { text: statements.REVOKE_TOKEN, values: [...commandValues(command), id] },
    ]);
  }

  revokeOwner(owner: OwnerId, command: CommandRow): Promise<AccessChange> {
    const revoke = { text: statements.REVOKE_OWNER, values: [...commandValues(command), owner] };
    return this.#change(command, [LOCK_CLOCK, revoke]);
  }

  restoreOwner(owner: OwnerId, command: CommandRow): Promise<AccessChange> {
    return this.#change(command, [{ text: statements.RESTORE_OWNER, values: [...commandValues(command), owner] }]);
  }

  /** Notes a use, unless one of the last hour is noted. */
  async noteUse(id: TokenId, atMs: number): Promise<void> {
    // A note that is lost is made at the next use.
    await this.#connections.read((connection) =>
      connection.query({ text: statements.NOTE_USE, values: [id, atMs, statements.USE_NOTED_EVERY_MS] }),
    );
  }

  /** Deletes tokens that have been over for a month; gives how many. */
  prune(nowMs: number): Promise<Read<number>> {
    return this.#connections.read(async (connection) => {
      const rows = await connection.query({
        text: statements.PRUNE_TOKENS,
        values: [nowMs - statements.KEPT_MS, this.#limits.prunedPerRound],
      });
      return rows.length;
    });
  }

  #tokens(statement: Statement): Promise<Read<readonly ApiTokenRecord[]>> {
    return this.#connections.read(async (connection) =>
      (await connection.query<TokenRow>(statement)).map((row) => tokenFromRow(row)),
    );
  }

  /** The last statement gives a row when it took effect; `why` says for what reason it did not. */
  async #change(
    command: CommandRow,
    todo: readonly Statement[],
    why: (connection: Connection) => Promise<AccessChange> = () => Promise.resolve(FORGOTTEN),
  ): Promise<AccessChange> {
    try {
      return await this.#connections.use(async (connection) => {
        const result = await transactAgain(connection, todo, this.#limits.conflictTries);
        switch (result.outcome) {
          case 'unknown':
            connection.close(result.detail);
            return result;
          case 'aborted':
            if (result.error.fatal) connection.close();
            if (result.error.sqlstate === '23505') return { outcome: 'taken' };
            return { outcome: 'unavailable', detail: describe(result.error) };
          case 'committed': {
            if ((result.results.at(-1)?.length ?? 0) > 0) return { outcome: 'done' };
            const row = await findOn(connection, command.principal, null, command.id);
            return row !== null && row !== 'applied' ? { outcome: 'repeated', row } : why(connection);
          }
        }
      });
    } catch (error) {
      return this.#connections.unavailable(error);
    }
  }
}

/** Without conditions of its own a change is refused for a row of its command only. */
const FORGOTTEN: AccessChange = { outcome: 'unavailable', detail: 'the reply to this command was just forgotten' };

const LOCK_CLOCK = { text: statements.LOCK_CLOCK, values: [] };

function commandValues(command: CommandRow): Statement['values'] {
  const { principal, id, name, argsHash, reply, createdAtMs } = command;
  return [principal, id, name, argsHash, reply.ok, reply.body, createdAtMs, commandKeptUntilMs(command)];
}

type TokenRow = {
  readonly id: TokenId;
  readonly owner: OwnerId;
  readonly role: Principal['role'];
  readonly name: string | null;
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly last_used_at: number | null;
  readonly revoked_at: number | null;
  readonly parent: TokenId | null;
};

/** All columns of the token are null when there is none. */
type AnswerRow = { readonly seq: number; readonly owner_revoked: boolean } & (
  | TokenRow
  | { readonly [Column in keyof TokenRow]: null }
);

type RevocationRow = {
  readonly top: number;
  readonly token: TokenId | null;
  readonly owner: OwnerId | null;
  readonly seq: number | null;
};

function isToken(row: TokenRow | { readonly [Column in keyof TokenRow]: null }): row is TokenRow {
  return row.id !== null;
}

function tokenFromRow(row: TokenRow): ApiTokenRecord {
  const { id, owner, role, name, parent } = row;
  return {
    id,
    owner,
    role,
    name,
    parent,
    createdAtMs: row.created_at,
    expiresAtMs: row.expires_at,
    lastUsedAtMs: row.last_used_at,
    revokedAtMs: row.revoked_at,
  };
}

/** The row that only tells the number of the clock gives none. */
function revocationFromRow({ token, owner, seq }: RevocationRow): readonly Revocation[] {
  if (seq === null) return [];
  if (token !== null) return [{ kind: 'token', token, seq }];
  return owner === null ? [] : [{ kind: 'owner', owner, seq }];
}
