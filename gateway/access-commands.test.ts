import { beforeEach, describe, expect, test } from 'vitest';
import type { CommandRequest } from '../actors/host/api.ts';
import type { CommandReply, CommandRow, Read } from '../actors/ports.ts';
import { SimClock } from '../test/gateway/support/sim-clock.ts';
import { decodeBody, encodeArgs } from '../protocol/codec.ts';
import type { Args } from '../protocol/frames.ts';
import { type CommandId, type OwnerId, type TokenId, uuidToBytes, uuidV7 } from '../protocol/ids.ts';
import type { AccessChange, ApiTokenRecord, NewApiToken } from '../storage/access.ts';
import { AccessCommands, type AccessDeps } from './access-commands.ts';
import type { Bearer } from './authentication.ts';
import { systemRandom } from './system-ports.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const ANN: Bearer = { owner: 'ann' as OwnerId, role: 'member', groups: [] };

/** The replies that are kept, and what is done beside them, as the contract of the store demands. */
class FakeDatabase {
  readonly kept = new Map<string, CommandRow>();
  readonly tokens = new Map<TokenId, ApiTokenRecord>();
  tokensMax = 1;

  readonly store: AccessDeps['store'] = {
    findCommand: (principal, _chat, id) => Promise.resolve(read(this.kept.get(`${principal} ${id}`) ?? null)),
    keepRefusal: (row) => Promise.resolve(read(this.#keep(row))),
  };

  readonly access: AccessDeps['access'] = {
    findToken: (id) => Promise.resolve(read(this.tokens.get(id) ?? null)),
    listTokens: () => Promise.resolve(read([])),
    createToken: (token, row) => this.#change(row, () => this.add(token)),
    revokeToken: (id, row) => this.#change(row, () => this.tokens.delete(id)),
    revokeOwner: (_owner, row) => this.#change(row, () => true),
    restoreOwner: (_owner, row) => this.#change(row, () => true),
  };

  add(token: Pick<NewApiToken, 'id' | 'owner' | 'role' | 'name' | 'expiresAtMs' | 'parent'>): boolean {
    if (this.tokens.size >= this.tokensMax) return false;
    this.tokens.set(token.id, { ...token, createdAtMs: NOW_MS, lastUsedAtMs: null, revokedAtMs: null });
    return true;
  }

  #change(row: CommandRow, change: () => boolean): Promise<AccessChange> {
    const kept = this.kept.get(`${row.principal} ${row.id}`);
    if (kept !== undefined) return Promise.resolve({ outcome: 'repeated', row: kept });
    if (!change()) return Promise.resolve({ outcome: 'too_many' });
    this.#keep(row);
    return Promise.resolve({ outcome: 'done' });
  }

  #keep(row: CommandRow): CommandRow {
    const key = `${row.principal} ${row.id}`;
    const kept = this.kept.get(key) ?? row;
    this.kept.set(key, kept);
    return kept;
  }
}

function read<T>(value: T): Read<T> {
  return { outcome: 'read', value };
}

function request(name: string, args: Args): CommandRequest {
  return { id: uuidV7<CommandId>(NOW_MS, systemRandom.bytes(10)), name, args, rawArgs: encodeArgs(args) };
}

function codeOf(reply: CommandReply): unknown {
  return reply.ok ? 'done' : (decodeBody(reply.body) as { readonly code: unknown }).code;
}

let database: FakeDatabase;
let commands: AccessCommands;

beforeEach(() => {
  database = new FakeDatabase();
  const { access, store } = database;
  commands = new AccessCommands({ access, store, clock: new SimClock(NOW_MS), revoked: () => Promise.resolve() });
});

function token(id: string, parts: Partial<ApiTokenRecord> = {}): ApiTokenRecord {
  const made = { role: 'member', name: null, expiresAtMs: null, parent: null, createdAtMs: NOW_MS } as const;
  return { id: id as TokenId, owner: ANN.owner, ...made, lastUsedAtMs: null, revokedAtMs: null, ...parts };
}

describe('[P3] refusals are kept', () => {
  const hash = new Uint8Array(32);
  const TOKEN = '01890a5d-ac96-774b-bcce-b302099a8057' as TokenId;
  const withToken: Bearer = { ...ANN, token: TOKEN };
  const admin: Bearer = { ...ANN, role: 'admin' };

  test.each([
    {
      code: 'too_many',
      ask: request('tokens.create', { hash }),
      before: () => database.add(token('another')),
      after: () => database.tokens.clear(),
    },
    { code: 'forbidden', ask: request('tokens.create', { hash, owner: 'bob' }), later: admin },
    { code: 'forbidden', ask: request('tokens.create', { hash, role: 'admin' }), later: admin },
    { code: 'unauthorized', ask: request('tokens.create', { hash }), first: withToken },
    {
      code: 'forbidden',
      ask: request('tokens.create', { hash }),
      first: withToken,
      before: () => database.tokens.set(TOKEN, token(TOKEN, { parent: 'its parent' as TokenId })),
      after: () => database.tokens.clear(),
    },
    {
      code: 'not_found',
      ask: request('tokens.revoke', { id: uuidToBytes(TOKEN) }),
      after: () => database.tokens.set(TOKEN, token(TOKEN)),
    },
    { code: 'forbidden', ask: request('owners.revoke', { owner: 'bob' }), later: admin },
    { code: 'forbidden', ask: request('owners.restore', { owner: 'bob' }), later: admin },
  ])('[P3] $ask.name that was $code is so again, byte for byte, when it could be done by then', async (one) => {
    const { code, ask, first = ANN, later = ANN, before, after } = { before: () => {}, after: () => {}, ...one };
    before();
    const refused = await commands.command(first, ask);
    expect(decodeBody(refused.body)).toMatchObject({ code, retry: 'never' });
    after();
    expect(await commands.command(later, ask)).toEqual(refused);
    // It could be done: a command of another id is.
    expect(codeOf(await commands.command(later, { ...ask, id: request('', {}).id }))).toBe('done');
  });

  test('[P3] what was done is told again to one who may not do it any more', async () => {
    const ask = request('owners.revoke', { owner: 'bob' });
    const done = await commands.command(admin, ask);
    expect(codeOf(done)).toBe('done');
    expect(await commands.command(ANN, ask)).toEqual(done);
    const revoke = request('tokens.revoke', { id: uuidToBytes(TOKEN) });
    database.tokens.set(TOKEN, token(TOKEN));
    const revoked = await commands.command(ANN, revoke);
    expect(await commands.command(ANN, revoke)).toEqual(revoked);
  });
});
