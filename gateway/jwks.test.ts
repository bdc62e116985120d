import { createHmac, createPublicKey, generateKeyPairSync, type JsonWebKey, type KeyObject, sign } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { SimClock } from '../test/gateway/support/sim-clock.ts';
import { type Authenticate, createAuthenticator, type PublicAlgorithm } from './authentication.ts';
import { Jwks, JWKS_LIMITS, parseKeySet } from './jwks.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const EXP = NOW_MS / 1000 + 30 * 24 * 60 * 60;
const COOLDOWN_MS = 30_000;
const LIFETIME_MS = 600_000;
const HASHES: Readonly<Record<PublicAlgorithm, string | null>> = { EdDSA: null, ES256: 'sha256', RS256: 'sha256' };

type Pair = { readonly algorithm: PublicAlgorithm; readonly publicKey: KeyObject; readonly privateKey: KeyObject };

const ED: Pair = { algorithm: 'EdDSA', ...generateKeyPairSync('ed25519') };
const EC: Pair = { algorithm: 'ES256', ...generateKeyPairSync('ec', { namedCurve: 'P-256' }) };
const RSA: Pair = { algorithm: 'RS256', ...generateKeyPairSync('rsa', { modulusLength: 2048 }) };
const NEW: Pair = { algorithm: 'EdDSA', ...generateKeyPairSync('ed25519') };

function jwk({ publicKey }: Pick<Pair, 'publicKey'>, more: Readonly<Record<string, unknown>> = {}): unknown {
  return { ...publicKey.export({ format: 'jwk' }), ...more };
}

/** A JWT by hand, so that header and key need not fit each other. */
function token(
  pair: Pair,
  header: Readonly<Record<string, unknown>>,
  claims: Readonly<Record<string, unknown>> = {},
): string {
  const parts = [
    { alg: pair.algorithm, ...header },
    { sub: 'ann', exp: EXP, ...claims },
  ];
  const body = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const key = { key: pair.privateKey, dsaEncoding: 'ieee-p1363' } as const;
  return `${body}.${sign(HASHES[pair.algorithm], Buffer.from(body), key).toString('base64url')}`;
}

