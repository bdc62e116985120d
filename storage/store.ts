// Opens a database, brings its schema up to date and gives the port of the actors on it.

import type { ChatStore, Read } from '../actors/ports.ts';
import { type AccessConnections, AccessStore } from './access.ts';
import { activate, due, overtaken, release } from './activate.ts';
import { archiveTree } from './archive.ts';
import { findCommand, keepRefusal, pruneCommands } from './commands.ts';
import { commitBatch } from './commit-batch.ts';
import { GroupCommit } from './commit.ts';
import { Connection, type DatabaseAddress } from './connection.ts';
import { Connections } from './connections.ts';
import { create } from './create.ts';
import { parseDatabaseUrl } from './database-url.ts';
import { startEmbedded } from './embedded.ts';
import { StoreCounts } from './counts.ts';
import { NoConnection, ServerError, StorageError, Untrusted } from './errors.ts';
import { feed, feedTops } from './feed.ts';
import { storeLimits, type StoreLimits } from './limits.ts';
import { get, list } from './list.ts';
import { SILENT_LOG, type StoreLog } from './log.ts';
import { migrate } from './migrate.ts';
import { Nodes } from './nodes.ts';
import { changes } from './read-changes.ts';
import { fork } from './fork.ts';
import { findMessage, isPromptEmpty, page, part, prompt } from './read-messages.ts';
import { Upkeep } from './upkeep.ts';

export type OpenOptions = {
  /** Postgres by its URL, or the embedded database in a folder, which is made when it is not there. */
  readonly database: { readonly url: string } | { readonly folder: string };
  readonly log?: StoreLog;
  readonly limits?: Partial<StoreLimits>;
  /** Called once when the embedded database dies: the node cannot go on. */
  readonly onFatal?: (error: StorageError) => void;
};

export type OpenStore = {
  readonly store: ChatStore;
  /** Register before the first activation: until then `activate` gives `unavailable`. */
  readonly nodes: Nodes;
  /** API tokens, and owners that were shut out. */
  readonly access: AccessStore;
  readonly embedded: boolean;
  /** Deletes the rows of commands whose 24 h are over; gives how many. Call it now and then. */
  pruneCommands(nowMs: number): Promise<Read<number>>;
  /** Since the start. */
  readonly counts: StoreCounts;
  /** At the moment of asking. */
  measure(): StoreMeasure;
  /** Whatever is still asked is `unavailable`; commits on their way are `unknown`. Stop the actors before. */
  close(): Promise<void>;
};

export type StoreMeasure = {
  /** Intents, and their bytes, that wait for a batch. */
  readonly waitingIntents: number;
  readonly waitingBytes: number;
  /** On their way. */
  readonly batches: number;
  readonly connectionsTaken: number;
  readonly connectionsIdle: number;
  readonly waitingUses: number;
};

/** Throws `StorageError`, whose message is one line that says what to do. */
export async function openStore(options: OpenOptions): Promise<OpenStore> {
  const log = options.log ?? SILENT_LOG;
  if ('url' in options.database) {
    const limits = storeLimits(options.limits ?? {});
    const address = parseDatabaseUrl(options.database.url);
    await prepareDatabase(address, limits, log);
    const counts = new StoreCounts();
    const connections = new Connections(address, limits, { log, counts });
    const revocations = new Connections(address, { ...limits, connections: 1 }, { log, counts });
    return storeOn({ connections, revocations }, limits, { counts, stop: async () => undefined });
  }
  // One connection is all that the embedded database has.
  const limits = storeLimits({ ...options.limits, connections: 1, batchesInFlight: 1 });
  let connections: Connections | null = null;
  const embedded = await startEmbedded(options.database.folder, (error) => {
    log.error('the embedded database has failed', { detail: error.message });
    connections?.close();
    options.onFatal?.(error);
  });
  try {
    await prepareDatabase(embedded.address, limits, log);
  } catch (error) {
    await embedded.stop();
    throw error;
  }
  const counts = new StoreCounts();
  connections = new Connections(embedded.address, limits, { log, counts });
  const upkeep = new Upkeep(connections, limits, log);
  upkeep.start();
  const opened = storeOn({ connections, revocations: connections }, limits, {
    counts,
    stop: () => embedded.stop(),
  });
  return {
    ...opened,
    close: () => {
      upkeep.stop();
      return opened.close();
    },
  };
}

