// The part of a node that makes it one among others: its bus, its key, what its lease tells it.

import { hostname } from 'node:os';
import type { Bus } from '../actors/cluster/bus.ts';
import { Cluster, type ClusterParts } from '../actors/cluster/cluster.ts';
import { ClusterCounts } from '../actors/cluster/counts.ts';
import { NatsBus } from '../actors/cluster/nats-bus.ts';
import { suspendable, Suspension } from '../actors/cluster/suspension.ts';
import type { NodeChatHost } from '../actors/host/chat-host.ts';
import type { HostDeps } from '../actors/host/host-deps.ts';
import type { ChatStore, Clock, Log, ModelDirectory, Random } from '../actors/ports.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { OpenStore } from '../storage/store.ts';
import type { Config } from './config.ts';
import type { Logger } from './logger.ts';
import type { LeaseWatcher, NodeLease } from './node-lease.ts';
import { StartError } from './start-error.ts';

export type ClusterNodeParts = {
  readonly config: Pick<Config, 'nodeName' | 'selfFencing' | 'clusterVersion'>;
  readonly bus: Bus;
  /** What the nodes sign their messages with. */
  readonly key: Uint8Array;
  readonly store: ChatStore;
  readonly clock: Clock;
  /** Runs a task behind what is being done just now. */
  readonly schedule: (task: () => void) => void;
};

/** What is known only when the rest of the node is put together. */
type Joining = Pick<ClusterParts, 'onFed' | 'onRevoked'> & {
  readonly host: NodeChatHost;
  readonly models: ModelDirectory;
  readonly lease: NodeLease;
  readonly logger: Log;
};

/** watching (its lease runs) → joined (others talk to it) → left. */
export class ClusterNode {
  readonly counts = new ClusterCounts();
  readonly suspension: Suspension;
  /** For actors: nothing takes effect outside while the node may be dead. */
  readonly store: ChatStore;
  readonly #parts: ClusterNodeParts;
  #lease: NodeLease | null = null;
  #cluster: Cluster | null = null;

  constructor(parts: ClusterNodeParts) {
    this.#parts = parts;
    const { selfFencing } = parts.config;
    this.suspension = new Suspension(() => selfFencing && this.#lease?.isLate === true);
    this.store = suspendable(parts.store, this.suspension);
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
    const { config, bus, key, clock, schedule } = this.#parts;
    this.#lease = lease;
    this.#cluster = new Cluster(
      {
        name: nameOf(config),
        bus,
        key,
        version: config.clusterVersion,
        host,
        suspension: this.suspension,
        store: this.store,
        models,
        clock,
        log: logger,
        counts: this.counts,
        schedule,
        onFed,
        onRevoked,
        onLeft: () => lease.look(),
      },
      lease.id,
    );
    return this.#cluster;
  }

  /** What the host of this node has to know. */
  get forHost(): Pick<HostDeps, 'isMine' | 'onGivenUp' | 'onTaken' | 'onTold' | 'restElsewhere' | 'suspension'> {
    return {
      onGivenUp: (chat) => this.#cluster?.handOver(chat),
      onTaken: (chats) => this.#cluster?.taken(chats),
      onTold: () => this.#cluster?.told(),
      restElsewhere: async (chat, owner) => (await this.#cluster?.rest(chat, owner)) ?? false,
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
    return this.#parts.bus.connected ? null : 'NATS cannot be reached: only chats of this node can be had';
  }

  async leave(): Promise<void> {
    this.#cluster?.leave();
    await this.#parts.bus.close();
  }
}

export type JoiningParts = {
  readonly config: Config;
  readonly database: Pick<OpenStore, 'nodes' | 'store'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
};

/** A place among the nodes on NATS; null when no NATS_URL is set. Throws a `StartError`. */
export async function joinCluster(parts: JoiningParts): Promise<ClusterNode | null> {
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
          'Start the NATS server, or correct NATS_URL and PARLEY_NATS_CA_FILE.',
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
  const schedule = (task: () => void): void => void setImmediate(task);
  return new ClusterNode({ config, bus, key, store: database.store, clock, schedule });
}

function nameOf({ nodeName }: Pick<Config, 'nodeName'>): string {
  return nodeName ?? hostname();
}
