// The world of one run: a database that survives everything, at most one node in service, a network, people with devices.

import type { ChatHost } from '../../actors/host/api.ts';
import { chatIdOf } from '../../actors/host/create.ts';
import type { ChatStore, Clock, NewMessage } from '../../actors/ports.ts';
import type { Authenticate } from '../../gateway/authentication.ts';
import type { SessionLimits } from '../../gateway/limits.ts';
import type { ClientSocket } from '../../gateway/socket.ts';
import { must } from '../../protocol/assert.ts';
import { uuidV7, type ChatId, type CommandId, type Epoch, type NodeId, type OwnerId } from '../../protocol/ids.ts';
import { CLIENT_LIMITS } from '../../protocol/client/limits.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { Audit } from './audit.ts';
import { SimClock } from './clock.ts';
import { describeMessage } from './describe.ts';
import { Device, type Sent } from './device.ts';
import type { Database } from './faulty-store.ts';
import { Faults } from './faults.ts';
import { MemoryStore } from './memory-store.ts';
import { MemoryTables } from './memory-tables.ts';
import { create } from './memory-writes.ts';
import { MODEL_ID } from './model.ts';
import { Network, type Tamper } from './network.ts';
import { drawSettings, SimNode, type NodeSettings } from './node.ts';
import { SimRandom } from './random.ts';
import { Trace } from './trace.ts';

/** 2026-01-01: any time will do, as long as it is the same one each time. */
export const START_MS = Date.UTC(2026, 0, 1);

/** The name of connections that keep no watch. */
export const PROBE = 'probe';

/** More chats than a run has. */
const ROOM = 100;

/** A defect laid into a run from outside: where it wraps, and what it patches for as long as the run lasts. */
export type Plant = {
  readonly database?: (store: ChatStore) => ChatStore;
  readonly store?: (store: ChatStore, clock: Clock) => ChatStore;
  readonly host?: (host: ChatHost) => ChatHost;
  readonly authenticate?: (authenticate: Authenticate) => Authenticate;
  readonly socket?: (socket: ClientSocket) => ClientSocket;
  readonly limits?: (limits: SessionLimits) => SessionLimits;
  readonly tamper?: () => Tamper;
  /** The function returned takes it back. */
  readonly patch?: () => () => void;
};

export class World {
  readonly clock = new SimClock(START_MS);
  readonly random: SimRandom;
  readonly faults: Faults;
  readonly trace = new Trace(this.clock.awake);
  readonly tables = new MemoryTables();
  readonly audit: Audit;
  readonly network: Network;
  readonly devices: Device[] = [];
  readonly sent = new Map<CommandId, Sent>();
  /** Chats that somebody knows of, with their owners, in order of creation. */
  readonly chats = new Map<ChatId, OwnerId>();
  readonly #plant: Plant;
  #settings: NodeSettings;
  readonly #database: Database = { outageUntilMs: 0 };
  readonly #patches: (() => void)[];
  #node: SimNode | null = null;
  /** A node goes down in order just now. */
  isDraining = false;

  constructor(seed: number, plant: Plant = {}) {
    this.#plant = plant;
    this.random = new SimRandom(seed);
    this.faults = new Faults(this.random.fork());
    this.#settings = drawSettings(this.random.fork());
    this.audit = new Audit(this.tables, this.trace, this.clock);
    this.network = new Network({
      clock: this.clock.awake,
      random: this.random.fork(),
      faults: this.faults,
      onNoticed: (name, afterMs) => this.#checkNoticed(name, afterMs),
      onSent: (sent) => this.audit.slowReaders.onSent(sent),
      onMessage: ({ name, way, bytes }) => this.trace.add(() => `${name} ${way}: ${describeMessage(way, bytes)}`),
    });
    if (plant.tamper !== undefined) this.network.tamper = plant.tamper();
    this.#patches = [plant.patch?.() ?? (() => undefined), this.audit.watchLogs()];
  }

