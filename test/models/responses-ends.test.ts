// How a stream of the Responses API can end (models 4.2): the SDK's loop ends the same way for most of these.

import { describe, expect, test, vi } from 'vitest';

import { openAiModel } from '../../actors/models/openai-responses.ts';
import type { Chunks } from '../../loadtest/fakes/scenario.ts';
import { altered, responsesFixture, scripted } from './responses-fixture.ts';
import { NEVER_ABORTED, REAL_PORTS, RecordingSink, modelRequest, settle } from './support.ts';

const { fake, run, begin } = responsesFixture();

const TEXT = 'one two three four five ';
const WORDS = ['one ', 'two ', 'three ', 'four ', 'five '];

describe('a body that ends', () => {
  test.each([
    ['right after the first events', { failure: { kind: 'cut', after: 0, inLine: false } }, 0],
    ['after some deltas', { failure: { kind: 'cut', after: 3, inLine: false } }, 3],
    ['in the middle of a line', { failure: { kind: 'cut', after: 3, inLine: true } }, 3],
    ['after the last delta', { failure: { kind: 'cut', after: 5, inLine: false } }, 5],
  ] as const)('[models 4.2] a body that ends early is a cut, not a success: %s', async (_, plan, deltas) => {
    const { result, sink } = await run({ text: TEXT, ...plan });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'cut', status: null } });
    expect(result.outcome === 'failed' && result.error.requestId).toMatch(/^req_fake_/u);
    expect(sink.deltas).toHaveLength(deltas);
  });

  test('[models 4.2] a body without a single event is a cut that nobody was paid for', async () => {
    const { result } = await run({ steps: () => [] });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'cut' }, usage: null, provider: null });
  });

  test('[models 4.2] all was there but the terminal event: a cut, with an estimate', async () => {
    const { result, sink } = await run(scripted((script) => script.begin().message(WORDS, 'completed')));
    expect(sink.blocks).toEqual([{ type: 'text', text: TEXT, ended: true }]);
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'cut' }, usage: { estimated: true } });
  });

  test('[models 4.2] a body that is JSON, not a stream, is a cut', async () => {
    const { result } = await run({ status: 200, body: '{"object":"response","status":"completed","output":[]}' });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'cut' } });
  });

  test('[models 4.2] what comes after the terminal event is not looked at', async () => {
    const plan = scripted((script) =>
      script.begin().message(['done'], 'completed').completed().message(['more'], 'completed'),
    );
    const { result, sink } = await run(plan);
    expect(result.outcome).toBe('completed');
    expect(sink.deltas).toEqual(['done']);
  });

  test('[models 4.2] a server that keeps the connection open after the end does not hold up the result', async () => {
    const whole = scripted((script) => script.begin().message(['done'], 'completed').completed());
    const steps = 'steps' in whole ? whole.steps : () => [];
    const aborted = fake().nextAbort();
    const { result } = await run({
      steps: function* (context) {
        yield* steps(context);
        yield { do: 'silence', pingMs: null };
      },
    });
    expect(result.outcome).toBe('completed');
    await aborted;
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

  test('[models 4.2] nobody listening is unavailable', async () => {
    const client = openAiModel({ apiKey: 'k', baseUrl: 'http://127.0.0.1:1/v1', ...REAL_PORTS });
    const result = await client.stream(modelRequest('hi'), new RecordingSink(), NEVER_ABORTED());
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'unavailable' }, usage: null });
  });
});

describe('a response that ends otherwise than completed', () => {
  test('[models 4.5] cut by the limit is max_tokens, with exact usage', async () => {
    const { result, sink } = await run({ tokens: 30 }, modelRequest('hello', { maxOutputTokens: 16 }));
    expect(result).toMatchObject({ outcome: 'completed', stopReason: 'max_tokens', usage: { estimated: false } });
    expect(sink.deltas).toHaveLength(16);
  });

  test.each(['content_filter', 'refusal'])(
    '[models 4.5] %s is a refusal that goes into no prompt',
    async (stopReason) => {
      const { result, sink } = await run({ tokens: 4, stopReason });
      expect(result).toMatchObject({ outcome: 'completed', stopReason: 'refusal', usage: { estimated: false } });
      expect(new TextDecoder().decode(result.provider?.json)).toBe('[]');
      expect(sink.blocks).toEqual([{ type: 'text', text: 'token1 token2 token3 token4 ', ended: true }]);
    },
  );

  test.each([
    ['server_error', 'unavailable'],
    ['rate_limit_exceeded', 'rate_limited'],
    ['context_length_exceeded', 'context_overflow'],
    ['insufficient_quota', 'spend_limit'],
    ['invalid_prompt', 'bad_request'],
    ['a_code_of_tomorrow', 'unavailable'],
  ])('[models 4.5] failed with %s is %s, what it used is exact', async (code, kind) => {
    const { result } = await run({ tokens: 3, stopReason: 'failed', words: { code } });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind, status: null }, usage: { estimated: false } });
    expect(result.outcome === 'failed' && result.error.requestId).toMatch(/^req_fake_/u);
    expect(JSON.stringify(result)).not.toContain('secret');
  });

  test('[P12] a call of a tool, though none was given, is an error, and nothing of it goes into a prompt', async () => {
    const { result } = await run({ tokens: 2, thinking: { kind: 'signed', tokens: 2 }, stopReason: 'function_call' });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'bad_request' } });
    expect(new TextDecoder().decode(result.provider?.json)).not.toContain('get_weather');
  });
});

