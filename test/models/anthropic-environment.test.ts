// The SDK reads the environment in many places. Nothing of it may reach the wire: the configuration alone decides.

import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

import Anthropic from '@anthropic-ai/sdk';
import { describe, expect, test, vi } from 'vitest';

import { ANTHROPIC_VERSION } from '../../actors/models/anthropic-headers.ts';
import { API_KEY, anthropicFixture } from './anthropic-fixture.ts';

const { fake, run } = anthropicFixture();

/** Every variable of its own that the SDK reads anywhere: a new version with a new one is covered without a change. */
function variablesOfSdk(): readonly string[] {
  const root = path.dirname(createRequire(import.meta.url).resolve('@anthropic-ai/sdk'));
  const names = new Set<string>();
  for (const file of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.mjs')) continue;
    const source = readFileSync(path.join(root, file), 'utf8');
    for (const [, name] of source.matchAll(/readEnv\(['"](ANTHROPIC_\w+)['"]\)/gu)) names.add(name ?? '');
  }
  return [...names];
}

type Telemetry = {
  readonly trace: {
    setGlobalTracerProvider(provider: { getTracer(): { startSpan(name: string): unknown } }): boolean;
    wrapSpanContext(context: object): unknown;
    disable(): void;
  };
};

/** The OpenTelemetry API of the SDK; it keeps its provider in a global, whoever loads it. */
function telemetryOfSdk(): Telemetry {
  const sdk = createRequire(import.meta.url).resolve('@anthropic-ai/sdk');
  return createRequire(sdk)('@opentelemetry/api') as Telemetry;
}

const HOSTILE: Readonly<Record<string, string>> = {
  ANTHROPIC_BASE_URL: 'http://127.0.0.1:1/evil',
  ANTHROPIC_LOG: 'debug',
  ANTHROPIC_CUSTOM_HEADERS: [
    'x-evil: evil',
    'authorization: Bearer evil',
    'Anthropic-Version: evil',
    'anthropic-beta: evil',
    'User-Agent: evil',
    'x-api-key: evil',
    'x-stainless-helper: evil',
  ].join('\n'),
  ANTHROPIC_OPEN_TELEMETRY: 'true',
};

describe('the environment', () => {
  test('[models 4.1] nothing of a hostile environment reaches the wire or the console', async () => {
    const names = variablesOfSdk();
    expect(names).toEqual(
      expect.arrayContaining(['ANTHROPIC_BASE_URL', 'ANTHROPIC_AUTH_TOKEN', 'ANTHROPIC_CUSTOM_HEADERS']),
    );
    for (const name of names) vi.stubEnv(name, HOSTILE[name] ?? 'evil');
    const spies = (['log', 'info', 'warn', 'error', 'debug'] as const).map((name) => vi.spyOn(console, name));
    const before = fake().requests.length;
    try {
      const { result } = await run({ tokens: 2 });
      expect(result.outcome).toBe('completed');
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
      'anthropic-version': ANTHROPIC_VERSION,
      authorization: `Bearer ${API_KEY}`,
      'content-type': 'application/json',
      'sec-fetch-mode': 'cors',
      'user-agent': 'parley',
    });
    for (const spy of spies) expect(spy).not.toHaveBeenCalled();
  });

  test('[models 4.1] no span is made, though the process has a tracer provider', async () => {
    const spans: string[] = [];
    const api = telemetryOfSdk();
    const startSpan = (name: string): unknown => {
      spans.push(name);
      return api.trace.wrapSpanContext({ traceId: '1'.repeat(32), spanId: '1'.repeat(16), traceFlags: 1 });
    };
    api.trace.setGlobalTracerProvider({ getTracer: () => ({ startSpan }) });
    try {
      const careless = new Anthropic({ apiKey: API_KEY, baseURL: fake().url, maxRetries: 0 });
      const messages = [{ role: 'user' as const, content: 'x' }];
      const stream = await careless.messages.create({ model: 'm', max_tokens: 1, stream: true, messages });
      stream.controller.abort();
      expect(spans).toHaveLength(1);
      await run({ tokens: 2 });
    } finally {
      api.trace.disable();
    }
    expect(spans).toHaveLength(1);
    expect(fake().requests.at(-1)?.headers).not.toHaveProperty('traceparent');
  });

  test("[models 4.1] the API version that is sent is the SDK's own, and so is the way the key is sent", async () => {
    let sent: Headers | null = null;
    const client = new Anthropic({
      apiKey: 'k',
      baseURL: 'http://sdk.invalid',
      maxRetries: 0,
      fetch: (_, init) => {
        sent = new Headers(init?.headers);
        return Promise.resolve(new Response('{}', { status: 400 }));
      },
    });
    const body = { model: 'm', max_tokens: 1, messages: [{ role: 'user' as const, content: 'x' }] };
    await expect(client.messages.create(body)).rejects.toThrow('400');
    const headers = Object.fromEntries((sent as Headers | null) ?? []);
    expect(headers).toMatchObject({ 'anthropic-version': ANTHROPIC_VERSION, authorization: 'Bearer k' });
  });
});
