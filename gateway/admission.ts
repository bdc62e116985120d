// Who may open a connection at all: judged from the upgrade request alone, before anything is built for it.
//
// Two headers guard browsers. `Origin`: a page of a foreign site must not use what the browser holds; programs send
// none. `Host`: on a loopback address a page could reach the node under a name of its own that resolves to 127.0.0.1 (DNS
// rebinding), so there only loopback names count.

import { SUBPROTOCOL } from '../protocol/frames.ts';
import { CLOSE_CODES } from '../protocol/close-codes.ts';
import { Rate } from './rate.ts';
import { type Share, Shares } from './shares.ts';

export type UpgradeRequest = {
  /** Header values, empty when absent. */
  readonly origin: string;
  readonly host: string;
  readonly protocols: string;
  /** What counts as one address: see `addressKey`, and `TrustedProxies` for whose it is. */
  readonly address: string;
};

export type AdmissionRules = {
  /** The node listens on a loopback address. */
  readonly loopback: boolean;
  /** `https://app.example.com`; besides, the origin that equals the request's own host is allowed. */
  readonly allowedOrigins: readonly string[];
  /** Host names without a port; besides the loopback ones. Empty on another address: any. */
  readonly allowedHosts: readonly string[];
  readonly sessionsMax: number;
  readonly sessionsPerAddress: number;
  readonly connectsPerSecond: number;
  readonly connectsBurst: number;
  /** Of the whole node: what comes back at once after a cut is let in at a pace that it can serve. */
  readonly nodeConnectsPerSecond: number;
  readonly nodeConnectsBurst: number;
  /** Connections that end for a credential that is not valid. */
  readonly refusalsPerSecond: number;
  readonly refusalsBurst: number;
};

/** The connections of one address. */
export type Peer = Share & {
  /** As in `Rate`; changed by `Admission` alone. */
  connectsUsedUntilMs: number;
  refusalsUsedUntilMs: number;
};

/** Why an upgrade is refused. */
export const REFUSALS = [
  'host',
  'origin',
  'protocol',
  'address_rate',
  'address_refusals',
  'address_full',
  'node_rate',
  'full',
  'draining',
] as const;
export type Refusal = (typeof REFUSALS)[number];

export type Verdict =
  | { readonly admitted: true; readonly peer: Peer }
  | {
      readonly admitted: false;
      readonly reason: Refusal;
      readonly status: string;
      /** One plain sentence. */
      readonly body: string;
      readonly retryAfterSeconds: number | null;
    };

export const HOST_REFUSED = 'This host name is not allowed here; see PARLEY_ALLOWED_HOSTS.';

const LOOPBACK_NAMES: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

