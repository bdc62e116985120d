// A host with its actors on simulated time and the store in memory, and a model that a test plays by hand.

import { NO_TRACER, type Tracer } from '../../actors/tracing.ts';
import { NodeChatHost } from '../../actors/host/chat-host.ts';
import { HOST_DEFAULTS } from '../../actors/host/settings.ts';
import { CHAT_DEFAULTS, type ChatSettings } from '../../actors/chat/settings.ts';
import type { Attached, Follower, ReadableLog } from '../../actors/host/api.ts';
import type {
  AttemptResult,
  ChatStore,
  Log,
  ModelBinding,
  ModelErrorKind,
  ModelRequest,
  Principal,
  StepSink,
  StopReason,
} from '../../actors/ports.ts';
import { must } from '../../protocol/assert.ts';
import { decodeBody, decodeServerMessage, encodeArgs } from '../../protocol/codec.ts';
import type { Busy, ChatStatus, Message } from '../../protocol/content.ts';
import type { ErrorBody } from '../../protocol/errors.ts';
import type { PositionedEvent } from '../../protocol/events.ts';
import type { Args } from '../../protocol/frames.ts';
import {
  uuidFromBytes,
  uuidToBytes,
  uuidV7,
  type ChatId,
  type CommandId,
  type Epoch,
  type NodeId,
  type OwnerId,
} from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import { toolRunner } from '../support/tools.ts';
import { BUILTIN_TOOLS } from '../../actors/tools/builtin.ts';
import type { Tool } from '../../actors/tools/tool.ts';
import type { ToolRunner } from '../../actors/tool-ports.ts';
import { settle, SimClock } from '../sim/clock.ts';
import { MemoryStore } from '../sim/memory-store.ts';
import { MemoryTables, type ChatRow } from '../sim/memory-tables.ts';
import { SimRandom } from '../sim/random.ts';

const START_MS = Date.UTC(2026, 0, 1);
const OWNER = 'ada' as OwnerId;
const VIEWER: Principal = { owner: OWNER, role: 'member', groups: [] };
const USAGE = { input_tokens: 1, output_tokens: 1, cache_read_tokens: 0, cache_write_tokens: 0, estimated: false };

/** One request to the model, in the hands of the test. */
export type PlayedAttempt = {
  readonly request: ModelRequest;
  readonly sink: StepSink;
  readonly signal: AbortSignal;
  complete(stopReason?: StopReason): void;
  /** With what the request held. */
  answer(said: Said): void;
  /** Calls these tools, `[name, arguments]` each, and hands over to them. The ids are `c0`, `c1`, … and `2c0`, … in the next one. */
  call(...calls: readonly (readonly [string, string])[]): void;
  fail(kind: ModelErrorKind): void;
  abort(): void;
  /** Against its port: an adapter never rejects. */
  crash(): void;
  /** With exactly this. */
  end(result: AttemptResult): void;
};

export type Said = { readonly text: string; readonly inputTokens: number };

/** What a command was answered. */
export type Answer = { readonly ok: boolean; readonly body: unknown };

export type StageOptions = {
  readonly tracer?: Tracer;
  readonly settings?: Partial<ChatSettings>;
  readonly tools?: readonly Tool[];
};

export class Stage {
  readonly clock = new SimClock(START_MS);
  readonly random: SimRandom;
  readonly tables: MemoryTables;
  readonly attempts: PlayedAttempt[] = [];
  /** Whose feed has moved, once per commit that moved it. */
  readonly fed: string[] = [];
  /** Runs at the provider that were given up. */
  readonly cancelled: string[] = [];
  /** The model; false: its key was taken away. */
  isSetUp = true;
  /** What names chats; null: nobody does. */
  titleModel: string | null = null;
  /** Of the model; null: nobody knows. */
  contextWindow: number | null = null;
  /** The calls of the store that wait until the test lets them go on; null: none waits. */
  readonly store: ChatStore;
  readonly tools: ToolRunner;
  readonly host: NodeChatHost;

