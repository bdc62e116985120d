// Who may open a connection at all: judged from the upgrade request alone, before anything is built for it.
//
// Two headers guard browsers. `Origin`: a page of a foreign site must not use what the browser holds; programs send
// none. `Host`: on a loopback address a page could reach the node under a name of its own that resolves to 127.0.0.1 (DNS
// rebinding), so there only loopback names count.

import { SUBPROTOCOL } from '../protocol/frames.ts';
import { AddressBuckets } from './address-buckets.ts';

export type UpgradeRequest = {
  /** Header values, empty when absent. */
  readonly origin: string;
  readonly host: string;
  readonly protocols: string;
  /** What counts as one address: see `addressKey`. */
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
  readonly connectsPerSecond: number;
  readonly connectsBurst: number;
};

/** Why an upgrade is refused. */
export const REFUSALS = ['host', 'origin', 'protocol', 'address_rate', 'full', 'draining'] as const;
export type Refusal = (typeof REFUSALS)[number];

export type Verdict =
  | { readonly admitted: true }
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
  readonly #buckets: AddressBuckets;

  constructor(rules: AdmissionRules) {
    this.#rules = rules;
    this.#buckets = new AddressBuckets({ perSecond: rules.connectsPerSecond, burst: rules.connectsBurst });
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
    const waitMs = this.#buckets.take(request.address, nowMs);
    if (waitMs > 0) {
      const body = 'Too many connections from this address.';
      return refuse('address_rate', '429 Too Many Requests', body, Math.ceil(waitMs / 1000));
    }
    if (sessions >= this.#rules.sessionsMax) {
      return refuse('full', '503 Service Unavailable', 'This node has as many connections as it may have.', 5);
    }
    return { admitted: true };
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
}

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
  const mapped = bytes.length === 16 && bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff;
  if (mapped) return bytes.subarray(12).join('.');
  return bytes.length === 4 ? bytes.join('.') : Buffer.from(bytes.subarray(0, 8)).toString('hex');
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
