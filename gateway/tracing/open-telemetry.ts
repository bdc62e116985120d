// The tracer on OpenTelemetry's SDK, sending to a collector by OTLP over HTTP.
//
// Every option is given. What the exporter reads from OTEL_* variables all the same (headers, certificates, compression)
// is hidden from it while it is made. No global of the API is set: two nodes in one process trace apart. Queues are
// bounded: full, spans are dropped; a collector that is away costs a line in the log and nothing else.

import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags, type Span as ApiSpan } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  RandomIdGenerator,
  TracerProvider,
  type ReadableSpan,
  type SpanExporter,
} from '@opentelemetry/sdk-trace';
import type { Span, SpanName, Tracer } from '../../actors/tracing.ts';
import type { TraceParent } from '../../protocol/trace-parent.ts';
import { withoutVariables } from '../config-environment.ts';
import type { Logger } from '../logger.ts';
import { TRACE_LIMITS } from './limits.ts';
import type { TraceCounts, Tracing, TracingOptions } from './tracing.ts';

const KINDS: Readonly<Record<SpanName, SpanKind>> = {
  command: SpanKind.SERVER,
  actor: SpanKind.INTERNAL,
  commit: SpanKind.CLIENT,
  attempt: SpanKind.INTERNAL,
  request: SpanKind.CLIENT,
};

export function openTelemetry({ url, node, logger }: TracingOptions & { readonly url: string }): Tracing {
  const counts: TraceCounts = { ended: 0, exported: 0, failed: 0 };
  const exporter = withoutVariables(
    'OTEL_',
    () =>
      new OTLPTraceExporter({
        url,
        headers: {},
        concurrencyLimit: TRACE_LIMITS.requestsInFlight,
        timeoutMillis: TRACE_LIMITS.exportMs,
        keepAlive: true,
        httpAgentOptions: { keepAlive: true, maxSockets: TRACE_LIMITS.requestsInFlight },
        userAgent: 'parley',
      }),
  );
  const processor = new BatchSpanProcessor({
    exporter: new WatchedExporter(exporter, counts, logger),
    maxQueueSize: TRACE_LIMITS.queuedSpans,
    maxExportBatchSize: TRACE_LIMITS.batchSpans,
    scheduledDelayMillis: TRACE_LIMITS.batchEveryMs,
    exportTimeoutMillis: TRACE_LIMITS.exportMs,
  });
  const always = new AlwaysOnSampler();
  const never = new AlwaysOffSampler();
  const provider = new TracerProvider({
    resource: resource({ 'service.name': 'parley', 'service.instance.id': node }),
    // A client may ask to be left out; whether it asks to be in says nothing.
    sampler: new ParentBasedSampler({
      root: always,
      remoteParentSampled: always,
      remoteParentNotSampled: never,
      localParentSampled: always,
      localParentNotSampled: never,
    }),
    spanLimits: {
      attributeCountLimit: TRACE_LIMITS.attributes,
      attributeValueLengthLimit: TRACE_LIMITS.attributeChars,
      eventCountLimit: 0,
      linkCountLimit: 0,
      attributePerEventCountLimit: 0,
      attributePerLinkCountLimit: 0,
    },
    idGenerator: new RandomIdGenerator(),
    spanProcessors: [processor],
  });
  return {
    tracer: tracerOn(provider, counts),
    counts,
    stop: () => stopWithin(provider.shutdown(), logger),
  };
}

function tracerOn(provider: TracerProvider, counts: TraceCounts): Tracer {
  const tracer = provider.getTracer('parley', '1');
  return {
    begin(name, under, attributes) {
      const parent = under === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, placeOf(under));
      return new RunningSpan(tracer.startSpan(name, { kind: KINDS[name], attributes }, parent), counts);
    },
  };
}

class RunningSpan implements Span {
  readonly at: TraceParent;
  readonly #span: ApiSpan;
  readonly #counts: TraceCounts;

  constructor(span: ApiSpan, counts: TraceCounts) {
    const { traceId, spanId, traceFlags } = span.spanContext();
    this.at = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}` as TraceParent;
    this.#span = span;
    this.#counts = counts;
  }

  end(outcome: string, isFault: boolean): void {
    this.#span.setAttribute('parley.outcome', outcome);
    if (isFault) this.#span.setStatus({ code: SpanStatusCode.ERROR });
    this.#span.end();
    this.#counts.ended += 1;
  }
}

/** `isRemote`: what was begun elsewhere, or before in this process, is known by its place alone. */
function placeOf(under: TraceParent): {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
  readonly isRemote: true;
} {
  const [, traceId = '', spanId = '', flags = ''] = under.split('-');
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true };
}

/** Counts what becomes of spans, and says once that a collector does not take them. */
class WatchedExporter implements SpanExporter {
  readonly #exporter: SpanExporter;
  readonly #counts: TraceCounts;
  readonly #logger: Logger;
  #isFailing = false;

  constructor(exporter: SpanExporter, counts: TraceCounts, logger: Logger) {
    this.#exporter = exporter;
    this.#counts = counts;
    this.#logger = logger;
  }

  export(spans: ReadableSpan[], done: Parameters<SpanExporter['export']>[1]): void {
    this.#exporter.export(spans, (result) => {
      const isFailing = result.error !== undefined;
      this.#counts[isFailing ? 'failed' : 'exported'] += spans.length;
      // The error may quote what the collector answered: its name says enough.
      if (isFailing && !this.#isFailing)
        this.#logger.warn('the trace collector takes no spans', { name: result.error?.name });
      if (!isFailing && this.#isFailing) this.#logger.info('the trace collector takes spans again');
      this.#isFailing = isFailing;
      done(result);
    });
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown();
  }
}

type Resource = NonNullable<NonNullable<ConstructorParameters<typeof TracerProvider>[0]>['resource']>;

/** What the library would detect is left out: it looks at the machine and at variables. */
function resource(attributes: Readonly<Record<string, string>>): Resource {
  return {
    attributes,
    getRawAttributes: () => Object.entries(attributes),
    merge: (other) => resource({ ...attributes, ...(other?.attributes as Record<string, string> | undefined) }),
  };
}

async function stopWithin(shutdown: Promise<void>, logger: Logger): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), TRACE_LIMITS.stopMs);
  });
  const ended = shutdown.then(
    () => 'sent',
    () => 'failed',
  );
  const outcome = await Promise.race([ended, late]);
  clearTimeout(timer);
  if (outcome !== 'sent') logger.warn('spans were given up at the end', { outcome });
}
