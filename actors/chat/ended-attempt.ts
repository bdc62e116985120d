// What is left of an attempt when it is over: the parts that were shown, what it used, what it cost. Pure.

import type { Part, Usage } from '../../protocol/content.ts';
import type { ErrorBody } from '../../protocol/errors.ts';
import type { LiveBlock } from '../../protocol/events.ts';
import { partOfBlock } from '../../protocol/parts.ts';
import type { AttemptResult } from '../ports.ts';
import { withoutUnfinished } from './tool-calls.ts';

/** How an attempt ended, as its settlement needs it. */
export type EndedAttempt = {
  readonly result: AttemptResult;
  readonly error: ErrorBody | null;
  readonly delayMs: number;
  /** What was shown of it, in order. */
  readonly parts: readonly Part[];
  /** Calls that were shown are left out, so that the provider's own blocks say more than is kept. */
  readonly dropped: boolean;
  readonly usage: Usage;
  readonly costMicros: bigint | null;
};

export type Ending = {
  readonly result: AttemptResult;
  /** As they were shown. */
  readonly blocks: readonly LiveBlock[];
  /** Somebody has asked to stop: nothing of it runs, whatever it says. */
  readonly isStopping: boolean;
  /** What the provider had said by then. */
  readonly usageSoFar: Usage | null;
  readonly cost: (usage: Usage) => bigint | null;
};

/** Without an error and a wait: those are for whoever judges it to add. */
export function endedAttempt({ result, blocks, isStopping, usageSoFar, cost }: Ending): EndedAttempt {
  const shown = blocks.filter((block) => block.text !== '' || block.type === 'tool_call');
  const parts = keptParts(shown, isStopping ? null : result);
  const bytes = blocks.reduce((sum, block) => sum + block.bytes, 0);
  const usage = result.usage ?? usageSoFar ?? estimatedUsage(bytes);
  const dropped = parts.length < shown.length;
  return { result, error: null, delayMs: 0, parts, dropped, usage, costMicros: cost(usage) };
}

/** Whether the model has handed over to its tools: only then does a call of its run. */
export function asksForTools(result: AttemptResult): boolean {
  return result.outcome === 'completed' && result.stopReason === 'tool_use';
}

/** Where the answer was cut, a call that has not ended is none; a refused answer goes into no prompt, so nothing of it does. */
/** `result` null: as if there were none. */
function keptParts(blocks: readonly LiveBlock[], result: AttemptResult | null): readonly Part[] {
  if (result !== null && asksForTools(result)) return blocks.map(partOfBlock);
  const isRefused = result?.outcome === 'completed' && result.stopReason === 'refusal';
  const kept = blocks.filter((block) => block.type !== 'tool_call' || (block.ended && !isRefused));
  return withoutUnfinished(kept.map(partOfBlock));
}

/** About four bytes of text a token: nobody said the figures. */
export function estimatedUsage(bytes: number): Usage {
  return {
    input_tokens: 0,
    output_tokens: Math.ceil(bytes / 4),
    cache_read_tokens: 0,
    cache_write_tokens: 0,
    estimated: true,
  };
}
