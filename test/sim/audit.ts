// What the simulation knows to be true, and the first thing that was not.
//
// It stands at three places: at the database (who wrote what, under which epoch), at the stream logs (what is true at
// each position) and at the host (which replies went out). `client-checks.ts` and `final-checks.ts` compare with it.

import { type CopiedFrame, StreamLog } from '../../actors/chat/stream-log.ts';
import type { ChatHost } from '../../actors/host/api.ts';
import type { Told } from '../../actors/inbox-ports.ts';
import type { JournalMode } from '../../actors/turn-ports.ts';
import type { ChatStore, Clock, CommandReply, ModelRequest, Principal, PromptItem } from '../../actors/ports.ts';
import type { Authenticate } from '../../gateway/authentication.ts';
import { decodeServerMessage, encodeReply } from '../../protocol/codec.ts';
import type { Chat, QueuedMessage } from '../../protocol/content.ts';
import { isPassing } from '../../loadtest/check/passing.ts';
import type { ErrorCode } from '../../protocol/errors.ts';
import type { ChatEvent, LiveTurn } from '../../protocol/events.ts';
import { uuidFromBytes, type ChatId, type Epoch, type OwnerId } from '../../protocol/ids.ts';
import { formatPosition, type Position } from '../../protocol/position.ts';
import type { CommandRequest } from '../../actors/host/api.ts';
import { commandKey, type MemoryTables } from './memory-tables.ts';
import type { Run } from './background-model.ts';
import type { SimClock } from './clock.ts';
import type { Shape } from './faults.ts';
import type { Generated } from './generated.ts';
import { SimHistory } from './history.ts';
import { SlowReaderAudit } from './slow-reader-audit.ts';
import type { Trace } from './trace.ts';

export type Violation = {
  /** The promise or the letter of the invariant. */
  readonly rule: string;
  readonly what: string;
  readonly step: number;
  readonly trace: readonly string[];
};

/** What a set of runs must have met, or it has looked at nothing. */
export const SIGHTS = [
  /** An attach went on from the cursor, or gave a state; the chat was none of the client's. */
  'resumed',
  'snapshot',
  'gone',
  /** A snapshot of more than one piece, one that dropped the older messages, one that took shown text back. */
  'pieces',
  'dropOlder',
  'retracted',
  /** A cursor that never was, and the answer that says so. */
  'disowned',
  /** A command that was answered from its row. */
  'repeated',
  /** A commit of an epoch that was over. */
  'stale',
  /** A chat was loaded in mid-turn, or was given up in order. */
  'takeover',
  'released',
  /** A run in the background was taken up behind a crash. */
  'takenUp',
  /** A message that ends where its attempt was lost or stopped. */
  'interrupted',
  /** A whole tree was archived. */
  'tree',
  /** A chat below one whose tree was stopped stopped its turn. */
  'told',
  /** A session was closed for reading too slowly. */
  'slow',
  /** An event was appended to a log that three sessions or more follow. */
  'together',
  /** A credential was renewed over the open connection, one ended with its connection, an expired one was refused. */
  'renewed',
  'expired',
  'refusedExpired',
] as const;
/** What several nodes must have met besides. */
export const CLUSTER_SIGHTS = [
  /** A chat was followed at its owner for clients elsewhere, and again from where that broke off. */
  'mirrored',
  'mirrorResumed',
  /** A command or a query went to another node. */
  'called',
  /** A link had a hole, was silent, or was cut off with the bus. */
  'linkGap',
  'linkSilent',
  'linkCut',
  /** A node was marked dead by another, and went on as another incarnation. */
  'markedDead',
  'anew',
  /** A node was past its own deadline, and was renewed in time after all. */
  'suspended',
] as const;
export type Sight = (typeof SIGHTS)[number] | (typeof CLUSTER_SIGHTS)[number];

export function sightsOf(shape: Shape): readonly Sight[] {
  return shape === 'alone' ? SIGHTS : [...SIGHTS, ...CLUSTER_SIGHTS];
}

