// The commands and queries about access: API tokens, and owners that are shut out (SPEC.md §8). Members manage their own
// tokens, admins those of everybody, and who may come in at all. No secret is in any of them (adr 0014).

import type { CommandRequest, QueryResult } from '../actors/host/api.ts';
import {
  admitCommand,
  type ChatlessDeps,
  derivedId,
  keepRefusal,
  replyOf,
  type Unanswered,
} from '../actors/host/chatless-command.ts';
import { encodeReplyBody, refusal } from '../actors/chat/command-runner.ts';
import type { CommandReply, CommandRow } from '../actors/ports.ts';
import { type ErrorBody, errorBody } from '../protocol/errors.ts';
import { asArray, asId, asString, asUint, orNull } from '../protocol/fields.ts';
import type { Args } from '../protocol/frames.ts';
import { type OwnerId, type TokenId, uuidToBytes } from '../protocol/ids.ts';
import { LIMITS } from '../protocol/limits.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { ROLES, type PrincipalRole, type TokenInfo, wireToken } from '../protocol/wire-token.ts';
import type { AccessChange, AccessStore, ApiTokenRecord, NewApiToken } from '../storage/access.ts';
import { type Bearer, isName, isRole, SUBJECT_BYTES_MAX } from './authentication.ts';

export type AccessDeps = ChatlessDeps & {
  readonly access: Pick<
    AccessStore,
    'createToken' | 'listTokens' | 'findToken' | 'revokeToken' | 'revokeOwner' | 'restoreOwner'
  >;
  /** Something was revoked, or may have been: resolves when this node has acted on it. */
  readonly revoked: () => Promise<unknown>;
};

const COMMANDS: ReadonlySet<string> = new Set(['tokens.create', 'tokens.revoke', 'owners.revoke', 'owners.restore']);

export function isAccessCommand(name: string): boolean {
  return COMMANDS.has(name);
}

export function isAccessQuery(name: string): boolean {
  return name === 'tokens.list';
}

export class AccessCommands {
  readonly #deps: AccessDeps;

  constructor(deps: AccessDeps) {
    this.#deps = deps;
  }

  /** As `ChatHost.command`. */
  async command(bearer: Bearer, request: CommandRequest): Promise<CommandReply> {
    switch (request.name) {
      case 'tokens.create':
        return this.#once(bearer, request, (command) => this.#createToken(bearer, command, request.args));
      case 'tokens.revoke':
        return this.#once(bearer, request, (command) => this.#revokeToken(bearer, command, request.args));
      case 'owners.revoke':
      case 'owners.restore':
        return this.#once(bearer, request, (command) => this.#changeOwner(bearer, command, request.args));
      default:
        return refusal(errorBody('unknown_command'));
    }
  }

  /** As `ChatHost.query`. */
  async query(bearer: Bearer, name: string, args: Args): Promise<QueryResult> {
    if (name !== 'tokens.list') return { ok: false, error: errorBody('unknown_query') };
    try {
      return await this.#listTokens(bearer, args);
    } catch (error) {
      return { ok: false, error: badArgs(error) };
    }
  }