describe('an error event in a 200', () => {
  test.each([
    ['server_error', 'unavailable'],
    ['server_is_overloaded', 'overloaded'],
    ['rate_limit_exceeded', 'rate_limited'],
    ['insufficient_quota', 'spend_limit'],
    ['context_length_exceeded', 'context_overflow'],
    ['an_error_of_tomorrow', 'unavailable'],
  ])('[models 4.2] %s has no status and is %s', async (type, kind) => {
    const { result, sink } = await run({ tokens: 9, failure: { kind: 'event', type, after: 4 } });
    expect(sink.deltas).toHaveLength(4);
    expect(result).toMatchObject({ outcome: 'failed', error: { kind, status: null }, usage: { estimated: true } });
    expect(JSON.stringify(result)).not.toContain('secret');
  });

  test('[models 4.2] an error that its event does not name is one all the same', async () => {
    const data = { type: 'error', code: 'slow_down', message: 'my secret prompt', param: null, sequence_number: 3 };
    const { result } = await run({ steps: () => [{ do: 'event', event: null, data }] });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'overloaded' } });
  });

  test('[models 4.2] an event that is no JSON is a cut, and nothing of it is printed', async () => {
    const spies = (['log', 'info', 'warn', 'error', 'debug'] as const).map((name) => vi.spyOn(console, name));
    const bytes = new TextEncoder().encode('event: response.output_text.delta\ndata: {"type":"my secret\n\n');
    const { result } = await run({ steps: () => [{ do: 'bytes', bytes }, { do: 'end' }] });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'cut' } });
    expect(JSON.stringify(result)).not.toContain('secret');
    for (const spy of spies) expect(spy).not.toHaveBeenCalled();
  });
});

describe('an abort', () => {
  test('[models 4.2] after the headers it is aborted, not a success, and closes the request', async () => {
    const aborted = fake().nextAbort();
    const { result, sink, abort } = begin({ tokens: 1000, paceMs: 2 });
    await sink.untilDeltas(2);
    abort();
    expect(await result).toMatchObject({ outcome: 'aborted', usage: { estimated: true } });
    expect((await aborted).request.ended?.how).toBe('aborted');
  });

  test('[models 4.2] aborted first: when all was there but the terminal event, it is aborted', async () => {
    const { result, sink, abort } = begin({ text: TEXT, failure: { kind: 'silence', after: 5, pingMs: null } });
    await sink.untilDeltas(5);
    abort();
    expect((await result).outcome).toBe('aborted');
  });

  test('[models 4.2] before the headers', async () => {
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
  test('[models 4.2] comments, which the SDK swallows, are activity; silence is none', async () => {
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

describe('what is shown', () => {
  const text = 'Größe 漢字 😀 👩‍👩‍👧 🇨🇭 𝒳𝒴 cafe\u0301 ';
  test.each(['event', 'joined', 'split', 'byte'] satisfies Chunks[])(
    '[models 4.2] the same answer comes out of chunks of every shape: %s',
    async (chunks) => {
      const { result, sink } = await run({ text, chunks, pings: true });
      expect(result.outcome).toBe('completed');
      expect(sink.deltas.join('')).toBe(text);
    },
  );

  test.each(['response.output_text.delta', 'response.output_text.done', 'response.content_part.done'])(
    '[models 4.5] without %s the text is whole all the same',
    async (left) => {
      const plan = altered(
        (script) => script.begin().message(WORDS, 'completed').completed(),
        (event) => (event.type === left ? null : event),
      );
      const { result, sink } = await run(plan);
      expect(result.outcome).toBe('completed');
      expect(sink.blocks).toEqual([{ type: 'text', text: TEXT, ended: true }]);
    },
  );

  test('[models 4.5] parts of a summary are apart', async () => {
    const plan = scripted((script) => {
      const item = { id: 'rs_1', type: 'reasoning', summary: [], encrypted_content: 'x' };
      script.begin().item(item, item, (at) => {
        for (const [summary_index, delta] of ['first', 'second'].entries()) {
          script.push('response.reasoning_summary_part.added', { ...at, summary_index });
          script.delta('response.reasoning_summary_text.delta', { ...at, summary_index, delta });
        }
      });
      return script.message(['so'], 'completed').completed();
    });
    const { sink } = await run(plan);
    expect(sink.blocks).toEqual([
      { type: 'reasoning', text: 'first\n\nsecond', ended: true },
      { type: 'text', text: 'so', ended: true },
    ]);
  });

  test('[models 4.1] unknown events and items are let through', async () => {
    const { result, sink } = await run({ tokens: 2, unknown: true });
    expect(result.outcome).toBe('completed');
    expect(sink.blocks).toEqual([{ type: 'text', text: 'token1 token2 ', ended: true }]);
  });

  test('[models 4.5] deltas come without padding: the request says so', async () => {
    await run({ tokens: 2 });
    expect(fake().requests.at(-1)?.body).toMatchObject({ stream_options: { include_obfuscation: false } });
  });

  test('[P11] an answer larger than any message ends the attempt', async () => {
    const bytes = new Uint8Array(1024 * 1024).fill(0x20);
    const steps = () => Array.from({ length: 70 }, () => ({ do: 'bytes', bytes }) as const);
    const { result } = await run({ steps });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'unavailable' } });
  });
});
