// The bus between the nodes of a simulated cluster: it loses, doubles, delays and reorders messages as the seed draws, and
// its ends can be cut off: from it, or from each other, without a word.

import { type Carrier, LocalBus } from '../../actors/cluster/local-bus.ts';
import type { Clock } from '../../actors/ports.ts';
import type { Faults } from './faults.ts';
import type { SimRandom } from './random.ts';

/** What comes in passes here: nothing does while the machine of the end stands still. */
export type Gate = { run(task: () => void): void };

export type SimHubOptions = {
  readonly clock: Clock;
  readonly random: SimRandom;
  readonly faults: Pick<Faults, 'strikes'>;
};

type Message = { readonly subject: string; readonly bytes: Uint8Array };

const SLOW_MS = { min: 30, max: 3_000 } as const;

export class SimHub implements Carrier {
  readonly messageBytesMax = 1024 * 1024;
  readonly #options: SimHubOptions;
  readonly #ends = new Set<SimBus>();
  /** Pairs of ends between which nothing passes, in one direction. */
  readonly #blocked = new Map<SimBus, Set<SimBus>>();

  constructor(options: SimHubOptions) {
    this.#options = options;
  }

  join(gate: Gate): SimBus {
    const end = new SimBus(this, gate);
    this.#ends.add(end);
    return end;
  }

  leave(end: SimBus): void {
    this.#ends.delete(end);
  }

  /** Nothing passes from one to the other any more; neither hears of it. */
  block(from: SimBus, to: SimBus): void {
    const blocked = this.#blocked.get(from) ?? new Set();
    blocked.add(to);
    this.#blocked.set(from, blocked);
  }

  unblock(from: SimBus, to: SimBus): void {
    this.#blocked.get(from)?.delete(to);
  }

  unblockAll(): void {
    this.#blocked.clear();
  }

  spread(subject: string, bytes: Uint8Array, from: SimBus): void {
    for (const to of this.#ends) {
      if (to === from) this.#send(from, to, { subject, bytes, arrivesMs: this.#options.clock.nowMs() });
      else this.#sendFaulty(from, to, { subject, bytes });
    }
  }

  #sendFaulty(from: SimBus, to: SimBus, { subject, bytes }: Message): void {
    const { clock, random, faults } = this.#options;
    if (!to.listens(subject) || faults.strikes('busLost')) return;
    const delay = (): number => (faults.strikes('busSlow') ? random.int(SLOW_MS.min, SLOW_MS.max) : random.int(0, 4));
    const soonestMs = clock.nowMs() + delay();
    const isFree = faults.strikes('busReordered');
    const arrivesMs = isFree ? clock.nowMs() + random.int(0, SLOW_MS.max) : Math.max(soonestMs, to.lastMs(from));
    if (!isFree) to.keepOrder(from, arrivesMs);
    this.#send(from, to, { subject, bytes, arrivesMs });
    if (faults.strikes('busTwice')) this.#send(from, to, { subject, bytes, arrivesMs: arrivesMs + delay() });
  }

  #send(from: SimBus, to: SimBus, message: Message & { readonly arrivesMs: number }): void {
    const { clock } = this.#options;
    const passes = (): boolean => !from.isCut && !to.isCut && this.#blocked.get(from)?.has(to) !== true;
    if (!passes()) return;
    clock.after(message.arrivesMs - clock.nowMs(), () => {
      if (passes()) to.take(message.subject, message.bytes);
    });
  }
}

/** connected ⇄ cut off, which it may notice late → closed. */
export class SimBus extends LocalBus {
  readonly #gate: Gate;
  /** When the last message of each other end arrives: none of its later ones comes before, unless it is reordered. */
  readonly #lastMs = new Map<SimBus, number>();
  #isCut = false;

  constructor(hub: SimHub, gate: Gate) {
    super(hub);
    this.#gate = gate;
  }

  /** Nothing goes in or out, whether this end knows or not. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** It is cut off, and does not know. */
  cut(): void {
    this.#isCut = true;
  }

  /** It is told what is so: that it is cut off, or connected again. */
  notice(): void {
    this.#gate.run(() => this.setConnected(!this.#isCut));
  }

  mend(): void {
    this.#isCut = false;
    this.notice();
  }

  lastMs(from: SimBus): number {
    return this.#lastMs.get(from) ?? 0;
  }

  keepOrder(from: SimBus, arrivesMs: number): void {
    this.#lastMs.set(from, arrivesMs);
  }

  override take(subject: string, bytes: Uint8Array): void {
    this.#gate.run(() => super.take(subject, bytes));
  }
}