async function prepareDatabase(address: DatabaseAddress, limits: StoreLimits, log: StoreLog): Promise<void> {
  try {
    const connection = await Connection.open(address, limits, (message) => {
      log.debug('notice of the database', { detail: message });
    });
    try {
      await migrate(connection);
    } finally {
      connection.close();
    }
  } catch (error) {
    throw openError(error, address);
  }
}

function storeOn(
  { connections, revocations }: AccessConnections,
  limits: StoreLimits,
  { counts, stop }: { readonly counts: StoreCounts; readonly stop: () => Promise<void> },
): OpenStore {
  const nodes = new Nodes(connections, limits);
  const commits = new GroupCommit((intents) => commitBatch(connections, intents, limits), limits, counts);
  return {
    store: chatStore(connections, nodes, commits, limits),
    nodes,
    access: new AccessStore({ connections, revocations }, limits),
    embedded: connections.embedded,
    pruneCommands: (nowMs) => pruneCommands(connections, nowMs, limits),
    counts,
    measure: () => {
      // On the embedded database they are the same.
      const pools = [...new Set([connections, revocations])].map(({ stats }) => stats);
      return {
        ...commits.stats,
        connectionsTaken: sum(pools.map(({ taken }) => taken)),
        connectionsIdle: sum(pools.map(({ idle }) => idle)),
        waitingUses: sum(pools.map(({ waiting }) => waiting)),
      };
    },
    close: async () => {
      connections.close();
      revocations.close();
      await stop();
    },
  };
}

function chatStore(connections: Connections, nodes: Nodes, commits: GroupCommit, limits: StoreLimits): ChatStore {
  return {
    activate: async (activations, commandsMax) => {
      const node = nodes.self;
      if (node === null) {
        return activations.map(() => ({ outcome: 'unavailable', detail: 'this node is not registered yet' }));
      }
      return activate(connections, activations, { node, commandsMax }, limits);
    },
    commit: (intent) => commits.commit(intent),
    release: (chat, epoch, sealed) => release(connections, chat, epoch, sealed),
    create: (chat, command, reply) => create(connections, { chat, command, reply }, limits),
    fork: (wanted, command, reply) => fork(connections, { fork: wanted, command, reply }, limits),
    keepRefusal: (command) => keepRefusal(connections, command),
    archiveTree: (request) => archiveTree(connections, request, limits),
    changes: (chat, since, asOf) => changes(connections, chat, since, asOf),
    page: (chat, range) => page(connections, chat, range),
    part: (chat, number, index) => part(connections, chat, number, index),
    prompt: (chat) => prompt(connections, chat),
    findMessage: (chat, which) => findMessage(connections, chat, which),
    isPromptEmpty: (chat) => isPromptEmpty(connections, chat),
    get: (viewer, chat) => get(connections, viewer, chat),
    list: (request) => list(connections, request),
    feed: (owner, after, limit) => feed(connections, owner, after, limit),
    feedTops: (owners) => feedTops(connections, owners),
    findCommand: (principal, chat, id) => findCommand(connections, principal, chat, id),
    due: (nowMs, limit) => due(connections, nodes.self, { nowMs, limit }),
    overtaken: (actors) => overtaken(connections, actors),
  };
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

function openError(error: unknown, address: DatabaseAddress): unknown {
  const where = address.path ?? `${address.host}:${address.port}`;
  if (error instanceof Untrusted) {
    return new StorageError(
      'untrusted',
      `The database at ${where} is not trusted (${error.message}). ` +
        'Name its authority in NODE_EXTRA_CA_CERTS, or correct the host or sslmode of DATABASE_URL.',
      error,
    );
  }
  if (error instanceof NoConnection) {
    return new StorageError(
      'unreachable',
      `No database answers at ${where} (${error.message}). Start it, or correct DATABASE_URL.`,
      error,
    );
  }
  if (!(error instanceof ServerError)) return error;
  switch (error.sqlstate) {
    case '28P01':
    case '28000':
      return new StorageError(
        'wrong_password',
        `The database at ${where} refuses user ${address.user} (${error.message}). Correct DATABASE_URL.`,
        error,
      );
    case '3D000':
      return new StorageError(
        'no_such_database',
        `There is no database ${address.database} at ${where}. Create it, or correct DATABASE_URL.`,
        error,
      );
    case '42501':
      return new StorageError(
        'permission_denied',
        `User ${address.user} may not use the database ${address.database} (${error.message}). Grant it the rights.`,
        error,
      );
    default:
      return new StorageError(
        'failed',
        `The database at ${where} cannot be used: SQLSTATE ${error.sqlstate}, ${error.message}.`,
        error,
      );
  }
}
