// The world of one run: a database that survives everything, a network, people with devices, and whatever serves them.

import type { ChatHost } from '../../actors/host/api.ts';
import { chatIdOf } from '../../actors/host/create.ts';
import type { ChatStore, Clock, NewMessage } from '../../actors/ports.ts';
import type { JournalMode } from '../../actors/turn-ports.ts';
import type { Authenticate } from '../../gateway/authentication.ts';
import type { SessionLimits } from '../../gateway/limits.ts';
import type { ClientSocket } from '../../gateway/socket.ts';
import { must } from '../../protocol/assert.ts';
import { uuidV7, type ChatId, type CommandId, type Epoch, type OwnerId } from '../../protocol/ids.ts';
import { CLIENT_LIMITS } from '../../protocol/client/limits.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { Audit } from './audit.ts';
import { SimClock } from './clock.ts';
import { describeMessage } from './describe.ts';
import { Device, type Sent } from './device.ts';
import { FaultyStore } from './faulty-store.ts';
import { Faults, type Shape } from './faults.ts';
import type { MachineClock } from './machine-clock.ts';
import type { MemoryStore } from './memory-store.ts';
import { MemoryTables } from './memory-tables.ts';
import { create } from './memory-writes.ts';
import { MODEL_ID } from './model.ts';
import { Network, type Tamper } from './network.ts';
import { drawSettings, type NodeSettings, type NodeSurroundings } from './node.ts';
import { SimRandom } from './random.ts';
import { Trace } from './trace.ts';

/** 2026-01-01: any time will do, as long as it is the same one each time. */
export const START_MS = Date.UTC(2026, 0, 1);

/** The name of connections that keep no watch. */
export const PROBE = 'probe';

/** A quarter of the seeds, and none of those that are kept for what they found: those play on as they were. */
const STOPS_TREES: ReadonlySet<number> = new Set([0, 9, 12, 13]);

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
  /** The only mode in which it is a defect. */
  readonly journal?: JournalMode;
  /** The function returned takes it back. */
  readonly patch?: () => () => void;
};

export type WorldOptions = {
  readonly seed: number;
  readonly shape: Shape;
  readonly journal: JournalMode;
  readonly siteOf: (world: World) => Site;
  readonly plant?: Plant;
};

/** What serves the chats of a run. */
export type Site = {
  /** Every node that is down and should not be. */
  open(): void;
  /** Puts on the clock what befalls the nodes within so long. */
  schedule(durationMs: number): void;
  /** Nothing befalls them from here on. Nodes without room for all chats make way for others. */
  stopFaults(hadRoom: boolean): void;
  /** No node is on its way up or down. */
  readonly isSettled: boolean;
  /** What is held for each reader: by the session's own account, and by that of its connection. */
  held(): Iterable<{ readonly heldBytes: number; readonly bufferedBytes: number }>;
  /** When everything is at rest. */
  checkRest(): void;
  /** How long something may be held for clients that have left, and what must hold then; 0: it is not looked at. */
  readonly lingerMs: number;
  checkLeft(): void;
  /** The run is over: what was seen is told. */
  end(): void;
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
  /** Whoever stops a chat stops what runs below it, too. */
  readonly stopsTrees: boolean;
  readonly #plant: Plant;
  readonly site: Site;
  /** Of the nodes that start from here on. */
  settings: NodeSettings;
  #outageUntilMs = 0;
  readonly #patches: (() => void)[];

  constructor({ seed, shape, journal, siteOf, plant = {} }: WorldOptions) {
    this.#plant = plant;
    this.stopsTrees = STOPS_TREES.has(seed % 16);
    this.random = new SimRandom(seed);
    this.faults = new Faults(this.random.fork(), shape);
    this.settings = drawSettings(this.random.fork(), journal);
    this.audit = new Audit(this.tables, this.trace, this.clock, journal);
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
    this.site = siteOf(this);
  }

  /** Takes back what reaches beyond this world. */
  end(): void {
    this.site.end();
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

  /** For each node that serves in this run. */
  get surroundings(): NodeSurroundings {
    const {
      host = same,
      authenticate = same,
      socket = same,
      limits = same,
      database = same,
      store = same,
    } = this.#plant;
    const { audit } = this;
    return {
      faults: this.faults,
      provider: {
        generated: audit.generated,
        runs: audit.runs,
        onTakenUp: (request) => audit.onTakenUp(request),
        onRequest: (request) => audit.onRequest(request),
      },
      settings: this.settings,
      wrapping: {
        database: (inner) => audit.database(database(inner)),
        store,
        host: (inner, clock) => audit.host(host(inner), clock),
        authenticate: (inner) => authenticate(audit.authenticate(inner)),
        socket,
        limits,
      },
      onSessionClosed: (reason) => {
        if (reason === 'slow') audit.saw('slow');
        if (reason === 'token_expired') audit.saw('expired');
      },
      onError: (message, fields) => audit.fail('error', `${message} ${describe(fields)}`),
    };
  }

  /** The way of a node to the database, on which calls are late and lost. */
  wayToStore(machine: MachineClock, store: MemoryStore, random: SimRandom, isCutOff: () => boolean): FaultyStore {
    const isAway = (): boolean => this.#outageUntilMs > this.clock.nowMs() || isCutOff();
    return new FaultyStore({
      store: this.surroundings.wrapping.database(store),
      clock: this.clock,
      machine,
      random,
      faults: this.faults,
      database: {
        get isAway() {
          return isAway();
        },
      },
      onCall: (describeCall) => this.trace.add(() => `store: ${describeCall()}`),
    });
  }

  /** What nodes hold for slow readers is within their budget. */
  checkBudgets(): void {
    for (const held of this.site.held()) this.audit.slowReaders.checkHeld(this.settings.sessions, held);
  }

  breakDatabase(forMs: number): void {
    this.trace.add(() => `the database is away for ${forMs} ms`);
    this.#outageUntilMs = this.clock.nowMs() + forMs;
  }

  /** From here on nothing fails any more; what is slow or dead is connected anew. */
  stopFaults(): void {
    this.faults.stop();
    // With every followed chat in memory: a node without room for them refuses some for ever, and rightly so.
    const hadRoom = this.settings.residentMax >= ROOM;
    this.settings = { ...this.settings, residentMax: ROOM };
    this.site.stopFaults(hadRoom);
    this.#outageUntilMs = 0;
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
