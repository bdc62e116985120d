// Puts a node together from its parts and takes it apart again in the reverse order. Nothing here decides anything that
// a configuration does not say.

import { resolve } from 'node:path';
import { CHAT_DEFAULTS, type ChatSettings } from '../actors/chat/settings.ts';
import { NodeChatHost } from '../actors/host/chat-host.ts';
import type { HostDeps } from '../actors/host/host-deps.ts';
import { HOST_DEFAULTS, type HostSettings } from '../actors/host/settings.ts';
import {
  modelCatalogue,
  type CatalogueConfig,
  type ModelCatalogue,
  type ProviderConfig,
} from '../actors/models/catalogue.ts';
import type { Clock, Random } from '../actors/ports.ts';
import { openStore, type OpenStore } from '../storage/store.ts';
import { type Access, openAccess } from './access.ts';
import { type ClusterNode, joinCluster } from './cluster.ts';
import type { JwtOptions } from './authentication.ts';
import { type Config, hasKeys } from './config.ts';
import { Feeds } from './feeds.ts';
import { Gateway } from './gateway.ts';
import { watchHeap } from './heap-watch.ts';
import {
  developmentSecret,
  forgetAdminToken,
  forgetDevelopmentToken,
  issueDevelopmentToken,
  leaveAdminToken,
  type LocalAdmin,
  makeLocalAdmin,
} from './local-access.ts';
import { type Logger } from './logger.ts';
import { Metrics } from './metrics/service.ts';
import { NodeLease } from './node-lease.ts';
import { Recurring } from './recurring.ts';
import { SessionRegistry } from './session-registry.ts';
import { Owners } from './shares.ts';
import { StartError } from './start-error.ts';
import { SystemClock, systemRandom } from './system-ports.ts';
import { startTracing, type Tracing } from './tracing/tracing.ts';
import { openTools } from './tools.ts';

export type NodeOptions = {
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  /** The node cannot go on: its database died, or another node took over. Called at most once. */
  readonly onFatal: (error: Error) => void;
};

export type RunningNode = {
  /** Where clients connect: `ws://127.0.0.1:7077/v1/ws`. */
  readonly url: string;
  /** Where metrics are served; null when they are off. */
  readonly metricsUrl: string | null;
  /** For development on this machine; null when the node was given a secret. */
  readonly developmentToken: string | null;
  readonly embedded: boolean;
  readonly models: ModelCatalogue;
  /** Graceful; bounded by `drainTimeoutMs` and a little. Never rejects, and does its work once. */
  stop(): Promise<void>;
};

/** Replies over 24 h old and tokens that are long over are tidied up this often. */
const PRUNE_EVERY_MS = 60 * 60 * 1000;

/** Starts a node. Throws a `StartError` or a `StorageError` whose message is one line that says what to do. */
export async function startNode(config: Config, options: NodeOptions): Promise<RunningNode> {
  const teardown = new Teardown(options.logger);
  try {
    return await assemble(config, options, teardown);
  } catch (error) {
    await teardown.run();
    throw error;
  }
}

async function assemble(config: Config, options: NodeOptions, teardown: Teardown): Promise<RunningNode> {
  const { clock = new SystemClock(), random = systemRandom, logger } = options;
  const onFatal = once(options.onFatal);
  const dataDir = resolve(config.dataDir);
  const models = readyModels(config, { clock, random, log: logger });
  teardown.add('models', () => models.stop());
  const database = await openDatabase(config, dataDir, { logger, onFatal });
  teardown.add('database', () => database.close());
  const place = await takePlace(config, { database, clock, random, logger, onFatal }, teardown);
  const { among, lease, tracing, nodeLogger } = place;
  const { tracer } = tracing;
  const registry = new SessionRegistry(new Owners(config));
  const onFed = (owner: string): void => feeds.moved(owner);
  const host = makeHost(config, place, {
    clock,
    random,
    store: database.store,
    models,
    admitActivation: (owner) => gateway.admitActivation(owner),
    onFed,
  });
  const cluster = among?.join({ host, models, lease, logger: nodeLogger, onFed, onRevoked: () => access.refresh() });
  const jwt = jwtOptions(config, dataDir);
  const local = database.embedded ? await makeLocalAdmin() : null;
  const seen = { host: cluster?.host ?? host, onRevoked: () => among?.revoked() };
  const access = await openAccess({ config, database, registry, jwt, local, clock, logger: nodeLogger, ...seen });
  teardown.add('access', () => access.stop());
  const feeds = openFeeds(database, access, clock, nodeLogger);
  let recovered = false;
  const gateway = new Gateway({
    config,
    node: lease.id,
    host: access.host,
    feeds,
    clock,
    random,
    authenticate: access.authenticate,
    registry,
    logger: nodeLogger,
    tracer,
    notReady: () => {
      const reasons = [lease.fault, among?.fault ?? null, recovered ? null : 'chats are being taken up'];
      return Promise.resolve(reasons.filter((reason) => reason !== null));
    },
  });
  const watched = among === null || cluster === undefined ? null : { counts: among.counts, cluster };
  const parts = { config, gateway, feeds, host, store: database, tracing, among: watched };
  const metrics = new Metrics({ ...parts, logger: nodeLogger });
  // The last to go of what is seen: a graceful stop is worth watching.
  teardown.add('metrics', () => metrics.stop());
  await gateway.start();
  teardown.add('gateway', () => gateway.stop());
  teardown.add('flush', twoTurns);
  teardown.add('sessions', () => (among === null ? Promise.resolve() : gateway.emptied()));
  teardown.add('host', () => host.drain());
  teardown.add('clients', () => Promise.resolve(gateway.drain()));
  teardown.add('placement', () => Promise.resolve(cluster?.drain()));
  await metrics.start();
  const { url } = gateway;
  const developmentToken = await leaveTokens(dataDir, { url, jwt: hasKeys(config) ? null : jwt, local, clock });
  teardown.add('admin token', () => Promise.resolve(forgetAdminToken(dataDir)));
  cluster?.start();
  await host.start();
  recovered = true;
  keepHouse({ host, database, clock }, teardown);
  const { embedded } = database;
  const urls = { url, metricsUrl: metrics.url };
  sayUp(nodeLogger, { ...urls, incarnation: lease.id, embedded, models: models.list().length });
  return { ...urls, developmentToken, embedded, models, stop: () => teardown.run() };
}

