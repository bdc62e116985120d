// The connections that are no sessions: those that have sent nothing yet, half a header, or a request for a page. Each
// costs a file descriptor, and the server gives it 10 s to say what it wants, so that what stands here is bounded in
// number, not only in time (slow-loris).
//
// Up to half of the bound everybody may stand here. Beyond it an address pays for each connection from a bucket: the one
// that floods has emptied its own, the others still come in.

import { AddressBuckets } from './address-buckets.ts';

export type DoorstepRules = {
  /** Connections that are no sessions; one more is cut at once. */
  readonly unfinishedMax: number;
  readonly connectsPerSecond: number;
  readonly connectsBurst: number;
};

export class Doorstep {
  readonly #rules: DoorstepRules;
  readonly #buckets: AddressBuckets;
  #unfinished = 0;

  constructor(rules: DoorstepRules) {
    this.#rules = rules;
    this.#buckets = new AddressBuckets({ perSecond: rules.connectsPerSecond, burst: rules.connectsBurst });
  }

  get unfinished(): number {
    return this.#unfinished;
  }

  /** A connection was accepted; false: it is to be cut. It is counted in either case, until `leave`. */
  arrive(address: string, nowMs: number): boolean {
    const paid = this.#buckets.take(address, nowMs) === 0;
    const { unfinishedMax } = this.#rules;
    const admitted = this.#unfinished < (paid ? unfinishedMax : unfinishedMax / 2);
    this.#unfinished += 1;
    return admitted;
  }

  /** It has become a session, or has ended. */
  leave(): void {
    this.#unfinished -= 1;
  }
}
