// What every model client must do, whoever is behind it: run on the scripted model and on Anthropic's adapter.

import { getEventListeners } from 'node:events';

import { describe, expect, test } from 'vitest';

import type { ModelClient } from '../../actors/ports.ts';
import { NEVER_ABORTED, RecordingSink, modelRequest, settle, userItem } from './support.ts';

/** How to make the model behind a client do something: prompts in its own directives. */
export type ContractSubject = {
  readonly client: () => ModelClient;
  /** 12 deltas of text, no pause. */
  readonly twelve: string;
  /** 3 deltas of reasoning, then 5 of text. */
  readonly reasoning: string;
  /** 12 deltas again, many of them at once. */
  readonly burst: string;
  /** Thousands of deltas with a pause between them. */
  readonly endless: string;
  /** 2 deltas, then a minute of nothing. */
  readonly silent: string;
  /** Fails as overloaded after 4 deltas. */
  readonly failing: string;
  /** Text of every kind of code point, in pieces as small as they come; and what it is, whole. */
  readonly unicode: string;
  readonly unicodeText: string;
};

/** From the abort to the result, on a machine that is busy with other tests; what is aborted would go on for 10 s or more. */
const PROMPT_MS = 100;

export function modelContract(name: string, subject: ContractSubject): void {
  describe(`model contract: ${name}`, () => {
    test('[models] blocks are numbered 0, 1, … in order, each started and ended once, deltas in between', async () => {
      const sink = new RecordingSink();
      const result = await subject.client().stream(modelRequest(subject.reasoning), sink, NEVER_ABORTED());
      expect(result.outcome).toBe('completed');
      const shape = sink.calls.flatMap((call) => (call.call === 'usage' ? [] : [`${call.call} ${call.index}`]));
      expect(shape).toEqual([
        'start 0',
        ...Array.from({ length: 3 }, () => 'delta 0'),
        'end 0',
        'start 1',
        ...Array.from({ length: 5 }, () => 'delta 1'),
        'end 1',
      ]);
      expect(sink.blocks.map((block) => block.type)).toEqual(['reasoning', 'text']);
    });

    test('[P10] a completed attempt has exact usage, the last that the sink heard', async () => {
      const sink = new RecordingSink();
      const result = await subject.client().stream(modelRequest(subject.twelve), sink, NEVER_ABORTED());
      if (result.outcome !== 'completed') throw new Error(`not completed but ${result.outcome}`);
      expect(sink.deltas).toHaveLength(12);
      expect(result.usage).toEqual(sink.usages.at(-1));
      expect(result.usage.estimated).toBe(false);
      expect(result.usage.output_tokens).toBeGreaterThan(0);
      expect(sink.usages.slice(0, -1).every((usage) => usage.estimated)).toBe(true);
    });

    test('[P6] an abort in mid-stream ends the attempt at once, and nothing is written after it', async () => {
      const sink = new RecordingSink();
      const controller = new AbortController();
      const running = subject.client().stream(modelRequest(subject.endless), sink, controller.signal);
      await sink.untilDeltas(3);
      controller.abort();
      const abortedAt = performance.now();
      const { length } = sink.calls;
      const { activities } = sink;
      const result = await running;
      expect(performance.now() - abortedAt).toBeLessThan(PROMPT_MS);
      await settle();
      expect(sink.calls).toHaveLength(length);
      expect(sink.activities).toBe(activities);
      expect(result.outcome).toBe('aborted');
      expect(result.outcome === 'aborted' && result.usage?.estimated).toBe(true);
      expect(sink.blocks.at(-1)?.ended).toBe(false);
    });

    test('[P6] an abort from within a delta lets no other through, though more had come with it', async () => {
      const controller = new AbortController();
      const sink = new RecordingSink();
      const write = sink.blockDelta.bind(sink);
      sink.blockDelta = (index, text) => {
        write(index, text);
        if (sink.deltas.length === 3) controller.abort();
      };
      const result = await subject.client().stream(modelRequest(subject.burst), sink, controller.signal);
      expect(result.outcome).toBe('aborted');
      expect(sink.deltas).toHaveLength(3);
      expect(sink.calls.at(-1)?.call).toBe('delta');
    });

    test('[P6] an abort while the model is silent ends the attempt at once', async () => {
      const sink = new RecordingSink();
      const controller = new AbortController();
      const running = subject.client().stream(modelRequest(subject.silent), sink, controller.signal);
      await sink.untilDeltas(2);
      controller.abort();
      const abortedAt = performance.now();
      expect((await running).outcome).toBe('aborted');
      expect(performance.now() - abortedAt).toBeLessThan(PROMPT_MS);
    });

    test('[P6] an attempt aborted before it began writes nothing', async () => {
      const sink = new RecordingSink();
      const result = await subject.client().stream(modelRequest(subject.twelve), sink, AbortSignal.abort());
      expect(result).toEqual({ outcome: 'aborted', provider: null, usage: null, requestId: null });
      expect(sink.calls).toEqual([]);
      expect(sink.activities).toBe(0);
    });

    test('[models] a failure resolves with its kind, leaves its block open and counts what was sent', async () => {
      const sink = new RecordingSink();
      const result = await subject.client().stream(modelRequest(subject.failing), sink, NEVER_ABORTED());
      if (result.outcome !== 'failed') throw new Error(`not failed but ${result.outcome}`);
      expect(result.error.kind).toBe('overloaded');
      expect(result.usage?.estimated).toBe(true);
      expect(result.usage?.output_tokens).toBeGreaterThan(0);
      expect(sink.deltas).toHaveLength(4);
      expect(sink.blocks).toMatchObject([{ type: 'text', ended: false }]);
    });

    test('[P12] an empty prompt resolves', async () => {
      for (const items of [[], [userItem('')], [userItem(' \n')]]) {
        const controller = new AbortController();
        const sink = new RecordingSink();
        const running = subject.client().stream(modelRequest(items), sink, controller.signal);
        // The scripted model answers at a human pace: its first word is enough.
        void sink.untilDeltas(1).then(() => controller.abort());
        expect(['aborted', 'completed', 'failed']).toContain((await running).outcome);
      }
    });

    test('[models] no delta is empty or ends inside a code point, whatever the pieces are', async () => {
      const sink = new RecordingSink();
      await subject.client().stream(modelRequest(subject.unicode), sink, NEVER_ABORTED());
      expect(sink.deltas.join('')).toBe(subject.unicodeText);
      expect(sink.deltas.every((delta) => delta !== '' && delta.isWellFormed())).toBe(true);
      expect(/[\u{10000}-\u{10ffff}]/u.test(subject.unicodeText)).toBe(true);
    });

    test('[models 4.2] a signal that outlives the attempt keeps nothing of it', async () => {
      const controller = new AbortController();
      for (const prompt of [subject.twelve, subject.failing, subject.reasoning]) {
        await subject.client().stream(modelRequest(prompt), new RecordingSink(), controller.signal);
        expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
      }
    });

    test('[models] attempts at the same time do not mix', async () => {
      const client = subject.client();
      const prompts = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? subject.twelve : subject.reasoning));
      const sinks = prompts.map(() => new RecordingSink());
      const results = await Promise.all(
        prompts.map((prompt, i) =>
          client.stream(modelRequest(prompt), sinks[i] ?? new RecordingSink(), NEVER_ABORTED()),
        ),
      );
      expect(results.every((result) => result.outcome === 'completed')).toBe(true);
      expect(sinks.map((sink) => sink.deltas.length)).toEqual(prompts.map((_, i) => (i % 2 === 0 ? 12 : 8)));
    });
  });
}
