// Nodes that share the database, on machines of their own: clients come to any of them, and what befalls one is nobody
// else's trouble for long.

import type { ClusterCounts } from '../../actors/cluster/counts.ts';
import { CLUSTER_LIMITS } from '../../actors/cluster/limits.ts';
import { SimHub } from './bus.ts';
import { Machine } from './machine.ts';
import { DEAD_MS } from './network.ts';
import type { SimNode } from './node.ts';
import type { Site, World } from './world.ts';

/** Before a rolling restart looks past a machine that is down. */
const ROLL_MS = 500;

export class Cluster implements Site {
  /** The last reader of a mirror has left for certain, the mirror is let go of, and its link. */
  readonly lingerMs = DEAD_MS + CLUSTER_LIMITS.mirrorLingerMs + CLUSTER_LIMITS.ackWaitMs + CLUSTER_LIMITS.silentMs;
  readonly #world: World;
  readonly #hub: SimHub;
  readonly #machines: readonly Machine[];
  /** Machines that are still to be restarted, one after the other. */
  readonly #rolling: Machine[] = [];
  #isRolling = false;

  constructor(world: World) {
    this.#world = world;
    const { clock, random, faults } = world;
    this.#hub = new SimHub({ clock: clock.awake, random: random.fork(), faults });
    const names = ['node a', 'node b', 'node c', 'node d'].slice(0, random.int(2, 4));
    this.#machines = names.map((name) => new Machine(world, this.#hub, name));
  }

  get isSettled(): boolean {
    return !this.#isRolling && this.#machines.every((machine) => machine.isUp);
  }

