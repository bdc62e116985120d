// Incarnations of nodes: one row each, renewed every third of `nodeTtlMs`. Only Postgres' clock judges who is late, and
// dead is for ever: an incarnation that was marked dead finds nothing to renew and registers anew, with another id.

import type { NodeId } from '../protocol/ids.ts';
import type { Read } from '../actors/ports.ts';
import { must } from '../protocol/assert.ts';
import { arrayLiteral } from './array-literal.ts';
import type { Connections } from './connections.ts';
import type { StoreLimits } from './limits.ts';

/** What a node learns each time that it renews its row. */
export type NodesBeat = {
  /** False: this incarnation was marked dead. */
  readonly renewed: boolean;
  /** The others that nobody has marked dead, and how long each has left; below 0 it may be marked. */
  readonly others: readonly { readonly id: NodeId; readonly leftMs: number }[];
  /** Those that this beat has marked dead. */
  readonly marked: readonly NodeId[];
};

type BeatRow = { readonly id: NodeId; readonly what: 'self' | 'marked' | 'live'; readonly left_ms: number };

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

  /**
   * Renews this incarnation and tells of the others, in one statement: the heartbeat of a node. With `mark` it marks those
   * dead that have not renewed in time. `dead`: this one was marked; drop all actors and register anew.
   */
  beat(mark: boolean): Promise<Read<NodesBeat>> {
    return this.#connections.read(async (connection) => {
      const values = [this.#self, this.#limits.nodeTtlMs, mark];
      const rows = await connection.query<BeatRow>({ text: BEAT, values });
      const others = rows.flatMap(({ id, what, left_ms }) => (what === 'live' ? [{ id, leftMs: left_ms }] : []));
      const marked = rows.filter(({ what }) => what === 'marked').map(({ id }) => id);
      return { renewed: rows.some(({ what }) => what === 'self'), others, marked };
    });
  }

  /** What the nodes of this database sign their messages with: made by the first that asks. */
  clusterKey(fresh: Uint8Array): Promise<Read<Uint8Array>> {
    return this.#connections.read(async (connection) => {
      await connection.query({ text: KEEP_KEY, values: [fresh] });
      const [row] = await connection.query<{ key: Uint8Array }>({ text: CLUSTER_KEY, values: [] });
      return must(row, 'it was just kept').key;
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

/**
 * Only one that lives is renewed: expired is not dead, it may go on as long as nobody marked it. One that is not renewed
 * marks nobody.
 */
const BEAT = `
  with renewed as (
    update nodes set renewed_at = clock_timestamp(), expires_at = clock_timestamp() + $2::bigint * interval '1 millisecond'
    where id = $1::uuid and dead_at is null
    returning id),
  marked as (
    update nodes set dead_at = clock_timestamp()
    where $3::boolean and id is distinct from $1::uuid and dead_at is null and expires_at < clock_timestamp()
      and exists (select from renewed)
    returning id)
  select r.id, 'self' as what, 0::bigint as left_ms from renewed r
  union all
  select m.id, 'marked', 0 from marked m
  union all
  select n.id, 'live', (extract(epoch from n.expires_at - clock_timestamp()) * 1000)::bigint from nodes n
  where n.id is distinct from $1::uuid and n.dead_at is null and n.id not in (select id from marked)`;

const KEEP_KEY = `insert into cluster_key (one, key) values (true, $1::bytea) on conflict (one) do nothing`;
const CLUSTER_KEY = `select key from cluster_key`;

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
