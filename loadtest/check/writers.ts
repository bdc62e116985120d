// One writer per epoch, and epochs that never go back (rule c), for one chat.

import type { ChatEvent } from '../../protocol/events.ts';
import { formatPosition, type Position } from '../../protocol/position.ts';
import { digestOf } from './canonical.ts';
import type { Looked } from './looked.ts';

/** Events whose digests are kept: the clients of a chat are not further apart than that, or are not compared. */
const EVENTS_KEPT = 512;
const EPOCHS_KEPT = 4_096;

type Seen = { readonly digest: string; readonly client: string };

export class Writers {
  readonly #looked: Looked;
  readonly #fail: (client: string | null, position: Position | null, what: string) => void;
  /** Position → what the first client saw there. */
  readonly #events = new Map<string, Seen>();
  readonly #nodes = new Map<number, string>();
  #epoch = 0;

  constructor(looked: Looked, fail: (client: string | null, position: Position | null, what: string) => void) {
    this.#looked = looked;
    this.#fail = fail;
  }

  /** Two clients see one event at one position. Deltas are left out: their spans differ by how they were merged. */
  onEvent(client: string, position: Position, event: ChatEvent): void {
    if (event.kind === 'block') return;
    const key = formatPosition(position);
    const digest = digestOf(event);
    const seen = this.#events.get(key);
    if (seen === undefined) {
      this.#events.set(key, { digest, client });
      dropOldest(this.#events, EVENTS_KEPT);
    } else if (seen.digest !== digest) {
      this.#fail(client, position, `Two writers: ${seen.client} saw another event at this position.`);
    } else if (seen.client !== client) this.#looked.twins += 1;
  }

  /** Who holds the chat now. */
  onOwner(epoch: number, node: string | null): void {
    this.#looked.owners += 1;
    if (epoch < this.#epoch) this.#fail(null, null, `The epoch went back from ${this.#epoch} to ${epoch}.`);
    this.#epoch = Math.max(this.#epoch, epoch);
    this.onWriter(epoch, node);
  }

  /** A node has written under that epoch. */
  onWriter(epoch: number, node: string | null): void {
    if (node === null) return;
    const known = this.#nodes.get(epoch);
    if (known === undefined) {
      this.#nodes.set(epoch, node);
      dropOldest(this.#nodes, EPOCHS_KEPT);
    } else if (known !== node) this.#fail(null, null, `Epoch ${epoch} has two writers: ${known} and ${node}.`);
  }

  /** Numbers are given in the order of positions: a row below the one before it was written by an epoch that was over. */
  onRows(places: readonly (readonly [number, number, number])[]): void {
    let before: readonly [number, number, number] | null = null;
    for (const place of places) {
      this.#looked.rows += 1;
      const [number, epoch, seq] = place;
      if (before !== null && (epoch < before[1] || (epoch === before[1] && seq <= before[2]))) {
        const at = `message ${number} at ${epoch}.${seq} behind message ${before[0]} at ${before[1]}.${before[2]}`;
        this.#fail(null, null, `A write of an epoch that was over was accepted: ${at}.`);
      }
      before = place;
    }
  }
}

function dropOldest<K>(map: Map<K, unknown>, max: number): void {
  if (map.size <= max) return;
  for (const key of map.keys()) {
    map.delete(key);
    return;
  }
}
