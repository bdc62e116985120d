// Who of one session may be under way to a snapshot: a few at a time, the others in a line.
//
// Only the host knows whether an attach becomes a snapshot, and by then it has read it. So an attach takes a place before
// the host is asked, and gives it back when the answer is none or the snapshot is gone. Invariants: each is in one of the
// two at most; nobody waits while a place is free.

import { GATEWAY_LIMITS } from './limits.ts';

export type Asker = {
  /** The place that it waited for is its own now, unless it has left meanwhile. Called from nobody else's call. */
  ask(): void;
};

/** Arrays, not sets: there is one per session, it is empty nearly always, and never long. */
export class SnapshotPlaces {
  /** At most `snapshotsPerSession`. */
  readonly #held: Asker[] = [];
  /** In the order of arrival; at most the attachments of the session. */
  readonly #line: Asker[] = [];

  get held(): number {
    return this.#held.length;
  }

  /** False: it stands in the line now, and `ask` is called when its turn comes. */
  enter(asker: Asker): boolean {
    const isFree = this.#held.length < GATEWAY_LIMITS.snapshotsPerSession;
    (isFree ? this.#held : this.#line).push(asker);
    return isFree;
  }

  /** Out of its place, or of the line; nothing when it is in neither. */
  leave(asker: Asker): void {
    remove(this.#line, asker);
    if (!remove(this.#held, asker)) return;
    const next = this.#line.shift();
    if (next === undefined) return;
    this.#held.push(next);
    // Never from here: a place may be left inside an actor whose log ends.
    queueMicrotask(() => next.ask());
  }
}

function remove(askers: Asker[], asker: Asker): boolean {
  const at = askers.indexOf(asker);
  if (at !== -1) askers.splice(at, 1);
  return at !== -1;
}
