// Contract: API tokens and owners that were shut out.

import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { OwnerId, TokenId } from '../../protocol/ids.ts';
import type { AccessStore, ApiTokenRecord, NewApiToken, Revocation } from '../../storage/access.ts';
import { STORE_LIMITS } from '../../storage/limits.ts';
import { commandOf, newId, newOwner, NOW_MS, valueOf, type DatabaseHandle } from './fixture.ts';

const DONE = { outcome: 'done' };
const DAY_MS = 24 * 60 * 60 * 1000;

function newToken(owner: OwnerId, parts: Partial<NewApiToken> = {}): NewApiToken {
  const id = newId<TokenId>();
  return { id, hash: randomBytes(32), owner, role: 'member', name: null, expiresAtMs: null, parent: null, ...parts };
}

export function accessContract(handle: () => DatabaseHandle): void {
  tokens(handle);
  revocations(handle);
}

async function created(access: AccessStore, owner: OwnerId, parts: Partial<NewApiToken> = {}): Promise<NewApiToken> {
  const token = newToken(owner, parts);
  expect(await access.createToken(token, commandOf(owner))).toEqual(DONE);
  return token;
}

async function clock(access: AccessStore): Promise<number> {
  return valueOf(await access.clock());
}

async function revokedSince(access: AccessStore, seq: number): Promise<readonly Revocation[]> {
  return valueOf(await access.revocationsSince(seq)).revocations;
}

function tokens(handle: () => DatabaseHandle): void {
  test('[access] a token is found by its hash, with its rights; another hash finds nothing', async () => {
    const { access } = handle().opened;
    const owner = newOwner();
    const token = await created(access, owner, { role: 'auditor', name: 'night shift', expiresAtMs: NOW_MS + DAY_MS });
    const answers = valueOf(await access.ask([{ hash: token.hash }, { hash: randomBytes(32) }, { owner }]));
    expect(answers.map((answer) => answer.token)).toEqual([
      {
        id: token.id,
        owner,
        role: 'auditor',
        name: 'night shift',
        parent: null,
        createdAtMs: NOW_MS,
        expiresAtMs: NOW_MS + DAY_MS,
        lastUsedAtMs: null,
        revokedAtMs: null,
      },
      null,
      null,
    ]);
    expect(answers.every((answer) => !answer.ownerRevoked)).toBe(true);
  });

  test('[access] nothing that is stored of a token is the token', async () => {
    const { opened, raw } = handle();
    const owner = newOwner();
    const { hash } = await created(opened.access, owner);
    const rows = await raw`select * from api_tokens where owner = ${owner}`;
    expect(rows).toHaveLength(1);
    expect(Buffer.from(rows[0]?.['hash'] as Uint8Array)).toEqual(hash);
  });

  test('[P3] a repeated create gives the first reply and makes one token; the same hash again is taken', async () => {
    const { access } = handle().opened;
    const owner = newOwner();
    const [token, command] = [newToken(owner), commandOf(owner)];
    const both = await Promise.all([access.createToken(token, command), access.createToken(token, command)]);
    expect(both.map(({ outcome }) => outcome).toSorted()).toEqual(['done', 'repeated']);
    const again = await access.createToken(token, { ...command, reply: { ok: true, body: randomBytes(4) } });
    expect(again).toMatchObject({ outcome: 'repeated', row: { reply: { body: command.reply.body } } });
    const other = { ...newToken(newOwner()), hash: token.hash };
    expect(await access.createToken(other, commandOf(other.owner))).toEqual({ outcome: 'taken' });
    expect(valueOf(await access.listTokens({ owner, limit: 9, after: null }))).toHaveLength(1);
  });

  test('[P11] an owner has a bounded number of tokens, however many are asked for at once; one that is over frees a place', async () => {
    const { access } = handle().opened;
    const owner = newOwner();
    const { tokensPerOwner } = STORE_LIMITS;
    const ended = await created(access, owner, { expiresAtMs: NOW_MS - 1 });
    const made = await Promise.all(
      Array.from({ length: tokensPerOwner + 5 }, () => access.createToken(newToken(owner), commandOf(owner))),
    );
    expect(made.filter(({ outcome }) => outcome === 'done')).toHaveLength(tokensPerOwner);
    expect(made.filter(({ outcome }) => outcome === 'too_many')).toHaveLength(5);
    const first = valueOf(await access.listTokens({ owner, limit: 1, after: null }))[0] as ApiTokenRecord;
    expect(first.id).not.toBe(ended.id);
    expect(await access.revokeToken(first.id, commandOf(owner))).toEqual(DONE);
    await created(access, owner);
    await created(access, newOwner());
  });

  test('[access] lists are newest first and page without a hole, for one owner or for all', async () => {
    const { access } = handle().opened;
    const owner = newOwner();
    const made: TokenId[] = [];
    for (let i = 0; i < 5; i += 1) made.push((await created(access, owner)).id);
    const seen: TokenId[] = [];
    let after: { createdAtMs: number; id: TokenId } | null = null;
    for (;;) {
      const page: readonly ApiTokenRecord[] = valueOf(await access.listTokens({ owner, limit: 2, after }));
      const last = page.at(-1);
      if (last === undefined) break;
      seen.push(...page.map(({ id }) => id));
      after = last;
    }
    expect(seen).toEqual(made.toSorted().toReversed());
    const all = valueOf(await access.listTokens({ owner: null, limit: 100, after: null }));
    expect(new Set(all.map((token) => token.owner)).size).toBeGreaterThan(1);
  });

  test('[access] uses are noted once an hour', async () => {
    const { access } = handle().opened;
    const { id } = await created(access, newOwner());
    const lastUse = async (atMs: number): Promise<number | null | undefined> => {
      await access.noteUse(id, atMs);
      return valueOf(await access.findToken(id))?.lastUsedAtMs;
    };
    expect(await lastUse(NOW_MS)).toBe(NOW_MS);
    expect(await lastUse(NOW_MS + DAY_MS / 48)).toBe(NOW_MS);
    expect(await lastUse(NOW_MS + DAY_MS)).toBe(NOW_MS + DAY_MS);
  });

  test('[P11] tokens that have been over for a month are deleted, others never', async () => {
    const { access } = handle().opened;
    const owner = newOwner();
    const ended = await created(access, owner, { expiresAtMs: NOW_MS });
    const revoked = await created(access, owner);
    const kept = await created(access, owner);
    await access.revokeToken(revoked.id, commandOf(owner));
    valueOf(await access.prune(NOW_MS + 29 * DAY_MS));
    expect(valueOf(await access.listTokens({ owner, limit: 9, after: null }))).toHaveLength(3);
    valueOf(await access.prune(NOW_MS + 31 * DAY_MS));
    const left = valueOf(await access.listTokens({ owner, limit: 9, after: null })).map(({ id }) => id);
    expect(left).toEqual([kept.id]);
    expect(left).not.toContain(ended.id);
  });
}

