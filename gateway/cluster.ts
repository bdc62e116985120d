// The part of a node that makes it one among others: its bus, its key, what its lease tells it. Null for one that stands
// alone.

import { hostname } from 'node:os';
import { Cluster, type ClusterParts } from '../actors/cluster/cluster.ts';
import { ClusterCounts } from '../actors/cluster/counts.ts';
import { NatsBus } from '../actors/cluster/nats-bus.ts';
import { suspendable, Suspension } from '../actors/cluster/suspension.ts';
import type { HostDeps, NodeChatHost } from '../actors/host/chat-host.ts';
import type { ChatStore, Clock, ModelDirectory, Random } from '../actors/ports.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { OpenStore } from '../storage/store.ts';
import type { Config } from './config.ts';
import type { Logger } from './logger.ts';
import type { LeaseWatcher, NodeLease } from './node-lease.ts';
import { StartError } from './start-error.ts';

export type ClusterNodeParts = {
  readonly config: Config;
  readonly database: Pick<OpenStore, 'nodes' | 'store'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
};

/** What is known only when the rest of the node is put together. */
type Joining = Pick<ClusterParts, 'onFed' | 'onRevoked'> & {
  readonly host: NodeChatHost;
  readonly models: ModelDirectory;
  readonly lease: NodeLease;
  readonly logger: Logger;
};

/** connecting → watching (its lease runs) → joined (others talk to it) → left. */
export class ClusterNode {
  readonly counts = new ClusterCounts();
  readonly suspension: Suspension;
  /** For actors: nothing takes effect outside while the node may be dead. */
  readonly store: ChatStore;
  readonly #parts: ClusterNodeParts;
  readonly #bus: NatsBus;
  readonly #key: Uint8Array;
  #lease: NodeLease | null = null;
  #cluster: Cluster | null = null;

  private constructor(parts: ClusterNodeParts, bus: NatsBus, key: Uint8Array) {
    this.#parts = parts;
    this.#bus = bus;
    this.#key = key;
    const { selfFencing } = parts.config;
    this.suspension = new Suspension(() => selfFencing && this.#lease?.isLate === true);
    this.store = suspendable(parts.database.store, this.suspension);
  }

  /** Null when no NATS_URL is set. Throws a `StartError`. */
  static async connect(parts: ClusterNodeParts): Promise<ClusterNode | null> {
    const { config, database, clock, random, logger } = parts;
    const { natsUrl: url, natsCaFile: caFile } = config;
    if (url === null) return null;
    const tls = url.includes('tls://') ? { caFile } : null;
    const bus = new NatsBus({ url, name: nameOf(config), tls }, clock, logger);
    const connected = await bus.open();
    if (!connected) {
      const others = await database.nodes.otherLiveNodes();
      if (others.outcome !== 'read' || others.value.length > 0) {
        await bus.close();
        throw new StartError(
          `NATS cannot be reached (${bus.lastError ?? 'no answer'}), and another node uses this database. ` +
            'Start the NATS server, or correct NATS_URL.',
        );
      }
      logger.warn('NATS cannot be reached: this node serves alone until it can', { detail: bus.lastError });
    }
    const kept = await database.nodes.clusterKey(random.bytes(32));
    if (kept.outcome === 'unavailable') {
      await bus.close();
      throw new StartError(`The database does not answer (${kept.detail}). See that it runs, then start again.`);
    }
    const key = config.clusterKey === null ? kept.value : new TextEncoder().encode(config.clusterKey);
    return new ClusterNode(parts, bus, key);
  }

  /** For the lease of this node. */
  readonly watcher: LeaseWatcher = {
    onBeat: (others, marked) => this.#cluster?.listed(others, marked),
    onHeldAgain: () => this.#cluster?.heldAgain(),
    onLost: () => this.#cluster?.lost(),
    onAnew: (id: NodeId) => this.#cluster?.anew(id),
  };

  /** The host for sessions; the others hear of this node when `start` is called on it. */
  join({ host, models, lease, logger, onFed, onRevoked }: Joining): Cluster {
    const { config, clock } = this.#parts;
    this.#lease = lease;
    this.#cluster = new Cluster(
      {
        name: nameOf(config),
        bus: this.#bus,
        key: this.#key,
        version: config.clusterVersion,
        host,
        suspension: this.suspension,
        store: this.store,
        models,
        clock,
        log: logger,
        counts: this.counts,
        schedule: (task) => setImmediate(task),
        onFed,
        onRevoked,
        onLeft: () => lease.look(),
      },
      lease.id,
    );
    return this.#cluster;
  }

  /** What the host of this node has to know. */
  get forHost(): Pick<HostDeps, 'isMine' | 'onGivenUp' | 'suspension'> {
    return {
      onGivenUp: (chat) => this.#cluster?.handOver(chat),
      isMine: (chat) => this.#cluster?.isMine(chat) ?? true,
      suspension: { isSuspended: () => this.suspension.isSuspended },
    };
  }

  fed(owner: string): void {
    this.#cluster?.fed(owner);
  }

  revoked(): void {
    this.#cluster?.revoked();
  }

  /** Why it should get less traffic than it could; null when all is well. */
  get fault(): string | null {
    return this.#bus.connected ? null : 'NATS cannot be reached: only chats of this node can be had';
  }

  async leave(): Promise<void> {
    this.#cluster?.leave();
    await this.#bus.close();
  }
}

function nameOf({ nodeName }: Config): string {
  return nodeName ?? hostname();
}
