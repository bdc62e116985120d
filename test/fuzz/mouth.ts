// What the model of a play says: texts that are each said once, so that every one of them can be looked for.

import type { ModelErrorKind, StopReason } from '../../actors/ports.ts';
import { must } from '../../protocol/assert.ts';
import type { FuzzProviders, SaidCall } from './providers.ts';
import type { Spoken } from './scene.ts';
import { CALLS } from './tools.ts';

const CALLS_MAX = 3;

export class Mouth {
  #said = 0;
  #calls = 0;

  stream(spoken: Spoken): void {
    const { sink } = spoken.attempt;
    if (spoken.blocks === 0) sink.blockStart(spoken.blocks++, 'text');
    const text = `{said ${++this.#said}}`;
    sink.blockDelta(0, text);
    spoken.text += text;
  }

  complete(spoken: Spoken, providers: FuzzProviders, inputTokens = 100): void {
    if (spoken.text === '') this.stream(spoken);
    this.#end(spoken, { stopReason: 'end_turn', calls: [], inputTokens, providers });
  }

  call(spoken: Spoken, pick: number, providers: FuzzProviders): void {
    const calls = this.#call(spoken, pick);
    this.#end(spoken, { stopReason: 'tool_use', calls, inputTokens: 100, providers });
  }

  /** The answer ends at its limit: nothing runs. */
  cutCall(spoken: Spoken, pick: number): void {
    this.#call(spoken, pick);
    this.#end(spoken, { stopReason: 'max_tokens', calls: [], inputTokens: 100, providers: null });
  }

  refuse(spoken: Spoken): void {
    this.#end(spoken, { stopReason: 'refusal', calls: [], inputTokens: 100, providers: null });
  }

  fail(spoken: Spoken, kind: ModelErrorKind): void {
    spoken.isOver = true;
    spoken.attempt.fail(kind);
  }

  crash(spoken: Spoken): void {
    spoken.isOver = true;
    spoken.attempt.crash();
  }

  #call({ attempt: { sink }, ...spoken }: Spoken, pick: number): readonly SaidCall[] {
    let block = spoken.blocks;
    if (block > 0) sink.blockEnd(0);
    return Array.from({ length: 1 + (pick % CALLS_MAX) }, (_, i) => {
      const [name, args] = must(CALLS[(pick * 7 + i * 3) % CALLS.length], 'there is a call');
      const id = `call_${++this.#calls}`;
      sink.blockStart(block, 'tool_call', { call: id, name });
      sink.blockDelta(block, args);
      sink.blockEnd(block++);
      return { id, name, args };
    });
  }

  #end(
    spoken: Spoken,
    said: {
      readonly stopReason: StopReason;
      readonly calls: readonly SaidCall[];
      readonly inputTokens: number;
      /** Null: nothing of it goes back as its provider sent it. */
      readonly providers: FuzzProviders | null;
    },
  ): void {
    spoken.isOver = true;
    const { attempt, text } = spoken;
    const { stopReason, calls, inputTokens, providers } = said;
    if (spoken.blocks > 0 && calls.length === 0) attempt.sink.blockEnd(0);
    const provider = providers?.blocks(attempt.request, { text, calls }) ?? null;
    const tokens = { input_tokens: inputTokens, output_tokens: 1, cache_read_tokens: 0, cache_write_tokens: 0 };
    attempt.end({
      outcome: 'completed',
      stopReason,
      provider,
      usage: { ...tokens, estimated: false },
      requestId: null,
    });
  }
}
