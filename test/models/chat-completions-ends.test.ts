// How a stream of chat completions can end (models 4.2): the SDK's loop ends the same way for most of these, and it hides
// `[DONE]`.

import { describe, expect, test, vi } from 'vitest';

import { chatCompletionsModel } from '../../actors/models/chat-completions.ts';
import type { Clock, ModelErrorKind } from '../../actors/ports.ts';
import { DONE, chunk, data, finish, text, usageOf } from '../../loadtest/fakes/chat-completions-steps.ts';
import type { Step } from '../../loadtest/fakes/player.ts';
import type { Chunks } from '../../loadtest/fakes/scenario.ts';
import { API_KEY, DIALECTS, chatCompletionsFixture } from './chat-completions-fixture.ts';
import { NEVER_ABORTED, REAL_CLOCK, RecordingSink, modelRequest, settle } from './support.ts';

const fixtures = DIALECTS.map((dialect) => [dialect, chatCompletionsFixture(dialect)] as const);
const { fake, run, begin } = chatCompletionsFixture();

const TEXT = 'one two three four five ';
const bytes = (line: string): Step => ({ do: 'bytes', bytes: new TextEncoder().encode(line) });

describe('a body that ends', () => {
  test.each([
    ['right after the headers', { failure: { kind: 'cut', after: 0, inLine: false } }, 0],
    ['after some deltas', { failure: { kind: 'cut', after: 3, inLine: false } }, 3],
    ['in the middle of a line', { failure: { kind: 'cut', after: 3, inLine: true } }, 3],
    ['after the last delta', { failure: { kind: 'cut', after: 5, inLine: false } }, 5],
  ] as const)('[models 4.2] a body that ends early is a cut, not a success: %s', async (_, plan, deltas) => {
    for (const [, dialect] of fixtures) {
      const { result, sink } = await dialect.run({ text: TEXT, ...plan });
      expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'cut', status: null } });
      expect(result.outcome === 'failed' && result.error.requestId).toMatch(/^req_fake_/u);
      expect(sink.deltas).toHaveLength(deltas);
      if (deltas > 0) expect(sink.blocks).toMatchObject([{ ended: false }]);
    }
  });

  test('[models 4.2] a body without a single chunk is a cut, and costs nothing', async () => {
    for (const steps of [[], [DONE], [bytes(': comment\n\n')]]) {
      const { result } = await run({ steps: () => steps });
      expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'cut' }, usage: null });
    }
  });

  test('[models 4.2] `[DONE]` without a finish reason is a cut, usage or not', async () => {
    const { result } = await run({
      steps: (context) => [text(context, 'so far'), data(context, { choices: [], usage: usageOf(context, 1) }), DONE],
    });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'cut' }, usage: { estimated: true } });
  });

  test.each([
    ['ends', []],
    ['ends, after its usage', null],
    ['is reset', [{ do: 'reset' }]],
    ['is closed', [{ do: 'close' }]],
    ['says an error', [bytes('data: {"error":{"message":"late"}}\n\n')]],
    ['makes no sense', [bytes('data: {"choi\n\n')]],
  ] satisfies [string, readonly Step[] | null][])(
    '[models 4.2] an answer with its finish reason is whole, though the body %s without [DONE]',
    async (_, rest) => {
      const { result, sink } = await run({
        steps: (context) => [
          text(context, 'done'),
          finish(context, 'stop'),
          ...(rest ?? [data(context, { choices: [], usage: usageOf(context, 1) })]),
        ],
      });
      expect(result).toMatchObject({ outcome: 'completed', usage: { estimated: rest !== null } });
      expect(sink.blocks).toEqual([{ type: 'text', text: 'done', ended: true }]);
    },
  );

  test('[models 4.2] a server that keeps the connection open after the end does not hold up the result for long', async () => {
    const waits: number[] = [];
    const hurried: Clock = {
      nowMs: () => 0,
      after: (delayMs, task) => {
        waits.push(delayMs);
        return REAL_CLOCK.after(Math.min(delayMs, 20), task);
      },
    };
    const client = chatCompletionsModel({ apiKey: API_KEY, baseUrl: `${fake().url}/v1`, clock: hurried });
    fake().enqueue({
      steps: (context) => [text(context, 'x'), finish(context, 'stop'), { do: 'silence', pingMs: null }],
    });
    const aborted = fake().nextAbort();
    const result = await client.stream(modelRequest('hi'), new RecordingSink(), NEVER_ABORTED());
    expect(result).toMatchObject({ outcome: 'completed', usage: { estimated: true } });
    await aborted;
    expect(waits).toEqual([2_000]);
  });
});

