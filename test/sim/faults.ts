// Which faults there are, how often they strike in a run, and how often they did.

import type { SimRandom } from './random.ts';

/** Fault → the highest probability with which it strikes at each occasion; the seed draws the actual one. */
const RATES_MAX = {
  /** A store call takes long. */
  storeSlow: 0.05,
  /** The call was certainly not applied. */
  storeUnavailable: 0.04,
  /** The connection was lost at the commit: applied, not applied, or applied later than the answer. */
  storeUnknownApplied: 0.02,
  storeUnknownLost: 0.02,
  storeUnknownLate: 0.02,
  storeReadUnavailable: 0.03,
  /** An activation took the epoch, its answer was lost. */
  activationLost: 0.1,
  /** A message takes long. */
  messageSlow: 0.02,
  /** The connection is lost with everything in flight. */
  cut: 0.006,
  /** The connection carries nothing any more and nobody is told. */
  halfOpen: 0.002,
  connectFails: 0.1,
  /** A connection that takes a few hundred bytes a second. */
  slowReader: 0.6,
  /** A client stops reading for a while. */
  readerStops: 0.01,
  /** Whoever hands out credentials gives one that lasts seconds, one that is over, one after a while, or none. */
  credentialShort: 0.4,
  credentialStale: 0.2,
  credentialLate: 0.3,
  credentialFails: 0.2,
  /** A device whose clock is wrong by up to two hours. */
  clockWrong: 0.5,
  modelOverloaded: 0.1,
  modelRateLimited: 0.05,
  modelCut: 0.1,
  modelErrorMidStream: 0.1,
  modelSilent: 0.08,
  modelRefuses: 0.05,
  modelFails: 0.03,
  modelSlow: 0.1,
  /** The adapter goes on for a while after it was told to stop. */
  modelIgnoresAbort: 0.7,
} as const;

/** What befalls several nodes besides. */
const CLUSTER_RATES_MAX = {
  /** A message between nodes takes long, never arrives, arrives twice, or is overtaken by later ones. */
  busSlow: 0.03,
  busLost: 0.03,
  busTwice: 0.03,
  busReordered: 0.03,
  /** A lease was renewed, and the answer was lost. */
  renewalLost: 0.05,
  /** A machine whose clock runs fast or slow, or is wrong, each by no more than an NTP client lets pass. */
  clockDrift: 0.7,
  clockSkew: 0.7,
  /** A node that speaks the next version, too. */
  newerVersion: 0.5,
} as const;

/** Faults that the plan of a run brings about instead of chance. */
const PLANNED = ['crash', 'drain', 'storeOutage', 'clockJump', 'sleep', 'deafReader'] as const;
const PLANNED_ALONE = ['zombie'] as const;
/** One stands still; one or all are cut off from the bus, one from another, one from the database, one from its clients. */
const PLANNED_CLUSTER = ['stopTheWorld', 'busCut', 'busAway', 'partition', 'databaseCut', 'clientsCut'] as const;

/** One node at most, or several that share the database. */
export type Shape = 'alone' | 'cluster';

export type ChanceFault = keyof typeof RATES_MAX | keyof typeof CLUSTER_RATES_MAX;
export type Fault =
  | ChanceFault
  | (typeof PLANNED)[number]
  | (typeof PLANNED_ALONE)[number]
  | (typeof PLANNED_CLUSTER)[number];

const EVERYWHERE = Object.keys(RATES_MAX) as ChanceFault[];

export const FAULTS: Readonly<Record<Shape, readonly Fault[]>> = {
  alone: [...EVERYWHERE, ...PLANNED, ...PLANNED_ALONE],
  cluster: [...EVERYWHERE, ...(Object.keys(CLUSTER_RATES_MAX) as ChanceFault[]), ...PLANNED, ...PLANNED_CLUSTER],
};

export class Faults {
  readonly counts: Map<Fault, number>;
  readonly #random: SimRandom;
  readonly #rates = new Map<ChanceFault, number>();
  #isOn = true;

  constructor(random: SimRandom, shape: Shape) {
    this.#random = random;
    this.counts = new Map(FAULTS[shape].map((fault) => [fault, 0]));
    const ratesMax = { ...RATES_MAX, ...(shape === 'cluster' ? CLUSTER_RATES_MAX : {}) };
    for (const [fault, max] of Object.entries(ratesMax) as [ChanceFault, number][]) {
      // Each fault is absent from about half of the seeds: what only shows without it shows there.
      this.#rates.set(fault, random.chance(0.5) ? max * random.fraction() : 0);
    }
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  /** From here on nothing fails any more. */
  stop(): void {
    this.#isOn = false;
  }

  /** Whether the fault strikes at this occasion. */
  strikes(fault: ChanceFault): boolean {
    if (!this.#isOn || !this.#random.chance(this.#rates.get(fault) ?? 0)) return false;
    this.note(fault);
    return true;
  }

  note(fault: Fault): void {
    this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1);
  }
}
