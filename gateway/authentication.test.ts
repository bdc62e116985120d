import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { SimClock } from '../test/gateway/support/sim-clock.ts';
import { createAuthenticator, type JwtOptions, signToken } from './authentication.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const KEY: JwtOptions = { secret: new TextEncoder().encode('k'.repeat(32)), issuer: null, audience: null };
const clock = new SimClock(NOW_MS);
const authenticate = createAuthenticator(KEY, clock);
const EXP = NOW_MS / 1000 + 60;

/** A JWT by hand, so that the claims and the header can be what no library would write. */
function forge(claims: unknown, header: unknown = { alg: 'HS256' }, secret: Uint8Array = KEY.secret): string {
  const body = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
}

describe('credentials', () => {
  test('[gateway] a good one gives subject, role, groups and its end', async () => {
    const token = forge({ sub: 'ann', exp: EXP, role: 'auditor', groups: ['staff'] });
    expect(await authenticate(token)).toEqual({
      outcome: 'accepted',
      credential: { principal: { owner: 'ann', role: 'auditor', groups: ['staff'] }, expiresAtMs: EXP * 1000 },
    });
  });

  test('[gateway] without a role it is a member in no group', async () => {
    const token = await signToken(KEY, { subject: 'ann', expiresAtMs: NOW_MS + 60_000 });
    expect(await authenticate(token)).toMatchObject({
      credential: { principal: { role: 'member', groups: [] }, expiresAtMs: NOW_MS + 60_000 },
    });
  });

  test('[gateway] an expired one is told apart from a wrong one, without any tolerance', async () => {
    const at = (exp: number) => authenticate(forge({ sub: 'ann', exp }));
    expect(await at(NOW_MS / 1000)).toMatchObject({ code: 'token_expired' });
    expect(await at(NOW_MS / 1000 - 4)).toMatchObject({ code: 'token_expired' });
    expect(await at(NOW_MS / 1000 - 1000)).toMatchObject({ code: 'token_expired' });
    expect(await at(NOW_MS / 1000 + 1)).toMatchObject({ outcome: 'accepted' });
    const expiredAndForged = forge({ sub: 'ann', exp: 1 }, { alg: 'HS256' }, new Uint8Array(32));
    expect(await authenticate(expiredAndForged)).toMatchObject({ code: 'unauthorized' });
  });

  test.each([
    ['no subject', { exp: EXP }],
    ['no end', { sub: 'ann' }],
    ['an empty subject', { sub: '', exp: EXP }],
    ['a subject of 129 bytes', { sub: 'é'.repeat(64) + 'x', exp: EXP }],
    ['a subject with a NUL', { sub: 'a\0', exp: EXP }],
    ['a subject with half a character', { sub: 'a\ud800', exp: EXP }],
    ['a subject that is no text', { sub: 7, exp: EXP }],
    ['an end that is no number', { sub: 'ann', exp: 'tomorrow' }],
    ['an end that is no date', { sub: 'ann', exp: 1e300 }],
    ['an unknown role', { sub: 'ann', exp: EXP, role: 'root' }],
    ['groups that are no list', { sub: 'ann', exp: EXP, groups: 'staff' }],
    ['33 groups', { sub: 'ann', exp: EXP, groups: Array.from({ length: 33 }, (_, i) => `g${i}`) }],
    ['a group that is no text', { sub: 'ann', exp: EXP, groups: [1] }],
    ['a begin in the future', { sub: 'ann', exp: EXP, nbf: NOW_MS / 1000 + 30 }],
  ])('[gateway] %s is refused', async (_, claims) => {
    expect(await authenticate(forge(claims))).toMatchObject({ outcome: 'refused', code: 'unauthorized' });
  });

  test('[gateway] the algorithm is pinned: none, another family and another length are refused', async () => {
    const claims = { sub: 'ann', exp: EXP };
    for (const alg of ['none', 'RS256', 'HS512', 'hs256']) {
      expect(await authenticate(forge(claims, { alg }))).toMatchObject({ code: 'unauthorized' });
    }
    const unsigned = `${forge(claims, { alg: 'none' }).split('.').slice(0, 2).join('.')}.`;
    expect(await authenticate(unsigned)).toMatchObject({ code: 'unauthorized' });
    expect(await authenticate(forge(claims, { alg: 'HS256', crit: ['x'], x: 1 }))).toMatchObject({
      code: 'unauthorized',
    });
  });

  test('[gateway] what is no JWT is refused, however long, and nothing of it comes back', async () => {
    for (const token of ['', 'a', 'a.b', 'a.b.c', '.'.repeat(100), 'x'.repeat(1_000_000), `${forge({})}.x`]) {
      const answer = await authenticate(token);
      expect(answer).toMatchObject({ outcome: 'refused', code: 'unauthorized' });
      if (token.length > 3) expect(JSON.stringify(answer)).not.toContain(token);
    }
  });

  test('[gateway] issuer and audience are required when they are set up', async () => {
    const strict = createAuthenticator({ ...KEY, issuer: 'https://id.example', audience: 'parley' }, clock);
    const claims = { sub: 'ann', exp: EXP };
    expect(await strict(forge(claims))).toMatchObject({ code: 'unauthorized' });
    expect(await strict(forge({ ...claims, iss: 'https://id.example', aud: 'other' }))).toMatchObject({
      detail: 'the claim "aud" is missing or does not fit',
    });
    const good = forge({ ...claims, iss: 'https://id.example', aud: ['other', 'parley'] });
    expect(await strict(good)).toMatchObject({ outcome: 'accepted' });
    const signed = await signToken(
      { ...KEY, issuer: 'https://id.example', audience: 'parley' },
      { subject: 'ann', expiresAtMs: EXP * 1000 },
    );
    expect(await strict(signed)).toMatchObject({ outcome: 'accepted' });
  });
});
