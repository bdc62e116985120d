// One of several nodes on one Postgres, as a process: the real store, host, access and gateway, without the lease that lets
// a single node serve a database until nodes can talk to each other. What they share is what the database tells them.
//
// Prints its address, ends with its standard input.

import { CHAT_DEFAULTS } from '../../actors/chat/settings.ts';
import { NodeChatHost } from '../../actors/host/chat-host.ts';
import { HOST_DEFAULTS } from '../../actors/host/settings.ts';
import { modelCatalogue } from '../../actors/models/catalogue.ts';
import { NO_TRACER } from '../../actors/tracing.ts';
import { openAccess } from '../../gateway/access.ts';
import { readConfig } from '../../gateway/config.ts';
import { Feeds } from '../../gateway/feeds.ts';
import { Gateway } from '../../gateway/gateway.ts';
import { createLogger } from '../../gateway/logger.ts';
import { SessionRegistry } from '../../gateway/session-registry.ts';
import { Owners } from '../../gateway/shares.ts';
import { SystemClock, systemRandom as random } from '../../gateway/system-ports.ts';
import { assert, must } from '../../protocol/assert.ts';
import { type NodeId, uuidV7 } from '../../protocol/ids.ts';
import { builtinTools } from './tools.ts';
import { openStore } from '../../storage/store.ts';

const read = readConfig(['--port', '0']);
assert(read.outcome === 'config', 'the environment is a good configuration');
const { config } = read;
const clock = new SystemClock();
const logger = createLogger('warn');
const database = await openStore({ database: { url: must(config.databaseUrl, 'it is given') }, log: logger });
const node = uuidV7<NodeId>(clock.nowMs(), random.bytes(10));
await database.nodes.register(node);
const none = { anthropic: null, openai: null, compatible: null };
const known = { windows: new Map<string, number>(), compactionPercents: new Map<string, number>(), titleModel: null };
const catalogue = modelCatalogue({ clock, random, log: logger, ...none, ...known, scripted: true, defaultModel: null });
assert(catalogue.outcome === 'ready', 'the scripted model is always there');
const registry = new SessionRegistry(new Owners(config));
const inner = new NodeChatHost({
  clock,
  random,
  store: database.store,
  models: catalogue.catalogue,
  tools: builtinTools({ clock, random, log: logger }),
  settings: CHAT_DEFAULTS,
  host: HOST_DEFAULTS,
  log: logger,
  tracer: NO_TRACER,
  onFed: (owner) => feeds.moved(owner),
});
const secret = new TextEncoder().encode(must(config.jwtSecret, 'it is given'));
const jwt = { secret, issuer: null, audience: null };
const access = await openAccess({ config, database, host: inner, registry, jwt, local: null, clock, logger });
const { host, authenticate, objection } = access;
const onFault = (error: unknown): void => logger.error('a feed failed', { error });
const feeds = new Feeds({ store: database.store, clock, objection, onFault });
const notReady = (): Promise<readonly string[]> => Promise.resolve([]);
const parts = { config, node, host, feeds, clock, random, authenticate, registry, logger, tracer: NO_TRACER, notReady };
const gateway = new Gateway(parts);
await gateway.start();
await inner.start();
process.stdout.write(`${gateway.url}\n`);
process.stdin.resume().on('end', () => process.exit(0));
