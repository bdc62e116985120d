// What an actor is given, and what it answers to those who attach.

import type { Position } from '../../protocol/position.ts';
import type { ChatStore, Clock, Log, ModelDirectory, Random } from '../ports.ts';
import type { ToolRunner } from '../tool-ports.ts';
import type { Tracer } from '../tracing.ts';
import type { ActorCounts, EndReason } from './counts.ts';
import type { ChatSettings } from './settings.ts';
import type { LogOpening } from './stream-log.ts';

export type ActorDepsOf<Actor> = {
  readonly clock: Clock;
  readonly random: Random;
  readonly store: ChatStore;
  readonly models: ModelDirectory;
  readonly tools: ToolRunner;
  readonly settings: ChatSettings;
  readonly log: Log;
  readonly counts: ActorCounts;
  readonly tracer: Tracer;
  readonly onEnded: (actor: Actor, reason: EndReason) => void;
  /** A commit has moved the feed of this owner. Runs inside the actor: mark and return. */
  readonly onFed: (owner: string) => void;
  /** A commit has told other chats something: mark and return. */
  readonly onTold: () => void;
  /** Of a node among others: while it may have lost its chats nothing new is shown. */
  readonly suspension?: Pick<LogOpening, 'isSuspended'>;
};

export type AttachAt =
  | { readonly outcome: 'resumed'; readonly position: Position; readonly detach: () => void }
  | { readonly outcome: 'snapshot'; readonly position: Position; readonly detach: () => void }
  /** The cursor names a place that this log has not reached. */
  | { readonly outcome: 'ahead' };
