// The gateway of a node as one service: the server, its sessions and what they share.

import type { ChatHost } from '../actors/host/api.ts';
import type { Clock, Random } from '../actors/ports.ts';
import type { Tracer } from '../actors/tracing.ts';
import type { NodeId, OwnerId } from '../protocol/ids.ts';
import { LIMITS } from '../protocol/limits.ts';
import { Admission, isLoopback, type UpgradeRequest, type Verdict } from './admission.ts';
import type { Authenticate } from './authentication.ts';
import { TrustedProxies } from './client-address.ts';
import type { Config } from './config.ts';
import { GatewayCounts } from './counts.ts';
import { CountedHost } from './counted-host.ts';
import { Doorstep } from './doorstep.ts';
import type { Feeds } from './feeds.ts';
import { Flusher } from './flush.ts';
import { HeartbeatWheel } from './heartbeat-wheel.ts';
import { GATEWAY_LIMITS } from './limits.ts';
import type { Logger } from './logger.ts';
import { connectionRoom, openFilesMax } from './open-files.ts';
import { SessionRates } from './requests.ts';
import { Session } from './session.ts';
import type { SessionContext } from './session-context.ts';
import { SessionRegistry } from './session-registry.ts';
import { Owners } from './shares.ts';
import { type HttpAnswer, type Server, SOCKET_PATH, startServer } from './uws.ts';

export type GatewayParts = {
  readonly config: Config;
  readonly node: NodeId;
  readonly host: ChatHost;
  readonly feeds: Feeds;
  readonly clock: Clock;
  readonly random: Random;
  readonly authenticate: Authenticate;
  /** One of its own when absent. */
  readonly registry?: SessionRegistry;
  readonly logger: Logger;
  readonly tracer: Tracer;
  /** Why the node cannot serve now, in words for an operator; empty when it can. */
  readonly notReady: () => Promise<readonly string[]>;
};

/**
 * From the close frames to the cut of what is still open. Cut at once, a socket whose client is just sending would be
 * reset, and the reset overtakes the close frame.
 */
const GOODBYE_MS = 100;

/** Created by `startGateway`; stopped once. */
export class Gateway {
  readonly registry: SessionRegistry;
  readonly counts = new GatewayCounts();
  readonly #parts: GatewayParts;
  readonly #admission: Admission;
  readonly #doorstep: Doorstep;
  readonly #context: SessionContext;
  #server: Server | null = null;
  #draining = false;

