import { beforeEach, describe, expect, test } from 'vitest';
import type { Read } from '../actors/ports.ts';
import type { NodeId } from '../protocol/ids.ts';
import { SimClock } from '../test/gateway/support/sim-clock.ts';
import { createLogger } from './logger.ts';
import type { NodesBeat } from '../storage/nodes.ts';
import { type LeaseNodes, NodeLease } from './node-lease.ts';
import { systemRandom } from './system-ports.ts';

const TTL_MS = 3_000;

/** The rows of the nodes: the clock of the test is the database's. */
class FakeNodes implements LeaseNodes {
  readonly ttlMs = TTL_MS;
  readonly expiries = new Map<NodeId, number>();
  reachable = true;
  self: NodeId | null = null;
  renewals = 0;
  onRegister = (): void => {};
  readonly #clock: SimClock;

  constructor(clock: SimClock) {
    this.#clock = clock;
  }

  register(id: NodeId): Promise<Read<'registered'>> {
    this.self = id;
    this.expiries.set(id, this.#clock.nowMs() + TTL_MS);
    this.onRegister();
    return this.#answer(() => 'registered' as const);
  }

  beat(mark: boolean): Promise<Read<NodesBeat>> {
    this.renewals += 1;
    return this.#answer(() => {
      const renewed = this.self !== null && this.expiries.has(this.self);
      const nowMs = this.#clock.nowMs();
      if (renewed && this.self !== null) this.expiries.set(this.self, nowMs + TTL_MS);
      const others = [...this.expiries].filter(([id]) => id !== this.self);
      const marked = mark && renewed ? others.filter(([, atMs]) => atMs < nowMs).map(([id]) => id) : [];
      for (const id of marked) this.expiries.delete(id);
      const live = others.filter(([id]) => !marked.includes(id));
      return { renewed, marked, others: live.map(([id, atMs]) => ({ id, leftMs: atMs - nowMs })) };
    });
  }

  markExpiredDead(): Promise<Read<readonly NodeId[]>> {
    return this.#answer(() => {
      const expired = [...this.expiries].filter(([, atMs]) => atMs < this.#clock.nowMs()).map(([id]) => id);
      for (const id of expired) this.expiries.delete(id);
      return expired;
    });
  }

  otherLiveNodes(): Promise<Read<readonly NodeId[]>> {
    return this.#answer(() => [...this.expiries.keys()].filter((id) => id !== this.self));
  }

  retire(): Promise<Read<'retired'>> {
    if (this.self !== null) this.expiries.delete(this.self);
    return this.#answer(() => 'retired' as const);
  }

  #answer<T>(value: () => T): Promise<Read<T>> {
    return Promise.resolve(
      this.reachable ? { outcome: 'read', value: value() } : { outcome: 'unavailable', detail: 'connection refused' },
    );
  }
}

let clock: SimClock;
let nodes: FakeNodes;
let lost: Error[];

beforeEach(() => {
  clock = new SimClock(Date.UTC(2026, 0, 1));
  nodes = new FakeNodes(clock);
  lost = [];
});

function take(): Promise<NodeLease> {
  const logger = createLogger('silent');
  return NodeLease.take({
    nodes,
    clock,
    random: systemRandom,
    logger,
    watcher: null,
    onLost: (error) => lost.push(error),
  });
}

