// Limits of the traces that a node sends. What happens when one is reached stands beside it.

export const TRACE_LIMITS = {
  /** Ended spans that wait to be sent; more: the newest are dropped. */
  queuedSpans: 4_096,
  batchSpans: 512,
  batchEveryMs: 1_000,
  /** For one batch, the library's own tries included; longer: the batch is given up. */
  exportMs: 5_000,
  requestsInFlight: 4,
  attributes: 16,
  attributeChars: 128,
  /** For what waits at the end; longer: it is given up. */
  stopMs: 2_000,
} as const;
