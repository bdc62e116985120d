import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { hashApiToken, looksLikeApiToken, makeApiToken } from './api-token.ts';

const SECRET = Uint8Array.from({ length: 32 }, (_, i) => i);

describe('API tokens', () => {
  test('[access] a token is its prefix, 256 bits and a checksum, as another implementation makes it', async () => {
    const { token, hash } = await makeApiToken(SECRET);
    const body = `parley_${Buffer.from(SECRET).toString('base64url')}`;
    const sum = createHash('sha256').update(body).digest().subarray(0, 4).toString('base64url');
    expect(token).toBe(body + sum);
    expect(token).toBe('parley_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8dhJa0g');
    expect(Buffer.from(hash)).toEqual(createHash('sha256').update(token).digest());
    expect(looksLikeApiToken(token)).toBe(true);
  });

  test('[access] a typo anywhere in it is seen before anybody is asked', async () => {
    const { token } = await makeApiToken(SECRET);
    expect(await hashApiToken(token)).not.toBeNull();
    for (let at = 0; at < token.length; at++) {
      const typo = token.slice(0, at) + (token[at] === 'x' ? 'y' : 'x') + token.slice(at + 1);
      expect(await hashApiToken(typo), String(at)).toBeNull();
    }
    for (const other of ['', 'parley_', token.slice(0, -1), `${token}x`, ` ${token}`]) {
      expect(await hashApiToken(other)).toBeNull();
    }
  });

  test('[access] fewer random bytes make none', async () => {
    await expect(makeApiToken(SECRET.subarray(1))).rejects.toThrow(RangeError);
  });
});
