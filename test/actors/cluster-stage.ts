// Several nodes in one process on simulated time: real hosts, real clusters, the bus in process, the store in memory. What
// the bus carries can be looked at, lost and changed on the way; the model is played by hand.

import { Cluster } from '../../actors/cluster/cluster.ts';
import { ClusterCounts } from '../../actors/cluster/counts.ts';
import { CLUSTER_VERSION } from '../../actors/cluster/envelope.ts';
import { LocalHub, type LocalBus } from '../../actors/cluster/local-bus.ts';
import { Suspension } from '../../actors/cluster/suspension.ts';
import { CHAT_DEFAULTS } from '../../actors/chat/settings.ts';
import type { Attached, CommandRequest, Follower, ReadableLog } from '../../actors/host/api.ts';
import { NodeChatHost } from '../../actors/host/chat-host.ts';
import { HOST_DEFAULTS } from '../../actors/host/settings.ts';
import type { CommandReply, ModelBinding, ModelDirectory, Principal, StepSink } from '../../actors/ports.ts';
import { NO_TRACER } from '../../actors/tracing.ts';
import { must } from '../../protocol/assert.ts';
import { decodeServerMessage, encodeArgs } from '../../protocol/codec.ts';
import type { PositionedEvent } from '../../protocol/events.ts';
import type { Args } from '../../protocol/frames.ts';
import { uuidToBytes, uuidV7, type ChatId, type CommandId, type NodeId, type OwnerId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import { chatIdOf } from '../../actors/host/create.ts';
import { settle, SimClock } from '../sim/clock.ts';
import { MemoryStore } from '../sim/memory-store.ts';
import { MemoryTables } from '../sim/memory-tables.ts';
import { SimRandom } from '../sim/random.ts';
import { QUIET } from './stage.ts';
import { builtinTools } from '../support/tools.ts';

const START_MS = Date.UTC(2026, 0, 1);
export const ADA: Principal = { owner: 'ada' as OwnerId, role: 'member', groups: [] };
const KEY = new Uint8Array(32).fill(7);

export type StageOptions = {
  readonly key?: Uint8Array;
  readonly version?: number;
  readonly passivateAfterMs?: number;
};

export class StageNode {
  readonly id: NodeId;
  readonly host: NodeChatHost;
  readonly cluster: Cluster;
  readonly counts = new ClusterCounts();
  readonly bus: LocalBus;
  readonly suspension = new Suspension(() => this.isLate);
  isLate = false;

  constructor(stage: ClusterStage, id: NodeId, options: StageOptions) {
    this.id = id;
    this.bus = stage.hub.join();
    const { clock, models } = stage;
    const store = new MemoryStore(stage.tables, id);
    this.host = new NodeChatHost({
      tracer: NO_TRACER,
      clock,
      random: new SimRandom(id.charCodeAt(0)),
      store,
      models,
      tools: builtinTools({ clock, random: new SimRandom(id.charCodeAt(0)), log: QUIET }),
      settings: { ...CHAT_DEFAULTS, mergeWindowMs: 0, silenceTimeoutMs: 0 },
      log: QUIET,
      host: { ...HOST_DEFAULTS, passivateAfterMs: options.passivateAfterMs ?? HOST_DEFAULTS.passivateAfterMs },
      onFed: () => undefined,
      isMine: (chat) => this.cluster.isMine(chat),
      suspension: { isSuspended: () => this.suspension.isSuspended },
      onGivenUp: (chat) => this.cluster.handOver(chat),
      onTaken: (chats) => this.cluster.taken(chats),
      onTold: () => this.cluster.told(),
      restElsewhere: (chat, owner) => this.cluster.rest(chat, owner),
    });
    this.cluster = new Cluster(
      {
        name: id.slice(-2),
        bus: this.bus,
        key: options.key ?? KEY,
        version: options.version ?? CLUSTER_VERSION,
        host: this.host,
        suspension: this.suspension,
        store,
        models,
        clock,
        log: QUIET,
        counts: this.counts,
        schedule: (task) => setImmediate(task),
        onFed: () => undefined,
        onRevoked: () => undefined,
        onLeft: () => undefined,
      },
      id,
    );
    this.cluster.start();
  }

  async command(name: string, args: Args, id: CommandId): Promise<CommandReply> {
    return this.cluster.host.command(ADA, { id, name, args, rawArgs: encodeArgs(args) });
  }

  async follow(chat: ChatId, cursor: Position | null = null): Promise<Reader> {
    const reader = new Reader();
    reader.take(await this.cluster.host.attach(ADA, chat, cursor, reader), cursor);
    return reader;
  }
}

/** What a session is to a log. */
export class Reader implements Follower {
  attached: Attached | null = null;
  ends = 0;
  readonly events: PositionedEvent[] = [];
  #cursor: Position | null = null;

  take(attached: Attached, cursor: Position | null): void {
    this.attached = attached;
    this.#cursor = attached.outcome === 'snapshot' ? attached.position : cursor;
  }

  get log(): ReadableLog {
    const { attached } = this;
    if (attached === null || !('log' in attached)) throw new Error(`it is ${attached?.outcome}`);
    return attached.log;
  }

  get text(): string {
    return this.events
      .map(({ event }) => (event.kind === 'block' && event.type === 'delta' ? event.text : ''))
      .join('');
  }

  /** Reads all that is new. */
  read(): void {
    const { log } = this;
    for (;;) {
      const read = log.read(must(this.#cursor, 'it follows'), 1 << 20);
      if (read === null) throw new Error('the ring went past this reader');
      if (read.bytes.length === 0) return;
      this.#cursor = read.position;
      for (const frame of decodeServerMessage(read.bytes)) if (frame.op === 'event') this.events.push(frame);
    }
  }

  onAppend(): void {
    this.read();
  }

  onEnd(): void {
    this.ends += 1;
  }
}

export class ClusterStage {
  readonly clock = new SimClock(START_MS);
  readonly tables = new MemoryTables();
  readonly nodes: StageNode[] = [];
  readonly sinks: StepSink[] = [];
  readonly models: ModelDirectory = {
    defaultId: 'm',
    find: () => this.#binding(),
    list: () => [],
    titleModelFor: () => null,
  };
  readonly hub = new LocalHub({
    deliver: (task) => setImmediate(task),
  });
  #ids = 0;

  static async of(nodes: number, options: StageOptions = {}): Promise<ClusterStage> {
    const stage = new ClusterStage();
    for (let i = 0; i < nodes; i++) stage.join(options);
    await stage.pass(600);
    return stage;
  }

  join(options: StageOptions = {}): StageNode {
    const node = new StageNode(
      this,
      uuidV7<NodeId>(START_MS, new SimRandom(100 + this.nodes.length).bytes(10)),
      options,
    );
    this.nodes.push(node);
    this.list();
    return node;
  }

  node(index: number): StageNode {
    return must(this.nodes[index], 'there are so many nodes');
  }

  /** What their leases tell the nodes. */
  list(): void {
    const live = this.nodes.filter(({ id }) => !this.tables.deadNodes.has(id)).map(({ id }) => id);
    for (const { id, cluster } of this.nodes)
      cluster.listed(
        live.filter((other) => other !== id),
        [],
      );
  }

  /** `kill -9`, and the end of its row. */
  async kill(node: StageNode): Promise<void> {
    await node.bus.close();
    this.tables.deadNodes.add(node.id);
    this.list();
  }

  newId(): CommandId {
    this.#ids += 1;
    return uuidV7<CommandId>(this.clock.nowMs(), new SimRandom(this.#ids).bytes(10));
  }

  async create(parent: ChatId | null = null): Promise<ChatId> {
    const id = this.newId();
    await this.node(0).command('chats.create', parent === null ? {} : { parent: uuidToBytes(parent) }, id);
    return chatIdOf(ADA.owner, id);
  }

  /** Something small to ask of a chat, so that it is loaded. */
  renameOf(chat: ChatId): CommandRequest {
    const args = { chat: uuidToBytes(chat), title: 'loaded' };
    return { id: this.newId(), name: 'chat.rename', args, rawArgs: encodeArgs(args) };
  }

  /** The node that has the chat, and another one. */
  sides(chat: ChatId): { readonly owner: StageNode; readonly other: StageNode } {
    const { ownerNode } = must(this.tables.chats.get(chat), 'it was created');
    const owner = must(
      this.nodes.find(({ id }) => id === ownerNode),
      'somebody has it',
    );
    return {
      owner,
      other: must(
        this.nodes.find((node) => node !== owner && node.bus.connected),
        'there are two',
      ),
    };
  }

  sendArgs(chat: ChatId, text: string): Args {
    return { chat: uuidToBytes(chat), content: [{ type: 'text', text }] };
  }

  /** The sink of the newest request to the model. */
  get sink(): StepSink {
    return must(this.sinks.at(-1), 'the model was asked');
  }

  /** Everything that happens within so much time. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.clock.nowMs() + ms;
    await this.settle();
    while (this.clock.step(untilMs)) await this.settle();
  }

  /** Steps the time until the promise has settled, for at most so long. */
  async until<T>(promise: Promise<T>, limitMs = 20_000): Promise<T> {
    let settled = false;
    const done = promise.finally(() => {
      settled = true;
    });
    done.catch(() => undefined);
    await this.clock.runTill(() => settled, limitMs);
    return done;
  }

  /** Everything that can happen without time passing: messages cross the bus in turns of the event loop. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 12; turn++) await settle();
  }

  #binding(): ModelBinding {
    return {
      client: {
        stream: (_request, sink, signal) => {
          this.sinks.push(sink);
          return new Promise((resolve) => {
            signal.addEventListener('abort', () =>
              resolve({ outcome: 'aborted', provider: null, usage: null, requestId: null }),
            );
          });
        },
      },
      provider: 'test',
      providerModel: 'test-1',
      maxOutputTokens: 100,
      contextWindow: null,
      compactionPercent: null,
      cost: () => 0n,
    };
  }
}
