// A response in the background: whoever listens, and however often, it is paid once (models 4.5).

import { afterAll, describe, expect, test } from 'vitest';

import type { ResumedRun } from '../../actors/background-run.ts';
import type { Clock, ModelClient } from '../../actors/ports.ts';
import { openAiModel } from '../../actors/models/openai-responses.ts';
import { formatCursor, parseCursor } from '../../actors/models/openai-cursor.ts';
import { must } from '../../protocol/assert.ts';
import type { Plan } from './responses-fixture.ts';
import { API_KEY, responsesFixture, scripted } from './responses-fixture.ts';
import { NEVER_ABORTED, REAL_CLOCK, REAL_PORTS, RecordingSink, modelRequest, settle } from './support.ts';

const { fake, run, begin } = responsesFixture();

/** Those that tests made themselves. */
const clients: ModelClient[] = [];
afterAll(() => Promise.all(clients.map((client) => client.stop?.() ?? Promise.resolve())));

const BACKGROUND = modelRequest('hello', { background: true });
const TEXT = 'Größe 漢字 😀 👩‍👩‍👧 🇨🇭 one two three four five six seven eight nine ten ';

function newest(): ReturnType<typeof paidAt> {
  return paidAt(-1);
}

function paidAt(index: number) {
  return must(fake().endpoint.paid.at(index), 'the provider was paid');
}

/** What a crash leaves of an attempt that has shown `deltas`: what the journal holds then. */
async function crashAfter(deltas: number, plan: Plan): Promise<ResumedRun> {
  const { result, sink, abort } = begin(plan, BACKGROUND);
  await sink.untilDeltas(deltas);
  const background = must(sink.run, 'it runs in the background');
  const resume = { ref: background.ref, cursor: background.cursor(), blocks: sink.blocks };
  abort('abandoned');
  expect((await result).outcome).toBe('aborted');
  return resume;
}

describe('a response in the background', () => {
  test('[models 4.5] is stored, announced before its first block, and exact at its end', async () => {
    const { result, sink } = await run({ tokens: 5 }, BACKGROUND);
    expect(fake().requests.at(-1)?.body).toMatchObject({ background: true, store: true, stream: true });
    expect(sink.run?.ref).toBe(newest().id);
    expect(result).toMatchObject({ outcome: 'completed', usage: { output_tokens: 5, estimated: false } });
  });

  test.each([1, 3, 7, 12])(
    '[P10] after a crash behind delta %i it is listened to on from there, and paid once',
    async (deltas) => {
      const plan = { text: TEXT, thinking: { kind: 'signed', tokens: 3 }, paceMs: 5 } as const;
      const paid = fake().endpoint.paid.length;
      const resume = await crashAfter(deltas, plan);
      const { result, sink } = await run(null, { ...BACKGROUND, resume });
      const shown = sinkBlocks(resume, sink);
      expect(shown.map(({ text }) => text)).toEqual(['thought1 thought2 thought3 ', TEXT]);
      expect(shown.every(({ ended }) => ended)).toBe(true);
      expect(result).toMatchObject({ outcome: 'completed', usage: { estimated: false } });
      expect(fake().endpoint.paid.length - paid).toBe(1);
      expect(newest()).toMatchObject({ text: TEXT, cancels: 0, retrievals: 1 });
      expect(fake().requests.at(-1)?.path).toBe(`/v1/responses/${resume.ref}`);
      const kept = new TextDecoder().decode(result.provider?.json);
      expect(kept).toContain('encrypted_content');
      expect(kept).not.toContain('"id"');
    },
  );

  test('[P10] a stream that breaks is taken up again, as often as something new comes', async () => {
    const paid = fake().endpoint.paid.length;
    fake().endpoint.enqueueRetrievals({ cutAfter: 2 }, { cutAfter: 0 }, { status: 502, body: '' }, { cutAfter: 3 });
    const { result, sink } = await run({ text: TEXT, failure: { kind: 'close', after: 4 } }, BACKGROUND);
    expect(result.outcome).toBe('completed');
    expect(sink.blocks).toEqual([{ type: 'text', text: TEXT, ended: true }]);
    expect(fake().endpoint.paid.length - paid).toBe(1);
    expect(newest().retrievals).toBe(5);
  });

  test('[P10] an error event in its stream is not the end of it', async () => {
    const { result } = await run(
      { text: TEXT, failure: { kind: 'event', type: 'server_error', after: 4 } },
      BACKGROUND,
    );
    expect(result.outcome).toBe('completed');
    expect(newest().retrievals).toBe(1);
  });

  test('[models 4.5] one that is not streamed any more is read whole, once it is over', async () => {
    fake().endpoint.enqueueRetrievals('unstreamable');
    const plan = { text: TEXT, thinking: { kind: 'signed', tokens: 3 } } as const;
    const { result, sink } = await run({ ...plan, failure: { kind: 'close', after: 5 } }, BACKGROUND);
    expect(result).toMatchObject({ outcome: 'completed', usage: { estimated: false } });
    expect(sink.blocks.map(({ text }) => text)).toEqual(['thought1 thought2 thought3 ', TEXT]);
  });

  test('[models 4.5] one that is gone fails so that another attempt follows', async () => {
    fake().endpoint.enqueueRetrievals('gone', 'gone');
    const { result } = await run({ text: TEXT, failure: { kind: 'close', after: 5 } }, BACKGROUND);
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'unavailable', status: 404 } });
  });

  test('[models 4.5] shown text that the whole answer does not begin with is a failure, never changed in silence', async () => {
    const resume = await crashAfter(2, { text: TEXT });
    fake().endpoint.enqueueRetrievals('unstreamable');
    const [block] = resume.blocks;
    const other = { ...resume, blocks: [{ ...must(block, 'text was shown'), text: 'something else' }] };
    const { result } = await run(null, { ...BACKGROUND, resume: other });
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'cut' } });
  });
});

