// The bus over NATS: core NATS only, no JetStream. What it is set to was measured: pings every second find a connection
// that is half open within three (the default is six minutes), reconnecting never ends (by default it does after ten
// tries), and nothing is handed to the client while there is no connection, since it would buffer that and then drop it
// without a word.

import { checkServerIdentity, type ConnectionOptions as TlsOptions } from 'node:tls';
import { connect, type ConnectionOptions, type NatsConnection } from '@nats-io/transport-node';
import { assert } from '../../protocol/assert.ts';
import type { Clock, Log } from '../ports.ts';
import type { Bus } from './bus.ts';

export type NatsSettings = {
  /** One or more of the same NATS cluster, separated by commas; each may carry `user:password@` or `token@`. */
  readonly url: string;
  /** Shown by the server's monitoring. */
  readonly name: string;
  readonly tls: { readonly caFile: string | null } | null;
};

/** A connection is given up when two pings have no answer. */
const PING_EVERY_MS = 1_000;
const PINGS_OUT_MAX = 2;
/** Spread, so that a fleet does not come back in one moment. */
const RECONNECT_WAIT_MS = 250;
const RECONNECT_JITTER_MS = 500;
const CONNECT_TIMEOUT_MS = 3_000;

type Subscription = {
  readonly subject: string;
  readonly onMessage: (bytes: Uint8Array) => void;
  /** Null until there is a first connection; the client keeps it over reconnects. */
  end: (() => void) | null;
};

/** connecting → connected ⇄ cut off → closed. It never gives up by itself. */
export class NatsBus implements Bus {
  readonly #settings: NatsSettings;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #subscriptions = new Set<Subscription>();
  readonly #watchers = new Set<(connected: boolean) => void>();
  #connection: NatsConnection | null = null;
  #connected = false;
  #closed = false;
  #cancelRetry: (() => void) | null = null;
  /** Why there is none, for whoever starts a node. */
  lastError: string | null = null;

  constructor(settings: NatsSettings, clock: Clock, log: Log) {
    this.#settings = settings;
    this.#clock = clock;
    this.#log = log;
  }

  /** Tries once and resolves with whether it worked; goes on trying behind the scenes until `close`. */
  async open(): Promise<boolean> {
    try {
      const connection = await connect(optionsOf(this.#settings));
      if (this.#closed) {
        await connection.close();
        return false;
      }
      this.#take(connection);
      return true;
    } catch (error) {
      this.lastError = error instanceof Error ? error.message : String(error);
      if (!this.#closed) this.#cancelRetry = this.#clock.after(RECONNECT_WAIT_MS * 2, () => void this.open());
      return false;
    }
  }

  get connected(): boolean {
    return this.#connected;
  }

  get messageBytesMax(): number {
    return this.#connection?.info?.max_payload ?? 1024 * 1024;
  }

  publish(subject: string, bytes: Uint8Array): boolean {
    const connection = this.#connection;
    if (connection === null || !this.#connected || connection.isClosed()) return false;
    assert(bytes.length <= this.messageBytesMax, 'a message fits on the bus');
    connection.publish(subject, bytes);
    return true;
  }

  subscribe(subject: string, onMessage: (bytes: Uint8Array) => void): () => void {
    const subscription: Subscription = { subject, onMessage, end: null };
    this.#subscriptions.add(subscription);
    if (this.#connection !== null) this.#begin(this.#connection, subscription);
    return () => {
      this.#subscriptions.delete(subscription);
      subscription.end?.();
      subscription.end = null;
    };
  }

  watch(listener: (connected: boolean) => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelRetry?.();
    const connection = this.#connection;
    const wasConnected = this.#connected;
    this.#tell(false);
    this.#watchers.clear();
    if (connection === null || connection.isClosed()) return;
    // `drain` waits for the server: without one it would wait for a reconnect.
    if (wasConnected) await connection.drain().catch(() => connection.close());
    else await connection.close();
  }

  #take(connection: NatsConnection): void {
    this.#connection = connection;
    for (const subscription of this.#subscriptions) this.#begin(connection, subscription);
    this.#tell(true);
    void this.#follow(connection);
  }

  #begin(connection: NatsConnection, subscription: Subscription): void {
    const { subject, onMessage } = subscription;
    // A callback instead of an iterator: the queue of an iterator has no bound.
    const made = connection.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) onMessage(message.data);
      },
    });
    subscription.end = () => {
      if (!connection.isClosed()) made.unsubscribe();
    };
  }

  async #follow(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      switch (status.type) {
        case 'reconnect':
          this.#log.info('the bus is connected again');
          this.#tell(true);
          break;
        case 'disconnect':
        case 'staleConnection':
        case 'close':
          if (this.#connected && !this.#closed) this.#log.warn('the bus is not connected', { status: status.type });
          this.#tell(false);
          break;
        case 'error':
          this.#log.warn('the bus reports an error', { detail: status.error.message });
          break;
        case 'slowConsumer':
        case 'reconnecting':
        case 'forceReconnect':
        case 'update':
        case 'ldm':
        case 'ping':
          break;
      }
    }
    await connection.closed();
    if (this.#closed || this.#connection !== connection) return;
    // Only the credentials can end it for good: somebody may set them right.
    this.#connection = null;
    for (const subscription of this.#subscriptions) subscription.end = null;
    this.#tell(false);
    this.#log.error('the bus closed for good and is opened anew');
    this.#cancelRetry = this.#clock.after(RECONNECT_WAIT_MS * 4, () => void this.open());
  }

  #tell(connected: boolean): void {
    if (this.#connected === connected) return;
    this.#connected = connected;
    for (const watcher of this.#watchers) watcher(connected);
  }
}

/**
 * The certificate has to be of a server that the configuration names. Behind a socket that is there already Node would
 * check that of an address against `localhost`.
 */
function checkedBy(servers: readonly URL[]): Pick<TlsOptions, 'checkServerIdentity'> {
  return {
    checkServerIdentity: (_name, certificate) => {
      const faults = servers.map(({ hostname }) => checkServerIdentity(hostname.replace(/^\[|\]$/g, ''), certificate));
      return faults.includes(undefined) ? undefined : faults[0];
    },
  };
}

function optionsOf({ url, name, tls }: NatsSettings): ConnectionOptions {
  const servers = url.split(',').map((one) => new URL(one));
  const [first] = servers;
  assert(first !== undefined, 'the configuration has a URL');
  const user = decodeURIComponent(first.username);
  const pass = decodeURIComponent(first.password);
  const credentials = user === '' ? {} : pass === '' ? { token: user } : { user, pass };
  return {
    servers: servers.map((server) => server.host),
    name,
    ...credentials,
    ...(tls === null ? {} : { tls: { ...checkedBy(servers), ...(tls.caFile === null ? {} : { caFile: tls.caFile }) } }),
    noEcho: false,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    reconnectJitter: RECONNECT_JITTER_MS,
    reconnectJitterTLS: RECONNECT_JITTER_MS,
    pingInterval: PING_EVERY_MS,
    maxPingOut: PINGS_OUT_MAX,
    timeout: CONNECT_TIMEOUT_MS,
    ignoreAuthErrorAbort: true,
  };
}
