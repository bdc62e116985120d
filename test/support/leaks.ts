// A leaked handle fails its test file. Vitest ends its workers by force, so that a server, socket, timer or process that
// a test forgot would never show; here what keeps the event loop alive after a file is compared with what did before it.
import { afterAll } from 'vitest';

/** Kinds of `process.getActiveResourcesInfo` that a test can leak. Requests in flight end by themselves. */
const LEAKABLE = new Set([
  'FSEventWrap',
  'MessagePort',
  'PipeServerWrap',
  'PipeWrap',
  'ProcessWrap',
  'SignalWrap',
  'TCPServerWrap',
  'TCPSocketWrap',
  'TLSWrap',
  'Timeout',
  'TTYWrap',
  'UDPWrap',
  'Worker',
]);

/** Closing takes some turns of the loop; what is open after this is leaked. */
const GRACE_MS = 2_000;

type Counts = ReadonlyMap<string, number>;

export function countHandles(resources: readonly string[]): Counts {
  const counts = new Map<string, number>();
  for (const kind of resources) if (LEAKABLE.has(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

/** What `after` has more of than `before`, as `kind ×n`. */
export function leakedHandles(before: Counts, after: Counts): string[] {
  return [...after]
    .filter(([kind, count]) => count > (before.get(kind) ?? 0))
    .map(([kind, count]) => `${kind} ×${count - (before.get(kind) ?? 0)}`);
}

const before = countHandles(process.getActiveResourcesInfo());

afterAll(async () => {
  const deadline = performance.now() + GRACE_MS;
  for (;;) {
    const leaked = leakedHandles(before, countHandles(process.getActiveResourcesInfo()));
    if (leaked.length === 0) return;
    if (performance.now() > deadline) throw new Error(`this file leaks handles: ${leaked.join(', ')}`);
    // eslint-disable-next-line no-loop-func -- one turn of the event loop each time
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
});
