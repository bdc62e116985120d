import { describe, expect, it } from 'vitest';
import { ActorCounts } from '../../actors/chat/counts.ts';
import { measureActors } from '../../actors/host/measure.ts';
import { StoreCounts } from '../../storage/counts.ts';
import { GatewayCounts } from '../counts.ts';
import { createLogger } from '../logger.ts';
import { SessionRegistry } from '../session-registry.ts';
import { Owners } from '../shares.ts';
import { testConfig } from '../../test/gateway/support/harness.ts';
import { Metrics, type MetricsParts } from './service.ts';

const database = {
  waitingIntents: 0,
  waitingBytes: 0,
  batches: 0,
  connectionsTaken: 0,
  connectionsIdle: 0,
  waitingUses: 0,
};

/** The metrics of a node that does nothing. */
function idle(config: MetricsParts['config']): Metrics {
  const waiting = { activationsWaiting: 0, revivals: 0, toolsRunning: 0, toolsWaiting: 0 };
  return new Metrics({
    config,
    gateway: { counts: new GatewayCounts(), registry: new SessionRegistry(new Owners(testConfig())), unfinished: 0 },
    feeds: { stats: { owners: 0, followers: 0 }, framesSent: 0 },
    host: { counts: new ActorCounts(), measure: () => measureActors([], waiting) },
    store: { counts: new StoreCounts(), measure: () => database },
    tracing: { counts: { ended: 0, exported: 0, failed: 0 } },
    among: null,
    logger: createLogger('silent'),
  });
}

describe('the metrics of a node', () => {
  it('[§8] off means off', async () => {
    const metrics = idle({ port: 7077, metricsPort: 'off' });
    await metrics.start();
    expect(metrics.url).toBe(null);
    await metrics.stop();
  });

  it('[§8] with any port for the clients any port will do for them, and every series of a fixed set is there at once', async () => {
    const metrics = idle({ port: 0, metricsPort: null });
    await metrics.start();
    expect(metrics.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
    const text = await (await fetch(String(metrics.url))).text();
    expect(text).toContain('parley_limits_hit_total{limit="outboxHardBytes"} 0');
    expect(text).toContain('parley_attaches_total{outcome="resumed"} 0');
    expect(text).toContain('parley_actors{state="streaming"} 0');
    expect(text).toContain('parley_commit_batch_duration_seconds_bucket{le="+Inf"} 0');
    expect(text).toMatch(/^parley_process_resident_memory_bytes \d{7,}$/m);
    await metrics.stop();
    expect(metrics.url).toBe(null);
  });
});
