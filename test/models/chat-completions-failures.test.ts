// What servers of chat completions refuse and how (models 4.3): kinds, waits, one request per attempt, nothing of the body.

import { describe, expect, test } from 'vitest';

import { chatCompletionsModel } from '../../actors/models/chat-completions.ts';
import type { ModelErrorKind } from '../../actors/ports.ts';
import { CHAT_STATUSES, startFakeChatCompletions } from '../../loadtest/fakes/chat-completions-server.ts';
import { type Failure, statusFailure } from '../../loadtest/fakes/scenario.ts';
import { API_KEY, chatCompletionsFixture } from './chat-completions-fixture.ts';
import { NEVER_ABORTED, REAL_CLOCK, RecordingSink, modelRequest, userItem } from './support.ts';

const { fake, run } = chatCompletionsFixture();

function failing(name: string, headers: Readonly<Record<string, string>> = {}): { failure: Failure } {
  const failure = statusFailure(CHAT_STATUSES, name, headers);
  if (failure === null) throw new Error(`the fake knows no failure ${name}`);
  return { failure };
}

const KINDS: readonly (readonly [name: string, status: number, kind: ModelErrorKind])[] = [
  ['400', 400, 'bad_request'],
  ['too_long', 400, 'context_overflow'],
  ['vllm_too_long', 400, 'context_overflow'],
  ['llama_too_long', 400, 'context_overflow'],
  ['401', 401, 'unauthorized'],
  ['402', 402, 'spend_limit'],
  ['403', 403, 'unauthorized'],
  ['404', 404, 'model_not_found'],
  ['vllm_404', 404, 'model_not_found'],
  ['ollama_404', 404, 'model_not_found'],
  ['408', 408, 'unavailable'],
  ['409', 409, 'unavailable'],
  ['413', 413, 'context_overflow'],
  ['422', 422, 'bad_request'],
  ['429', 429, 'rate_limited'],
  ['quota', 429, 'spend_limit'],
  ['500', 500, 'unavailable'],
  ['vllm_500', 500, 'unavailable'],
  ['502', 502, 'unavailable'],
  ['503', 503, 'unavailable'],
  ['504', 504, 'unavailable'],
  ['529', 529, 'overloaded'],
];

describe('an HTTP error', () => {
  test('[models 4.3] every failure that the fake knows is in this table', () => {
    expect(KINDS.map(([name]) => name).toSorted()).toEqual(Object.keys(CHAT_STATUSES).toSorted());
  });

  test.each(KINDS)('[models 4.3] %s (HTTP %i) is %s: one request, no retry of the SDK', async (name, status, kind) => {
    const before = fake().requests.length;
    const { result, sink } = await run(failing(name, { 'x-should-retry': 'true' }));
    expect(result).toMatchObject({ outcome: 'failed', error: { kind, status }, provider: null, usage: null });
    expect(fake().requests.length - before).toBe(1);
    expect(sink.calls).toEqual([]);
    if (result.outcome !== 'failed') throw new Error('it did not fail');
    const { detail, requestId } = result.error;
    expect(detail).toMatch(/^[\w ,]{5,120}$/u);
    expect(detail).toContain(String(status));
    expect(requestId).toMatch(/^req_fake_\d+$/u);
    expect(JSON.stringify(result)).not.toContain('secret');
  });

  test.each([
    [429, 'rate_limited'],
    [502, 'unavailable'],
    [401, 'unauthorized'],
    [402, 'spend_limit'],
    [413, 'context_overflow'],
    [418, 'bad_request'],
    [599, 'unavailable'],
  ])('[models 4.3] HTTP %i of a proxy, in HTML, is %s', async (status, kind) => {
    const { result } = await run({ status, headers: { 'content-type': 'text/html' }, body: '<html>secret</html>' });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind, status } });
    expect(JSON.stringify(result)).not.toContain('secret');
  });

  test('[models 4.3] what the server asks to wait is kept', async () => {
    const { result } = await run(failing('429', { 'retry-after': '2' }));
    expect(result.outcome === 'failed' && result.error.retryAfterMs).toBe(2_000);
  });

  test('[models 4.3] a redirect is not followed: the prompt goes to no other host', async () => {
    const before = fake().requests.length;
    const { result } = await run({ status: 307, headers: { location: `${fake().url}/elsewhere` }, body: '' });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'unavailable' } });
    expect(fake().requests.length - before).toBe(1);
  });
});

