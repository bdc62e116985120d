// The OpenAI SDK reads the environment in many places. Nothing of it may reach the wire: the configuration alone decides.

import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

import OpenAI from 'openai';
import { describe, expect, test, vi } from 'vitest';

import { parseTraceParent } from '../../protocol/trace-parent.ts';
import { API_KEY, chatCompletionsFixture } from './chat-completions-fixture.ts';
import { modelRequest } from './support.ts';

const { fake, run } = chatCompletionsFixture();

/** Every variable that the SDK reads anywhere: a new version with a new one is covered without a change. */
function variablesOfSdk(): readonly string[] {
  const root = path.dirname(createRequire(import.meta.url).resolve('openai'));
  const names = new Set<string>();
  for (const file of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.mjs')) continue;
    const source = readFileSync(path.join(root, file), 'utf8');
    for (const [, name] of source.matchAll(/(?:readEnv\(|process\.env\[)['"](\w+)['"]/gu)) names.add(name ?? '');
  }
  return [...names];
}

const HOSTILE: Readonly<Record<string, string>> = {
  OPENAI_BASE_URL: 'http://127.0.0.1:1/evil',
  OPENAI_LOG: 'debug',
  OPENAI_CUSTOM_HEADERS: [
    'x-evil: evil',
    'authorization: Bearer evil',
    'api-key: evil',
    'OpenAI-Organization: evil',
    'User-Agent: evil',
    'X-Stainless-Lang: evil',
  ].join('\n'),
};

describe('the environment', () => {
  test('[models 4.1] nothing of a hostile environment reaches the wire or the console', async () => {
    const names = variablesOfSdk();
    expect(names).toEqual(
      expect.arrayContaining([
        'OPENAI_BASE_URL',
        'OPENAI_API_KEY',
        'OPENAI_ADMIN_KEY',
        'OPENAI_ORG_ID',
        'OPENAI_PROJECT_ID',
        'OPENAI_WEBHOOK_SECRET',
        'OPENAI_LOG',
        'OPENAI_CUSTOM_HEADERS',
      ]),
    );
    for (const name of names) vi.stubEnv(name, HOSTILE[name] ?? 'evil');
    const spies = (['log', 'info', 'warn', 'error', 'debug'] as const).map((name) => vi.spyOn(console, name));
    const before = fake().requests.length;
    try {
      // What is left out, the SDK takes from there: the test would see it.
      const careless = new OpenAI({ logLevel: 'off' });
      expect([careless.baseURL, careless.apiKey, careless.organization]).toEqual([
        'http://127.0.0.1:1/evil',
        'evil',
        'evil',
      ]);
      expect((await run({ tokens: 2 })).result.outcome).toBe('completed');
      await run({ failure: { kind: 'cut', after: 0, inLine: false } });
    } finally {
      vi.unstubAllEnvs();
    }
    expect(fake().requests.length).toBe(before + 2);
    const seen = fake().requests.at(-1);
    expect(`${JSON.stringify(seen?.headers)}${seen?.rawBody}`).not.toContain('evil');
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

  test('[models] the trace of a request, and nothing else, is added to its headers', async () => {
    const trace = parseTraceParent('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
    await run({ tokens: 1 });
    const plain = fake().requests.at(-1)?.headers;
    await run({ tokens: 1 }, modelRequest('hello', { trace }));
    expect(fake().requests.at(-1)?.headers).toEqual({ ...plain, traceparent: trace });
  });
});