describe('a 200 that is no stream', () => {
  test.each([
    ['text/html', '<html>my secret</html>'],
    ['application/json', '{"object":"chat.completion","choices":[{"message":{"content":"my secret"}}]}'],
  ])('[models 4.2] %s says what to look at, and is not tried again', async (type, body) => {
    const { result } = await run({ status: 200, headers: { 'content-type': type }, body });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'bad_request' }, usage: null });
    expect(result.outcome === 'failed' && result.error.detail).toContain('check the base URL');
    expect(JSON.stringify(result)).not.toContain('secret');
  });
});

describe('a connection that breaks', () => {
  test.each([
    ['closed in the middle of the body', { kind: 'close', after: 2 }],
    ['reset in the middle of the body', { kind: 'reset', after: 2 }],
    ['reset before the headers', { kind: 'reset', after: null }],
  ] as const)('[models 4.2] %s is unavailable', async (_, failure) => {
    const { result } = await run({ tokens: 5, failure });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'unavailable', status: null } });
    expect(result.outcome === 'failed' && result.error.detail).toMatch(/^the connection failed: \w+$/u);
  });
});

describe('an error in a 200', () => {
  const kinds: readonly (readonly [error: unknown, kind: ModelErrorKind])[] = [
    [{ message: 'my secret', type: 'server_error', code: null }, 'unavailable'],
    [{ message: 'my secret', type: 'an_error_of_tomorrow' }, 'unavailable'],
    [{ message: 'my secret', type: 'rate_limit_error' }, 'rate_limited'],
    [{ message: 'my secret', type: 'insufficient_quota', code: 'insufficient_quota' }, 'spend_limit'],
    [{ message: 'my secret', type: 'invalid_request_error' }, 'bad_request'],
    // vLLM: the status is the code.
    [{ message: 'my secret', type: 'BadRequestError', code: 400 }, 'bad_request'],
    [
      { message: "This model's maximum context length is 4096", type: 'BadRequestError', code: 400 },
      'context_overflow',
    ],
    [{ message: 'my secret', type: 'NotFoundError', code: 404 }, 'model_not_found'],
    [{ message: 'my secret', type: 'InternalServerError', code: 500 }, 'unavailable'],
    [{ message: 'my secret', code: 429 }, 'rate_limited'],
    [{ message: 'my secret', code: 7 }, 'unavailable'],
    [{ message: 'the request exceeds', type: 'exceed_context_size_error', code: 400 }, 'context_overflow'],
    // Ollama's own API, and whoever passes it on.
    ['my secret', 'unavailable'],
    [['my secret'], 'unavailable'],
  ];
  test.each(kinds)('[models 4.2] %j is %s', async (error, kind) => {
    const line = bytes(`data: ${JSON.stringify({ error })}\n\n`);
    for (const end of [DONE, { do: 'end' } as const]) {
      const { result, sink } = await run({
        steps: (context) => [text(context, 'so '), text(context, 'far'), line, end],
      });
      expect(sink.deltas).toEqual(['so ', 'far']);
      expect(result).toMatchObject({ outcome: 'failed', error: { kind, status: null }, usage: { estimated: true } });
      expect(result.outcome === 'failed' && result.error.requestId).toMatch(/^req_fake_/u);
      expect(JSON.stringify(result)).not.toContain('secret');
    }
  });

  test('[models 4.2] the chunk of older vLLM, whose error stands alone, is an error too', async () => {
    const body = { object: 'error', message: 'my secret', type: 'BadRequestError', param: null, code: 400 };
    const { result } = await run({ steps: () => [{ do: 'event', event: null, data: body }, DONE] });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'bad_request', status: null } });
    expect(JSON.stringify(result)).not.toContain('secret');
  });

  test('[models 4.2] an event named error, whatever it holds', async () => {
    for (const [line, kind] of [
      ['data: {"message":"my secret"}', 'unavailable'],
      ['data: <html>secret</html>', 'cut'],
    ]) {
      const { result } = await run({ steps: () => [bytes(`event: error\n${line}\n\n`), DONE] });
      expect(result).toMatchObject({ outcome: 'failed', error: { kind } });
      expect(JSON.stringify(result)).not.toContain('secret');
    }
  });

  test('[models 4.2] a chunk that is no JSON is a cut, and nothing of it is printed', async () => {
    const spies = (['log', 'info', 'warn', 'error', 'debug'] as const).map((name) => vi.spyOn(console, name));
    const { result } = await run({ steps: () => [bytes('data: {"type":"my secret\n\n'), { do: 'end' }] });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'cut' } });
    expect(JSON.stringify(result)).not.toContain('secret');
    for (const spy of spies) expect(spy).not.toHaveBeenCalled();
  });
});

