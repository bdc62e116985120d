// What is left of an attempt when it is over: the parts that were shown, what it used, what it cost. Pure.

import type { Part, Usage } from '../../protocol/content.ts';
import type { ErrorBody } from '../../protocol/errors.ts';
import type { LiveBlock } from '../../protocol/events.ts';
import { partOfBlock } from '../../protocol/parts.ts';
import type { AttemptResult } from '../ports.ts';

/** How an attempt ended, as its settlement needs it. */
export type EndedAttempt = {
  readonly result: AttemptResult;
  readonly error: ErrorBody | null;
  readonly delayMs: number;
  /** What was shown of it, in order. */
  readonly parts: readonly Part[];
  readonly usage: Usage;
  readonly costMicros: bigint | null;
};

export type Ending = {
  readonly result: AttemptResult;
  /** As they were shown. */
  readonly blocks: readonly LiveBlock[];
  /** What the provider had said by then. */
  readonly usageSoFar: Usage | null;
  readonly cost: (usage: Usage) => bigint | null;
};

/** Without an error and a wait: those are for whoever judges it to add. */
export function endedAttempt({ result, blocks, usageSoFar, cost }: Ending): EndedAttempt {
  const parts: Part[] = blocks.filter((block) => block.text !== '').map(partOfBlock);
  const bytes = blocks.reduce((sum, block) => sum + block.bytes, 0);
  const usage = result.usage ?? usageSoFar ?? estimatedUsage(bytes);
  return { result, error: null, delayMs: 0, parts, usage, costMicros: cost(usage) };
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
