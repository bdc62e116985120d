// Questions to other nodes that have one answer. A question or its answer may be lost, so each try has a bound and
// whoever asks decides about the next one: what changes something carries an id and takes effect once (P3).

import type { NodeId } from '../../protocol/ids.ts';
import type { Clock } from '../ports.ts';
import type { ClusterCounts } from './counts.ts';
import type { Answer, Call } from './frames.ts';
import { CLUSTER_LIMITS } from './limits.ts';
import type { Post } from './post.ts';

/** `unsent`: nobody can have got it. `silent`: somebody may have, and done it. */
export type Called = Answer | { readonly type: 'unsent' } | { readonly type: 'silent' };

type Waiting = { readonly peer: NodeId; readonly finish: (called: Called) => void };

export class Calls {
  readonly #post: Post;
  readonly #clock: Clock;
  readonly #counts: ClusterCounts;
  readonly #waiting = new Map<number, Waiting>();
  #lastRequest = 0;

  constructor(post: Post, clock: Clock, counts: ClusterCounts) {
    this.#post = post;
    this.#clock = clock;
    this.#counts = counts;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  call(peer: NodeId, call: Call): Promise<Called> {
    if (this.#waiting.size >= CLUSTER_LIMITS.calls) {
      this.#counts.limits.add('calls');
      return Promise.resolve({ type: 'unsent' });
    }
    this.#lastRequest += 1;
    const request = this.#lastRequest;
    return new Promise((resolve) => {
      const beganMs = this.#clock.nowMs();
      const cancel = this.#clock.after(CLUSTER_LIMITS.callTryMs, () => {
        this.#counts.limits.add('callTryMs');
        finish({ type: 'silent' });
      });
      const finish = (called: Called): void => {
        if (!this.#waiting.delete(request)) return;
        cancel();
        this.#counts.callSeconds.observe((this.#clock.nowMs() - beganMs) / 1000);
        resolve(called);
      };
      this.#waiting.set(request, { peer, finish });
      if (!this.#post.send(peer, { kind: 'call', request, call })) finish({ type: 'unsent' });
    });
  }

  /** Of another node than was asked, or too late: nobody waits. */
  answered(from: NodeId, request: number, answer: Answer): void {
    const waiting = this.#waiting.get(request);
    if (waiting?.peer === from) waiting.finish(answer);
  }

  /** The node is dead, or this one is: nobody will answer. */
  giveUp(peer: NodeId | null): void {
    for (const waiting of this.#waiting.values()) {
      if (peer === null || waiting.peer === peer) waiting.finish({ type: 'silent' });
    }
  }
}
