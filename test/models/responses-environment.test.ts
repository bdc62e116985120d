// The OpenAI SDK reads the environment in many places. Nothing of it may reach the wire: the configuration alone decides.

import OpenAI from 'openai';
import { describe, expect, test, vi } from 'vitest';

import { API_KEY, responsesFixture } from './responses-fixture.ts';
import { HOSTILE_OPENAI, OPENAI_VARIABLES, variablesOf } from './sdk-variables.ts';

const { fake, run } = responsesFixture();

describe('the environment', () => {
  test('[models 4.1] the SDK does read it: a careless client would send what it says', async () => {
    for (const [name, value] of Object.entries({ OPENAI_ORG_ID: 'evil', ...HOSTILE_OPENAI })) vi.stubEnv(name, value);
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
    const names = variablesOf('openai');
    expect(names).toEqual(expect.arrayContaining([...OPENAI_VARIABLES]));
    for (const name of names) vi.stubEnv(name, HOSTILE_OPENAI[name] ?? 'evil');
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
