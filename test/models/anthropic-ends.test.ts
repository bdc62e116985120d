// How a stream can end (models 4.2): the SDK's loop ends the same way for most of these.

import { type RequestListener, createServer } from 'node:http';

import { describe, expect, test, vi } from 'vitest';

import { anthropicModel } from '../../actors/models/anthropic.ts';
import { messageEnd, messageStart, textBlock } from '../../loadtest/fakes/anthropic-steps.ts';
import type { Chunks } from '../../loadtest/fakes/scenario.ts';
import { anthropicFixture } from './anthropic-fixture.ts';
import { NEVER_ABORTED, REAL_CLOCK, RecordingSink, blocksOf, modelRequest, settle } from './support.ts';

const { fake, run, begin } = anthropicFixture();

const TEXT = 'one two three four five ';

describe('a body that ends', () => {
  test.each([
    ['right after the headers', { failure: { kind: 'cut', after: 0, inLine: false } }, 0],
    ['after some deltas', { failure: { kind: 'cut', after: 3, inLine: false } }, 3],
    ['in the middle of a line', { failure: { kind: 'cut', after: 3, inLine: true } }, 3],
    ['after the last delta', { failure: { kind: 'cut', after: 5, inLine: false } }, 5],
  ] as const)('[models 4.2] a body that ends early is a cut, not a success: %s', async (_, plan, deltas) => {
    const { result, sink } = await run({ text: TEXT, ...plan });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'cut', status: null } });
    expect(result.outcome === 'failed' && result.error.requestId).toMatch(/^req_fake_/u);
    expect(sink.deltas).toHaveLength(deltas);
  });

  test('[models 4.2] a body without a single event is a cut', async () => {
    const { result } = await run({ steps: () => [] });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'cut' }, usage: null, provider: null });
  });

  test('[models 4.2] a body that ends just before message_stop is a cut, though the stop reason is known', async () => {
    const steps = (context: Parameters<typeof messageStart>[0]) => [
      messageStart(context),
      ...textBlock(0, ['all of it']),
      ...messageEnd(context, 'end_turn', 7).slice(0, 1),
    ];
    const { result, sink } = await run({ steps });
    expect(sink.blocks).toEqual([{ type: 'text', text: 'all of it', ended: true }]);
    expect(result).toMatchObject({
      outcome: 'failed',
      error: { kind: 'cut' },
      usage: { output_tokens: 7, estimated: true },
    });
  });

  test('[models 4.2] a body that is JSON, not a stream, is a cut', async () => {
    const { result } = await run({ status: 200, body: '{"type":"message","content":[]}' });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'cut' } });
  });

  test('[models 4.2] what comes after message_stop is not looked at', async () => {
    const steps = (context: Parameters<typeof messageStart>[0]) => [
      messageStart(context),
      ...textBlock(0, ['done']),
      ...messageEnd(context, 'end_turn', 1),
      ...textBlock(1, ['more']),
      { do: 'reset' } as const,
    ];
    const { result, sink } = await run({ steps });
    expect(result.outcome).toBe('completed');
    expect(sink.deltas).toEqual(['done']);
  });

  test('[models 4.2] a server that keeps the connection open after message_stop does not hold up the result', async () => {
    const steps = (context: Parameters<typeof messageStart>[0]) => [
      messageStart(context),
      ...textBlock(0, ['done']),
      ...messageEnd(context, 'end_turn', 1),
      { do: 'silence', pingMs: null } as const,
    ];
    const aborted = fake().nextAbort();
    const { result } = await run({ steps });
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
    const client = anthropicModel({ apiKey: 'k', baseUrl: 'http://127.0.0.1:1', clock: REAL_CLOCK });
    const result = await client.stream(modelRequest('hi'), new RecordingSink(), NEVER_ABORTED());
    expect(result).toMatchObject({
      outcome: 'failed',
      error: {
        kind: 'unavailable',
        detail: expect.stringMatching(/ECONNREFUSED|bad port|connection failed/u) as string,
      },
      usage: null,
    });
  });
});