const log = { lines: [] as string[] };
const write = (level: string) => (message: string, fields?: unknown) =>
  void log.lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`);
const LOG = { error: write('error'), warn: write('warn'), info: write('info'), child: () => LOG };

let clock: SimClock;
let published: readonly unknown[];
let down: boolean;
let fetches: number;
let authenticate: Authenticate;

beforeEach(() => {
  clock = new SimClock(NOW_MS);
  published = [jwk(ED, { kid: 'ed' }), jwk(EC, { kid: 'ec', use: 'sig' }), jwk(RSA, { kid: 'rsa', alg: 'RS256' })];
  down = false;
  fetches = 0;
  log.lines = [];
  const keys = new Jwks({
    fetch: () => {
      fetches += 1;
      return down
        ? Promise.reject(new Error('connection refused'))
        : Promise.resolve(JSON.stringify({ keys: published }));
    },
    clock,
    log: LOG,
    lifetimeMs: LIFETIME_MS,
    cooldownMs: COOLDOWN_MS,
  });
  authenticate = createAuthenticator({ secret: SECRET, keys, issuer: null, audience: null }, clock);
});

const SECRET = new TextEncoder().encode('k'.repeat(32));
const ACCEPTED = { outcome: 'accepted', credential: { principal: { owner: 'ann' } } };
const UNAUTHORIZED = { outcome: 'refused', code: 'unauthorized' };
const LATER = { outcome: 'refused', code: 'going_away' };

describe('algorithms', () => {
  test.each([
    ['EdDSA', ED, 'ed'],
    ['ES256', EC, 'ec'],
    ['RS256', RSA, 'rsa'],
  ])(
    '[access] %s: a token of the key in the set is taken, with a name or without, and another key is not',
    async (_, pair, kid) => {
      expect(await authenticate(token(pair, { kid }))).toMatchObject(ACCEPTED);
      expect(await authenticate(token(pair, {}))).toMatchObject(ACCEPTED);
      const [header = '', claims = '', signature = ''] = token(pair, { kid }).split('.');
      const other = Buffer.from(JSON.stringify({ sub: 'bob', exp: EXP })).toString('base64url');
      expect(await authenticate(`${header}.${other}.${signature}`)).toMatchObject(UNAUTHORIZED);
      expect(await authenticate(`${header}.${claims}.`)).toMatchObject(UNAUTHORIZED);
      expect(fetches).toBe(1);
    },
  );

  test('[access] algorithm confusion: a public key is no secret for HS256, however the token is written', async () => {
    const pem = RSA.publicKey.export({ format: 'pem', type: 'spki' });
    const der = RSA.publicKey.export({ format: 'der', type: 'spki' });
    const n = Buffer.from((jwk(RSA) as JsonWebKey).n ?? '', 'base64url');
    const head = Buffer.from(JSON.stringify({ alg: 'HS256', kid: 'rsa' })).toString('base64url');
    const body = `${head}.${Buffer.from(JSON.stringify({ sub: 'ann', exp: EXP })).toString('base64url')}`;
    for (const secret of [pem, der, n, JSON.stringify(jwk(RSA))]) {
      const forged = `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
      expect(await authenticate(forged)).toMatchObject(UNAUTHORIZED);
    }
    expect(
      await authenticate(`${body}.${createHmac('sha256', SECRET).update(body).digest('base64url')}`),
    ).toMatchObject(ACCEPTED);
    expect(fetches).toBe(0);
  });

  test('[access] a key counts for its own algorithm only', async () => {
    for (const [pair, kid] of [
      [ED, 'rsa'],
      [EC, 'ed'],
      [RSA, 'ec'],
    ] as const) {
      expect(await authenticate(token(pair, { kid }))).toMatchObject({ outcome: 'refused' });
    }
    for (const alg of ['none', 'None', 'RS512', 'PS256', 'ES384', 'HS512', 'eddsa', 7, null]) {
      expect(await authenticate(token(RSA, { kid: 'rsa', alg }))).toMatchObject(UNAUTHORIZED);
    }
  });

  test('[access] keys that a token brings or points at are not looked at; a critical header is refused', async () => {
    const own = {
      jwk: NEW.publicKey.export({ format: 'jwk' }),
      jku: 'https://evil.example/',
      x5u: 'https://evil.example/',
    };
    expect(await authenticate(token(NEW, { ...own, kid: 'ed' }))).toMatchObject(UNAUTHORIZED);
    expect(await authenticate(token(ED, { ...own, kid: 'ed' }))).toMatchObject(ACCEPTED);
    expect(await authenticate(token(ED, { kid: 'ed', crit: ['x'], x: true }))).toMatchObject(UNAUTHORIZED);
    expect(fetches).toBe(1);
  });

  test('[access] without a secret HS256 is refused, without a key set the others are', async () => {
    const onlySecret = createAuthenticator({ secret: SECRET, issuer: null, audience: null }, clock);
    expect(await onlySecret(token(ED, { kid: 'ed' }))).toMatchObject({ detail: 'its algorithm is not HS256' });
    const onlyKeys = createAuthenticator(
      { secret: null, issuer: null, audience: null, keys: { find: () => Promise.reject(new Error('not asked')) } },
      clock,
    );
    const hs = `${Buffer.from('{"alg":"HS256"}').toString('base64url')}.e30.x`;
    expect(await onlyKeys(hs)).toMatchObject({ detail: 'its algorithm is not EdDSA, ES256, RS256' });
  });
});

describe('key sets', () => {
  test.each([
    ['another use', jwk(ED, { use: 'enc' })],
    ['another use', jwk(ED, { key_ops: ['encrypt'] })],
    ['another algorithm', jwk(RSA, { alg: 'RS512' })],
    ['another algorithm', jwk(EC, { alg: 'RS256' })],
    ['another kind of key', { kty: 'oct', k: 'c2VjcmV0' }],
    ['another kind of key', jwk(generateKeyPairSync('ec', { namedCurve: 'P-384' }))],
    ['RSA of less than 2048 bits', jwk(generateKeyPairSync('rsa', { modulusLength: 1024 }))],
    ['a private key: it must not be published', ED.privateKey.export({ format: 'jwk' })],
    ['a damaged key', { ...(jwk(EC) as JsonWebKey), y: (jwk(EC) as JsonWebKey).x }],
    ['no name', jwk(ED, { kid: 7 })],
    ['no key', 'text'],
  ])('[access] %s: the key is left out and the others count', (reason, bad) => {
    const { keys, ignored } = parseKeySet(JSON.stringify({ keys: [bad, jwk(NEW, { kid: 'good' })] }));
    expect(keys.map(({ kid }) => kid)).toEqual(['good']);
    expect(ignored).toEqual([reason]);
  });

  test('[P11] of too many keys the first ones count; of two with one name the first', () => {
    const many = Array.from({ length: JWKS_LIMITS.keysMax + 3 }, (_, i) => jwk(ED, { kid: String(i) }));
    const parsed = parseKeySet(JSON.stringify({ keys: many }));
    expect(parsed.keys).toHaveLength(JWKS_LIMITS.keysMax);
    expect(parsed.ignored).toEqual([`more than ${JWKS_LIMITS.keysMax} keys`]);
    const twice = parseKeySet(JSON.stringify({ keys: [jwk(ED, { kid: 'a' }), jwk(NEW, { kid: 'a' })] }));
    expect(twice.keys.map(({ key }) => key.equals(createPublicKey(ED.privateKey)))).toEqual([true]);
  });

  test.each(['', '[]', '{}', '{"keys": {}}', '<html>'])('[access] %o is no key set', (text) => {
    expect(() => parseKeySet(text)).toThrow(/no (key set|JSON)/);
  });
});

