// What an operator may set about chats, and the limits of an actor. Every number has its unit and its reason.

import { assert } from '../../protocol/assert.ts';
import type { JournalMode } from '../turn-ports.ts';

export type ChatSettings = {
  /** Chunks that follow within this time are merged into one event; the first one goes out at once. */
  readonly mergeWindowMs: number;
  readonly journal: JournalMode;
  /** How often streamed text is journaled when it is `batched`: what a crash may take back at most. */
  readonly journalEveryMs: number;
  /** A provider that sends nothing for this long is given up. 0: never. */
  readonly silenceTimeoutMs: number;
  /** Tries of one step, the first included. */
  readonly attemptsMax: number;
  readonly retryBaseMs: number;
  readonly retryCeilingMs: number;
  /** How long an aborted request may take to end before the turn is settled without it. */
  readonly stopGraceMs: number;
  /** Requests of one turn that may call tools; then the model is asked once more, to come to an end. */
  readonly stepsMax: number;
  /** How long a call of a client's tool waits for its result. */
  readonly clientDeadlineMs: number;
  /** How long a call waits for the owner's leave. */
  readonly approvalDeadlineMs: number;
  /** Part of every system prompt on this deployment; empty: none. */
  readonly deploymentPrompt: string;
};

export const CHAT_DEFAULTS: ChatSettings = {
  mergeWindowMs: 15,
  journal: 'batched',
  journalEveryMs: 500,
  // Slow reasoning models say nothing for minutes: 60 s would kill them.
  silenceTimeoutMs: 600_000,
  attemptsMax: 8,
  retryBaseMs: 1_000,
  retryCeilingMs: 60_000,
  stopGraceMs: 2_000,
  // A turn of hundreds of steps is one that goes in circles.
  stepsMax: 200,
  clientDeadlineMs: 5 * 60_000,
  // People look at their phone more seldom than a program answers.
  approvalDeadlineMs: 30 * 60_000,
  deploymentPrompt: '',
};

export const CHAT_LIMITS = {
  /** The ring of one chat: at about 60 bytes a frame the count is the tighter one. Full: the oldest leave. */
  ringBytes: 1024 * 1024,
  ringEvents: 8_192,
  /** A merged delta of a follower that catches up. */
  mergedDeltaBytes: 16 * 1024,
  /** What one attempt may stream (and what may wait behind a commit). More: the attempt fails. */
  stepBytes: 4 * 1024 * 1024,
  /** Commands whose replies are kept in memory; older ones are looked up in storage. */
  rememberedCommands: 256,
  /** Commands that wait in one actor. More: `unavailable`. */
  mailbox: 1_024,
  /** Tries of a commit that was certainly not applied, 50 ms doubling to 2 s: about 15 s in all. */
  commitTries: 12,
  commitRetryBaseMs: 50,
  commitRetryCeilingMs: 2_000,
  /** Calls of one step. More: those are answered with an error. */
  callsPerStep: 64,
  /** A turn is taken up again after at most so many crashes. */
  recoveriesMax: 3,
  /** Shared by catch-up reads at one top. */
  cachedReads: 16,
} as const;

assert(CHAT_LIMITS.mergedDeltaBytes < CHAT_LIMITS.ringBytes, 'a merged delta is smaller than the ring it comes from');
