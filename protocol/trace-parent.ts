// A place in a trace as W3C writes it, `00-<trace id>-<span id>-<flags>` in lower-case hex
// (https://www.w3.org/TR/trace-context/#traceparent-header): one short text that fits into a frame, a row, a header, a log.

export type TraceParent = string & { readonly __brand: 'TraceParent' };

const TRACE_PARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Null for what is none: a client that sends nonsense is served all the same, its trace is not taken up (W3C §4.3). */
export function parseTraceParent(text: string | undefined): TraceParent | null {
  return text !== undefined && TRACE_PARENT.test(text) ? (text as TraceParent) : null;
}

/** What all spans of a trace share: 32 digits. */
export function traceId(at: TraceParent): string {
  return at.slice(3, 35);
}
