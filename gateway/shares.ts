// What all connections of one address, or of one owner, have together on this node: how many they are, and how much of
// their common rates is used. One object each, which its sessions point at.

import type { OwnerId } from '../protocol/ids.ts';
import { GATEWAY_LIMITS, type OwnerLimits } from './limits.ts';
import { Rate } from './rate.ts';

export type Share = {
  readonly key: string;
  /** Open connections; changed by `Shares` alone. */
  sessions: number;
};

/**
 * Shares with connections stay. Those without are kept while something of their rates is used (else coming back would be
 * a way around them), up to a number: then the one that is longest without is forgotten.
 */
export class Shares<S extends Share> {
  readonly #make: (key: string) => S;
  readonly #unused: (share: S, nowMs: number) => boolean;
  /** Bounded by the connections. */
  readonly #used = new Map<string, S>();
  /** Bounded by `idleSharesMax`; the one that is longest idle first. */
  readonly #idle = new Map<string, S>();

  constructor(make: (key: string) => S, unused: (share: S, nowMs: number) => boolean) {
    this.#make = make;
    this.#unused = unused;
  }

  get size(): number {
    return this.#used.size + this.#idle.size;
  }

  find(key: string): S | null {
    return this.#used.get(key) ?? this.#idle.get(key) ?? null;
  }

  findOrMake(key: string): S {
    const known = this.find(key);
    if (known !== null) return known;
    const made = this.#make(key);
    this.#keepIdle(made);
    return made;
  }

  /** Counts a connection in. */
  enter(share: S): void {
    if (share.sessions === 0) {
      this.#idle.delete(share.key);
      this.#used.set(share.key, share);
    }
    share.sessions += 1;
  }

  leave(share: S, nowMs: number): void {
    share.sessions -= 1;
    if (share.sessions > 0) return;
    this.#used.delete(share.key);
    if (!this.#unused(share, nowMs)) this.#keepIdle(share);
  }

  #keepIdle(share: S): void {
    const [oldest] = this.#idle.keys();
    if (this.#idle.size >= GATEWAY_LIMITS.idleSharesMax && oldest !== undefined) this.#idle.delete(oldest);
    this.#idle.set(share.key, share);
  }
}

/** The sessions of one owner. */
export class OwnerShare implements Share {
  readonly key: OwnerId;
  sessions = 0;
  /** Chats that they follow; changed by `Owners` alone. */
  attachments = 0;
  /** As in `Rate`: of their requests, and of the chats that they had loaded. */
  requestsUsedUntilMs = 0;
  activationsUsedUntilMs = 0;

  constructor(key: OwnerId) {
    this.key = key;
  }
}

export class Owners {
  readonly #limits: OwnerLimits;
  readonly #activations: Rate;
  readonly #shares: Shares<OwnerShare>;

  constructor(limits: OwnerLimits) {
    this.#limits = limits;
    this.#activations = new Rate({ perSecond: limits.ownerActivationsPerSecond, burst: limits.ownerActivationsBurst });
    this.#shares = new Shares(
      (key) => new OwnerShare(key as OwnerId),
      (share, nowMs) => Math.max(share.requestsUsedUntilMs, share.activationsUsedUntilMs) <= nowMs,
    );
  }

  /** Counts a session of the owner; null, and not counted, when there are as many as allowed. */
  enter(owner: OwnerId): OwnerShare | null {
    const share = this.#shares.findOrMake(owner);
    if (share.sessions >= this.#limits.sessionsPerOwner) return null;
    this.#shares.enter(share);
    return share;
  }

  leave(share: OwnerShare, nowMs: number): void {
    this.#shares.leave(share, nowMs);
  }

  /** Counts one more chat that is followed; false, and not counted, when there are as many as allowed. */
  follow(share: OwnerShare): boolean {
    if (share.attachments >= this.#limits.attachmentsPerOwner) return false;
    share.attachments += 1;
    return true;
  }

  unfollow(share: OwnerShare): void {
    share.attachments -= 1;
  }

  /** Whether a chat may be loaded for the owner now: 0, or how long to wait in milliseconds. */
  activate(owner: OwnerId, nowMs: number): number {
    const share = this.#shares.find(owner);
    if (share === null) return 0;
    const used = this.#activations.take(share.activationsUsedUntilMs, 1, nowMs);
    if (used === null) return this.#activations.waitMs(share.activationsUsedUntilMs, 1, nowMs);
    share.activationsUsedUntilMs = used;
    return 0;
  }
}
