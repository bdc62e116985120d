// What the simulated provider says, for whoever plays it and whoever checks it.

import type { AttemptResult, ModelError, ModelRequest, StopReason } from '../../actors/ports.ts';
import type { BlockType } from '../../protocol/content.ts';

/** What the provider has generated in one attempt. */
export type Generated = {
  readonly request: ModelRequest;
  readonly blocks: { readonly type: BlockType; text: string }[];
  outcome: AttemptResult['outcome'] | 'lost';
};

/** How it stops saying it. */
export type Ending =
  | { readonly kind: 'completed'; readonly stopReason: StopReason }
  | { readonly kind: 'failed'; readonly error: ModelError }
  | { readonly kind: 'silent' };