/** The pid is that of the node itself, not of the npm and the shell around it. */
function sayUp(logger: Logger, fields: Readonly<Record<string, unknown>>): void {
  logger.info('node up', { ...fields, pid: process.pid });
}

function makeHost(
  config: Config,
  { among, nodeLogger: log, tracing }: Place,
  parts: Pick<HostDeps, 'clock' | 'random' | 'store' | 'models' | 'admitActivation' | 'onFed'>,
): NodeChatHost {
  const { tracer } = tracing;
  const tools = openTools(config, { ...parts, log });
  const alone = { ...parts, tools, settings: chatSettings(config), host: hostSettings(config), log, tracer };
  if (among === null) return new NodeChatHost(alone);
  const onFed = (owner: string): void => {
    parts.onFed(owner);
    among.fed(owner);
  };
  return new NodeChatHost({ ...alone, ...among.forHost, store: among.store, onFed });
}

/** What a node has to be one: its row in the database, the others, the names under which it logs and is traced. */
type Place = {
  readonly among: ClusterNode | null;
  readonly lease: NodeLease;
  readonly nodeLogger: Logger;
  readonly tracing: Tracing;
};

async function takePlace(
  config: Config,
  ports: {
    readonly database: OpenStore;
    readonly clock: Clock;
    readonly random: Random;
    readonly logger: Logger;
    readonly onFatal: (error: Error) => void;
  },
  teardown: Teardown,
): Promise<Place> {
  const { database, clock, random, logger, onFatal } = ports;
  const among = await joinCluster({ config, database, clock, random, logger });
  teardown.add('cluster', async () => among?.leave());
  const watcher = among?.watcher ?? null;
  const lease = await NodeLease.take({ nodes: database.nodes, clock, random, logger, watcher, onLost: onFatal });
  teardown.add('lease', () => lease.release());
  const nodeLogger = logger.child({ node: config.nodeName ?? lease.id });
  const tracing = await startTracing({ url: config.otlpUrl, node: lease.id, logger: nodeLogger });
  teardown.add('tracing', () => tracing.stop());
  return { among, lease, nodeLogger, tracing };
}

function openDatabase(
  config: Config,
  dataDir: string,
  { logger, onFatal }: { readonly logger: Logger; readonly onFatal: (error: Error) => void },
): Promise<OpenStore> {
  const database = config.databaseUrl === null ? { folder: dataDir } : { url: config.databaseUrl };
  return openStore({ database, log: logger, onFatal });
}

function readyModels(config: Config, ports: Pick<CatalogueConfig, 'clock' | 'random' | 'log'>): ModelCatalogue {
  const { defaultModel, contextWindows: windows, compactionThresholds: compactionPercents } = config;
  const anthropic = providerConfig(config.anthropicApiKey, config.anthropicBaseUrl);
  const openai = providerConfig(config.openaiApiKey, config.openaiBaseUrl);
  const compatible = compatibleServer(config);
  const known = { windows, compactionPercents, titleModel: config.titleModel };
  const result = modelCatalogue({ ...ports, ...known, anthropic, openai, compatible, scripted: true, defaultModel });
  if (result.outcome === 'fault')
    throw new StartError(
      `${result.fault} See --default-model (PARLEY_DEFAULT_MODEL) and --title-model (PARLEY_TITLE_MODEL).`,
    );
  return result.catalogue;
}

