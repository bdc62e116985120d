// What Postgres has processes of its own for and the embedded database does not: checkpoints, without which the log
// grows for ever (16 MiB a segment, never taken away), and vacuum, without which tables that are written and emptied
// again do. On the store's own connection: in the worker they would fall into the middle of a transaction.

import type { Connections } from './connections.ts';
import type { StoreLimits } from './limits.ts';
import type { StoreLog } from './log.ts';

/** Tables with rows that change or go; messages do neither. */
const VACUUMED = [
  'owners',
  'chats',
  'queued_messages',
  'commands',
  'journal_packs',
  'attempts',
  'nodes',
  'inbox',
  'api_tokens',
  'owner_access',
  'access_clock',
];

export class Upkeep {
  readonly #connections: Connections;
  readonly #limits: StoreLimits;
  readonly #log: StoreLog;
  #timer: NodeJS.Timeout | null = null;
  #checkpoints = 0;
  /** A round that takes longer than the interval is not joined by another. */
  #running = false;

  constructor(connections: Connections, limits: StoreLimits, log: StoreLog) {
    this.#connections = connections;
    this.#limits = limits;
    this.#log = log;
  }

  start(): void {
    this.#timer = setInterval(() => void this.#run(), this.#limits.checkpointMs);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** One round; a failure is logged, the next round tries again. */
  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    this.#checkpoints += 1;
    const vacuum = this.#checkpoints % this.#limits.checkpointsPerVacuum === 0;
    // Each a use of its own: commits get their turn in between.
    for (const table of vacuum ? VACUUMED : []) await this.#do(`vacuum ${table}`);
    await this.#do('checkpoint');
    this.#running = false;
  }

  async #do(text: string): Promise<void> {
    if (this.#timer === null) return;
    const done = await this.#connections.read((connection) => connection.command(text));
    if (done.outcome === 'read' || this.#timer === null) return;
    this.#log.warn('upkeep of the embedded database failed', { detail: done.detail });
  }
}