  /** `work` throws a `ProtocolError` for arguments that do not fit. */
  async #once(
    bearer: Bearer,
    request: CommandRequest,
    work: (command: Unanswered) => Promise<CommandReply>,
  ): Promise<CommandReply> {
    const admitted = await admitCommand(this.#deps, bearer, request);
    if ('reply' in admitted) return admitted.reply;
    const { command } = admitted;
    try {
      return await work(command);
    } catch (error) {
      return this.#refuse(command, badArgs(error));
    }
  }

  async #createToken(bearer: Bearer, command: Unanswered, args: Args): Promise<CommandReply> {
    const asked = parseNewToken(args, bearer.owner, command.createdAtMs);
    if (asked.owner !== bearer.owner && bearer.role !== 'admin') return this.#refuse(command, errorBody('forbidden'));
    if (rank(asked.role) > rank(bearer.role)) {
      return this.#refuse(command, errorBody('forbidden', 'a role above your own'));
    }
    let { expiresAtMs } = asked;
    const parent = bearer.token ?? null;
    if (parent !== null) {
      const made = await this.#deps.access.findToken(parent);
      if (made.outcome === 'unavailable') return unavailable();
      if (made.value === null) return this.#refuse(command, errorBody('unauthorized', 'it was revoked'));
      if (made.value.parent !== null) {
        return this.#refuse(command, errorBody('forbidden', 'a token that was made with a token makes no other'));
      }
      expiresAtMs ??= made.value.expiresAtMs;
      if (made.value.expiresAtMs !== null && (expiresAtMs ?? Infinity) > made.value.expiresAtMs) {
        return this.#refuse(command, errorBody('forbidden', 'it would outlive the token that it is made with'));
      }
    }
    const token: NewApiToken = { ...asked, id: derivedId<TokenId>(bearer.owner, command.id), expiresAtMs, parent };
    const made = { ...token, createdAtMs: command.createdAtMs, lastUsedAtMs: null, revokedAtMs: null };
    const row = answered(command, { token: wireToken(tokenInfo(made)) });
    return this.#settle(row, await this.#deps.access.createToken(token, row));
  }

  async #revokeToken(bearer: Bearer, command: Unanswered, args: Args): Promise<CommandReply> {
    const id = asId<TokenId>(args['id'], 'id');
    const found = await this.#deps.access.findToken(id);
    if (found.outcome === 'unavailable') return unavailable();
    const isTheirs = found.value?.owner === bearer.owner || bearer.role === 'admin';
    if (found.value === null || !isTheirs) return this.#refuse(command, errorBody('not_found'));
    const row = answered(command, { id: uuidToBytes(id) });
    return this.#revoked(row, await this.#deps.access.revokeToken(id, row));
  }

  async #changeOwner(bearer: Bearer, command: Unanswered, args: Args): Promise<CommandReply> {
    if (bearer.role !== 'admin') return this.#refuse(command, errorBody('forbidden'));
    const owner = parseOwner(args['owner']);
    if (owner === bearer.owner) throw misfit('owner: not yourself');
    const row = answered(command, { owner });
    if (command.name === 'owners.restore') {
      return this.#settle(row, await this.#deps.access.restoreOwner(owner, row));
    }
    return this.#revoked(row, await this.#deps.access.revokeOwner(owner, row));
  }

  async #listTokens(bearer: Bearer, args: Args): Promise<QueryResult> {
    const named = orNull(args['owner'], 'owner', parseOwner);
    if (named !== null && named !== bearer.owner && bearer.role !== 'admin') {
      return { ok: false, error: errorBody('forbidden') };
    }
    const limit = orNull(args['limit'], 'limit', asUint) ?? LIMITS.pageTokens;
    if (limit < 1 || limit > LIMITS.pageTokens) throw misfit(`limit: 1 to ${LIMITS.pageTokens}`);
    const after = orNull(args['after'], 'after', parseCursor);
    const owner = bearer.role === 'admin' ? named : bearer.owner;
    const page = await this.#deps.access.listTokens({ owner, limit: limit + 1, after });
    if (page.outcome === 'unavailable') return { ok: false, error: errorBody('unavailable', undefined, 1_000) };
    const tokens = page.value.slice(0, limit);
    const last = page.value.length > limit ? tokens.at(-1) : undefined;
    const next = last === undefined ? null : [last.createdAtMs, uuidToBytes(last.id)];
    return { ok: true, result: { tokens: tokens.map((token) => wireToken(tokenInfo(token))), next } };
  }

  /** The node has acted on a revocation before it is acknowledged. */
  async #revoked(row: CommandRow, change: AccessChange): Promise<CommandReply> {
    await this.#deps.revoked();
    return this.#settle(row, change);
  }

  /**
   * What was judged by what is stored or by who asks may be judged otherwise later: only a refusal that is kept is what the
   * same command gets again (P3). When the command was done before, the reply of then is given.
   */
  #refuse(command: Unanswered, error: ErrorBody): Promise<CommandReply> {
    return keepRefusal(this.#deps.store, command, error);
  }

  async #settle(row: CommandRow, change: AccessChange): Promise<CommandReply> {
    switch (change.outcome) {
      case 'done':
        return row.reply;
      case 'repeated':
        return replyOf(change.row, row);
      case 'taken':
        return this.#refuse(row, errorBody('bad_args', 'hash: of another token'));
      case 'too_many':
        // Kept, so that this id is of no use any more; by its code alone a client would send it again and again.
        return this.#refuse(row, { ...errorBody('too_many', 'tokens of this owner'), retry: 'never' });
      case 'parent_revoked':
        return this.#refuse(row, errorBody('unauthorized', 'it was revoked'));
      case 'unknown':
        return refusal(errorBody('unknown_outcome'));
      case 'unavailable':
        return unavailable();
    }
  }
}

