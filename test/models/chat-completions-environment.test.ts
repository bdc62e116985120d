// The OpenAI SDK reads the environment in many places. Nothing of it may reach the wire: the configuration alone decides.

import OpenAI from 'openai';
import { describe, expect, test, vi } from 'vitest';

import { parseTraceParent } from '../../protocol/trace-parent.ts';
import { API_KEY, chatCompletionsFixture } from './chat-completions-fixture.ts';
import { HOSTILE_OPENAI, OPENAI_VARIABLES, variablesOf } from './sdk-variables.ts';
import { modelRequest } from './support.ts';

const { fake, run } = chatCompletionsFixture();

describe('the environment', () => {
  test('[models 4.1] nothing of a hostile environment reaches the wire or the console', async () => {
    const names = variablesOf('openai');
    expect(names).toEqual(expect.arrayContaining([...OPENAI_VARIABLES]));
    for (const name of names) vi.stubEnv(name, HOSTILE_OPENAI[name] ?? 'evil');
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
