// A node that stands alone: at most one in service, the next one takes over from whatever is left of it.

import { uuidV7, type NodeId } from '../../protocol/ids.ts';
import { MachineClock } from './machine-clock.ts';
import { MemoryStore } from './memory-store.ts';
import { SimNode } from './node.ts';
import type { Site, World } from './world.ts';

export class Alone implements Site {
  readonly lingerMs = 0;
  readonly #world: World;
  #node: SimNode | null = null;
  /** The node goes down in order just now. */
  #isDraining = false;

  constructor(world: World) {
    this.#world = world;
  }

  get isSettled(): boolean {
    return !this.#isDraining;
  }

  held(): ReturnType<Site['held']> {
    return this.#node?.held() ?? [];
  }

  /** A new incarnation takes over: every earlier one is dead from here on, whether it knows or not. */
  open(): void {
    if (this.#node !== null) return;
    const world = this.#world;
    const { clock, surroundings } = world;
    const id = uuidV7<NodeId>(clock.nowMs(), world.random.bytes(10));
    const machine = new MachineClock(clock);
    const random = world.random.fork();
    const faulty = world.wayToStore(machine, new MemoryStore(world.tables, id), random.fork(), () => false);
    const store = surroundings.wrapping.store(faulty, machine);
    const node = new SimNode({ ...surroundings, id, machine, random, faulty, store, among: null });
    this.#node = node;
    world.network.servers.add(node);
    world.trace.add(() => `node ${id} starts`);
    void node.start();
  }

  schedule(durationMs: number): void {
    const { random, clock, faults } = this.#world;
    const at = (): number => random.int(500, durationMs);
    const restart = (): void => {
      clock.after(random.int(10, 3_000), () => this.open());
    };
    for (let i = random.int(0, 3); i > 0; i--) {
      clock.after(at(), () => {
        if (!this.#crash()) return;
        faults.note('crash');
        restart();
      });
    }
    if (random.chance(0.4)) {
      clock.after(at(), () => {
        if (!this.#strand(random.int(100, 10_000))) return;
        faults.note('zombie');
        this.open();
      });
    }
    if (random.chance(0.3)) {
      clock.after(at(), () => {
        if (this.#drain(restart)) faults.note('drain');
      });
    }
  }

  stopFaults(hadRoom: boolean): void {
    if (!hadRoom) this.#drain(() => undefined);
  }

  /** What could be left over dies with the node. */
  checkRest(): void {}

  checkLeft(): void {}

  end(): void {}

  /** Power cut. False when there is no node to kill. */
  #crash(): boolean {
    const node = this.#take('crashes');
    if (node === null) return false;
    node.kill();
    this.#world.tables.deadNodes.add(node.id);
    return true;
  }

  /** The node is cut off from its clients and declared dead, but it runs on for a while (P1). */
  #strand(forMs: number): boolean {
    const node = this.#take('is stranded');
    if (node === null) return false;
    this.#world.tables.deadNodes.add(node.id);
    this.#world.clock.after(forMs, () => node.kill());
    return true;
  }

  /** The node goes down in order; `then` is called when it is gone. */
  #drain(then: () => void): boolean {
    const node = this.#node;
    const { network, trace, tables } = this.#world;
    if (node === null || this.#isDraining) return false;
    this.#isDraining = true;
    network.servers.delete(node);
    trace.add(() => `node ${node.id} drains`);
    void node.drain().then(() => {
      this.#isDraining = false;
      node.kill();
      tables.deadNodes.add(node.id);
      this.#node = null;
      network.dropAll('client');
      then();
    });
    return true;
  }

  #take(fate: string): SimNode | null {
    const node = this.#node;
    const { network, trace } = this.#world;
    if (node === null || this.#isDraining) return null;
    trace.add(() => `node ${node.id} ${fate}`);
    this.#node = null;
    network.servers.delete(node);
    network.dropAll('client');
    return node;
  }
}