function tokenInfo(token: ApiTokenRecord): TokenInfo {
  const { id, owner, role, name, parent } = token;
  return {
    id,
    owner,
    role,
    name,
    created_at: token.createdAtMs,
    expires_at: token.expiresAtMs,
    last_used_at: token.lastUsedAtMs,
    revoked_at: token.revokedAtMs,
    parent,
  };
}

function answered(command: Unanswered, result: Args): CommandRow {
  return { ...command, reply: encodeReplyBody({ ok: true, result }) };
}

function unavailable(): CommandReply {
  return refusal(errorBody('unavailable', undefined, 1_000));
}

function rank(role: PrincipalRole): number {
  return ROLES.indexOf(role);
}

// ------------------------------------------------------------------------------------------------------- arguments

const HASH_BYTES = 32;

type AskedToken = Pick<NewApiToken, 'hash' | 'owner' | 'role' | 'name' | 'expiresAtMs'>;

function parseNewToken(args: Args, own: OwnerId, nowMs: number): AskedToken {
  const { hash } = args;
  if (!(hash instanceof Uint8Array) || hash.length !== HASH_BYTES) throw misfit('hash: the 32 bytes of a SHA-256');
  const role = args['role'] ?? 'member';
  if (!isRole(role)) throw misfit(`role: one of ${ROLES.join(', ')}`);
  const name = orNull(args['name'], 'name', asString)?.trim() ?? null;
  if (name === '' || (name !== null && name.length > LIMITS.titleChars)) {
    throw misfit(`name: 1 to ${LIMITS.titleChars} characters`);
  }
  const expiresAtMs = orNull(args['expires_at'], 'expires_at', asUint);
  if (expiresAtMs !== null && (expiresAtMs <= nowMs || expiresAtMs > nowMs + LIMITS.tokenLifeMs)) {
    throw misfit('expires_at: a time within the next 10 years');
  }
  return { hash, owner: orNull(args['owner'], 'owner', parseOwner) ?? own, role, name, expiresAtMs };
}

function parseOwner(value: unknown): OwnerId {
  if (typeof value !== 'string' || !isName(value, SUBJECT_BYTES_MAX)) {
    throw misfit(`owner: 1 to ${SUBJECT_BYTES_MAX} bytes of text`);
  }
  return value as OwnerId;
}

function parseCursor(value: unknown): { readonly createdAtMs: number; readonly id: TokenId } {
  const [createdAtMs, id] = asArray(value, 'after');
  return { createdAtMs: asUint(createdAtMs, 'after'), id: asId<TokenId>(id, 'after') };
}

function misfit(detail: string): ProtocolError {
  return new ProtocolError('bad_frame', detail);
}

/** Throws what is no fault of the arguments. */
function badArgs(error: unknown): ErrorBody {
  if (error instanceof ProtocolError) return errorBody('bad_args', error.message);
  throw error;
}