  /** Takes back what reaches beyond this world. */
  end(): void {
    for (const unpatch of this.#patches.toReversed()) unpatch();
  }

  addDevice(owner: OwnerId, role: 'member' | 'auditor'): Device {
    const device = new Device({
      name: `${owner}/${this.devices.length}`,
      owner,
      role,
      clock: this.clock,
      random: this.random.fork(),
      network: this.network,
      audit: this.audit,
      sent: this.sent,
      onChat: (chat) => this.chats.set(chat, owner),
    });
    this.devices.push(device);
    return device;
  }

  /** A chat with a long past, so that snapshots leave some of it out. */
  addOldChat(owner: OwnerId, { messages, chars }: { readonly messages: number; readonly chars: number }): void {
    const id = uuidV7<CommandId>(START_MS, this.random.bytes(10));
    const chat = chatIdOf(owner, id);
    const command = { principal: owner, id, name: 'chats.create', argsHash: new Uint8Array(32), createdAtMs: START_MS };
    const created = {
      id: chat,
      owner,
      parent: null,
      title: 'old',
      model: MODEL_ID,
      systemPrompt: null,
      labels: {},
      background: false,
    };
    const reply = { ok: true, body: new Uint8Array(1) };
    create(this.tables, { chat: { ...created, createdAtMs: START_MS }, command, reply: () => reply });
    const row = must(this.tables.chats.get(chat), 'it was created just now');
    row.epoch = 1 as Epoch;
    row.nextNumber = messages + 1;
    row.messages = Array.from({ length: messages }, (_, i) => oldMessage(i + 1, chars));
    this.chats.set(chat, owner);
  }

  // ------------------------------------------------------------------------------------------------------- nodes

  get hasNode(): boolean {
    return this.#node !== null;
  }

  /** A new incarnation takes over: every earlier one is dead from here on, whether it knows or not. */
  startNode(): void {
    const id = uuidV7<NodeId>(this.clock.nowMs(), this.random.bytes(10));
    const { database = same, store = same, host = same, authenticate = same } = this.#plant;
    const { socket = same, limits = same } = this.#plant;
    const node = new SimNode({
      id,
      clock: this.clock,
      random: this.random.fork(),
      faults: this.faults,
      provider: {
        generated: this.audit.generated,
        runs: this.audit.runs,
        onTakenUp: (request) => this.audit.onTakenUp(request),
        onRequest: (request) => this.audit.onRequest(request),
      },
      database: this.#database,
      store: new MemoryStore(this.tables, id),
      settings: this.#settings,
      wrapping: {
        database: (inner) => this.audit.database(database(inner)),
        store,
        host: (inner) => this.audit.host(host(inner)),
        authenticate: (inner) => authenticate(this.audit.authenticate(inner)),
        socket,
        limits,
      },
      onStoreCall: (describeCall) => this.trace.add(() => `store: ${describeCall()}`),
      onSessionClosed: (reason) => {
        if (reason === 'slow') this.audit.saw('slow');
        if (reason === 'token_expired') this.audit.saw('expired');
      },
      onError: (message, fields) => this.audit.fail('error', `${message} ${describe(fields)}`),
    });
    this.#node = node;
    this.network.server = node;
    this.trace.add(() => `node ${id} starts`);
    void node.start();
  }

  /** Power cut. False when there is no node to kill. */
  crash(): boolean {
    const node = this.#takeNode('crashes');
    if (node === null) return false;
    node.kill();
    this.tables.deadNodes.add(node.id);
    return true;
  }

  /** The node is cut off from its clients and declared dead, but it runs on for a while (P1). */
  strand(forMs: number): boolean {
    const node = this.#takeNode('is stranded');
    if (node === null) return false;
    this.tables.deadNodes.add(node.id);
    this.clock.after(forMs, () => node.kill());
    return true;
  }

  /** The node goes down in order; `then` is called when it is gone. */
  drain(then: () => void): boolean {
    const node = this.#node;
    if (node === null || this.isDraining) return false;
    this.isDraining = true;
    this.network.server = null;
    this.trace.add(() => `node ${node.id} drains`);
    void node.drain().then(() => {
      this.isDraining = false;
      node.kill();
      this.tables.deadNodes.add(node.id);
      this.#node = null;
      this.network.dropAll();
      then();
    });
    return true;
  }

  /** What the node holds for slow readers is within its budget. */
  checkBudgets(): void {
    const { slowReaders } = this.audit;
    for (const held of this.#node?.held() ?? []) slowReaders.checkHeld(this.#settings.sessions, held);
  }

  breakDatabase(forMs: number): void {
    this.trace.add(() => `the database is away for ${forMs} ms`);
    this.#database.outageUntilMs = this.clock.nowMs() + forMs;
  }

  /** From here on nothing fails any more; what is slow or dead is connected anew. */
  stopFaults(): void {
    this.faults.stop();
    // With every followed chat in memory: a node without room for them refuses some for ever, and rightly so.
    const hadRoom = this.#settings.residentMax >= ROOM;
    this.#settings = { ...this.#settings, residentMax: ROOM };
    if (!hadRoom) this.drain(() => undefined);
    this.#database.outageUntilMs = 0;
    this.network.dropAll('both');
  }

  /** P5: within 25 s a client knows that its connection is dead. One that seems to have slept gives it a moment more. */
  #checkNoticed(name: string, afterMs: number): void {
    const { counts } = this.faults;
    const isDisturbed = (counts.get('clockJump') ?? 0) + (counts.get('sleep') ?? 0) > 0;
    const graceMs = isDisturbed ? CLIENT_LIMITS.lateTimerMs + CLIENT_LIMITS.wakeGraceMs : 0;
    if (name !== PROBE && afterMs > LIMITS.heartbeatMs + CLIENT_LIMITS.silenceSlackMs + graceMs) {
      this.audit.fail('P5', `${name} noticed a dead connection after ${afterMs} ms`);
    }
  }

  #takeNode(fate: string): SimNode | null {
    const node = this.#node;
    if (node === null || this.isDraining) return null;
    this.trace.add(() => `node ${node.id} ${fate}`);
    this.#node = null;
    this.network.server = null;
    this.network.dropAll();
    return node;
  }
}

/** What somebody wrote and never got an answer to. */
function oldMessage(number: number, chars: number): NewMessage {
  return {
    number,
    id: `00000000-0000-7000-8000-${number.toString(16).padStart(12, '0')}`,
    position: { epoch: 1 as Epoch, seq: number },
    role: 'user',
    visibility: 'both',
    parts: [{ type: 'text', text: `old ${number} `.padEnd(chars, '.') }],
    provider: null,
    createdAtMs: START_MS,
    createdBy: null,
    model: null,
    turn: null,
    step: null,
    interrupted: false,
    usage: null,
    costMicros: null,
  };
}

function same<T>(part: T): T {
  return part;
}

function describe(fields: unknown): string {
  const { error, ...rest } = (fields ?? {}) as { readonly error?: unknown };
  const cause = error instanceof Error ? (error.stack ?? error.message) : JSON.stringify(error);
  return `${JSON.stringify(rest)} ${cause ?? ''}`;
}
