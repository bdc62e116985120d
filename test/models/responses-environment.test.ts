// The OpenAI SDK reads the environment in many places. Nothing of it may reach the wire: the configuration alone decides.

import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

import OpenAI from 'openai';
import { describe, expect, test, vi } from 'vitest';

import { API_KEY, responsesFixture } from './responses-fixture.ts';

const { fake, run } = responsesFixture();

/** Every variable that the SDK reads anywhere: a new version with a new one is covered without a change. */
function variablesOfSdk(): readonly string[] {
  const root = path.dirname(createRequire(import.meta.url).resolve('openai'));
  const names = new Set<string>();
  for (const file of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.mjs')) continue;
    const source = readFileSync(path.join(root, file), 'utf8');
    for (const [, called, indexed] of source.matchAll(
      /readEnv\(['"](\w+)['"]\)|process\.env\??\.?\[['"](\w+)['"]\]/gu,
    )) {
      names.add(called ?? indexed ?? '');
    }
  }
  return [...names];
}

const HOSTILE: Readonly<Record<string, string>> = {
  OPENAI_BASE_URL: 'http://127.0.0.1:1/evil',
  OPENAI_LOG: 'debug',
  OPENAI_CUSTOM_HEADERS: [
    'x-evil: evil',
    'authorization: Bearer evil',
    'OpenAI-Organization: evil',
    'OpenAI-Beta: evil',
    'User-Agent: evil',
  ].join('\n'),
};

describe('the environment', () => {
  test('[models 4.1] the SDK does read it: a careless client would send what it says', async () => {
    for (const [name, value] of Object.entries({ OPENAI_ORG_ID: 'evil', ...HOSTILE })) vi.stubEnv(name, value);
    let sent: Headers | null = null;
    try {
      const careless = new OpenAI({
        apiKey: 'k',
        maxRetries: 0,
        logLevel: 'off',
        fetch: (_, init) => {
          sent = new Headers(init?.headers);
          return Promise.resolve(new Response('{}', { status: 400 }));
        },
      });
      expect(careless.baseURL).toContain('evil');
      await expect(careless.responses.create({ model: 'm', input: 'x' })).rejects.toThrow('400');
    } finally {
      vi.unstubAllEnvs();
    }
    expect(JSON.stringify(Object.fromEntries((sent as Headers | null) ?? []))).toContain('evil');
  });

  test('[models 4.1] nothing of a hostile environment reaches the wire or the console', async () => {
    const names = variablesOfSdk();
    const own = ['BASE_URL', 'API_KEY', 'ADMIN_KEY', 'ORG_ID', 'PROJECT_ID', 'WEBHOOK_SECRET', 'LOG', 'CUSTOM_HEADERS'];
    expect(names).toEqual(expect.arrayContaining(own.map((name) => `OPENAI_${name}`)));
    for (const name of names) vi.stubEnv(name, HOSTILE[name] ?? 'evil');
    const spies = (['log', 'info', 'warn', 'error', 'debug'] as const).map((name) => vi.spyOn(console, name));
    const before = fake().requests.length;
    try {
      const { result } = await run({ tokens: 2 });
      expect(result.outcome).toBe('completed');
      await run({ failure: { kind: 'cut', after: 0, inLine: false } });
      await run({ status: 500, body: '{"error":{"message":"secret"}}' });
    } finally {
      vi.unstubAllEnvs();
    }
    expect(fake().requests.length).toBe(before + 3);
    const seen = fake().requests.at(-1);
    expect(`${JSON.stringify(seen?.headers)}${seen?.rawBody}`).not.toContain('evil');
    expect(seen?.path).toBe('/v1/responses');
    const { host, connection, 'content-length': length, ...headers } = seen?.headers ?? {};
    expect(host).toBe(new URL(fake().url).host);
    expect(Number(length)).toBe(seen?.rawBody.length);
    expect(connection).toBe('keep-alive');
    expect(headers).toEqual({
      accept: 'application/json',
      'accept-encoding': 'gzip, deflate',
      'accept-language': '*',
      authorization: `Bearer ${API_KEY}`,
      'content-type': 'application/json',
      'sec-fetch-mode': 'cors',
      'user-agent': 'parley',
    });
    for (const spy of spies) expect(spy).not.toHaveBeenCalled();
  });
});