describe('an abort', () => {
  test('[models 4.2] an abort after the headers is aborted, not a success, and closes the request', async () => {
    const aborted = fake().nextAbort();
    const { result, sink, abort } = begin({ tokens: 1000, paceMs: 2 });
    await sink.untilDeltas(2);
    abort();
    expect(await result).toMatchObject({ outcome: 'aborted', usage: { estimated: true } });
    await aborted;
  });

  test('[models 4.2] aborted first: when all was there but the end, it is aborted', async () => {
    const { result, sink, abort } = begin({ text: TEXT, failure: { kind: 'silence', after: 5, pingMs: null } });
    await sink.untilDeltas(5);
    abort();
    expect((await result).outcome).toBe('aborted');
  });

  test('[models 4.2] an abort before the headers', async () => {
    const aborted = fake().nextAbort();
    const count = fake().requests.length;
    const { result, abort } = begin({ failure: { kind: 'silence', after: null, pingMs: null } });
    while (fake().requests.length === count) await settle();
    abort();
    expect(await result).toEqual({ outcome: 'aborted', provider: null, usage: null, requestId: null });
    await aborted;
  });
});

describe('silence', () => {
  test('[models 4.2] comments, which the SDK swallows, are activity', async () => {
    const { result, sink, abort } = begin({ tokens: 9, failure: { kind: 'silence', after: 3, pingMs: 2 } });
    await sink.untilDeltas(3);
    const { activities } = sink;
    const { length } = sink.calls;
    await sink.until(() => sink.activities >= activities + 5);
    expect(sink.calls).toHaveLength(length);
    abort();
    expect((await result).outcome).toBe('aborted');
  });
});

describe('chunks of the body', () => {
  const whole = 'Größe 漢字 😀 👩‍👩‍👧 🇨🇭 𝒳𝒴 cafe\u0301 ';
  test.each(['event', 'joined', 'split', 'byte'] satisfies Chunks[])(
    '[models 4.2] the same answer comes out of chunks of every shape: %s',
    async (chunks) => {
      for (const [, dialect] of fixtures) {
        const { result, sink } = await dialect.run({ text: whole, chunks, pings: true });
        expect(result.outcome).toBe('completed');
        expect(sink.deltas.join('')).toBe(whole);
      }
    },
  );

  test('[models 4.2] lines may end in CR LF, and data may have no blank before it', async () => {
    const json = (steps: Step): string => JSON.stringify(steps.do === 'event' ? steps.data : null);
    const { result, sink } = await run({
      steps: (context) => [
        bytes(`data:${json(chunk(context, { delta: { content: 'a' } }))}\r\n\r\n`),
        bytes(`data: ${json(finish(context, 'stop'))}\r\n\r\ndata:[DONE]\r\n\r\n`),
      ],
    });
    expect(result.outcome).toBe('completed');
    expect(sink.deltas).toEqual(['a']);
  });
});
