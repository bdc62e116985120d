// Sends and receives the frames of one incarnation: subjects, envelopes, versions, counts. There are three subscriptions
// per node, however many chats it follows: one for all nodes, its command subject and its event subject.

import type { NodeId } from '../../protocol/ids.ts';
import type { Clock, Log } from '../ports.ts';
import type { Bus } from './bus.ts';
import type { ClusterCounts } from './counts.ts';
import { Envelopes } from './envelope.ts';
import type { ClusterFrame } from './frames.ts';

export type PostParts = {
  readonly bus: Bus;
  readonly self: NodeId;
  readonly key: Uint8Array;
  readonly version: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly counts: ClusterCounts;
  /** Must not throw for what a good node may send. */
  readonly receive: (from: NodeId, frame: ClusterFrame) => void;
};

const ALL = 'parley.all';

/** A refusal is logged at most so often for each reason: whoever is refused goes on sending. */
const COMPLAIN_EVERY_MS = 30_000;

export class Post {
  readonly #parts: PostParts;
  readonly #envelopes: Envelopes;
  /** The highest version that a peer and this node both understand. As many as there are nodes. */
  readonly #versions = new Map<NodeId, number>();
  readonly #complainedMs = new Map<string, number>();
  #unsubscribe: (() => void)[] = [];

  constructor(parts: PostParts) {
    this.#parts = parts;
    this.#envelopes = new Envelopes(parts.key, parts.self, parts.version);
  }

  start(): void {
    const { bus, self } = this.#parts;
    const subjects = [ALL, commandSubject(self), eventSubject(self)];
    this.#unsubscribe = subjects.map((subject) => bus.subscribe(subject, (bytes) => this.#take(subject, bytes)));
  }

  stop(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#unsubscribe = [];
  }

  get speaks(): { readonly min: number; readonly max: number } {
    return this.#envelopes.speaks;
  }

  get connected(): boolean {
    return this.#parts.bus.connected;
  }

  /** What the peer understands, from its beat; false when that is nothing that this node does. */
  agree(peer: NodeId, speaks: { readonly min: number; readonly max: number }): boolean {
    const version = this.#envelopes.common(speaks);
    if (version === null) {
      this.#versions.delete(peer);
      this.#parts.counts.refused.add('version');
      if (this.#mayComplain('version')) {
        const { log } = this.#parts;
        const versions = { theirs: speaks, ours: this.speaks };
        log.warn('a node of another version is not talked to: upgrade one version at a time', { peer, ...versions });
      }
      return false;
    }
    this.#versions.set(peer, version);
    return true;
  }

  forget(peer: NodeId): void {
    this.#versions.delete(peer);
  }

  /** False when it certainly was not sent. */
  send(to: NodeId, frame: ClusterFrame): boolean {
    const subject = frame.kind === 'link' ? eventSubject(to) : commandSubject(to);
    return this.#publish(subject, this.#envelopes.seal(subject, frame, this.#versions.get(to)));
  }

  /** In the version that all understand who are talked to. */
  sendAll(frame: ClusterFrame): boolean {
    const version = Math.min(this.speaks.max, ...this.#versions.values());
    return this.#publish(ALL, this.#envelopes.seal(ALL, frame, version));
  }

  #publish(subject: string, bytes: Uint8Array): boolean {
    const { bus, counts } = this.#parts;
    if (!bus.connected || bytes.length > bus.messageBytesMax || !bus.publish(subject, bytes)) {
      counts.unsent += 1;
      return false;
    }
    counts.messagesOut += 1;
    counts.bytesOut += bytes.length;
    return true;
  }

  #take(subject: string, bytes: Uint8Array): void {
    const { counts, receive, self, log } = this.#parts;
    counts.messagesIn += 1;
    counts.bytesIn += bytes.length;
    const opened = this.#envelopes.open(subject, bytes);
    if (opened.outcome === 'refused') {
      counts.refused.add(opened.reason);
      const { reason, detail } = opened;
      if (this.#mayComplain(reason)) log.warn('a message of another node was refused', { reason, detail });
      return;
    }
    if (opened.outcome === 'unknown' || opened.from === self) return;
    try {
      receive(opened.from, opened.frame);
    } catch (error) {
      // The bus knows nobody who could do something about it.
      log.error('a message of another node could not be handled', { kind: opened.frame.kind, error });
    }
  }

  #mayComplain(about: string): boolean {
    const nowMs = this.#parts.clock.nowMs();
    const lastMs = this.#complainedMs.get(about);
    if (lastMs !== undefined && nowMs - lastMs < COMPLAIN_EVERY_MS) return false;
    this.#complainedMs.set(about, nowMs);
    return true;
  }
}

function commandSubject(node: NodeId): string {
  return `parley.command.${node}`;
}

function eventSubject(node: NodeId): string {
  return `parley.event.${node}`;
}
