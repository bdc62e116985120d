// An attempt that a provider runs in the background: it goes on while nobody listens, so whoever comes after a crash goes on
// listening instead of paying for another one.

import type { BlockType, CallName } from '../protocol/content.ts';

/** What a provider runs. */
export type ProviderRun = {
  /** The provider's id of it. */
  readonly ref: string;
  /** Where the provider's stream is by now, for whoever goes on from there: what came up to it is in the sink. */
  cursor(): string;
};

/** A run that was begun in an epoch before this one. */
export type ResumedRun = {
  readonly ref: string;
  /** Null: from the beginning. */
  readonly cursor: string | null;
  /** What was shown up to the cursor, in order. */
  readonly blocks: readonly ResumedBlock[];
};

export type ResumedBlock = {
  readonly type: BlockType;
  readonly text: string;
  readonly ended: boolean;
  readonly call?: CallName;
};

/** The reason of an abort that leaves the run to whoever comes next; after any other it is given up. */
export type Abandoned = 'abandoned';