describe('giving it up', () => {
  test('[P6] a stop cancels it at the provider', async () => {
    const { result, sink, abort } = begin({ tokens: 1000, paceMs: 2 }, BACKGROUND);
    await sink.untilDeltas(3);
    abort();
    expect((await result).outcome).toBe('aborted');
    while (newest().cancels === 0) await settle();
    expect(newest().cancels).toBe(1);
  });

  test('[P6] to cancel twice, or what is over, changes nothing', async () => {
    await run({ tokens: 2 }, BACKGROUND);
    const client = clientWith(REAL_CLOCK);
    client.cancel?.(newest().id);
    client.cancel?.(newest().id);
    while (newest().cancels < 2) await settle();
    const resume = { ref: newest().id, cursor: null, blocks: [] };
    const { result } = await run(null, { ...BACKGROUND, resume });
    expect(result.outcome).toBe('completed');
  });

  test('[P10] an attempt that is abandoned leaves it to whoever comes next', async () => {
    await crashAfter(2, { tokens: 100, paceMs: 1 });
    await settle();
    expect(newest().cancels).toBe(0);
  });

  test('[P10] one that failed at the provider has nothing to cancel, and exact usage', async () => {
    const { result } = await run({ tokens: 3, stopReason: 'failed', words: { code: 'server_error' } }, BACKGROUND);
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'unavailable' }, usage: { estimated: false } });
    expect(newest().cancels).toBe(0);
  });

  test('[P12] one whose provider is away for minutes is given up after a bound, and cancelled', async () => {
    fake().endpoint.enqueue({ tokens: 3000, paceMs: 50, failure: { kind: 'close', after: 2 } });
    fake().endpoint.enqueueRetrievals(...away(60));
    const clock = new HurriedClock();
    const begunAtMs = clock.nowMs();
    const result = await clientWith(clock).stream(BACKGROUND, new RecordingSink(), NEVER_ABORTED());
    fake().endpoint.dropRetrievals();
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'unavailable' }, usage: { estimated: true } });
    expect(clock.waits.slice(0, 8)).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    expect(clock.nowMs() - begunAtMs).toBeGreaterThanOrEqual(FIVE_MINUTES_MS);
    expect(clock.waits.reduce((sum, wait) => sum + wait)).toBeLessThanOrEqual(FIVE_MINUTES_MS);
    while (newest().cancels === 0) await settle();
  });

  test('[P12] what the provider says that no wait helps against is given up after a few tries', async () => {
    const refused = { status: 422, body: '{}' };
    fake().endpoint.enqueue({ tokens: 3000, paceMs: 50, failure: { kind: 'close', after: 2 } });
    fake().endpoint.enqueueRetrievals(...Array.from({ length: 9 }, () => refused));
    const result = await clientWith(new HurriedClock()).stream(BACKGROUND, new RecordingSink(), NEVER_ABORTED());
    fake().endpoint.dropRetrievals();
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'bad_request', status: 422 } });
    expect(newest().retrievals).toBe(6);
  });

  test('[P12] one that stays in progress is given up after a bound, though each answer is a sign of life', async () => {
    fake().endpoint.enqueue({ text: TEXT, failure: { kind: 'close', after: 5 } });
    fake().endpoint.enqueueRetrievals('stuck');
    const clock = new HurriedClock(60);
    const begunAtMs = clock.nowMs();
    const result = await clientWith(clock).stream(BACKGROUND, new RecordingSink(), NEVER_ABORTED());
    expect(result).toMatchObject({ outcome: 'failed', error: { kind: 'silent' } });
    expect(clock.nowMs() - begunAtMs).toBeGreaterThanOrEqual(45 * 60_000);
    expect(clock.nowMs() - begunAtMs).toBeLessThan(50 * 60_000);
    while (newest().cancels === 0) await settle();
  });
});