  constructor(parts: GatewayParts) {
    const { config, node, host, feeds, clock, random, authenticate, logger } = parts;
    this.#parts = parts;
    this.registry = parts.registry ?? new SessionRegistry(new Owners(config));
    const room = connectionRoom(config.sessionsMax, openFilesMax());
    if (room.sessionsMax < config.sessionsMax) {
      logger.info('the limit of open files leaves room for fewer connections', { sessionsMax: room.sessionsMax });
    }
    const addressRate = {
      connectsPerSecond: config.addressConnectsPerSecond,
      connectsBurst: config.addressConnectsBurst,
    };
    this.#doorstep = new Doorstep({ unfinishedMax: room.unfinishedMax, ...addressRate });
    this.#admission = new Admission({
      loopback: isLoopback(config.host),
      allowedOrigins: config.allowedOrigins,
      allowedHosts: config.allowedHosts,
      sessionsMax: room.sessionsMax,
      sessionsPerAddress: config.sessionsPerAddress,
      ...addressRate,
      nodeConnectsPerSecond: config.nodeConnectsPerSecond,
      nodeConnectsBurst: config.nodeConnectsBurst,
      refusalsPerSecond: config.addressRefusalsPerSecond,
      refusalsBurst: config.addressRefusalsBurst,
    });
    const heartbeatMs = LIMITS.heartbeatMs;
    this.#context = {
      node,
      host: new CountedHost(host, this.counts, parts.tracer),
      feeds,
      clock,
      random,
      authenticate: counted(authenticate, this.counts),
      counts: this.counts,
      logger,
      heartbeatMs,
      registry: this.registry,
      flusher: new Flusher((task) => setImmediate(task)),
      wheel: new HeartbeatWheel(clock, heartbeatMs),
      limits: config,
      rates: new SessionRates(config),
    };
  }

  /** Listens. Throws a `StartError`. */
  async start(): Promise<void> {
    const { config, logger } = this.#parts;
    this.#server = await startServer({
      host: config.host,
      port: config.port,
      socketBufferBytesMax: config.outboxHardBytes + GATEWAY_LIMITS.socketSlackBytes,
      logger,
      proxies: new TrustedProxies(config.trustedProxies),
      hostAllowed: (host) => this.#admission.hostAllowed(host),
      judge: (request) => this.#judge(request),
      traffic: this.counts,
      arrive: (address) => this.#arrive(address),
      leave: () => this.#doorstep.leave(),
      open: (socket, peer) => {
        this.counts.sessionsOpened += 1;
        this.#admission.opened(peer);
        return new Session(this.#newSessionId(), socket, this.#context);
      },
      closed: (peer, code) => this.#admission.closed(peer, code, this.#parts.clock.nowMs()),
      pages: { '/healthz': () => Promise.resolve(HEALTHY), '/readyz': () => this.#ready() },
    });
  }

  /** Connections that are no sessions (yet). */
  get unfinished(): number {
    return this.#doorstep.unfinished;
  }

  /** How long the owner waits until another chat is loaded for them, in milliseconds. */
  admitActivation(owner: OwnerId): number {
    const waitMs = this.registry.owners.activate(owner, this.#parts.clock.nowMs());
    if (waitMs > 0) this.counts.limits.add('ownerActivationsPerSecond');
    return waitMs;
  }

  /** Where clients connect. */
  get url(): string {
    const { host } = this.#parts.config;
    const name = host === '0.0.0.0' ? '127.0.0.1' : host.includes(':') ? `[${host === '::' ? '::1' : host}]` : host;
    return `ws://${name}:${this.#server?.port ?? 0}${SOCKET_PATH}`;
  }

  /** No new connections; the clients are told to come back, at times spread over the configured span. */
  drain(): void {
    this.#draining = true;
    this.registry.announceDrain(this.#parts.config.drainSpreadMs, this.#parts.random);
  }

  /** Resolves when the clients have left as they were told, or the time for that is up. */
  async emptied(): Promise<void> {
    const { clock, config } = this.#parts;
    const deadlineMs = clock.nowMs() + config.drainSpreadMs;
    while (this.registry.size > 0 && clock.nowMs() < deadlineMs) {
      await new Promise<void>((resolve) => {
        clock.after(GOODBYE_MS / 2, resolve);
      });
    }
  }

  /** Closes the sessions with `going_away`, gives them a moment for their goodbyes, and closes the server. */
  async stop(): Promise<void> {
    this.#draining = true;
    this.#server?.stopListening();
    if (this.registry.size > 0) {
      this.registry.closeAll('going_away');
      await new Promise<void>((resolve) => {
        this.#parts.clock.after(GOODBYE_MS, resolve);
      });
    }
    this.#context.wheel.stop();
    this.#context.feeds.stop();
    this.#server?.close();
    this.#server = null;
  }

  #judge(request: UpgradeRequest): Verdict {
    const { config, clock } = this.#parts;
    const verdict = this.#draining
      ? goingDown(config.drainSpreadMs)
      : this.#admission.judge(request, this.registry.size, clock.nowMs());
    if (!verdict.admitted) this.counts.refused(verdict.reason);
    return verdict;
  }

  async #ready(): Promise<HttpAnswer> {
    const reasons = this.#draining ? ['the node goes down'] : await this.#parts.notReady();
    const ready = reasons.length === 0;
    return {
      status: ready ? '200 OK' : '503 Service Unavailable',
      body: JSON.stringify({ ready, reasons, sessions: this.registry.size }),
    };
  }

  #arrive(address: string): boolean {
    const admitted = this.#doorstep.arrive(address, this.#parts.clock.nowMs());
    if (!admitted) this.counts.limits.add('unfinishedMax');
    return admitted;
  }

  #newSessionId(): string {
    return Buffer.from(this.#parts.random.bytes(8)).toString('hex');
  }
}

function goingDown(drainSpreadMs: number): Verdict {
  return {
    admitted: false,
    reason: 'draining',
    status: '503 Service Unavailable',
    body: 'This node goes down.',
    retryAfterSeconds: Math.ceil(drainSpreadMs / 1000),
  };
}

/** Counts what became of credentials. */
function counted(authenticate: Authenticate, counts: GatewayCounts): Authenticate {
  return async (token) => {
    const authentication = await authenticate(token);
    counts.authentications.add(authentication.outcome === 'accepted' ? 'accepted' : authentication.code);
    return authentication;
  };
}

const HEALTHY: HttpAnswer = { status: '200 OK', body: JSON.stringify({ alive: true }) };
