// The bus within one process: for the simulation, for tests, and for what has to hold on every bus. Each end can be cut
// off from the others, as a node is from its server.

import { assert } from '../../protocol/assert.ts';
import type { Bus } from './bus.ts';

type Subscription = { readonly subject: string; readonly onMessage: (bytes: Uint8Array) => void; open: boolean };

/** Runs `task` later, never at once: as a message that crosses a network. In the order in which they were handed in. */
export type Deliver = (task: () => void) => void;

/** What carries between the ends. */
export type Carrier = {
  readonly messageBytesMax: number;
  spread(subject: string, bytes: Uint8Array, from: LocalBus): void;
  leave(end: LocalBus): void;
};

/** What the ends of one bus share. */
export class LocalHub implements Carrier {
  readonly #ends = new Set<LocalBus>();
  readonly deliver: Deliver;
  readonly messageBytesMax: number;
  /** False for what is lost on the way. */
  onTheWay: (subject: string, bytes: Uint8Array) => boolean = () => true;

  constructor(options: { readonly deliver?: Deliver; readonly messageBytesMax?: number } = {}) {
    this.deliver = options.deliver ?? queueMicrotask;
    this.messageBytesMax = options.messageBytesMax ?? 1024 * 1024;
  }

  join(): LocalBus {
    const end = new LocalBus(this);
    this.#ends.add(end);
    return end;
  }

  leave(end: LocalBus): void {
    this.#ends.delete(end);
  }

  spread(subject: string, bytes: Uint8Array): void {
    if (!this.onTheWay(subject, bytes)) return;
    this.deliver(() => {
      for (const end of this.#ends) end.take(subject, bytes);
    });
  }
}

/** connected ⇄ cut off → closed. */
export class LocalBus implements Bus {
  readonly #hub: Carrier;
  readonly #subscriptions = new Set<Subscription>();
  readonly #watchers = new Set<(connected: boolean) => void>();
  #connected = true;

  constructor(hub: Carrier) {
    this.#hub = hub;
  }

  get connected(): boolean {
    return this.#connected;
  }

  get messageBytesMax(): number {
    return this.#hub.messageBytesMax;
  }

  publish(subject: string, bytes: Uint8Array): boolean {
    assert(bytes.length <= this.messageBytesMax, 'a message fits on the bus');
    if (!this.#connected) return false;
    this.#hub.spread(subject, bytes, this);
    return true;
  }

  subscribe(subject: string, onMessage: (bytes: Uint8Array) => void): () => void {
    const subscription = { subject, onMessage, open: true };
    this.#subscriptions.add(subscription);
    return () => {
      subscription.open = false;
      this.#subscriptions.delete(subscription);
    };
  }

  listens(subject: string): boolean {
    return [...this.#subscriptions].some((subscription) => subscription.subject === subject);
  }

  watch(listener: (connected: boolean) => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  /** Cuts this end off, or lets it in again. */
  setConnected(connected: boolean): void {
    if (this.#connected === connected) return;
    this.#connected = connected;
    for (const watcher of this.#watchers) watcher(connected);
  }

  close(): Promise<void> {
    this.setConnected(false);
    this.#subscriptions.clear();
    this.#watchers.clear();
    this.#hub.leave(this);
    return Promise.resolve();
  }

  take(subject: string, bytes: Uint8Array): void {
    if (!this.#connected) return;
    for (const subscription of this.#subscriptions) {
      if (subscription.subject === subject && subscription.open) subscription.onMessage(new Uint8Array(bytes));
    }
  }
}
