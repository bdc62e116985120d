// Runs of the simulated provider that go on in the background: what one says, and when, is settled as it begins, so that
// nodes that come and go hear the same. A run is paid for when it begins.

import type { Abandoned, ResumedRun } from '../../actors/background-run.ts';
import type { AttemptResult, Clock, ModelRequest, StepSink } from '../../actors/ports.ts';
import { must } from '../../protocol/assert.ts';
import type { BlockType, Usage } from '../../protocol/content.ts';
import type { Ending, Generated } from './generated.ts';

export type RunChunk = { readonly block: number; readonly type: BlockType; readonly text: string };

export type Run = {
  readonly generated: Generated;
  readonly chunks: readonly RunChunk[];
  /** When each chunk is there, in Unix milliseconds; the end comes with the last one. */
  readonly atMs: readonly number[];
  readonly ending: Ending;
  /** Somebody gave it up, or its end was heard. */
  isOver: boolean;
};

export type BackgroundOptions = {
  readonly clock: Clock;
  readonly runs: Map<string, Run>;
  readonly sink: StepSink;
  readonly signal: AbortSignal;
};

/** The provider's id of what it runs for an attempt. */
export function runRef(request: ModelRequest): string {
  return `run-${request.attempt}`;
}

/** Plays a run from where it is, or from the cursor; resolves as an adapter does. */
export async function playRun(
  ref: string,
  resume: ResumedRun | null,
  options: BackgroundOptions,
): Promise<AttemptResult> {
  const { runs, sink, signal } = options;
  const run = runs.get(ref);
  if (run === undefined || run.isOver) return GONE;
  let next = Number(resume?.cursor ?? 0);
  let index = (resume?.blocks.length ?? 0) - 1;
  let isOpen = resume?.blocks.at(-1)?.ended === false;
  sink.runsInBackground({ ref, cursor: () => String(next) });
  for (; next < run.chunks.length; next++) {
    const chunk = must(run.chunks[next], 'the chunk is in the run');
    if (chunk.block !== index) {
      if (isOpen) sink.blockEnd(index);
      index = chunk.block;
      isOpen = true;
      sink.blockStart(index, chunk.type);
    }
    await until(run.atMs[next] ?? 0, options);
    if (signal.aborted) return aborted(run, signal);
    sink.activity();
    sink.blockDelta(index, chunk.text);
  }
  if (run.ending.kind === 'silent') await until(Number.POSITIVE_INFINITY, options);
  if (signal.aborted) return aborted(run, signal);
  run.isOver = true;
  run.generated.outcome = run.ending.kind === 'completed' ? 'completed' : 'failed';
  if (run.ending.kind === 'failed') return { outcome: 'failed', error: run.ending.error, provider: null, usage: null };
  if (isOpen) sink.blockEnd(index);
  const stopReason = run.ending.kind === 'completed' ? run.ending.stopReason : 'end_turn';
  return { outcome: 'completed', stopReason, provider: null, usage: usageOf(run), requestId: 'request' };
}

function aborted(run: Run, signal: AbortSignal): AttemptResult {
  if (signal.reason !== ('abandoned' satisfies Abandoned)) run.isOver = true;
  return { outcome: 'aborted', provider: null, usage: null, requestId: null };
}

const GONE: AttemptResult = {
  outcome: 'failed',
  error: { kind: 'unavailable', status: 404, requestId: null, detail: 'gone', retryAfterMs: null },
  provider: null,
  usage: null,
};

function usageOf({ chunks }: Run): Usage {
  const chars = chunks.reduce((sum, { text }) => sum + text.length, 0);
  const output_tokens = Math.ceil(chars / 4);
  return { input_tokens: 1, output_tokens, cache_read_tokens: 0, cache_write_tokens: 0, estimated: false };
}

/** Resolves at the time, or as soon as the attempt is aborted. */
function until(atMs: number, { clock, signal }: BackgroundOptions): Promise<void> {
  const delayMs = atMs - clock.nowMs();
  if (signal.aborted || delayMs <= 0) return Promise.resolve();
  return new Promise((resolve) => {
    const cancel = delayMs === Number.POSITIVE_INFINITY ? undefined : clock.after(delayMs, resolve);
    signal.addEventListener(
      'abort',
      () => {
        cancel?.();
        resolve();
      },
      { once: true },
    );
  });
}
