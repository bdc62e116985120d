// The store in memory: what `storage/` does on Postgres, without a database. Each call is one transaction and answers at
// once; delays and failures are laid around it by `faulty-store.ts`. One contract suite runs on this store and on the real ones.

import type { ActorEpoch } from '../../actors/actor-ports.ts';
import type {
  Activation,
  ActivationResult,
  ArchiveRequest,
  ArchiveResult,
  ChatStore,
  CommandRow,
  CommitIntent,
  CommitResult,
  ListRequest,
  Principal,
  Read,
} from '../../actors/ports.ts';
import type { PageRange } from '../../actors/history-ports.ts';
import { must } from '../../protocol/assert.ts';
import type { ChatId, CommandId, Epoch, NodeId, OwnerId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import { fork } from './memory-fork.ts';
import * as reads from './memory-reads.ts';
import type { MemoryTables } from './memory-tables.ts';
import * as writes from './memory-writes.ts';

/** The store as one incarnation of a node sees it; all of them share the tables. */
export class MemoryStore implements ChatStore {
  readonly tables: MemoryTables;
  /** Null before it has registered. */
  node: NodeId | null;

  constructor(tables: MemoryTables, node: NodeId | null) {
    this.tables = tables;
    this.node = node;
  }

  activate(activations: readonly Activation[], commandsMax: number): Promise<readonly ActivationResult[]> {
    const taking = { node: must(this.node, 'a node registers before it takes chats'), commandsMax };
    return Promise.resolve(activations.map((activation) => writes.activate(this.tables, activation, taking)));
  }

  commit(intent: CommitIntent): Promise<CommitResult> {
    return Promise.resolve(writes.commit(this.tables, intent));
  }

  release(chat: ChatId, epoch: Epoch, sealed: Position | null): Promise<boolean> {
    return Promise.resolve(writes.release(this.tables, chat, epoch, sealed));
  }

  create(...[chat, command, reply]: Parameters<ChatStore['create']>): ReturnType<ChatStore['create']> {
    return Promise.resolve(writes.create(this.tables, { chat, command, reply }));
  }

  fork(...[wanted, command, reply]: Parameters<ChatStore['fork']>): ReturnType<ChatStore['fork']> {
    return Promise.resolve(fork(this.tables, { fork: wanted, command, reply }));
  }

  archiveTree(request: ArchiveRequest): Promise<ArchiveResult> {
    return Promise.resolve(writes.archiveTree(this.tables, request));
  }

  changes(...[chat, since, asOf]: Parameters<ChatStore['changes']>): ReturnType<ChatStore['changes']> {
    return read(reads.changes(this.tables.chats.get(chat), since, asOf));
  }

  page(chat: ChatId, range: PageRange): ReturnType<ChatStore['page']> {
    return read(reads.page(this.tables.chats.get(chat), range));
  }

  part(chat: ChatId, number: number, part: number): ReturnType<ChatStore['part']> {
    return read(reads.part(this.tables.chats.get(chat), number, part));
  }

  prompt(chat: ChatId): ReturnType<ChatStore['prompt']> {
    return read(reads.prompt(this.tables.chats.get(chat)));
  }

  findMessage(...[chat, which]: Parameters<ChatStore['findMessage']>): ReturnType<ChatStore['findMessage']> {
    return read(reads.findMessage(this.tables.chats.get(chat), which));
  }

  isPromptEmpty(chat: ChatId): ReturnType<ChatStore['isPromptEmpty']> {
    return read(reads.isPromptEmpty(this.tables.chats.get(chat)));
  }

  get(viewer: Principal, chat: ChatId): ReturnType<ChatStore['get']> {
    return read(reads.get(this.tables.chats.get(chat), viewer));
  }

  list(request: ListRequest): ReturnType<ChatStore['list']> {
    return read(reads.list(this.tables, request));
  }

  feed(owner: OwnerId, after: number, limit: number): ReturnType<ChatStore['feed']> {
    return read(reads.feed(this.tables, owner, after, limit));
  }

  feedTops(owners: readonly OwnerId[]): ReturnType<ChatStore['feedTops']> {
    return read(reads.feedTops(this.tables, owners));
  }

  findCommand(principal: OwnerId, chat: ChatId | null, id: CommandId): ReturnType<ChatStore['findCommand']> {
    return read(reads.findCommand(this.tables, principal, chat, id));
  }

  keepRefusal(command: CommandRow): ReturnType<ChatStore['keepRefusal']> {
    return read(writes.keepRefusal(this.tables, command));
  }

  due(nowMs: number, limit: number): ReturnType<ChatStore['due']> {
    return read(reads.due(this.tables, this.node, { nowMs, limit }));
  }

  overtaken(actors: readonly ActorEpoch[]): ReturnType<ChatStore['overtaken']> {
    return read(reads.overtaken(this.tables, actors));
  }
}

function read<T>(value: T): Promise<Read<T>> {
  return Promise.resolve({ outcome: 'read', value });
}