export class Audit {
  readonly sights = new Map<Sight, number>();
  readonly tables: MemoryTables;
  readonly journal: JournalMode;
  readonly runs = new Map<string, Run>();
  readonly generated = new Map<string, Generated>();
  readonly #trace: Trace;
  readonly slowReaders: SlowReaderAudit;
  readonly history = new SimHistory();
  /** Chats and the nodes that they were taken from: there an actor may be left that nobody reads from. */
  readonly taken = new Set<string>();
  /** When the credential ends that a principal came with. */
  readonly #expiries = new WeakMap<Principal, number>();
  #violation: Violation | null = null;
  /** The highest epoch that each chat was activated with. */
  readonly #epochs = new Map<ChatId, Epoch>();
  /** Chat and position → what a client shows there. */
  readonly #truths = new Map<string, Shown>();
  readonly #answered = new Set<string>();
  readonly #prompts = new Map<ChatId, readonly string[]>();
  /** Attempt → the epoch in which its text was taken back in order. */
  readonly #resets = new Map<string, Epoch>();
  /** Attempts that went on in another epoch than the one that opened them. */
  readonly #takenUp = new Set<string>();

  constructor(tables: MemoryTables, trace: Trace, clock: SimClock, journal: JournalMode) {
    this.tables = tables;
    this.journal = journal;
    this.#trace = trace;
    this.slowReaders = new SlowReaderAudit(clock.awake, (what) => this.fail('P9', what));
  }

  get violation(): Violation | null {
    return this.#violation;
  }

  /** Notes a violation; the first one stands. */
  fail(rule: string, what: string): void {
    this.#violation ??= { rule, what, step: this.#trace.count, trace: this.#trace.last() };
  }

  saw(sight: Sight, times = 1): void {
    this.sights.set(sight, (this.sights.get(sight) ?? 0) + times);
  }

  /** What a client at `position` must show of the chat, but for the messages; undefined when no log was ever there. */
  truth(chat: ChatId, position: Position): Shown | undefined {
    return this.#truths.get(`${chat} ${formatPosition(position)}`);
  }

  /** Whether that epoch took the attempt's text back in order: a snapshot need not say so again. */
  wasReset(attempt: Attempt, epoch: Epoch): boolean {
    const reset = this.#resets.get(attemptKey(attempt));
    // The text of an attempt that was taken up lived on: its reset in that later epoch is one in order too.
    return reset === epoch || (reset !== undefined && reset > epoch && this.#livedOn(attempt));
  }

  /** The next epoch took it up. It may have failed there before its run was asked for: only what is given up is `lost`. */
  #livedOn(attempt: Attempt): boolean {
    const key = attemptKey(attempt);
    if (this.#takenUp.has(key)) return true;
    const row = [...this.tables.attempts.values()].find(({ opening }) => attemptKey(opening) === key);
    return row !== undefined && row.settlement !== null && row.settlement.outcome !== 'lost';
  }

  /** A run in the background goes on in this epoch. */
  onTakenUp(request: ModelRequest): void {
    this.saw('takenUp');
    const row = this.tables.attempts.get(request.attempt);
    if (row !== undefined) this.#takenUp.add(attemptKey(row.opening));
  }

  // --------------------------------------------------------------------------------------------------- database

  /** One writer (P1): nothing is written under an epoch that is over. */
  database(store: ChatStore): ChatStore {
    const epochOf = (chat: ChatId): Epoch | undefined => this.#epochs.get(chat);
    return override(store, {
      activate: async (activations, commandsMax) => {
        const results = await store.activate(activations, commandsMax);
        for (const result of results) {
          if (result.outcome !== 'activated') continue;
          const { chat, epoch, turn } = result.record;
          if (turn !== null) this.saw('takeover');
          if (epoch <= (epochOf(chat.id) ?? 0)) this.fail('P1', `epoch ${epoch} of ${chat.id} was given out twice`);
          this.#epochs.set(chat.id, epoch);
        }
        return results;
      },
      commit: async (intent) => {
        const current = epochOf(intent.chat);
        const result = await store.commit(intent);
        if (result.outcome === 'stale') this.saw('stale');
        if (result.outcome !== 'committed') return result;
        if (intent.messages.some((message) => message.interrupted)) this.saw('interrupted');
        if (intent.epoch !== current) {
          this.fail('P1', `a commit of epoch ${intent.epoch} was accepted in epoch ${current} of ${intent.chat}`);
        }
        // With the decision to try again durable the attempt's text is void, even if the events never go out.
        const { turn } = intent.patch;
        if (turn?.retry) this.#onReset(intent.chat, { ...turn, turn: turn.id }, intent.epoch);
        for (const told of intent.heard ?? []) this.#checkHeard(told);
        return result;
      },
      release: async (...args) => {
        const isReleased = await store.release(...args);
        if (isReleased) this.saw('released');
        return isReleased;
      },
      archiveTree: async (request) => {
        const result = await store.archiveTree(request);
        if (result.outcome !== 'archived') return result;
        if (result.changed.length > 1) this.saw('tree');
        for (const { chat, epoch, node } of result.taken) {
          this.#epochs.set(chat, epoch);
          this.taken.add(`${chat} ${node}`);
        }
        return result;
      },
    });
  }

  /** What was told is done: the turn is on its way to its end, or over. */
  #checkHeard({ chat, turn }: Told): void {
    const now = this.tables.chats.get(chat)?.turn;
    if (now?.id !== turn) return;
    if (now.stopping === null) this.fail('P12', `${chat} was told to stop ${turn}, which runs on`);
    this.saw('told');
  }

