// One incarnation of a node in the simulation: the real host, actors and sessions on simulated time, network, store and
// model. Killing it drops all of that at once, as a power cut does.

import type { ChatHost } from '../../actors/host/api.ts';
import { builtinTools } from '../support/tools.ts';
import { NO_TRACER } from '../../actors/tracing.ts';
import { NodeChatHost } from '../../actors/host/chat-host.ts';
import type { HostDeps } from '../../actors/host/host-deps.ts';
import { HOST_DEFAULTS } from '../../actors/host/settings.ts';
import { CHAT_DEFAULTS, type ChatSettings } from '../../actors/chat/settings.ts';
import type { Cluster } from '../../actors/cluster/cluster.ts';
import type { ChatStore, Clock, Log } from '../../actors/ports.ts';
import type { JournalMode } from '../../actors/turn-ports.ts';
import type { Authenticate } from '../../gateway/authentication.ts';
import type { ClusterNode } from '../../gateway/cluster.ts';
import { GatewayCounts } from '../../gateway/counts.ts';
import { Feeds } from '../../gateway/feeds.ts';
import { Flusher } from '../../gateway/flush.ts';
import { HeartbeatWheel } from '../../gateway/heartbeat-wheel.ts';
import type { SessionLimits } from '../../gateway/limits.ts';
import type { Logger } from '../../gateway/logger.ts';
import type { NodeLease } from '../../gateway/node-lease.ts';
import type { SessionContext } from '../../gateway/session-context.ts';
import { SessionRegistry } from '../../gateway/session-registry.ts';
import { Session } from '../../gateway/session.ts';
import { SessionRates } from '../../gateway/requests.ts';
import { Owners } from '../../gateway/shares.ts';
import type { ClientSocket } from '../../gateway/socket.ts';
import { must } from '../../protocol/assert.ts';
import type { NodeId, OwnerId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { FaultyStore } from './faulty-store.ts';
import type { Faults } from './faults.ts';
import type { MachineClock } from './machine-clock.ts';
import { simModels, type Provider } from './model.ts';
import type { Server, ServerEnd } from './network.ts';
import type { SimRandom } from './random.ts';

/** What plants and checks lay around the parts of a node. */
export type Wrapping = {
  /** Between the database and the delays in front of it. */
  readonly database: (store: ChatStore) => ChatStore;
  /** Between the node and its store. */
  readonly store: (store: ChatStore, clock: Clock) => ChatStore;
  /** Between the sessions and the host. */
  readonly host: (host: ChatHost, clock: Clock) => ChatHost;
  readonly authenticate: (authenticate: Authenticate) => Authenticate;
  /** Between a session and its connection. */
  readonly socket: (socket: ClientSocket) => ClientSocket;
  readonly limits: (limits: SessionLimits) => SessionLimits;
};

/** What the nodes of a run have in common. */
export type NodeSurroundings = {
  readonly faults: Faults;
  readonly provider: Provider;
  readonly settings: NodeSettings;
  readonly wrapping: Wrapping;
  readonly onSessionClosed: (reason: unknown) => void;
  /** Something was logged as an error: a bug of ours. */
  readonly onError: (message: string, fields: unknown) => void;
};

export type NodeOptions = NodeSurroundings & {
  readonly id: NodeId;
  readonly machine: MachineClock;
  readonly random: SimRandom;
  readonly faulty: FaultyStore;
  /** `faulty` with what is laid around it. */
  readonly store: ChatStore;
  /** Its place among others, and the lease of it; null when it stands alone. */
  readonly among: { readonly node: ClusterNode; readonly lease: NodeLease } | null;
};

export type NodeSettings = {
  readonly chat: ChatSettings;
  readonly sessions: SessionLimits;
  readonly passivateAfterMs: number;
  readonly residentMax: number;
};

/** Shorter waits than in production, so that all of them end within a run. */
export function drawSettings(random: SimRandom, journal: JournalMode): NodeSettings {
  return {
    chat: {
      ...CHAT_DEFAULTS,
      journal,
      mergeWindowMs: random.pick([0, 15, 60]),
      journalEveryMs: random.pick([50, 500, 2_000]),
      silenceTimeoutMs: 4_000,
      attemptsMax: 4,
      retryBaseMs: 300,
      retryCeilingMs: 3_000,
      stopGraceMs: random.pick([100, 2_000]),
    },
    sessions: {
      outboxSoftBytes: random.pick([1_024, 65_536]),
      outboxHardBytes: random.pick([64, 1_048_576]),
      helloTimeoutMs: LIMITS.helloTimeoutMs,
      tokenGraceMs: 5_000,
      framesPerSecond: 200,
      framesBurst: 400,
      commandsPerSecond: 100,
      commandsBurst: 200,
      sessionsPerOwner: 100,
      attachmentsPerOwner: 1_000,
      ownerCommandsPerSecond: 400,
      ownerCommandsBurst: 800,
      ownerActivationsPerSecond: 100,
      ownerActivationsBurst: 1_000,
    },
    passivateAfterMs: random.pick([2_000, 10_000, 120_000]),
    residentMax: random.pick([3, 100]),
  };
}

const DRAIN_SPREAD_MS = 1_000;
const LOOK_MS = 50;

export class SimNode implements Server {
  readonly id: NodeId;
  readonly host: NodeChatHost;
  /** Null when it stands alone. */
  readonly cluster: Cluster | null;
  readonly #options: NodeOptions;
  readonly #context: SessionContext;
  /** Connections that are open. */
  readonly #open = new Set<{ readonly session: Session; readonly socket: ClientSocket }>();
  /** When it was renewed last behind its own deadline: what there was until then it withheld. */
  heldSinceMs = 0;

  constructor(options: NodeOptions) {
    const { id, machine: clock, random, faults, provider, settings, wrapping, store, among } = options;
    this.id = id;
    this.#options = options;
    const log = simLog(options.onError);
    const feeds = new Feeds({
      store,
      clock,
      objection: () => Promise.resolve(null),
      onFault: (error) => options.onError('a feed could not be read', { error }),
    });
    const onFed = (owner: string): void => feeds.moved(owner);
    const hostRandom = random.fork();
    const tools = builtinTools({ clock, random: random.fork(), log });
    const models = simModels({ clock, random: random.fork(), faults, provider });
    const { passivateAfterMs, residentMax } = settings;
    this.host = new NodeChatHost({
      tracer: NO_TRACER,
      clock,
      random: hostRandom,
      store,
      tools,
      models,
      settings: settings.chat,
      log,
      host: { ...HOST_DEFAULTS, drainMs: 2_000, passivateAfterMs, residentMax },
      onFed,
      ...(among === null ? {} : forHost(among.node, onFed)),
    });
    const logger = simLogger(options);
    const onRevoked = (): void => undefined;
    this.cluster = among?.node.join({ host: this.host, models, lease: among.lease, logger, onFed, onRevoked }) ?? null;
    this.#context = {
      node: id,
      host: wrapping.host(this.cluster?.host ?? this.host, clock),
      feeds,
      clock,
      random: random.fork(),
      authenticate: wrapping.authenticate(simAuthenticate(clock)),
      registry: new SessionRegistry(new Owners(settings.sessions)),
      counts: new GatewayCounts(),
      flusher: new Flusher((task) => void clock.after(0, task)),
      wheel: new HeartbeatWheel(clock, LIMITS.heartbeatMs),
      heartbeatMs: LIMITS.heartbeatMs,
      limits: wrapping.limits(settings.sessions),
      rates: new SessionRates(settings.sessions),
      logger,
    };
  }

  start(): Promise<void> {
    this.cluster?.start();
    return this.host.start();
  }

  get sendsSinceMs(): number {
    return Math.max(this.heldSinceMs, this.#options.machine.runsSinceMs);
  }

  /** The kernel takes a connection; the session begins when the machine runs. */
  accept(socket: ClientSocket): ServerEnd {
    const { machine, random, wrapping } = this.#options;
    const id = Buffer.from(random.bytes(8)).toString('hex');
    let open: { readonly session: Session; readonly socket: ClientSocket } | null = null;
    machine.run(() => {
      open = { session: new Session(id, wrapping.socket(socket), this.#context), socket };
      this.#open.add(open);
    });
    const act = (task: (session: Session) => void): void => {
      machine.run(() => task(must(open, 'it began before').session));
    };
    return {
      receive: (bytes) => act((session) => session.receive(bytes)),
      drained: () => act((session) => session.drained()),
      closed: () =>
        act((session) => {
          if (open !== null) this.#open.delete(open);
          session.closed();
        }),
    };
  }

  /** What is held for each reader: by the session's own account, and by that of its connection. */
  *held(): Generator<{ readonly heldBytes: number; readonly bufferedBytes: number }> {
    for (const { session, socket } of this.#open) {
      const { outboxBytes, bufferedBytes } = session.measure;
      yield { heldBytes: outboxBytes + bufferedBytes, bufferedBytes: socket.bufferedBytes() };
    }
  }

  /** In order: clients are told, chats are given up or left to recovery. The node is to be killed afterwards. */
  async drain(): Promise<void> {
    const { registry, random, wheel } = this.#context;
    const { among } = this.#options;
    this.cluster?.drain();
    registry.announceDrain(DRAIN_SPREAD_MS, random);
    await this.host.drain();
    // Alone they can come back nowhere: the next node is to start soon.
    if (among !== null) await this.#emptied();
    registry.closeAll('going_away');
    wheel.stop();
    await among?.lease.release();
    await among?.node.leave();
  }

  async #emptied(): Promise<void> {
    const { machine } = this.#options;
    const deadlineMs = machine.nowMs() + DRAIN_SPREAD_MS;
    while (this.#context.registry.size > 0 && machine.nowMs() < deadlineMs) {
      await new Promise<void>((resolve) => {
        machine.after(LOOK_MS, resolve);
      });
    }
  }

  kill(): void {
    this.#options.machine.kill();
    this.#options.faulty.kill();
  }
}

/** What `gateway/compose.ts` lays around the host of a node among others. */
function forHost(node: ClusterNode, onFed: (owner: string) => void): Partial<HostDeps> {
  return {
    ...node.forHost,
    store: node.store,
    onFed: (owner) => {
      onFed(owner);
      node.fed(owner);
    },
  };
}

/** A credential of the simulation: who, in which role, until when. */
export function credential(owner: OwnerId, role: 'member' | 'auditor', expiresAtMs: number): string {
  return `${owner}|${role}|${expiresAtMs}`;
}

function simAuthenticate(clock: Clock): Authenticate {
  return (token) => {
    const [owner, role, expires] = token.split('|');
    const expiresAtMs = Number(expires);
    if (expiresAtMs <= clock.nowMs()) {
      return Promise.resolve({ outcome: 'refused', code: 'token_expired', detail: 'simulated' });
    }
    const principal = { owner: owner as OwnerId, role: role === 'auditor' ? role : 'member', groups: [] } as const;
    return Promise.resolve({ outcome: 'accepted', credential: { principal, expiresAtMs } });
  };
}

function simLog(onError: NodeOptions['onError']): Log {
  const log: Log = {
    error: onError,
    warn: () => undefined,
    info: () => undefined,
    child: () => log,
  };
  return log;
}

export function simLogger({ onError, onSessionClosed }: Pick<NodeSurroundings, 'onError' | 'onSessionClosed'>): Logger {
  const logger: Logger = {
    error: onError,
    warn: () => undefined,
    info: (_message, fields) => onSessionClosed(fields?.['reason']),
    debug: () => undefined,
    child: () => logger,
  };
  return logger;
}
