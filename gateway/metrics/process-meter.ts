// How the process itself is: memory, processor time, open files, and how late the event loop runs.

import { readdirSync } from 'node:fs';
import { monitorEventLoopDelay, performance, type EventLoopUtilization, type IntervalHistogram } from 'node:perf_hooks';

export type ProcessMeasure = {
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
  /** Outside of the heap: buffers, and what native code holds. */
  readonly externalBytes: number;
  readonly cpuSeconds: number;
  /** Null where the system does not tell (no /proc). */
  readonly openFiles: number | null;
  readonly startedSeconds: number;
  /** Since the measure before: how much later than planned the loop came round. */
  readonly lagSeconds: { readonly p50: number; readonly p99: number; readonly max: number };
  /** Since the measure before: the part of the time in which the loop was at work, 0 to 1. */
  readonly busyRatio: number;
};

/** Every so often the loop is asked whether it is on time: what is shorter is not seen. */
const RESOLUTION_MS = 20;

/** started → stopped. */
export class ProcessMeter {
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #utilization: EventLoopUtilization = performance.eventLoopUtilization();

  start(): void {
    this.#delay.enable();
  }

  stop(): void {
    this.#delay.disable();
  }

  measure(): ProcessMeasure {
    const { rss, heapUsed, external } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    const utilization = performance.eventLoopUtilization();
    const { utilization: busyRatio } = performance.eventLoopUtilization(utilization, this.#utilization);
    this.#utilization = utilization;
    const lagSeconds = {
      p50: late(this.#delay.percentile(50)),
      p99: late(this.#delay.percentile(99)),
      max: late(this.#delay.max),
    };
    this.#delay.reset();
    return {
      residentBytes: rss,
      heapUsedBytes: heapUsed,
      externalBytes: external,
      cpuSeconds: (user + system) / 1e6,
      openFiles: openFiles(),
      startedSeconds: performance.timeOrigin / 1000,
      lagSeconds,
      busyRatio,
    };
  }
}

/** Node records the whole time between two rounds, in nanoseconds; the planned part of it is no lag. */
function late(nanoseconds: number): number {
  return Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1000) : 0;
}

function openFiles(): number | null {
  try {
    // One of them is the listing itself.
    return readdirSync('/proc/self/fd').length - 1;
  } catch {
    return null;
  }
}