describe('renewal', () => {
  test('[access] a rotation needs no restart: the new key is fetched when it is first used, the old one then ends', async () => {
    expect(await authenticate(token(ED, { kid: 'ed' }))).toMatchObject(ACCEPTED);
    published = [jwk(NEW, { kid: 'new' })];
    clock.advance(COOLDOWN_MS);
    expect(await authenticate(token(NEW, { kid: 'new' }))).toMatchObject(ACCEPTED);
    expect(await authenticate(token(ED, { kid: 'ed' }))).toMatchObject({ outcome: 'refused' });
    expect(fetches).toBe(2);
  });

  test('[P11] a flood of unknown keys costs one fetch per cool-down; who comes within it is asked to come back', async () => {
    expect(await authenticate(token(ED, { kid: 'ed' }))).toMatchObject(ACCEPTED);
    clock.advance(COOLDOWN_MS);
    const flood = await Promise.all(
      Array.from({ length: 300 }, (_, i) => authenticate(token(NEW, { kid: `random ${i}` }))),
    );
    expect(flood.every(({ outcome }) => outcome === 'refused')).toBe(true);
    expect(fetches).toBe(2);
    clock.advance(COOLDOWN_MS - 1);
    expect(await authenticate(token(NEW, { kid: 'new' }))).toMatchObject(LATER);
    expect(fetches).toBe(2);
    published = [...published, jwk(NEW, { kid: 'new' })];
    clock.advance(1);
    expect(await authenticate(token(NEW, { kid: 'new' }))).toMatchObject(ACCEPTED);
    clock.advance(COOLDOWN_MS);
    expect(await authenticate(token(NEW, { kid: 'unknown' }))).toMatchObject(UNAUTHORIZED);
    expect(fetches).toBe(4);
  });

  test('[access] an old set is renewed while nobody waits, and counts for a day while it cannot be', async () => {
    expect(await authenticate(token(ED, { kid: 'ed' }))).toMatchObject(ACCEPTED);
    clock.advance(LIFETIME_MS + 1);
    expect(await authenticate(token(ED, { kid: 'ed' }))).toMatchObject(ACCEPTED);
    expect(fetches).toBe(2);
    down = true;
    clock.advance(LIFETIME_MS + 1);
    expect(await authenticate(token(ED, { kid: 'ed' }))).toMatchObject(ACCEPTED);
    expect(await authenticate(token(NEW, { kid: 'new' }))).toMatchObject(LATER);
    expect(fetches).toBe(3);
    clock.advance(JWKS_LIMITS.staleMs);
    expect(await authenticate(token(ED, { kid: 'ed' }))).toMatchObject(LATER);
    expect(log.lines.filter((line) => line.startsWith('warn the key set cannot be renewed'))).not.toEqual([]);
    down = false;
    clock.advance(JWKS_LIMITS.failureRetryMs);
    expect(await authenticate(token(ED, { kid: 'ed' }))).toMatchObject(ACCEPTED);
    expect(log.lines.at(-1)).toMatch(/^info the key set can be fetched again/);
  });

  test('[access] as long as there never was a set, tokens of it are asked to come back, and others are taken', async () => {
    down = true;
    for (let i = 0; i < 20; i++) expect(await authenticate(token(ED, { kid: 'ed' }))).toMatchObject(LATER);
    expect(fetches).toBe(1);
    expect(log.lines).toEqual([expect.stringMatching(/^error the key set cannot be had .*connection refused/)]);
    const body = ['{"alg":"HS256"}', JSON.stringify({ sub: 'ann', exp: EXP })]
      .map((part) => Buffer.from(part).toString('base64url'))
      .join('.');
    const hs = `${body}.${createHmac('sha256', SECRET).update(body).digest('base64url')}`;
    expect(await authenticate(hs)).toMatchObject(ACCEPTED);
    published = [{ kty: 'oct', k: 'x' }];
    down = false;
    clock.advance(JWKS_LIMITS.failureRetryMs);
    expect(await authenticate(token(ED, { kid: 'ed' }))).toMatchObject(LATER);
    expect(log.lines.at(-1)).toMatch(/holds no key that can be used/);
  });
});