  /** `tables` of another stage: its node is dead then. */
  constructor(
    tables = new MemoryTables(),
    wrap: (store: ChatStore) => ChatStore = (store) => store,
    log = LOG,
    { tracer = NO_TRACER, settings = {}, tools = BUILTIN_TOOLS }: StageOptions = {},
  ) {
    this.tables = tables;
    for (const { ownerNode } of tables.chats.values()) if (ownerNode !== null) tables.deadNodes.add(ownerNode);
    // Each node draws ids of its own.
    this.random = new SimRandom(1 + tables.deadNodes.size);
    this.tools = toolRunner({ clock: this.clock, random: this.random, log }, tools);
    const node = uuidV7<NodeId>(START_MS, new SimRandom(tables.deadNodes.size).bytes(10));
    this.store = wrap(new MemoryStore(tables, node));
    this.host = new NodeChatHost({
      tracer,
      clock: this.clock,
      random: this.random,
      store: this.store,
      tools: this.tools,
      models: {
        defaultId: 'm',
        find: (id) => ((id === 'm' || id === 'n') && this.isSetUp ? this.#binding(id) : null),
        list: () => [],
        titleModelFor: () => this.titleModel,
      },
      settings: { ...CHAT_DEFAULTS, mergeWindowMs: 0, silenceTimeoutMs: 5_000, ...settings },
      log,
      host: HOST_DEFAULTS,
      onFed: (owner) => this.fed.push(owner),
    });
  }

  newId(): CommandId {
    return uuidV7<CommandId>(this.clock.nowMs(), this.random.bytes(10));
  }

  async command(name: string, args: Args, id = this.newId()): Promise<Answer> {
    const reply = await this.host.command(VIEWER, { id, name, args, rawArgs: encodeArgs(args) });
    return { ok: reply.ok, body: decodeBody(reply.body) };
  }

  async create(parent?: ChatId, args: Args = {}): Promise<ChatId> {
    const under = parent === undefined ? {} : { parent: uuidToBytes(parent) };
    const { body } = await this.command('chats.create', { ...args, ...under });
    const { chat } = body as { readonly chat: { readonly id: Uint8Array } };
    return must(uuidFromBytes<ChatId>(chat.id), 'a chat has an id of 16 bytes');
  }

  send(chat: ChatId, text: string, busy: Busy = 'queue'): Promise<Answer> {
    return this.command('chat.send', { chat: uuidToBytes(chat), content: [{ type: 'text', text }], busy });
  }

  on(chat: ChatId, name: 'archive' | 'unarchive'): Promise<Answer> {
    return this.command(`chat.${name}`, { chat: uuidToBytes(chat) });
  }

  /** The request that the model got last. */
  get attempt(): PlayedAttempt {
    return must(this.attempts.at(-1), 'the model was asked');
  }

  attach(chat: ChatId, cursor: Position | null = null): Promise<Attached> {
    return this.host.attach(VIEWER, chat, cursor, FOLLOWER);
  }

  /** What the attempts of the ledger are for, in the order in which they were opened. */
  purposes(): readonly string[] {
    return [...this.tables.attempts.values()].map(({ opening }) => opening.purpose ?? 'turn');
  }

  settlements(): readonly (string | null)[] {
    return [...this.tables.attempts.values()].map(({ settlement }) => settlement?.outcome ?? null);
  }

  async shown(chat: ChatId): Promise<readonly Message[]> {
    const page = await this.store.page(chat, { before: null, after: 0, limit: 200 });
    return page.outcome === 'read' ? page.value.messages : [];
  }

  statusOf(chat: ChatId): ChatStatus {
    return this.#row(chat).chat.status;
  }

  errorOf(chat: ChatId): ErrorBody | null {
    return this.#row(chat).chat.last_error;
  }

  epochOf(chat: ChatId): Epoch {
    return this.#row(chat).epoch;
  }

  #row(chat: ChatId): ChatRow {
    return must(this.tables.chats.get(chat), 'the chat is there');
  }

  /** Everything that can happen without time passing has happened. */
  settle(): Promise<void> {
    return settle();
  }

  #binding(id: string): ModelBinding {
    return {
      client: {
        stream: (request, sink, signal) =>
          new Promise((resolve) =>
            this.attempts.push(playedAttempt({ request, sink, signal, number: this.attempts.length + 1, resolve })),
          ),
        cancel: (ref) => void this.cancelled.push(ref),
      },
      provider: 'test',
      providerModel: id === 'm' ? 'test-1' : 'test-2',
      maxOutputTokens: 100,
      contextWindow: this.contextWindow,
      compactionPercent: null,
      cost: () => 0n,
    };
  }
}

function playedAttempt(parts: {
  readonly request: ModelRequest;
  readonly sink: StepSink;
  readonly signal: AbortSignal;
  /** From 1: ids of calls are unique in their chat. */
  readonly number: number;
  readonly resolve: (result: AttemptResult | Promise<never>) => void;
}): PlayedAttempt {
  const { request, sink, signal, number, resolve } = parts;
  const complete = (stopReason: StopReason = 'end_turn', inputTokens = 1): void => {
    const usage = { ...USAGE, input_tokens: inputTokens };
    resolve({ outcome: 'completed', stopReason, provider: null, usage, requestId: null });
  };
  return {
    request,
    sink,
    signal,
    complete,
    answer: ({ text, inputTokens }) => {
      say(sink, text);
      complete('end_turn', inputTokens);
    },
    call: (...calls) => {
      for (const [index, [name, args]] of calls.entries()) {
        sink.blockStart(index, 'tool_call', { call: `${number === 1 ? '' : number}c${index}`, name });
        sink.blockDelta(index, args);
        sink.blockEnd(index);
      }
      complete('tool_use');
    },
    fail: (kind) => {
      const error = { kind, status: null, requestId: null, detail: 'played', retryAfterMs: null };
      resolve({ outcome: 'failed', error, provider: null, usage: null });
    },
    crash: () => resolve(Promise.reject(new Error('a bug'))),
    end: resolve,
    abort: () => resolve({ outcome: 'aborted', provider: null, usage: null, requestId: null }),
  };
}

function say(sink: StepSink, text: string): void {
  sink.blockStart(0, 'text');
  sink.blockDelta(0, text);
  sink.blockEnd(0);
}

/** The events behind `cursor` as a follower gets them. */
export function eventsOf(attached: Attached, cursor: Position): readonly PositionedEvent[] {
  return 'log' in attached ? eventsBehind(attached.log, cursor) : [];
}

export function eventsBehind(log: ReadableLog, cursor: Position): readonly PositionedEvent[] {
  const bytes = log.read(cursor, 1_000_000)?.bytes ?? new Uint8Array(0);
  return bytes.length === 0 ? [] : decodeServerMessage(bytes).flatMap((frame) => (frame.op === 'event' ? [frame] : []));
}

const FOLLOWER: Follower = { onAppend: () => undefined, onEnd: () => undefined };

/** For tests in which something has to fail. */
export const QUIET: Log = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  child: () => QUIET,
};

const LOG: Log = {
  error: (message, fields) => {
    throw new Error(`${message} ${JSON.stringify(fields)}`, { cause: fields?.['error'] });
  },
  warn: () => undefined,
  info: () => undefined,
  child: () => LOG,
};