  #onReset(chat: ChatId, attempt: Attempt, epoch: Epoch): void {
    this.#resets.set(attemptKey(attempt), epoch);
    const { turn, step } = attempt;
    this.history.add({ type: 'reset', chat, turn, step, attempt: attempt.attempt });
  }

  // ------------------------------------------------------------------------------------------------ stream logs

  /** Watches every stream log there is until the function returned is called. */
  watchLogs(): () => void {
    // eslint-disable-next-line typescript/unbound-method -- it is called with its log as `this`
    const append = StreamLog.prototype.append;
    const onAppend = (log: StreamLog, event: ChatEvent): void => this.#onAppend(log, event);
    StreamLog.prototype.append = function watched(this: StreamLog, event: ChatEvent): Position {
      const position = append.call(this, event);
      onAppend(this, event);
      return position;
    };
    // eslint-disable-next-line typescript/unbound-method -- it is called with its log as `this`
    const { take } = StreamLog.prototype;
    const { slowReaders } = this;
    // What a mirror takes over is there for its readers from then on.
    StreamLog.prototype.take = function watched(this: StreamLog, frame: CopiedFrame): boolean {
      slowReaders.onAppend(this.chat, frame.position);
      return take.call(this, frame);
    };
    return () => {
      StreamLog.prototype.append = append;
      StreamLog.prototype.take = take;
    };
  }

  #onAppend(log: StreamLog, event: ChatEvent): void {
    const { chat, top, view } = log;
    const turn = view.turn();
    this.slowReaders.onAppend(chat, top);
    if (log.followers >= 3) this.saw('together');
    this.#truths.set(`${chat} ${formatPosition(top)}`, { chat: view.chat, queue: view.queue, turn });
    const where = `${chat} ${formatPosition(top)}`;
    if (event.kind === 'block' && turn === null) this.fail('P6', `a block without a turn at ${where}`);
    if (turn?.retry !== null && turn?.blocks.length !== 0 && turn !== null) {
      this.fail('(e)', `a failed attempt is still shown while the next one is awaited at ${where}`);
    }
    if (event.kind === 'step' && event.type === 'reset') {
      this.#onReset(chat, event, top.epoch);
    }
    if (event.kind !== 'message') return;
    const row = this.tables.chats.get(chat)?.messages.find(({ number }) => number === event.message.number);
    if (row === undefined)
      this.fail('P3', `message ${event.message.number} was shown before it was durable at ${where}`);
    else if (row.id !== event.message.id || formatPosition(row.position) !== formatPosition(top)) {
      this.fail('P2', `message ${row.number} is stored at ${formatPosition(row.position)} and was shown at ${where}`);
    }
  }

  // ------------------------------------------------------------------------------------------------------- host

  /** Who came with which credential. */
  authenticate(authenticate: Authenticate): Authenticate {
    return async (token) => {
      const authentication = await authenticate(token);
      if (authentication.outcome === 'accepted') {
        const { principal, expiresAtMs } = authentication.credential;
        this.#expiries.set(principal, expiresAtMs);
      } else if (authentication.code === 'token_expired') this.saw('refusedExpired');
      return authentication;
    };
  }

  /** Nobody does anything with a credential that is over. */
  #checkCredential(principal: Principal, what: string, clock: Clock): void {
    const expiresAtMs = this.#expiries.get(principal) ?? Infinity;
    if (clock.nowMs() >= expiresAtMs) {
      this.fail('credential', `${principal.owner} did ${what} with a credential that has expired`);
    }
  }

  /** Acknowledged means durable, and a retry hears the same bytes (P3). `clock`: of the node. */
  host(host: ChatHost, clock: Clock): ChatHost {
    return {
      attach: (principal, chat, ...rest) => {
        this.#checkCredential(principal, 'attach', clock);
        return host.attach(principal, chat, ...rest);
      },
      query: async (principal, name, args) => {
        this.#checkCredential(principal, name, clock);
        const result = await host.query(principal, name, args);
        this.slowReaders.onReply(result.ok ? result.result : result.error);
        return result;
      },
      command: async (principal, request) => {
        this.#checkCredential(principal, request.name, clock);
        const reply = await host.command(principal, request);
        this.slowReaders.onReply(reply.body);
        this.#checkReply(principal.owner, request, reply);
        return reply;
      },
    };
  }

  #checkReply(owner: OwnerId, request: CommandRequest, reply: CommandReply): void {
    const named = request.args['chat'];
    const chat = named instanceof Uint8Array ? uuidFromBytes<ChatId>(named) : null;
    const kept = this.tables.commands.get(commandKey(owner, request.name === 'chats.create' ? null : chat, request.id));
    const which = `${request.name} ${request.id}`;
    if (kept === undefined) {
      if (reply.ok) this.fail('P3', `${which} was acknowledged before it was durable`);
      return;
    }
    if (sameBytes(kept.row.reply.body, reply.body)) return this.#seeReply(which);
    const code = errorCode(reply);
    if (code === null || !isPassing(code)) this.fail('P3', `a retry of ${which} got another reply (${code ?? 'ok'})`);
  }

  #seeReply(which: string): void {
    if (this.#answered.has(which)) this.saw('repeated');
    this.#answered.add(which);
  }

  // ------------------------------------------------------------------------------------------------------ model

  /** The prompt is an append-only ledger (P8) that providers accept (P12). */
  onRequest(request: ModelRequest): void {
    // Whoever does not know yet that it is over may ask with whatever it has read: nothing of the answer is taken.
    if (this.tables.attempts.get(request.attempt)?.epoch !== this.#epochs.get(request.chat)) return;
    const items = request.items.map(formatItem);
    const before = this.#prompts.get(request.chat) ?? [];
    const [shorter, longer] = items.length < before.length ? [items, before] : [before, items];
    if (shorter.some((item, i) => item !== longer[i])) this.fail('P8', `the prompt of ${request.chat} was rewritten`);
    this.#prompts.set(request.chat, longer);
    if (request.items.at(-1)?.role !== 'user') this.fail('P12', `a prompt of ${request.chat} ends with the model`);
    if (request.items.some(({ parts }) => parts.every(({ text }) => text === ''))) {
      this.fail('P12', `a prompt of ${request.chat} holds an empty item`);
    }
  }
}

