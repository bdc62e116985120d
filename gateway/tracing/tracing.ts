// Tracing as a service of the node: off unless a collector is configured, and then the only place that loads OpenTelemetry's
// SDK. Everybody else knows the port `Tracer` of actors/tracing.ts.

import { NO_TRACER, type Tracer } from '../../actors/tracing.ts';
import type { Logger } from '../logger.ts';

export type Tracing = {
  readonly tracer: Tracer;
  readonly counts: TraceCounts;
  /** Sends what waits, for a moment; what cannot be sent is given up. Never rejects. */
  stop(): Promise<void>;
};

/** Spans since the start. What began and is in none of the others is under way, or waits, or did not fit any more. */
export type TraceCounts = { ended: number; exported: number; failed: number };

export type TracingOptions = {
  /** Of a collector, `http://127.0.0.1:4318/v1/traces`; null: off. */
  readonly url: string | null;
  readonly node: string;
  readonly logger: Logger;
};

/** Loads the SDK only when it is needed: off costs nothing, not even the memory of the library. */
export async function startTracing(options: TracingOptions): Promise<Tracing> {
  const { url } = options;
  if (url === null) {
    return { tracer: NO_TRACER, counts: { ended: 0, exported: 0, failed: 0 }, stop: () => Promise.resolve() };
  }
  const { openTelemetry } = await import('./open-telemetry.ts');
  return openTelemetry({ ...options, url });
}
