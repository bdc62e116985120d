// One incarnation of a node in the simulation: the real host, actors and sessions on simulated time, network, store and
// model. Killing it drops all of that at once, as a power cut does.

import type { ChatHost } from '../../actors/host/api.ts';
import { builtinTools } from '../support/tools.ts';
import { NO_TRACER } from '../../actors/tracing.ts';
import { NodeChatHost } from '../../actors/host/chat-host.ts';
import { HOST_DEFAULTS } from '../../actors/host/settings.ts';
import { CHAT_DEFAULTS, type ChatSettings } from '../../actors/chat/settings.ts';
import type { ChatStore, Clock, Log } from '../../actors/ports.ts';
import type { Authenticate } from '../../gateway/authentication.ts';
import { GatewayCounts } from '../../gateway/counts.ts';
import { Feeds } from '../../gateway/feeds.ts';
import { Flusher } from '../../gateway/flush.ts';
import { HeartbeatWheel } from '../../gateway/heartbeat-wheel.ts';
import type { SessionLimits } from '../../gateway/limits.ts';
import type { Logger } from '../../gateway/logger.ts';
import type { SessionContext } from '../../gateway/session-context.ts';
import { SessionRegistry } from '../../gateway/session-registry.ts';
import { Session } from '../../gateway/session.ts';
import { SessionRates } from '../../gateway/requests.ts';
import { Owners } from '../../gateway/shares.ts';
import type { ClientSocket } from '../../gateway/socket.ts';
import type { NodeId, OwnerId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { MortalClock } from './clock.ts';
import { FaultyStore, type Database } from './faulty-store.ts';
import type { Faults } from './faults.ts';
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
  readonly host: (host: ChatHost) => ChatHost;
  readonly authenticate: (authenticate: Authenticate) => Authenticate;
  /** Between a session and its connection. */
  readonly socket: (socket: ClientSocket) => ClientSocket;
  readonly limits: (limits: SessionLimits) => SessionLimits;
};

export type NodeOptions = {
  readonly id: NodeId;
  readonly clock: Clock;
  readonly random: SimRandom;
  readonly faults: Faults;
  readonly provider: Provider;
  readonly database: Database;
  readonly store: ChatStore;
  readonly settings: NodeSettings;
  readonly wrapping: Wrapping;
  readonly onStoreCall: (describe: () => string) => void;
  readonly onSessionClosed: (reason: unknown) => void;
  /** Something was logged as an error: a bug of ours. */
  readonly onError: (message: string, fields: unknown) => void;
};

export type NodeSettings = {
  readonly chat: ChatSettings;
  readonly sessions: SessionLimits;
  readonly passivateAfterMs: number;
  readonly residentMax: number;
};

/** Shorter waits than in production, so that all of them end within a run. */
export function drawSettings(random: SimRandom): NodeSettings {
  return {
    chat: {
      ...CHAT_DEFAULTS,
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

export class SimNode implements Server {
  readonly id: NodeId;
  readonly host: NodeChatHost;
  readonly #clock: MortalClock;
  readonly #store: FaultyStore;
  readonly #context: SessionContext;
  readonly #random: SimRandom;
  readonly #wrapping: Wrapping;
  /** Connections that are open. */
  readonly #open = new Set<{ readonly session: Session; readonly socket: ClientSocket }>();

  constructor(options: NodeOptions) {
    const { id, clock, random, faults, provider, database, settings, wrapping, onStoreCall } = options;
    this.id = id;
    this.#random = random;
    this.#wrapping = wrapping;
    this.#clock = new MortalClock(clock);
    this.#store = new FaultyStore({
      store: wrapping.database(options.store),
      clock,
      random: random.fork(),
      faults,
      database,
      onCall: onStoreCall,
    });
    const log = simLog(options.onError);
    const nodeStore = wrapping.store(this.#store, this.#clock);
    const feeds = new Feeds({
      store: nodeStore,
      clock: this.#clock,
      objection: () => Promise.resolve(null),
      onFault: (error) => options.onError('a feed could not be read', { error }),
    });
    this.host = new NodeChatHost({
      tracer: NO_TRACER,
      clock: this.#clock,
      random: random.fork(),
      store: nodeStore,
      tools: builtinTools({ clock: this.#clock, random: random.fork(), log }),
      models: simModels({ clock: this.#clock, random: random.fork(), faults, provider }),
      settings: settings.chat,
      log,
      onFed: (owner) => feeds.moved(owner),
      host: {
        ...HOST_DEFAULTS,
        drainMs: 2_000,
        passivateAfterMs: settings.passivateAfterMs,
        residentMax: settings.residentMax,
      },
    });
    this.#context = {
      node: id,
      host: wrapping.host(this.host),
      feeds,
      clock: this.#clock,
      random: random.fork(),
      authenticate: wrapping.authenticate(simAuthenticate(this.#clock)),
      registry: new SessionRegistry(new Owners(settings.sessions)),
      counts: new GatewayCounts(),
      flusher: new Flusher((task) => void this.#clock.after(0, task)),
      wheel: new HeartbeatWheel(this.#clock, LIMITS.heartbeatMs),
      heartbeatMs: LIMITS.heartbeatMs,
      limits: wrapping.limits(settings.sessions),
      rates: new SessionRates(settings.sessions),
      logger: simLogger(options),
    };
  }

  start(): Promise<void> {
    return this.host.start();
  }

  accept(socket: ClientSocket): ServerEnd {
    const id = Buffer.from(this.#random.bytes(8)).toString('hex');
    const session = new Session(id, this.#wrapping.socket(socket), this.#context);
    const open = { session, socket };
    this.#open.add(open);
    return {
      receive: (bytes) => session.receive(bytes),
      drained: () => session.drained(),
      closed: () => {
        this.#open.delete(open);
        session.closed();
      },
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
    registry.announceDrain(1_000, random);
    await this.host.drain();
    registry.closeAll('going_away');
    wheel.stop();
  }

  kill(): void {
    this.#clock.kill();
    this.#store.kill();
  }
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

function simLogger({ onError, onSessionClosed }: NodeOptions): Logger {
  const logger: Logger = {
    error: onError,
    warn: () => undefined,
    info: (_message, fields) => onSessionClosed(fields?.['reason']),
    debug: () => undefined,
    child: () => logger,
  };
  return logger;
}
