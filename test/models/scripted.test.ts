// The scripted model on a clock that stands still: time passes only when a test lets it.

import { describe, expect, test } from 'vitest';

import { scriptedReasoning, scriptedText } from '../../actors/models/script-text.ts';
import { scriptedModel } from '../../actors/models/scripted.ts';
import type { AttemptResult, ModelErrorKind } from '../../actors/ports.ts';
import { ManualClock, NEVER_ABORTED, RecordingSink, modelRequest, settle, userItem } from './support.ts';

type Played = { readonly clock: ManualClock; readonly sink: RecordingSink; readonly result: AttemptResult };

async function play(prompt: string, attemptNumber = 1, seed = 1): Promise<Played> {
  const clock = new ManualClock();
  const sink = new RecordingSink();
  const running = scriptedModel({ clock, seed }).stream(modelRequest(prompt, { attemptNumber }), sink, NEVER_ABORTED());
  await clock.run();
  return { clock, sink, result: await running };
}

describe('the stream', () => {
  test.each([
    'hello there',
    '/script deltas=2000 pace=0',
    '/script words=300 reasoning=20',
    '/script unicode=1 deltas=99 size=1',
  ])('[scripted] what is streamed is what the pure functions say, byte for byte: %s', async (prompt) => {
    const { sink, result } = await play(prompt);
    const text = sink.blocks.find((block) => block.type === 'text')?.text;
    const reasoning = sink.blocks.find((block) => block.type === 'reasoning')?.text ?? '';
    expect(text).toBe(scriptedText(prompt));
    expect(reasoning).toBe(scriptedReasoning(prompt));
    expect(result).toMatchObject({ outcome: 'completed', stopReason: 'end_turn', provider: null, requestId: null });
  });

  test('[scripted] by default a delta comes every 20 to 40 ms, at times that the seed decides', async () => {
    const { clock, sink } = await play('hello there');
    expect(clock.delays).toHaveLength(sink.deltas.length);
    expect(clock.delays.every((delay) => delay >= 20 && delay <= 40)).toBe(true);
    expect(new Set(clock.delays).size).toBeGreaterThan(10);
    expect((await play('hello there')).clock.delays).toEqual(clock.delays);
    expect((await play('hello there', 1, 2)).clock.delays).not.toEqual(clock.delays);
  });

  test('[scripted] pace=5ms is 5 ms, pace=0 only yields now and then', async () => {
    expect((await play('/script deltas=10 pace=5ms')).clock.delays).toEqual(Array.from({ length: 10 }, () => 5));
    expect((await play('/script deltas=640 pace=0')).clock.delays).toEqual(Array.from({ length: 10 }, () => 0));
  });

  test('[scripted] the last user message counts, whatever came after it', async () => {
    const clock = new ManualClock();
    const sink = new RecordingSink();
    const items = [
      userItem('/script say=old'),
      { ...userItem('x'), role: 'assistant' as const },
      userItem('/script say=new pace=0'),
    ];
    const running = scriptedModel({ clock }).stream(modelRequest(items), sink, NEVER_ABORTED());
    await clock.run();
    await running;
    expect(sink.deltas).toEqual(['new']);
  });

  test.each(['max_tokens', 'refusal', 'context_overflow', 'end_turn'] as const)('[scripted] stop=%s', async (stop) => {
    const { result } = await play(`/script deltas=3 stop=${stop}`);
    expect(result).toMatchObject({ outcome: 'completed', stopReason: stop });
  });

  test('[P10] four characters are a token, of the prompt and of the answer', async () => {
    const clock = new ManualClock();
    const request = modelRequest('/script say=12345678 pace=0', { system: ['1234'] });
    const running = scriptedModel({ clock }).stream(request, new RecordingSink(), NEVER_ABORTED());
    await clock.run();
    expect((await running).usage).toEqual({
      input_tokens: Math.ceil((4 + '/script say=12345678 pace=0'.length) / 4),
      output_tokens: 2,
      cache_read_tokens: 0,
      cache_write_tokens: 0,
      estimated: false,
    });
  });
});

describe('failures', () => {
  const kinds = {
    overloaded: 529,
    rate_limited: 429,
    unavailable: 503,
    silent: null,
    cut: null,
    unauthorized: 401,
    spend_limit: 429,
    bad_request: 400,
    invalid_prompt: null,
    reasoning_rejected: 400,
    model_not_found: 404,
    context_overflow: 400,
  } satisfies Record<ModelErrorKind, number | null>;

  test.each(Object.entries(kinds))('[scripted] fail=%s has status %j', async (kind, status) => {
    const { result, sink } = await play(`/script deltas=5 pace=0 fail=${kind}@2 retry-after=2s`);
    expect(result).toMatchObject({ outcome: 'failed', error: { kind, status, retryAfterMs: 2_000 } });
    expect(sink.deltas).toHaveLength(2);
  });

  test('[scripted] without @ it fails before anything is shown or spent', async () => {
    const { result, sink } = await play('/script deltas=5 fail=rate_limited');
    expect(result).toMatchObject({ outcome: 'failed', usage: null });
    expect(sink.calls).toEqual([]);
  });

  test('[scripted] times=2: the first two attempts fail, the third does not', async () => {
    const prompt = '/script deltas=5 pace=0 fail=overloaded@3 times=2';
    const outcomes = await Promise.all([1, 2, 3].map(async (attempt) => (await play(prompt, attempt)).result.outcome));
    expect(outcomes).toEqual(['failed', 'failed', 'completed']);
  });

  test('[scripted] after the last delta it may still fail', async () => {
    const { result, sink } = await play('/script deltas=5 pace=0 fail=cut@5');
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'cut' } });
    expect(sink.blocks).toMatchObject([{ ended: false }]);
  });

  test('[scripted] silence is silent: no delta, no activity, until its time is over', async () => {
    const clock = new ManualClock();
    const sink = new RecordingSink();
    const running = scriptedModel({ clock }).stream(
      modelRequest('/script deltas=4 pace=1ms silence=5s@2'),
      sink,
      NEVER_ABORTED(),
    );
    await clock.run(5_001);
    const { activities } = sink;
    expect(sink.deltas).toHaveLength(2);
    await clock.run(5_002);
    expect([sink.deltas.length, sink.activities]).toEqual([2, activities]);
    await clock.run();
    expect((await running).outcome).toBe('completed');
    expect(sink.deltas).toHaveLength(4);
  });
});

describe('aborts', () => {
  test.each(['/script deltas=9 pace=1s', '/script deltas=9 pace=0 silence=1m', '/script deltas=9000 pace=0'])(
    '[P6] an abort needs no time to pass, and leaves no timer: %s',
    async (prompt) => {
      const clock = new ManualClock();
      const sink = new RecordingSink();
      const controller = new AbortController();
      const running = scriptedModel({ clock }).stream(modelRequest(prompt), sink, controller.signal);
      await settle();
      expect(clock.pending).toBe(1);
      controller.abort();
      expect(clock.pending).toBe(0);
      expect((await running).outcome).toBe('aborted');
      expect(sink.deltas).toEqual([]);
    },
  );
});
