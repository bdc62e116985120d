// A gateway on a free port with a fake host and a clock that a test moves.
import { NO_TRACER } from '../../../actors/tracing.ts';
import { createAuthenticator, type JwtOptions, signToken } from '../../../gateway/authentication.ts';
import { type Config, readConfig } from '../../../gateway/config.ts';
import { Feeds } from '../../../gateway/feeds.ts';
import { Gateway } from '../../../gateway/gateway.ts';
import { createLogger } from '../../../gateway/logger.ts';
import { systemRandom } from '../../../gateway/system-ports.ts';
import type { ChatId, NodeId } from '../../../protocol/ids.ts';
import { FakeFeedStore } from './fake-feed-store.ts';
import { FakeHost } from './fake-host.ts';
import { SimClock } from './sim-clock.ts';
import { SocketClient } from './socket-client.ts';

export const START_MS = Date.UTC(2026, 0, 1);
export const HOUR_MS = 3_600_000;
const KEY: JwtOptions = { secret: new TextEncoder().encode('k'.repeat(32)), issuer: null, audience: null };

export const CHAT = '00000000-0000-7000-8000-000000000001' as ChatId;
export const OTHER_CHAT = '00000000-0000-7000-8000-000000000002' as ChatId;

export function testConfig(overrides: Partial<Config> = {}): Config {
  const result = readConfig(['--port', '0'], {});
  if (result.outcome !== 'config') throw new Error('the defaults are a good configuration');
  return { ...result.config, ...overrides };
}

export class Harness {
  readonly clock = new SimClock(START_MS);
  readonly host = new FakeHost();
  readonly feedStore = new FakeFeedStore();
  readonly feeds: Feeds;
  readonly logLines: string[] = [];
  readonly gateway: Gateway;
  notReady: readonly string[] = [];
  readonly #clients: SocketClient[] = [];

  private constructor(overrides: Partial<Config>) {
    this.feeds = new Feeds({
      store: this.feedStore,
      clock: this.clock,
      objection: () => Promise.resolve(null),
      onFault: (error) => void this.logLines.push(String(error)),
    });
    this.gateway = new Gateway({
      config: testConfig(overrides),
      node: 'node-1' as NodeId,
      host: this.host,
      feeds: this.feeds,
      clock: this.clock,
      random: systemRandom,
      authenticate: createAuthenticator(KEY, this.clock),
      logger: createLogger('debug', { write: (line) => void this.logLines.push(line) }),
      tracer: NO_TRACER,
      notReady: () => Promise.resolve(this.notReady),
    });
  }

  static async start(overrides: Partial<Config> = {}): Promise<Harness> {
    const harness = new Harness(overrides);
    await harness.gateway.start();
    return harness;
  }

  get url(): string {
    return this.gateway.url;
  }

  get httpUrl(): string {
    return this.url.replace(/^ws/, 'http').replace('/v1/ws', '');
  }

  token(
    subject = 'ann',
    expiresAtMs = START_MS + HOUR_MS,
    claims: { readonly role?: 'auditor' } = {},
  ): Promise<string> {
    return signToken(KEY, { subject, expiresAtMs, ...claims });
  }

  async open(headers: Readonly<Record<string, string>> = {}): Promise<SocketClient> {
    const client = await SocketClient.open(this.url, headers);
    this.#clients.push(client);
    return client;
  }

  async live(token?: string): Promise<SocketClient> {
    const client = await SocketClient.live(this.url, token ?? (await this.token()));
    this.#clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    const stopped = this.gateway.stop();
    this.clock.advance(1_000);
    await stopped;
  }
}