  *held(): ReturnType<Site['held']> {
    for (const { node } of this.#machines) if (node !== null) yield* node.held();
  }

  open(): void {
    for (const machine of this.#machines) machine.boot();
  }

  schedule(durationMs: number): void {
    const { random, clock, network, faults } = this.#world;
    const often = (times: readonly number[], task: () => void): void => {
      for (let i = random.pick(times); i > 0; i--) clock.after(random.int(500, durationMs), task);
    };
    often([0, 0, 1, 2, 3], () => {
      const machine = random.pick(this.#machines);
      if (!machine.crash()) return;
      faults.note('crash');
      clock.after(random.pick([10, 1_000, 8_000]), () => machine.boot());
    });
    often([0, 0, 1, 2], () => {
      if (random.pick(this.#machines).stop(random.pick([300, 2_500, 4_000, 9_000]))) faults.note('stopTheWorld');
    });
    often([0, 0, 1, 2], () => {
      const forMs = random.pick([500, 3_000, 12_000]);
      if (random.pick(this.#machines).cutFromBus(forMs, random.int(0, 2_500))) faults.note('busCut');
    });
    often([0, 0, 0, 1], () => this.#cutAllFromBus());
    often([0, 0, 1, 2], () => this.#part());
    often([0, 0, 1, 2], () => {
      random.pick(this.#machines).cutFromDatabase(random.pick([500, 2_500, 5_000, 15_000]));
      faults.note('databaseCut');
    });
    often([0, 0, 1], () => {
      const { node } = random.pick(this.#machines);
      if (node === null) return;
      network.dropAll('both', node);
      faults.note('clientsCut');
    });
    often([0, 0, 1], () => this.#roll(random.chance(0.5) ? this.#machines : [random.pick(this.#machines)]));
  }

  stopFaults(hadRoom: boolean): void {
    for (const machine of this.#machines) machine.mend();
    this.#hub.unblockAll();
    if (!hadRoom) this.#roll(this.#machines);
  }

  checkRest(): void {
    const { audit, tables } = this.#world;
    for (const { fault } of this.#machines) if (fault !== null) audit.fail('(f)', fault);
    for (const chat of tables.chats.keys()) {
      const owners = this.#machines.filter((machine) => machine.hasActor(chat));
      if (owners.length > 1) audit.fail('P1', `${chat} has ${owners.length} actors when everything is at rest`);
    }
    if (tables.leases.size !== this.#machines.length) {
      audit.fail('(f)', `${tables.leases.size} nodes count as living, ${this.#machines.length} do`);
    }
  }

  checkLeft(): void {
    const { audit } = this.#world;
    for (const [i, { cluster }] of this.#nodes().entries()) {
      const { mirrors, mirrorsWaiting, linksIn, linksOut, follows, unackedBytes, callsWaiting } =
        cluster?.measure() ?? {};
      const left = { mirrors, mirrorsWaiting, linksIn, linksOut, follows, unackedBytes, callsWaiting };
      if (Object.values(left).some((count) => count !== 0)) {
        audit.fail('(f)', `node ${i} still holds ${JSON.stringify(left)} for nobody`);
      }
    }
  }

  end(): void {
    const counts = this.#machines.flatMap((machine) => machine.counts);
    const { audit } = this.#world;
    const sum = (of: (counts: ClusterCounts) => number): number => counts.reduce((total, one) => total + of(one), 0);
    audit.saw(
      'mirrored',
      sum(({ mirrors }) => mirrors.get('state')),
    );
    audit.saw(
      'mirrorResumed',
      sum(({ mirrors }) => mirrors.get('resumed')),
    );
    audit.saw(
      'called',
      sum(({ callSeconds }) => callSeconds.counts.reduce((all, some) => all + some, 0)),
    );
    audit.saw(
      'linkGap',
      sum(({ breaks }) => breaks.get('gap')),
    );
    audit.saw(
      'linkSilent',
      sum(({ breaks }) => breaks.get('silence')),
    );
    audit.saw(
      'linkCut',
      sum(({ breaks }) => breaks.get('bus')),
    );
    audit.saw(
      'markedDead',
      sum(({ deaths }) => deaths),
    );
    audit.saw(
      'suspended',
      sum(({ suspensions }) => suspensions),
    );
  }

  #nodes(): readonly SimNode[] {
    return this.#machines.flatMap(({ node }) => (node === null ? [] : [node]));
  }

  /** The server of the bus goes: each end notices in its own time. */
  #cutAllFromBus(): void {
    const { random, faults } = this.#world;
    const forMs = random.pick([1_000, 5_000, 15_000]);
    const isCut = this.#machines.map((machine) => machine.cutFromBus(forMs, random.int(0, 2_500)));
    if (isCut.includes(true)) faults.note('busAway');
  }

  /** Nothing passes between two nodes, or in one direction, and nobody hears of it. */
  #part(): void {
    const { random, clock, faults, trace } = this.#world;
    const [from, to] = [random.pick(this.#machines).bus, random.pick(this.#machines).bus];
    const [forMs, isBothWays] = [random.pick([500, 3_000, 15_000]), random.chance(0.5)];
    if (from === null || to === null || from === to) return;
    trace.add(() => `nothing passes between two nodes for ${forMs} ms`);
    this.#hub.block(from, to);
    if (isBothWays) this.#hub.block(to, from);
    clock.after(forMs, () => {
      this.#hub.unblock(from, to);
      this.#hub.unblock(to, from);
    });
    faults.note('partition');
  }

  /** A rolling restart: the next one when the last is up again. */
  #roll(machines: readonly Machine[]): void {
    this.#rolling.push(...machines);
    if (!this.#isRolling) this.#rollOn();
  }

  #rollOn(): void {
    const { clock, faults } = this.#world;
    const machine = this.#rolling.shift();
    this.#isRolling = machine !== undefined;
    if (machine === undefined) return;
    const drains = machine.drain(() => {
      machine.boot();
      this.#rollOn();
    });
    if (drains) faults.note('drain');
    // One that is down comes up new anyway.
    else clock.after(ROLL_MS, () => this.#rollOn());
  }
}