describe('a base URL that is wrong', () => {
  const hint = 'HTTP 404: no chat completions there; check the base URL, which for most servers ends in /v1';

  test('[models 4.3] without its /v1 it is a clear error, not a missing model', async () => {
    const client = chatCompletionsModel({ apiKey: API_KEY, baseUrl: fake().url, clock: REAL_CLOCK });
    const result = await client.stream(modelRequest('hi'), new RecordingSink(), NEVER_ABORTED());
    expect(fake().requests.at(-1)?.path).toBe('/chat/completions');
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'bad_request', status: 404, detail: hint } });
  });

  test.each(['{"detail":"Not Found"}', '<html>404</html>', ''])(
    '[models 4.3] 404 with %j is that error',
    async (body) => {
      const { result } = await run({ status: 404, body });
      expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'bad_request', detail: hint } });
    },
  );

  test('[models 4.3] a slash at its end does no harm', async () => {
    const client = chatCompletionsModel({ apiKey: API_KEY, baseUrl: `${fake().url}/v1/`, clock: REAL_CLOCK });
    const result = await client.stream(modelRequest('hi'), new RecordingSink(), NEVER_ABORTED());
    expect(result.outcome).toBe('completed');
  });

  test('[models 4.2] nobody listening is unavailable', async () => {
    const client = chatCompletionsModel({ apiKey: null, baseUrl: 'http://127.0.0.1:1/v1', clock: REAL_CLOCK });
    const result = await client.stream(modelRequest('hi'), new RecordingSink(), NEVER_ABORTED());
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'unavailable' }, usage: null });
  });
});

describe('a key', () => {
  test('[models 4.3] that is wrong is unauthorized and appears nowhere', async () => {
    const client = chatCompletionsModel({ apiKey: 'sk-wrong', baseUrl: `${fake().url}/v1`, clock: REAL_CLOCK });
    const result = await client.stream(modelRequest('hi'), new RecordingSink(), NEVER_ABORTED());
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'unauthorized', status: 401 } });
    expect(JSON.stringify(result)).not.toContain('sk-wrong');
  });

  test('[models 4.3] that is not there is not sent: a local server wants none', async () => {
    const open = await startFakeChatCompletions();
    const client = chatCompletionsModel({ apiKey: null, baseUrl: `${open.url}/v1`, clock: REAL_CLOCK });
    const result = await client.stream(modelRequest('hi'), new RecordingSink(), NEVER_ABORTED());
    expect(result.outcome).toBe('completed');
    expect(open.requests.at(-1)?.headers).not.toHaveProperty('authorization');
    await open.stop();
  });
});

describe('a window that is full', () => {
  test('[models 4.3] without a limit of ours a short prompt fits; a long one is an overflow', async () => {
    const small = await startFakeChatCompletions({ contextTokens: 500 });
    for (const path of ['/v1', '/vllm/v1']) {
      const client = chatCompletionsModel({ apiKey: null, baseUrl: `${small.url}${path}`, clock: REAL_CLOCK });
      const ask = (text: string, maxOutputTokens: number | null): Promise<unknown> =>
        client.stream(modelRequest([userItem(text)], { maxOutputTokens }), new RecordingSink(), NEVER_ABORTED());
      expect(await ask('short', null)).toMatchObject({ outcome: 'completed' });
      // Why no limit is sent by default.
      expect(await ask('short', 16_384)).toMatchObject({ error: { kind: 'context_overflow', status: 400 } });
      expect(await ask('x'.repeat(2_500), null)).toMatchObject({ error: { kind: 'context_overflow', status: 400 } });
    }
    await small.stop();
  });

  test('[P12] a prompt without a message fails here, without a request', async () => {
    const before = fake().requests.length;
    const { result } = await run(null, modelRequest([]));
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'bad_request' }, usage: null });
    expect(fake().requests.length).toBe(before);
  });
});