type Attempt = { readonly turn: string; readonly step: number; readonly attempt: number };

function attemptKey({ turn, step, attempt }: Attempt): string {
  return `${turn} ${step} ${attempt}`;
}

function formatItem(item: PromptItem): string {
  return `${item.role}: ${item.parts.map((part) => `${part.type} ${part.text}`).join('|')}`;
}

export type Shown = {
  readonly chat: Chat;
  readonly queue: readonly QueuedMessage[];
  readonly turn: LiveTurn | null;
};

/** The store with some of its calls replaced. */
export function override(store: ChatStore, calls: Partial<ChatStore>): ChatStore {
  return {
    activate: (...args) => store.activate(...args),
    commit: (...args) => store.commit(...args),
    release: (...args) => store.release(...args),
    create: (...args) => store.create(...args),
    fork: (...args) => store.fork(...args),
    keepRefusal: (...args) => store.keepRefusal(...args),
    archiveTree: (...args) => store.archiveTree(...args),
    changes: (...args) => store.changes(...args),
    page: (...args) => store.page(...args),
    part: (...args) => store.part(...args),
    prompt: (...args) => store.prompt(...args),
    findMessage: (...args) => store.findMessage(...args),
    isPromptEmpty: (...args) => store.isPromptEmpty(...args),
    get: (...args) => store.get(...args),
    list: (...args) => store.list(...args),
    feed: (...args) => store.feed(...args),
    feedTops: (...args) => store.feedTops(...args),
    findCommand: (...args) => store.findCommand(...args),
    due: (...args) => store.due(...args),
    overtaken: (...args) => store.overtaken(...args),
    ...calls,
  };
}

function errorCode(reply: CommandReply): ErrorCode | null {
  const [frame] = decodeServerMessage(encodeReply(1, reply));
  return frame?.op === 'reply' ? (frame.error?.code ?? null) : null;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
