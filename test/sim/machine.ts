// One machine of a simulated cluster: a place where one process after the other runs as a node among others, with its own
// clock, its own way to the database and its own end of the bus.

import { CLUSTER_VERSION } from '../../actors/cluster/envelope.ts';
import type { ClusterCounts } from '../../actors/cluster/counts.ts';
import { ClusterNode } from '../../gateway/cluster.ts';
import { NodeLease, type LeaseNodes, type LeaseWatcher } from '../../gateway/node-lease.ts';
import { StartError } from '../../gateway/start-error.ts';
import type { ChatId } from '../../protocol/ids.ts';
import { override } from './audit.ts';
import type { SimBus, SimHub } from './bus.ts';
import type { FaultyStore } from './faulty-store.ts';
import { MachineClock, type ClockFaults } from './machine-clock.ts';
import { MemoryNodes } from './memory-nodes.ts';
import { MemoryStore } from './memory-store.ts';
import { simLogger, SimNode } from './node.ts';
import type { World } from './world.ts';

/** As in production. */
const TTL_MS = 3_000;
const KEY = new Uint8Array(32).fill(7);
/** A process that could not start is started again by whoever looks after it. */
const SUPERVISOR_MS = 1_000;
const DRIFT_MAX = 0.01;
const SKEW_MS_MAX = 5_000;

type Process = {
  readonly clock: MachineClock;
  readonly faulty: FaultyStore;
  readonly bus: SimBus;
  readonly among: ClusterNode;
};

/** off → starting → up → draining → off; a crash leads to off from everywhere. */
export class Machine {
  readonly #world: World;
  readonly #hub: SimHub;
  readonly #name: string;
  readonly #clockFaults: ClockFaults;
  #state: 'off' | 'starting' | 'up' | 'draining' = 'off';
  #process: Process | null = null;
  #node: SimNode | null = null;
  #lease: NodeLease | null = null;
  #whenOff: (() => void) | null = null;
  #databaseAwayUntilMs = 0;
  /** Of every process that ran here. */
  readonly counts: ClusterCounts[] = [];