export class Admission {
  readonly #rules: AdmissionRules;
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;
  readonly #connects: Rate;
  readonly #refusals: Rate;
  readonly #nodeConnects: Rate;
  #nodeUsedUntilMs = 0;
  readonly #peers = new Shares<Peer>(
    (key) => ({ key, sessions: 0, connectsUsedUntilMs: 0, refusalsUsedUntilMs: 0 }),
    (peer, nowMs) => Math.max(peer.connectsUsedUntilMs, peer.refusalsUsedUntilMs) <= nowMs,
  );

  constructor(rules: AdmissionRules) {
    this.#rules = rules;
    this.#connects = new Rate({ perSecond: rules.connectsPerSecond, burst: rules.connectsBurst });
    this.#refusals = new Rate({ perSecond: rules.refusalsPerSecond, burst: rules.refusalsBurst });
    this.#nodeConnects = new Rate({ perSecond: rules.nodeConnectsPerSecond, burst: rules.nodeConnectsBurst });
    this.#hosts = new Set(rules.allowedHosts.map((host) => host.toLowerCase()));
    this.#origins = new Set(rules.allowedOrigins.map((origin) => origin.toLowerCase()));
  }

  /** Judges a request that wants to become a session; `sessions` are open. */
  judge(request: UpgradeRequest, sessions: number, nowMs: number): Verdict {
    if (!this.hostAllowed(request.host)) return refuse('host', '403 Forbidden', HOST_REFUSED);
    if (!this.#originAllowed(request))
      return refuse('origin', '403 Forbidden', 'This origin is not allowed here; see PARLEY_ALLOWED_ORIGINS.');
    if (!offers(request.protocols)) {
      return refuse('protocol', '400 Bad Request', `The WebSocket subprotocol must be ${SUBPROTOCOL}.`);
    }
    const peer = this.#peers.findOrMake(request.address);
    const refusal = this.#refuseConnect(peer, nowMs);
    if (refusal !== null) return refusal;
    if (sessions >= this.#rules.sessionsMax) {
      const body = 'This node has as many connections as it may have.';
      return refuse('full', UNAVAILABLE, body, FULL_RETRY_SECONDS);
    }
    return this.#refuseForNode(nowMs) ?? { admitted: true, peer };
  }

  /** Counts one connect of the node, or refuses it. Last of all: what is refused for itself takes nothing from others. */
  #refuseForNode(nowMs: number): Verdict | null {
    const used = this.#nodeConnects.take(this.#nodeUsedUntilMs, 1, nowMs);
    if (used === null) {
      const waitMs = this.#nodeConnects.waitMs(this.#nodeUsedUntilMs, 1, nowMs);
      return refuse('node_rate', UNAVAILABLE, 'This node takes no more connections at this moment.', seconds(waitMs));
    }
    this.#nodeUsedUntilMs = used;
    return null;
  }

  /** The connection that was admitted is open. */
  opened(peer: Peer): void {
    this.#peers.enter(peer);
  }

  /** It has ended, with that close code. */
  closed(peer: Peer, code: number, nowMs: number): void {
    // Whoever guesses credentials makes the node verify signatures and ask its database.
    if (code === CLOSE_CODES.unauthorized || code === CLOSE_CODES.revoked) {
      peer.refusalsUsedUntilMs = this.#refusals.take(peer.refusalsUsedUntilMs, 1, nowMs) ?? peer.refusalsUsedUntilMs;
    }
    this.#peers.leave(peer, nowMs);
  }

  /** For every request, health included. */
  hostAllowed(host: string): boolean {
    const name = hostName(host);
    if (this.#hosts.has(name)) return true;
    return this.#rules.loopback ? namesLoopback(name) : this.#hosts.size === 0;
  }

  #originAllowed({ origin, host }: UpgradeRequest): boolean {
    if (origin === '') return true;
    const lower = origin.toLowerCase();
    const own = host.toLowerCase();
    return this.#origins.has(lower) || lower === `http://${own}` || lower === `https://${own}`;
  }

  /** Counts one connect of the address, or refuses it. */
  #refuseConnect(peer: Peer, nowMs: number): Verdict | null {
    const refusedMs = this.#refusals.waitMs(peer.refusalsUsedUntilMs, 1, nowMs);
    if (refusedMs > 0) {
      return refuse('address_refusals', TOO_MANY, 'Too many bad credentials from this address.', seconds(refusedMs));
    }
    const used = this.#connects.take(peer.connectsUsedUntilMs, 1, nowMs);
    if (used === null) {
      const waitMs = this.#connects.waitMs(peer.connectsUsedUntilMs, 1, nowMs);
      return refuse('address_rate', TOO_MANY, 'Too many connections from this address.', seconds(waitMs));
    }
    peer.connectsUsedUntilMs = used;
    if (peer.sessions < this.#rules.sessionsPerAddress) return null;
    const body = 'This address has as many connections as it may have.';
    return refuse('address_full', TOO_MANY, body, FULL_RETRY_SECONDS);
  }
}

function seconds(ms: number): number {
  return Math.ceil(ms / 1000);
}

const TOO_MANY = '429 Too Many Requests';
const UNAVAILABLE = '503 Service Unavailable';
/** When to try again where only somebody else's leaving helps. */
const FULL_RETRY_SECONDS = 5;

/** Whether a `Host` header names this machine by a loopback name. */
export function namesLoopback(host: string): boolean {
  return LOOPBACK_NAMES.has(hostName(host));
}

/** Whether the node is reached on this machine only. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** An IPv4 address, or the /64 of an IPv6 one: who has one address of it has all of them. */
export function addressKey(bytes: Uint8Array): string {
  if (isMapped(bytes)) return bytes.subarray(12).join('.');
  return bytes.length === 4 ? bytes.join('.') : Buffer.from(bytes.subarray(0, 8)).toString('hex');
}

/** An IPv4 address as one of IPv6: how a socket that listens for both names its peers. */
export function isMapped(bytes: Uint8Array): boolean {
  if (bytes.length !== 16 || bytes[10] !== 0xff || bytes[11] !== 0xff) return false;
  return bytes.subarray(0, 10).every((byte) => byte === 0);
}

/** `example.com:80` → `example.com`, `[::1]:80` → `[::1]`. */
function hostName(host: string): string {
  return host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
}

function offers(protocols: string): boolean {
  return protocols.split(',').some((name) => name.trim() === SUBPROTOCOL);
}

function refuse(reason: Refusal, status: string, body: string, retryAfterSeconds: number | null = null): Verdict {
  return { admitted: false, reason, status, body, retryAfterSeconds };
}
