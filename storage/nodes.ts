// Incarnations of nodes: one row each, renewed every third of `nodeTtlMs`. Only Postgres' clock judges who is late, and
// dead is for ever: an incarnation that was marked dead finds nothing to renew and registers anew, with another id.

import type { NodeId } from '../protocol/ids.ts';
import type { Read } from '../actors/ports.ts';
import { arrayLiteral } from './array-literal.ts';
import type { Connections } from './connections.ts';
import type { StoreLimits } from './limits.ts';

export class Nodes {
  readonly #connections: Connections;
  readonly #limits: StoreLimits;
  #self: NodeId | null = null;

  constructor(connections: Connections, limits: StoreLimits) {
    this.#connections = connections;
    this.#limits = limits;
  }

  /** The incarnation that activations take chats for; null before the first `register`. */
  get self(): NodeId | null {
    return this.#self;
  }

  /** Within this time of a renewal (as sent) nobody may mark this node dead. */
  get ttlMs(): number {
    return this.#limits.nodeTtlMs;
  }

  /**
   * From now on this process is `id`, which must be new. On the embedded database everybody else is dead: its folder
   * is locked by this process.
   */
  async register(id: NodeId): Promise<Read<'registered'>> {
    const registered = await this.#connections.read(async (connection) => {
      await connection.query({ text: REGISTER, values: [id, this.#limits.nodeTtlMs] });
      if (this.#connections.embedded) await connection.query({ text: MARK_OTHERS_DEAD, values: [id] });
      await connection.query({ text: FORGET, values: [] });
      return 'registered' as const;
    });
    if (registered.outcome === 'read') this.#self = id;
    return registered;
  }

  /** `dead`: drop all actors and register anew. */
  renew(): Promise<Read<'renewed' | 'dead'>> {
    return this.#connections.read(async (connection) => {
      const rows = await connection.query<{ id: NodeId }>({
        text: RENEW,
        values: [this.#self, this.#limits.nodeTtlMs],
      });
      return rows.length === 1 ? 'renewed' : 'dead';
    });
  }

  /** Marks those of `ids` dead that have not renewed in time; gives those that are dead now. */
  markDead(ids: readonly NodeId[]): Promise<Read<readonly NodeId[]>> {
    return this.#connections.read(async (connection) => {
      await connection.query({ text: MARK_DEAD, values: [arrayLiteral(ids)] });
      const rows = await connection.query<{ id: NodeId }>({ text: DEAD_AMONG, values: [arrayLiteral(ids)] });
      return rows.map((row) => row.id);
    });
  }

  /** Marks every other incarnation dead that has not renewed in time; gives them. */
  markExpiredDead(): Promise<Read<readonly NodeId[]>> {
    return this.#connections.read(async (connection) => {
      const rows = await connection.query<{ id: NodeId }>({ text: MARK_EXPIRED_DEAD, values: [this.#self] });
      return rows.map((row) => row.id);
    });
  }

  /** In order: nobody has to wait for this incarnation to expire. Its chats are free from here on. */
  retire(): Promise<Read<'retired'>> {
    return this.#connections.read(async (connection) => {
      await connection.query({ text: RETIRE, values: [this.#self] });
      return 'retired' as const;
    });
  }

  /** Other incarnations that have renewed in time. */
  otherLiveNodes(): Promise<Read<readonly NodeId[]>> {
    return this.#connections.read(async (connection) => {
      const rows = await connection.query<{ id: NodeId }>({ text: OTHERS, values: [this.#self] });
      return rows.map((row) => row.id);
    });
  }
}

const REGISTER = `
  insert into nodes (id, registered_at, renewed_at, expires_at)
  values ($1::uuid, clock_timestamp(), clock_timestamp(), clock_timestamp() + $2::bigint * interval '1 millisecond')`;

/** Only one that lives: expired is not dead, it may go on as long as nobody marked it. */
const RENEW = `
  update nodes set renewed_at = clock_timestamp(), expires_at = clock_timestamp() + $2::bigint * interval '1 millisecond'
  where id = $1::uuid and dead_at is null
  returning id`;

const MARK_DEAD = `
  update nodes set dead_at = clock_timestamp()
  where id = any($1::uuid[]) and dead_at is null and expires_at < clock_timestamp()`;

const DEAD_AMONG = `select n.id from nodes n where n.id = any($1::uuid[]) and n.dead_at is not null`;

const MARK_EXPIRED_DEAD = `
  update nodes set dead_at = clock_timestamp()
  where id is distinct from $1::uuid and dead_at is null and expires_at < clock_timestamp()
  returning id`;

const MARK_OTHERS_DEAD = `
  update nodes set dead_at = clock_timestamp() where id <> $1::uuid and dead_at is null`;

const RETIRE = `update nodes set dead_at = clock_timestamp() where id = $1::uuid and dead_at is null`;

const OTHERS = `
  select n.id from nodes n
  where n.id is distinct from $1::uuid and n.dead_at is null and n.expires_at >= clock_timestamp()
  order by n.id`;

/** A row that is gone counts as dead: only such are taken away, a week later. */
const FORGET = `delete from nodes where dead_at < clock_timestamp() - interval '7 days'`;