  constructor(world: World, hub: SimHub, name: string) {
    this.#world = world;
    this.#hub = hub;
    this.#name = name;
    const { faults, random } = world;
    const drift = (random.fraction() * 2 - 1) * DRIFT_MAX;
    const aheadMs = random.int(-SKEW_MS_MAX, SKEW_MS_MAX);
    this.#clockFaults = {
      rate: faults.strikes('clockDrift') ? 1 + drift : 1,
      aheadMs: faults.strikes('clockSkew') ? aheadMs : 0,
    };
  }

  get isUp(): boolean {
    return this.#state === 'up';
  }

  /** Null while it does not serve. */
  get node(): SimNode | null {
    return this.#node;
  }

  /** Whether it has an actor of the chat, of its present incarnation. */
  hasActor(chat: ChatId): boolean {
    const id = this.#lease?.id ?? null;
    return this.#node?.host.isResident(chat) === true && !this.#world.audit.taken.has(`${chat} ${id}`);
  }

  get bus(): SimBus | null {
    return this.#process?.bus ?? null;
  }

  boot(): void {
    if (this.#state !== 'off') return;
    this.#state = 'starting';
    this.#start().catch((error: unknown) => {
      if (!(error instanceof StartError)) return this.#world.audit.fail('error', String(error));
      this.#trace('does not start');
      this.crash();
      this.#world.clock.after(SUPERVISOR_MS, () => this.boot());
    });
  }

  /** Power cut. */
  crash(): boolean {
    const process = this.#process;
    if (process === null) return false;
    if (this.#node !== null) this.#world.network.servers.delete(this.#node);
    process.clock.kill();
    process.faulty.kill();
    this.#hub.leave(process.bus);
    if (this.#node !== null) this.#world.network.dropAll('client', this.#node);
    this.#process = null;
    this.#node = null;
    this.#lease = null;
    this.#state = 'off';
    const then = this.#whenOff;
    this.#whenOff = null;
    then?.();
    return true;
  }

  /** SIGTERM; `then` is called when the process has ended, in whatever way. False when it does not serve. */
  drain(then: () => void): boolean {
    const node = this.#node;
    if (node === null || this.#state !== 'up') return false;
    this.#trace('drains');
    this.#state = 'draining';
    this.#world.network.servers.delete(node);
    this.#whenOff = then;
    void node.drain().then(() => {
      this.#trace('has drained');
      this.crash();
    });
    return true;
  }

  /** SIGSTOP, and SIGCONT after so long. */
  stop(forMs: number): boolean {
    if (this.#process === null) return false;
    this.#trace(`stands still for ${forMs} ms`);
    this.#process.clock.stop(forMs);
    return true;
  }

  cutFromDatabase(forMs: number): void {
    this.#trace(`does not reach the database for ${forMs} ms`);
    this.#databaseAwayUntilMs = this.#world.clock.timerMs + forMs;
  }

  /** What it publishes is lost, nothing comes in; it is told so after `noticedMs`. */
  cutFromBus(forMs: number, noticedMs: number): boolean {
    const bus = this.#process?.bus;
    if (bus === undefined || bus.isCut) return false;
    const { clock } = this.#world;
    this.#trace(`is cut off from the bus for ${forMs} ms`);
    bus.cut();
    clock.after(noticedMs, () => bus.notice());
    clock.after(forMs, () => bus.mend());
    return true;
  }

  /** Everything works from here on. */
  mend(): void {
    this.#databaseAwayUntilMs = 0;
    this.#process?.clock.goOn();
    this.#process?.bus.mend();
  }

  /** What is wrong with it, when everything should be well; null: nothing. */
  get fault(): string | null {
    if (this.#state !== 'up') return `${this.#name} is ${this.#state}`;
    const fault = this.#lease?.fault ?? this.#process?.among.fault ?? null;
    return fault === null ? null : `${this.#name}: ${fault}`;
  }

  async #start(): Promise<void> {
    const world = this.#world;
    const { faults, tables } = world;
    const random = world.random.fork();
    const clock = new MachineClock(world.clock, this.#clockFaults);
    const isCutOff = (): boolean => world.clock.timerMs < this.#databaseAwayUntilMs;
    const memory = new MemoryStore(tables, null);
    const faulty = world.wayToStore(clock, memory, random.fork(), isCutOff);
    const store = world.surroundings.wrapping.store(faulty, clock);
    const bus = this.#hub.join(clock);
    const clusterVersion = faults.strikes('newerVersion') ? CLUSTER_VERSION + 1 : CLUSTER_VERSION;
    const config = { nodeName: this.#name, selfFencing: true, clusterVersion };
    const schedule = (task: () => void): void => void clock.after(0, task);
    const among = new ClusterNode({ config, bus, key: KEY, store: override(store, {}), clock, schedule });
    this.counts.push(among.counts);
    this.#process = { clock, faulty, bus, among };
    const leases = faulty.lease(new MemoryNodes(memory, TTL_MS, () => world.clock.timerMs));
    const register: LeaseNodes['register'] = async (id) => {
      const registered = await leases.register(id);
      if (registered.outcome === 'read') memory.node = id;
      return registered;
    };
    const nodes = { ...leases, register };
    const logger = simLogger(world.surroundings);
    const onLost = (error: Error): void => world.audit.fail('error', error.message);
    const lease = await NodeLease.take({
      nodes,
      clock,
      random: random.fork(),
      logger,
      watcher: this.#watch(among),
      onLost,
    });
    this.#trace(`is up as ${lease.id}`);
    this.#lease = lease;
    const node = new SimNode({
      ...world.surroundings,
      id: lease.id,
      machine: clock,
      random,
      faulty,
      store,
      among: { node: among, lease },
    });
    this.#node = node;
    this.#state = 'up';
    world.network.servers.add(node);
    await node.start();
  }

  #watch({ watcher }: ClusterNode): LeaseWatcher {
    const { audit, clock } = this.#world;
    return {
      onBeat: (...args) => watcher.onBeat(...args),
      onHeldAgain: () => {
        if (this.#node !== null) this.#node.heldSinceMs = clock.awake.nowMs();
        this.#trace('holds its lease again');
        watcher.onHeldAgain();
      },
      onLost: () => {
        this.#trace('was declared dead');
        watcher.onLost();
      },
      onAnew: (id) => {
        this.#trace(`goes on as ${id}`);
        audit.saw('anew');
        watcher.onAnew(id);
      },
    };
  }

  #trace(what: string): void {
    this.#world.trace.add(() => `${this.#name} ${what}`);
  }
}
