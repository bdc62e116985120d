// What the actors need of tools: their descriptions for the model, and something that runs one call of one.

import type { ToolStatus } from '../protocol/content.ts';
import type { ChatId, OwnerId, TurnId } from '../protocol/ids.ts';

/** A tool as the model is told of it. A request has them sorted by name, so that its beginning stays the same (P8). */
export type ToolSpec = {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of the arguments, as JSON text: always the same bytes for the same tool. */
  readonly schema: string;
};

/** A tool that runs in the server. */
export type ServerTool = ToolSpec & {
  /** It changes nothing: running it again, or not knowing whether it ran, does no harm. */
  readonly readOnly: boolean;
  /** Run again with the same key it has no further effect: after a crash it is. */
  readonly idempotent: boolean;
  /** No other call of the chat runs beside it. */
  readonly exclusive: boolean;
  readonly needsApproval: boolean;
};

export type ToolInvocation = {
  readonly chat: ChatId;
  readonly owner: OwnerId;
  readonly name: string;
  /** Raw JSON, as the model wrote it. */
  readonly args: string;
  /** The same for every run of the call: what an idempotent tool recognises it by. */
  readonly key: string;
};

/** Where a tool writes what it has so far. Calls after the end of its run are ignored. */
export type ToolSink = { progress(text: string): void };

/** How a run ended. `denied` and `unknown` are never a runner's to say. */
export type ToolOutcome = {
  readonly status: Exclude<ToolStatus, 'denied' | 'unknown'>;
  readonly text: string;
};

export type ToolRunner = {
  /** Sorted by name. */
  readonly tools: readonly ServerTool[];
  /** What is wrong with the arguments, for the model to mend; null: nothing is. */
  fault(name: string, args: string): string | null;
  /** Calls that run, and that wait in line. */
  measure(): { readonly running: number; readonly waiting: number };
  /** Waits for its turn, runs, and resolves once; never rejects. After `signal` it resolves promptly with `interrupted`. */
  run(invocation: ToolInvocation, sink: ToolSink, signal: AbortSignal): Promise<ToolOutcome>;
};

/** One call of the running turn's step, as the ledger of executions has it. It is settled exactly once (P7). */
export type CallRow = ToolCall & CallState;

export type ToolCall = {
  readonly turn: TurnId;
  readonly step: number;
  /** Its place among the calls of the step, from 0: what names it, because providers' ids may repeat. */
  readonly index: number;
  /** The provider's id. */
  readonly call: string;
  readonly name: string;
  /** Raw JSON. */
  readonly args: string;
  /** The idempotency key: the same for every run of the call. */
  readonly key: string;
  /** Of the arguments and the definition of the tool: an approval holds for these only. */
  readonly hash: string;
};

export type CallState =
  /** A run of it was begun, or will be by whoever has the chat. */
  | { readonly state: 'running' }
  | { readonly state: 'waiting'; readonly wait: CallWait; readonly deadlineAtMs: number }
  | { readonly state: 'settled'; readonly status: ToolStatus };

/** For a client that runs the tool, or for the owner's leave. */
export type CallWait = 'result' | 'approval';