function providerConfig(apiKey: string | null, baseUrl: string | null): ProviderConfig | null {
  return apiKey === null ? null : { apiKey, baseUrl, models: [] };
}

function compatibleServer(config: Config): CatalogueConfig['compatible'] {
  const { compatibleBaseUrl: baseUrl, compatibleApiKey: apiKey, compatibleMaxOutputTokens: maxOutputTokens } = config;
  if (baseUrl === null) return null;
  const models = config.compatibleModels.map((model) => ({
    model,
    ...(maxOutputTokens === null ? {} : { maxOutputTokens }),
  }));
  return { apiKey, baseUrl, models };
}

function openFeeds({ store }: OpenStore, { objection }: Access, clock: Clock, logger: Logger): Feeds {
  const onFault = (error: unknown): void => logger.error('a feed could not be read', { error });
  return new Feeds({ store, clock, objection, onFault });
}

/** What a node does now and then, for itself. */
function keepHouse(
  { host, database, clock }: { readonly host: NodeChatHost; readonly database: OpenStore; readonly clock: Clock },
  teardown: Teardown,
): void {
  const unwatch = watchHeap((share) => void host.heapHeld(share));
  teardown.add('heap', () => Promise.resolve(unwatch()));
  const pruning = startPruning(database, clock);
  teardown.add('pruning', () => pruning.stop());
}

function startPruning(database: OpenStore, clock: Clock): Recurring {
  return new Recurring(clock, PRUNE_EVERY_MS, async () => {
    await database.pruneCommands(clock.nowMs());
    await database.access.prune(clock.nowMs());
  });
}

/** In the data folder, for those who may read it; gives that of a developer. */
async function leaveTokens(
  dataDir: string,
  parts: {
    readonly url: string;
    readonly jwt: JwtOptions | null;
    readonly local: LocalAdmin | null;
    readonly clock: Clock;
  },
): Promise<string | null> {
  const { url, jwt, local, clock } = parts;
  if (local === null) forgetAdminToken(dataDir);
  else leaveAdminToken(dataDir, { url, token: local.token });
  if (jwt !== null) return issueDevelopmentToken(dataDir, { url, jwt, clock });
  forgetDevelopmentToken(dataDir);
  return null;
}

/** Null: only the keys of the key set sign credentials. */
function jwtOptions(config: Config, dataDir: string): JwtOptions | null {
  const { jwtSecret, jwtIssuer: issuer, jwtAudience: audience } = config;
  if (jwtSecret !== null) return { secret: new TextEncoder().encode(jwtSecret), issuer, audience };
  return hasKeys(config) ? null : { secret: developmentSecret(dataDir), issuer, audience };
}

function chatSettings(config: Config): ChatSettings {
  return {
    ...CHAT_DEFAULTS,
    mergeWindowMs: config.mergeWindowMs,
    journal: config.journal,
    journalEveryMs: config.journalEveryMs,
    silenceTimeoutMs: config.streamSilenceTimeoutMs,
    attemptsMax: config.attemptsMax,
    retryBaseMs: config.retryBaseMs,
    retryCeilingMs: config.retryCeilingMs,
    stepsMax: config.stepsMax,
    clientDeadlineMs: config.clientDeadlineMs,
    approvalDeadlineMs: config.approvalDeadlineMs,
    deploymentPrompt: config.systemPrompt ?? '',
  };
}

function hostSettings(config: Config): HostSettings {
  return { ...HOST_DEFAULTS, passivateAfterMs: config.idlePassivationMs, drainMs: config.drainTimeoutMs };
}

/** What the chats showed last gets out: the flusher writes in the next turn of the loop. */
async function twoTurns(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** The steps that undo what was done so far, run in the reverse order, once. */
class Teardown {
  readonly #logger: Logger;
  readonly #steps: { readonly name: string; readonly undo: () => Promise<void> }[] = [];
  #done: Promise<void> | null = null;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  add(name: string, undo: () => Promise<void>): void {
    this.#steps.push({ name, undo });
  }

  run(): Promise<void> {
    this.#done ??= this.#run();
    return this.#done;
  }

  async #run(): Promise<void> {
    for (const { name, undo } of this.#steps.toReversed()) {
      try {
        await undo();
      } catch (error) {
        // The others still have to be undone.
        this.#logger.error('a part did not stop', { part: name, error });
      }
    }
  }
}

function once(task: (error: Error) => void): (error: Error) => void {
  let called = false;
  return (error) => {
    if (!called) task(error);
    called = true;
  };
}