/** Moves the clock in steps of the shortest wait, so that what waits for a promise in between gets its turn. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    clock.advance(100);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  }
}

describe('registering', () => {
  test('[gateway] alone, a node registers at once', async () => {
    const lease = await take();
    expect(nodes.self).toBe(lease.id);
    expect(lease.fault).toBeNull();
    await lease.release();
    expect(nodes.expiries.size).toBe(0);
    expect(clock.timers).toBe(0);
  });

  test('[gateway] one that was killed is waited for until it has expired', async () => {
    nodes.expiries.set('killed' as NodeId, clock.nowMs() + TTL_MS);
    const taking = take();
    await pass(TTL_MS - 100);
    expect(nodes.self).toBeNull();
    await pass(1_000);
    await (await taking).release();
  });

  test('[gateway] one that lives is an error that says what to do, after a bounded wait', async () => {
    nodes.expiries.set('alive' as NodeId, Number.POSITIVE_INFINITY);
    const refusal = take().catch((error: unknown) => error);
    await pass(3 * TTL_MS);
    expect(await refusal).toMatchObject({ name: 'StartError' });
    expect(nodes.self).toBeNull();
    expect(clock.timers).toBe(0);
  });

  test('[gateway] of two that start together each sees the other and signs off', async () => {
    nodes.onRegister = () => nodes.expiries.set('twin' as NodeId, clock.nowMs() + TTL_MS);
    await expect(take()).rejects.toThrow('Another Parley node uses this database.');
    expect([...nodes.expiries.keys()]).toEqual(['twin']);
    expect(clock.timers).toBe(0);
  });

  test('[gateway] a database that does not answer is an error that says what to do', async () => {
    nodes.reachable = false;
    await expect(take()).rejects.toThrow('The database does not answer (connection refused).');
  });
});

describe('renewing', () => {
  test('[gateway] the row is renewed three times per TTL; without it the node is not ready, with it it is again', async () => {
    const lease = await take();
    await pass(TTL_MS);
    expect(nodes.renewals).toBe(3);
    nodes.reachable = false;
    await pass(TTL_MS);
    expect(lease.fault).toBe('the database cannot be reached');
    nodes.reachable = true;
    await pass(TTL_MS / 3);
    expect(lease.fault).toBeNull();
    expect(lost).toEqual([]);
    await lease.release();
  });

  test('[P1] a node that was declared dead does not go on', async () => {
    const lease = await take();
    nodes.expiries.clear();
    await pass(TTL_MS / 3);
    expect(lost).toMatchObject([{ message: expect.stringContaining('declared dead') as string }]);
    await lease.release();
  });
});

describe('among others', () => {
  type Seen = { beats: (readonly string[])[]; heldAgain: number; lost: number; anew: string[] };

  async function among(): Promise<{ readonly lease: NodeLease; readonly seen: Seen }> {
    const seen: Seen = { beats: [], heldAgain: 0, lost: 0, anew: [] };
    const watcher = {
      onBeat: (others: readonly NodeId[]) => void seen.beats.push(others),
      onHeldAgain: () => void (seen.heldAgain += 1),
      onLost: () => void (seen.lost += 1),
      onAnew: (id: NodeId) => void seen.anew.push(id),
    };
    const logger = createLogger('silent');
    const onLost = (error: Error): void => void lost.push(error);
    const lease = await NodeLease.take({ nodes, clock, random: systemRandom, logger, watcher, onLost });
    return { lease, seen };
  }

  test('[§7] it starts beside one that lives; one that does not renew is marked dead when its time is up, not a beat later', async () => {
    nodes.expiries.set('alive' as NodeId, Number.POSITIVE_INFINITY);
    nodes.expiries.set('killed' as NodeId, clock.nowMs() + TTL_MS);
    const { lease, seen } = await among();
    await pass(TTL_MS - 100);
    expect(seen.beats.at(-1)).toEqual(['alive', 'killed']);
    await pass(200);
    expect(seen.beats.at(-1)).toEqual(['alive']);
    expect(nodes.renewals).toBeLessThanOrEqual(4);
    await lease.release();
    expect(clock.timers).toBe(0);
  });

  test('[P1] past its deadline it is late; renewed, it says so, and marks nobody dead for a TTL', async () => {
    const { lease, seen } = await among();
    nodes.reachable = false;
    await pass(TTL_MS);
    expect(lease.isLate).toBe(true);
    // The database was away for all: the other is as late as this one.
    nodes.expiries.set('late too' as NodeId, clock.nowMs() - 1);
    nodes.reachable = true;
    await pass(TTL_MS / 3);
    expect([lease.isLate, seen.heldAgain]).toEqual([false, 1]);
    expect(nodes.expiries.has('late too' as NodeId)).toBe(true);
    await pass(TTL_MS + TTL_MS / 3);
    expect(nodes.expiries.has('late too' as NodeId)).toBe(false);
    await lease.release();
  });

  test('[P1] declared dead it drops what it has and registers anew, as another', async () => {
    const { lease, seen } = await among();
    const first = lease.id;
    nodes.expiries.clear();
    await pass(TTL_MS / 3 + 100);
    expect(seen).toMatchObject({ lost: 1, anew: [lease.id] });
    expect(lease.id).not.toBe(first);
    expect([lease.isLate, lease.fault, lost]).toEqual([false, null, []]);
    await pass(TTL_MS);
    expect(nodes.expiries.has(lease.id)).toBe(true);
    await lease.release();
  });

  test('[§7] its heartbeats are one statement for each third of a TTL, however many others there are', async () => {
    for (let i = 0; i < 50; i++) nodes.expiries.set(`other ${i}` as NodeId, Number.POSITIVE_INFINITY);
    const { lease } = await among();
    await pass(10 * TTL_MS);
    expect(nodes.renewals).toBe(30);
    await lease.release();
  });
});
