// The metrics of a node as one service: what it looks at, the text of it, and the port on which it is served.

import type { Cluster } from '../../actors/cluster/cluster.ts';
import { ClusterCounts } from '../../actors/cluster/counts.ts';
import type { NodeChatHost } from '../../actors/host/chat-host.ts';
import type { OpenStore } from '../../storage/store.ts';
import type { Config } from '../config.ts';
import type { Feeds } from '../feeds.ts';
import type { Gateway } from '../gateway.ts';
import type { Logger } from '../logger.ts';
import type { Tracing } from '../tracing/tracing.ts';
import { Exposition } from './exposition.ts';
import { ProcessMeter } from './process-meter.ts';
import type { View } from './samples.ts';
import { METRICS_PORT_DEFAULT, type MetricsPort, serveMetrics } from './server.ts';

export type MetricsParts = {
  readonly config: Pick<Config, 'port' | 'metricsPort'>;
  readonly gateway: Pick<Gateway, 'counts' | 'registry' | 'unfinished'>;
  readonly feeds: Pick<Feeds, 'stats' | 'framesSent'>;
  readonly host: Pick<NodeChatHost, 'counts' | 'measure'>;
  readonly store: Pick<OpenStore, 'counts' | 'measure'>;
  readonly tracing: Pick<Tracing, 'counts'>;
  /** Null: the node stands alone. */
  readonly among: { readonly counts: ClusterCounts; readonly cluster: Pick<Cluster, 'measure'> } | null;
  readonly logger: Logger;
};

/** idle → serving → stopped; or idle → stopped, when they are off. */
export class Metrics {
  readonly #parts: MetricsParts;
  readonly #process = new ProcessMeter();
  #server: { readonly url: string; readonly stop: () => Promise<void> } | null = null;

  constructor(parts: MetricsParts) {
    this.#parts = parts;
  }

  /** Null when they are off. */
  get url(): string | null {
    return this.#server?.url ?? null;
  }

  /** Throws a `StartError` when the port that was asked for cannot be had. */
  async start(): Promise<void> {
    const port = portOf(this.#parts.config);
    if (port === null) return;
    this.#process.start();
    const { logger, gateway } = this.#parts;
    const { limits } = gateway.counts;
    this.#server = await serveMetrics(port, new Exposition(() => this.#look()), { logger, limits });
  }

  async stop(): Promise<void> {
    this.#process.stop();
    await this.#server?.stop();
    this.#server = null;
  }

  #look(): View {
    const { gateway, feeds, host, store, tracing, among } = this.#parts;
    return {
      gateway: gateway.counts,
      unfinished: gateway.unfinished,
      closed: gateway.registry.closed,
      sessions: gateway.registry.measure(),
      feeds: { ...feeds.stats, framesSent: feeds.framesSent },
      chats: host.counts,
      actors: host.measure(),
      store: store.counts,
      database: store.measure(),
      cluster: among?.counts ?? ALONE,
      among: among?.cluster.measure() ?? null,
      spans: tracing.counts,
      process: this.#process.measure(),
    };
  }
}

const ALONE = new ClusterCounts();

function portOf({ port, metricsPort }: Pick<Config, 'port' | 'metricsPort'>): MetricsPort | null {
  if (metricsPort === 'off') return null;
  if (metricsPort !== null) return { port: metricsPort, isDefault: false };
  // Who takes any port for the clients, as tests do, has more than one node in mind.
  return { port: port === 0 ? 0 : METRICS_PORT_DEFAULT, isDefault: true };
}
