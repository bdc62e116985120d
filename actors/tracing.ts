// What a trace is to the actors: a port, so that nothing here knows a library or a global.

import { traceId, type TraceParent } from '../protocol/trace-parent.ts';

/**
 * `command`: from a client's command to its reply. `actor`: from its arrival at the chat to its decision. `commit`: a
 * durable step. `attempt`: one try of a step. `request`: to the provider.
 */
export type SpanName = 'command' | 'actor' | 'commit' | 'attempt' | 'request';

export type Span = {
  /** What it causes belongs under this; null when nothing is traced. */
  readonly at: TraceParent | null;
  /** Called once. `outcome` is a word of the code; `isFault` marks the span. */
  end(outcome: string, isFault: boolean): void;
};

export type Tracer = {
  /** `under` null: a trace of its own. */
  begin(name: SpanName, under: TraceParent | null, attributes: SpanAttributes): Span;
};

/** Names and numbers of the code, ids: never a text of somebody's. */
export type SpanAttributes = Readonly<Record<string, string | number>>;

const NO_SPAN: Span = { at: null, end: () => undefined };

/** Traces nothing, at no cost. */
export const NO_TRACER: Tracer = { begin: () => NO_SPAN };

/** For a line of the log; nothing when nothing is traced. */
export function traceField(at: TraceParent | null | undefined): { readonly trace?: string } {
  return at === null || at === undefined ? {} : { trace: traceId(at) };
}
