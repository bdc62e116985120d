// The nodes of the store in memory: what `storage/nodes.ts` does on Postgres, by a clock that is the database's alone.

import type { Read } from '../../actors/ports.ts';
import type { LeaseNodes } from '../../gateway/node-lease.ts';
import { must } from '../../protocol/assert.ts';
import type { NodeId } from '../../protocol/ids.ts';
import type { NodesBeat } from '../../storage/nodes.ts';
import type { MemoryStore } from './memory-store.ts';

export class MemoryNodes implements LeaseNodes {
  readonly ttlMs: number;
  readonly #store: MemoryStore;
  readonly #nowMs: () => number;

  /** `store`: the node's own. Whoever has heard that `register` was done sets its `node`. */
  constructor(store: MemoryStore, ttlMs: number, nowMs: () => number) {
    this.#store = store;
    this.ttlMs = ttlMs;
    this.#nowMs = nowMs;
  }

  register(id: NodeId): Promise<Read<'registered'>> {
    this.#store.tables.leases.set(id, this.#nowMs() + this.ttlMs);
    return read('registered');
  }

  beat(mark: boolean): Promise<Read<NodesBeat>> {
    const { leases } = this.#store.tables;
    const renewed = leases.has(this.#self);
    if (renewed) leases.set(this.#self, this.#nowMs() + this.ttlMs);
    const marked = mark && renewed ? this.#expired() : [];
    for (const id of marked) this.#die(id);
    const others = [...leases].filter(([id]) => id !== this.#self);
    return read({
      renewed,
      others: others.map(([id, expiresAtMs]) => ({ id, leftMs: expiresAtMs - this.#nowMs() })),
      marked,
    });
  }

  markExpiredDead(): Promise<Read<readonly NodeId[]>> {
    const expired = this.#expired();
    for (const id of expired) this.#die(id);
    return read(expired);
  }

  otherLiveNodes(): Promise<Read<readonly NodeId[]>> {
    const live = [...this.#store.tables.leases].filter(([, expiresAtMs]) => expiresAtMs >= this.#nowMs());
    return read(live.map(([id]) => id).filter((id) => id !== this.#store.node));
  }

  retire(): Promise<Read<'retired'>> {
    this.#die(this.#self);
    return read('retired');
  }

  get #self(): NodeId {
    return must(this.#store.node, 'a node registers before anything else');
  }

  #expired(): readonly NodeId[] {
    const late = [...this.#store.tables.leases].filter(([, expiresAtMs]) => expiresAtMs < this.#nowMs());
    return late.map(([id]) => id).filter((id) => id !== this.#self);
  }

  #die(id: NodeId): void {
    this.#store.tables.leases.delete(id);
    this.#store.tables.deadNodes.add(id);
  }
}

function read<T>(value: T): Promise<Read<T>> {
  return Promise.resolve({ outcome: 'read', value });
}