describe('a provider that is away for a while', () => {
  const PLAN = { text: TEXT, failure: { kind: 'close', after: 4 } } as const;

  test.each([429, 500, 503, 529])(
    '[P10] half a minute of %i costs nothing: the same response goes on',
    async (status) => {
      const paid = fake().endpoint.paid.length;
      fake().endpoint.enqueue(PLAN);
      fake().endpoint.enqueueRetrievals(...away(8, status));
      const sink = new RecordingSink();
      const result = await clientWith(new HurriedClock()).stream(BACKGROUND, sink, NEVER_ABORTED());
      fake().endpoint.dropRetrievals();
      expect(result.outcome).toBe('completed');
      expect(sink.blocks).toEqual([{ type: 'text', text: TEXT, ended: true }]);
      expect(fake().endpoint.paid.length - paid).toBe(1);
      expect(newest()).toMatchObject({ retrievals: 9, cancels: 0 });
    },
  );

  test('[P10] is not asked before it wants to be', async () => {
    fake().endpoint.enqueue(PLAN);
    fake().endpoint.enqueueRetrievals({ status: 429, body: '{}', headers: { 'retry-after': '60' } });
    const clock = new HurriedClock();
    const result = await clientWith(clock).stream(BACKGROUND, new RecordingSink(), NEVER_ABORTED());
    expect(result.outcome).toBe('completed');
    expect(clock.waits.slice(0, 2)).toEqual([250, 60_000]);
  });

  test('[P10] is waited for also where the response is read whole', async () => {
    fake().endpoint.enqueue(PLAN);
    fake().endpoint.enqueueRetrievals('unstreamable', ...away(8));
    const result = await clientWith(new HurriedClock()).stream(BACKGROUND, new RecordingSink(), NEVER_ABORTED());
    fake().endpoint.dropRetrievals();
    expect(result.outcome).toBe('completed');
    expect(newest()).toMatchObject({ retrievals: 10, cancels: 0 });
  });
});

const FIVE_MINUTES_MS = 5 * 60_000;

function away(times: number, status = 503): readonly { status: number; body: string }[] {
  return Array.from({ length: times }, () => ({ status, body: '' }));
}

function clientWith(clock: Clock): ModelClient {
  const client = openAiModel({ apiKey: API_KEY, baseUrl: fake().baseUrl, ...REAL_PORTS, clock });
  clients.push(client);
  return client;
}

/** A clock whose waits are over at once, and `factor` times as long by what it says. */
class HurriedClock implements Clock {
  readonly #factor: number;
  #aheadMs = 0;
  readonly waits: number[] = [];

  constructor(factor = 1) {
    this.#factor = factor;
  }

  nowMs(): number {
    return REAL_CLOCK.nowMs() + this.#aheadMs;
  }

  after(delayMs: number, task: () => void): () => void {
    this.waits.push(delayMs);
    return REAL_CLOCK.after(1, () => {
      this.#aheadMs += delayMs * this.#factor;
      task();
    });
  }
}

describe('the cursor', () => {
  test('[models 4.5] half a code point that is held back is part of it', async () => {
    const plan = scripted((script) => {
      script.begin();
      script.push('response.output_text.delta', { output_index: 0, content_index: 0, delta: 'a\ud83d' });
      return script.push('response.output_text.delta', { output_index: 0, content_index: 0, delta: '\ude00b' });
    });
    const sink = new RecordingSink();
    let cursor = '';
    const write = sink.blockDelta.bind(sink);
    sink.blockDelta = (index, text) => {
      write(index, text);
      // Between the halves: what is held back by now.
      cursor ||= must(sink.run, 'it runs in the background').cursor();
    };
    fake().endpoint.enqueue(plan);
    const client = clientWith(REAL_CLOCK);
    fake().endpoint.enqueueRetrievals('gone', 'gone');
    await client.stream(BACKGROUND, sink, NEVER_ABORTED());
    expect(sink.deltas.join('')).toBe('a😀b');
    expect(parseCursor(cursor).blocks).toEqual([['0/0', '\ud83d']]);
  });

  test('[models 4.5] comes back as it was written; anything else is the beginning', () => {
    const cursor = { sequence: 41, blocks: [['0', ''] as const, ['1/0', '\ud83d'] as const] };
    expect(parseCursor(formatCursor(cursor))).toEqual(cursor);
    expect(formatCursor(cursor).isWellFormed()).toBe(true);
    for (const text of [null, '', '{}', 'x', '{"sequence":-1}']) {
      expect(parseCursor(text)).toEqual({ sequence: -1, blocks: [] });
    }
  });
});

/** What a client shows that saw the blocks of the crash, then what came after it. */
function sinkBlocks(resume: ResumedRun, sink: RecordingSink): readonly { text: string; ended: boolean }[] {
  const blocks = resume.blocks.map(({ text, ended }) => ({ text, ended }));
  for (const call of sink.calls) {
    if (call.call === 'start') blocks[call.index] = { text: '', ended: false };
    const block = 'index' in call ? blocks[call.index] : undefined;
    if (block !== undefined && call.call === 'delta') block.text += call.text;
    if (block !== undefined && call.call === 'end') block.ended = true;
  }
  return blocks;
}