describe('an error event in a 200', () => {
  test.each([
    ['overloaded_error', 'overloaded'],
    ['api_error', 'unavailable'],
    ['timeout_error', 'unavailable'],
    ['rate_limit_error', 'rate_limited'],
    ['authentication_error', 'unauthorized'],
    ['billing_error', 'spend_limit'],
    ['invalid_request_error', 'bad_request'],
    ['an_error_of_tomorrow', 'unavailable'],
  ])('[models 4.2] %s has no status and is %s', async (type, kind) => {
    const { result, sink } = await run({ tokens: 9, failure: { kind: 'event', type, after: 4 } });
    expect(sink.deltas).toHaveLength(4);
    expect(result).toMatchObject({ outcome: 'failed', error: { kind, status: null }, usage: { estimated: true } });
    expect(JSON.stringify(result)).not.toContain('secret');
  });

  test('[models 4.2] an error event that is no JSON is unavailable', async () => {
    const bytes = new TextEncoder().encode('event: error\ndata: <html>oops</html>\n\n');
    const { result } = await run({ steps: () => [{ do: 'bytes', bytes }, { do: 'end' }] });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'unavailable' } });
    expect(JSON.stringify(result)).not.toContain('oops');
  });

  test('[models 4.2] an event that is no JSON is unavailable, and nothing of it is printed', async () => {
    const spies = (['log', 'info', 'warn', 'error', 'debug'] as const).map((name) => vi.spyOn(console, name));
    const bytes = new TextEncoder().encode('event: content_block_delta\ndata: {"type":"my secret\n\n');
    const { result } = await run({ steps: () => [{ do: 'bytes', bytes }, { do: 'end' }] });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'unavailable' } });
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
    expect((await aborted.then(({ request }) => request.closed)).how).toBe('aborted');
  });

  test('[models 4.2] aborted first: when all was there but message_stop, it is aborted', async () => {
    const { result, sink, abort } = begin({ text: TEXT, failure: { kind: 'silence', after: 5, pingMs: null } });
    await sink.untilDeltas(5);
    abort();
    const ended = await result;
    expect(ended.outcome).toBe('aborted');
    expect(blocksOf(ended)).toEqual([{ type: 'text', text: TEXT, citations: null }]);
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

  test('[models 4.2] an abort while the body of an error stalls', async () => {
    await withServer(
      (_, response) => response.writeHead(500).write('{"type":'),
      async (baseUrl) => {
        const client = anthropicModel({ apiKey: 'k', baseUrl, clock: REAL_CLOCK });
        const sink = new RecordingSink();
        const controller = new AbortController();
        const running = client.stream(modelRequest('hi'), sink, controller.signal);
        await sink.until(() => sink.activities >= 2);
        controller.abort();
        expect((await running).outcome).toBe('aborted');
      },
    );
  });
});

describe('silence', () => {
  test('[models 4.2] pings, which the SDK swallows, are activity', async () => {
    const { result, sink, abort } = begin({ tokens: 9, failure: { kind: 'silence', after: 3, pingMs: 2 } });
    await sink.untilDeltas(3);
    const { activities } = sink;
    const { length } = sink.calls;
    await sink.until(() => sink.activities >= activities + 5);
    expect(sink.calls).toHaveLength(length);
    abort();
    expect((await result).outcome).toBe('aborted');
  });

  test('[models 4.2] silence is no activity: the SDK would wait for ever, so the watchdog has to see it', async () => {
    const { result, sink, abort } = begin({ tokens: 9, failure: { kind: 'silence', after: 2, pingMs: null } });
    await sink.untilDeltas(2);
    const { activities } = sink;
    await settle();
    await settle();
    expect(sink.activities).toBe(activities);
    abort();
    await result;
  });

  test('[models 4.2] the headers are activity', async () => {
    const steps = () => [{ do: 'silence', pingMs: null } as const];
    const { result, sink, abort } = begin({ steps });
    await sink.until(() => sink.activities === 1);
    abort();
    expect((await result).outcome).toBe('aborted');
  });
});

describe('chunks of the body', () => {
  const text = 'Größe 漢字 😀 👩‍👩‍👧 🇨🇭 𝒳𝒴 cafe\u0301 ';
  test.each(['event', 'joined', 'split', 'byte'] satisfies Chunks[])(
    '[models 4.2] the same message comes out of chunks of every shape: %s',
    async (chunks) => {
      const { result, sink } = await run({ text, chunks, pings: true });
      expect(result.outcome).toBe('completed');
      expect(sink.deltas.join('')).toBe(text);
      expect(blocksOf(result)).toEqual([{ type: 'text', text, citations: null }]);
    },
  );

  test('[P11] an answer larger than any message ends the attempt', async () => {
    const bytes = new Uint8Array(1024 * 1024).fill(0x20);
    const steps = () => Array.from({ length: 70 }, () => ({ do: 'bytes', bytes }) as const);
    const { result } = await run({ steps });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'unavailable' } });
  });

  test('[P11] the body of an error is read up to a bound, even one without an end', async () => {
    const left = Promise.withResolvers<void>();
    const serve: RequestListener = (_, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(64 * 1024))) {
          // Until the buffer is full.
        }
      };
      response.writeHead(529).on('drain', more).on('close', left.resolve);
      more();
    };
    await withServer(serve, async (baseUrl) => {
      const client = anthropicModel({ apiKey: 'k', baseUrl, clock: REAL_CLOCK });
      const result = await client.stream(modelRequest('hi'), new RecordingSink(), NEVER_ABORTED());
      expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'overloaded', status: 529 } });
      expect(JSON.stringify(result).length).toBeLessThan(500);
      await left.promise;
    });
  });
});

/** A server that answers as the fake never would. */
async function withServer(serve: RequestListener, use: (url: string) => Promise<void>): Promise<void> {
  const server = createServer(serve);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  try {
    await use(`http://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  }
}