function revocations(handle: () => DatabaseHandle): void {
  test('[access] a revoked token is revoked together with those that were made with it, under one number', async () => {
    const { access } = handle().opened;
    const owner = newOwner();
    const parent = await created(access, owner);
    const child = await created(access, owner, { parent: parent.id });
    const other = await created(access, owner);
    const before = await clock(access);
    expect(await access.revokeToken(parent.id, commandOf(owner))).toEqual(DONE);
    expect(new Set(await revokedSince(access, before))).toEqual(
      new Set([parent, child].map(({ id }) => ({ kind: 'token', token: id, seq: before + 1 }))),
    );
    const answers = valueOf(await access.ask([parent, child, other].map(({ hash }) => ({ hash }))));
    expect(answers.map(({ token }) => token?.revokedAtMs)).toEqual([NOW_MS, NOW_MS, null]);
    expect(answers.map(({ asOf }) => asOf)).toEqual([before + 1, before + 1, before + 1]);
  });

  test('[access] nothing is made with a token that is revoked, however close the two come', async () => {
    const { access } = handle().opened;
    const owner = newOwner();
    for (let i = 0; i < 5; i += 1) {
      const parent = await created(access, owner);
      const child = newToken(owner, { parent: parent.id });
      const [, made] = await Promise.all([
        access.revokeToken(parent.id, commandOf(owner)),
        access.createToken(child, commandOf(owner)),
      ]);
      expect(['done', 'parent_revoked']).toContain(made.outcome);
      const [answer] = valueOf(await access.ask([{ hash: child.hash }]));
      expect(answer?.token === null || answer?.token?.revokedAtMs !== null).toBe(true);
    }
  });

  test('[access] an owner is shut out until restored; a late repeat of the revocation does not come back', async () => {
    const { access } = handle().opened;
    const owner = newOwner();
    const admin = newOwner();
    const before = await clock(access);
    const revoke = commandOf(admin);
    const shutOut = async (): Promise<boolean | undefined> => valueOf(await access.ask([{ owner }]))[0]?.ownerRevoked;
    expect(await access.revokeOwner(owner, revoke)).toEqual(DONE);
    expect(await shutOut()).toBe(true);
    expect(await revokedSince(access, before)).toEqual([{ kind: 'owner', owner, seq: before + 1 }]);
    expect(await access.restoreOwner(owner, commandOf(admin))).toEqual(DONE);
    expect(await access.revokeOwner(owner, revoke)).toMatchObject({ outcome: 'repeated' });
    expect(await shutOut()).toBe(false);
    // Sessions from before it are still to be closed by whoever has not seen it yet.
    expect(await revokedSince(access, before)).toEqual([{ kind: 'owner', owner, seq: before + 1 }]);
    expect(await access.revokeOwner(owner, commandOf(admin))).toEqual(DONE);
    expect(await revokedSince(access, before)).toEqual([{ kind: 'owner', owner, seq: before + 2 }]);
  });

  test('[access] revocations that race are all seen, in the order of their numbers, and none twice', async () => {
    const { access } = handle().opened;
    const owners = Array.from({ length: 12 }, () => newOwner());
    const before = await clock(access);
    let at = before;
    const seen: Revocation[] = [];
    const look = async (): Promise<void> => {
      const { asOf, more, revocations } = valueOf(await access.revocationsSince(at));
      expect(more).toBe(false);
      at = asOf;
      seen.push(...revocations);
    };
    await Promise.all(
      owners.map(async (owner) => {
        expect(await access.revokeOwner(owner, commandOf(newOwner()))).toEqual(DONE);
      }),
    );
    const looks = Promise.all([look(), access.revokeOwner(newOwner(), commandOf(newOwner()))]);
    await looks;
    await look();
    expect(seen.map(({ seq }) => seq).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 13 }, (_, i) => before + 1 + i),
    );
  });
}
