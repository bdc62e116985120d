// What OpenAI refuses and how (models 4.3): kinds, waits, one request per attempt, nothing of the body.

import { describe, expect, test } from 'vitest';

import { openAiModel } from '../../actors/models/openai-responses.ts';
import { RETRY_AFTER_MAX_MS } from '../../actors/models/provider-errors.ts';
import type { ModelErrorKind } from '../../actors/ports.ts';
import { RESPONSES_STATUSES } from '../../loadtest/fakes/responses-statuses.ts';
import { type Failure, statusFailure } from '../../loadtest/fakes/scenario.ts';
import { API_KEY, responsesFixture } from './responses-fixture.ts';
import { NEVER_ABORTED, REAL_PORTS, RecordingSink, modelRequest } from './support.ts';

const { fake, run } = responsesFixture();

function failing(name: string, headers: Readonly<Record<string, string>> = {}): { failure: Failure } {
  const failure = statusFailure(RESPONSES_STATUSES, name, headers);
  if (failure === null) throw new Error(`the fake knows no failure ${name}`);
  return { failure };
}

const KINDS: readonly (readonly [name: string, status: number, kind: ModelErrorKind])[] = [
  ['400', 400, 'bad_request'],
  ['too_long', 400, 'context_overflow'],
  ['billing', 400, 'spend_limit'],
  ['401', 401, 'unauthorized'],
  ['402', 402, 'spend_limit'],
  ['403', 403, 'unauthorized'],
  ['404', 404, 'model_not_found'],
  ['408', 408, 'unavailable'],
  ['409', 409, 'unavailable'],
  ['413', 413, 'context_overflow'],
  ['422', 422, 'bad_request'],
  ['429', 429, 'rate_limited'],
  ['tokens', 429, 'rate_limited'],
  ['quota', 429, 'spend_limit'],
  ['500', 500, 'unavailable'],
  ['502', 502, 'unavailable'],
  ['503', 503, 'unavailable'],
  ['slow_down', 503, 'overloaded'],
  ['504', 504, 'unavailable'],
  ['529', 529, 'overloaded'],
];

describe('an HTTP error', () => {
  test.each(KINDS)('[models 4.3] %s (HTTP %i) is %s: one request, no retry of the SDK', async (name, status, kind) => {
    const before = fake().requests.length;
    const { result, sink } = await run(failing(name, { 'x-should-retry': 'true' }));
    expect(result).toMatchObject({ outcome: 'failed', error: { kind, status }, provider: null, usage: null });
    expect(fake().requests.length - before).toBe(1);
    expect(sink.calls).toEqual([]);
    if (result.outcome !== 'failed') throw new Error('it did not fail');
    expect(result.error.detail).toMatch(/^[\w ,]{5,120}$/u);
    expect(result.error.requestId).toMatch(/^req_fake_\d+$/u);
    const whole = JSON.stringify(result);
    expect(whole).not.toContain('secret');
    expect(whole).not.toContain(API_KEY);
  });

  test.each([
    [429, 'rate_limited'],
    [502, 'unavailable'],
    [529, 'overloaded'],
    [401, 'unauthorized'],
    [402, 'spend_limit'],
    [404, 'model_not_found'],
    [413, 'context_overflow'],
    [418, 'bad_request'],
    [599, 'unavailable'],
  ])('[models 4.3] HTTP %i of a proxy, in HTML, is %s', async (status, kind) => {
    const { result } = await run({ status, headers: { 'content-type': 'text/html' }, body: '<html>secret</html>' });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind, status } });
    expect(JSON.stringify(result)).not.toContain('secret');
  });

  test('[models 4.3] a redirect is not followed: the prompt goes to no other host', async () => {
    const before = fake().requests.length;
    const { result } = await run({ status: 307, headers: { location: `${fake().url}/elsewhere` }, body: '' });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'unavailable' } });
    expect(fake().requests.length - before).toBe(1);
  });
});

describe('what the provider asks to wait', () => {
  test.each([
    [{ 'retry-after': '2' }, 2_000],
    [{ 'retry-after-ms': '1500', 'retry-after': '99' }, 1_500],
    [{ 'retry-after': '2147483' }, RETRY_AFTER_MAX_MS],
    [{ 'retry-after': '-5' }, null],
    [{ 'retry-after': 'Wed, 21 Oct 2099 07:28:00 GMT' }, RETRY_AFTER_MAX_MS],
    [{}, null],
  ] as const)('[models 4.3] %j is %j ms', async (headers, expected) => {
    const { result } = await run(failing('429', headers));
    expect(result.outcome === 'failed' && result.error.retryAfterMs).toBe(expected);
  });
});

describe('a request that cannot be', () => {
  test('[P12] a prompt without a message fails here, without a request', async () => {
    const before = fake().requests.length;
    const { result } = await run(null, modelRequest([]));
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'bad_request' }, usage: null });
    expect(fake().requests.length).toBe(before);
  });

  test('[models 4.3] a wrong key is unauthorized and appears nowhere', async () => {
    const client = openAiModel({ apiKey: 'sk-wrong', baseUrl: fake().baseUrl, ...REAL_PORTS });
    const result = await client.stream(modelRequest('hi'), new RecordingSink(), NEVER_ABORTED());
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'unauthorized', status: 401 } });
    expect(JSON.stringify(result)).not.toContain('sk-wrong');
  });
});
