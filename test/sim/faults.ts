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

/** Faults that the plan of a run brings about instead of chance. */
const PLANNED = ['crash', 'zombie', 'drain', 'storeOutage', 'clockJump', 'sleep', 'deafReader'] as const;

export type ChanceFault = keyof typeof RATES_MAX;
export type Fault = ChanceFault | (typeof PLANNED)[number];

export const FAULTS: readonly Fault[] = [...(Object.keys(RATES_MAX) as ChanceFault[]), ...PLANNED];

export class Faults {
  readonly counts = new Map<Fault, number>(FAULTS.map((fault) => [fault, 0]));
  readonly #random: SimRandom;
  readonly #rates = new Map<ChanceFault, number>();
  #isOn = true;

  constructor(random: SimRandom) {
    this.#random = random;
    for (const [fault, max] of Object.entries(RATES_MAX) as [ChanceFault, number][]) {
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
