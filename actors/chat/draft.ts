// One durable step of a chat while it is put together: the rows to commit, the events to emit once they are, and the
// state that holds from then on. Nothing of it is visible before the commit; a refused draft is simply dropped.

import type { Chat, TurnOutcome } from '../../protocol/content.ts';
import type { ErrorBody } from '../../protocol/errors.ts';
import type { ChatEvent, CompactionOutcome } from '../../protocol/events.ts';
import type { Epoch } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import type { TraceParent } from '../../protocol/trace-parent.ts';
import type { Rewind } from '../history-ports.ts';
import type { TellBelow, Told } from '../inbox-ports.ts';
import type { ChatPatch, ChatRecord, CommandRow, CommitIntent, NewMessage, QueuedItem, TitleSource } from '../ports.ts';
import type { AttemptOpening, AttemptReference, AttemptSettlement, JournalPack, TurnRecord } from '../turn-ports.ts';

import type { CallRow } from '../tool-ports.ts';
import { nextDeadlineMs } from './tool-calls.ts';
import type { ActorLimit } from './counted-limits.ts';
import { heldUntil, queueRows } from './queue.ts';

/** What an actor knows of its chat; replaced as a whole after each commit. */
export type ActorState = {
  readonly chat: Chat;
  readonly queue: readonly QueuedItem[];
  readonly turn: TurnRecord | null;
  readonly nextNumber: number;
  /** The number of the last message that the owner has read. */
  readonly readNumber: number;
  readonly titleSource: TitleSource | null;
  /** What the latest request held, in tokens; null: there was none since the prompt last began anew. */
  readonly contextTokens: number | null;
  /** The model of the latest request; null before the first one. */
  readonly promptModel: string | null;
  /** As in `ChatRecord`. */
  readonly reasoningFrom: number;
  /** As the model wrote its latest step; null: it has written none since the chat was loaded. Not kept. */
  readonly tokensPerSecond: number | null;
  /** The chat is being named by this text; not kept: after a crash it goes by what it has. */
  readonly titling: { readonly opening: AttemptOpening; readonly text: string } | null;
  readonly systemPrompt: string | null;
  readonly fixedSystem: readonly string[] | null;
  readonly attempt: AttemptOpening | null;
  /** Of the current step, those that were settled included. */
  readonly calls: readonly CallRow[];
  /** Tools that the owner has allowed for good in this chat. */
  readonly allowed: readonly string[];
  /** Of the tools that the latest request had; null before the first one. */
  readonly toolsHash: string | null;
};

/** As storage had it when the actor was loaded. */
export function stateOf(record: ChatRecord): ActorState {
  const { chat, queue, turn, nextNumber, readNumber, systemPrompt, fixedSystem } = record;
  const { titleSource, contextTokens, promptModel, reasoningFrom, calls, allowed, toolsHash } = record;
  return {
    chat,
    queue,
    turn,
    nextNumber,
    readNumber,
    systemPrompt,
    fixedSystem,
    attempt: record.openAttempts.at(-1) ?? null,
    titleSource,
    contextTokens,
    promptModel,
    reasoningFrom,
    calls,
    allowed,
    toolsHash,
    tokensPerSecond: null,
    titling: null,
  };
}

/** What a command is answered with, before it is encoded. */
export type Reply =
  | { readonly ok: true; readonly result: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly error: ErrorBody };

export type DraftOpening = {
  readonly state: ActorState;
  readonly epoch: Epoch;
  /** The log's top: the draft's events take the places behind it. */
  readonly top: Position;
  readonly atMs: number;
};

/** What comes with a step: who asked for it, and whom it tells. */
export type StepInput = {
  /** Of the command that asked for this; null: of none. */
  readonly trace: TraceParent | null;
  /** The chats below are told the same. */
  readonly tellsBelow: TellBelow['kind'] | null;
  /** Another chat has asked for this; null: none has. */
  readonly heard: Told | null;
};

/** The row of the command that a finished draft answers. */
export type RowOf = (draft: Draft) => CommandRow;

export class Draft {
  readonly atMs: number;
  readonly before: ActorState;
  state: ActorState;
  reply: Reply | null = null;
  /** What the step belongs to: the command that asked for it, or the turn that it goes on with. */
  trace: TraceParent | null = null;
  requireUnarchived = false;
  clearJournal = false;
  /** When the chat has to be loaded by itself, beside what its turn says; absent: as the turn says. */
  wakeAtMs: number | null | undefined;
  retract: Position | null = null;
  rewind: Rewind | null = null;
  /** The chats below are told this. */
  tellsBelow: TellBelow['kind'] | null = null;
  /** What it was told and is done with. */
  readonly heard: Told[] = [];
  readonly messages: NewMessage[] = [];
  readonly attemptsOpened: AttemptOpening[] = [];
  readonly attemptsReferenced: AttemptReference[] = [];
  readonly attemptsSettled: AttemptSettlement[] = [];
  readonly journal: JournalPack[] = [];
  /** Rows of calls that are new or changed. */
  readonly calls: CallRow[] = [];
  /** Limits that were reached: what was asked for is refused or cut. */
  readonly limits: ActorLimit[] = [];
  /** Compactions that end with it. */
  readonly compactions: CompactionOutcome[] = [];
  readonly #events: ChatEvent[] = [];
  readonly #epoch: Epoch;
  readonly #topSeq: number;

  constructor(opening: DraftOpening) {
    this.before = opening.state;
    this.state = opening.state;
    this.atMs = opening.atMs;
    this.#epoch = opening.epoch;
    this.#topSeq = opening.top.seq;
  }

  /** What comes with a step, whatever it does. */
  takeInput({ trace, tellsBelow, heard }: StepInput): void {
    this.trace = trace ?? this.state.turn?.trace ?? null;
    this.tellsBelow = tellsBelow;
    if (heard !== null) this.heard.push(heard);
  }

  /** Adds an event and gives the position that it will have. */
  push(event: ChatEvent): Position {
    this.#events.push(event);
    return { epoch: this.#epoch, seq: this.#topSeq + this.#events.length };
  }

  /** The position of the latest event. */
  lastPosition(): Position {
    return { epoch: this.#epoch, seq: this.#topSeq + this.#events.length };
  }

  /** The position that the next event will have: for rows that an event names and that hold its position. */
  nextPosition(): Position {
    return { epoch: this.#epoch, seq: this.#topSeq + this.#events.length + 1 };
  }

  change(change: Partial<ActorState>): void {
    this.state = { ...this.state, ...change };
  }

  /** A change to what the chat has already is none: the row, the feed and `updated_at` stay as they are. */
  changeChat(change: Partial<Chat>): void {
    const chat = { ...this.state.chat, ...change };
    if (JSON.stringify(chat) !== JSON.stringify(this.state.chat)) this.change({ chat });
  }

  /** How the turn ended that ends with this draft; null when none does. */
  get lastTurn(): TurnOutcome | null {
    const before = this.before.chat.last_turn;
    const { last_turn: after } = this.state.chat;
    return after === before || after === null ? null : after.outcome;
  }

  /** The opening of an attempt that this draft settles; null when it is one of an epoch long over. */
  openedOf(settlement: AttemptSettlement): AttemptOpening | null {
    const { attempt, titling } = this.before;
    return [attempt, titling?.opening ?? null].find((one) => one?.id === settlement.id) ?? null;
  }

  /**
   * A node that goes down starts nothing, and a queue that would have gone on must not wait for somebody to write: the
   * chat is due at once. After an error it waits anyway.
   */
  leaveQueueDue(): void {
    const { turn, queue, chat } = this.state;
    const goesOn = turn === null && this.before.turn !== null && chat.status === 'waiting' && queue.length > 0;
    if (goesOn) this.wakeAtMs = heldUntil(queue, this.atMs) ?? this.atMs;
  }

  /** Puts the events in their final form: a changed chat is announced once, behind everything that changed it. */
  finish(): readonly ChatEvent[] {
    if (this.listed) {
      this.changeChat({ updated_at: this.atMs });
      this.push({ kind: 'chat', chat: this.state.chat });
    }
    return this.#events;
  }

  /** The owner's list shows a difference. */
  get listed(): boolean {
    return this.state.chat !== this.before.chat;
  }

  /** Its summary may show one: what is unread counts. */
  get fed(): boolean {
    const isToRead = ({ role, visibility }: NewMessage): boolean =>
      (role === 'assistant' || role === 'tool') && visibility !== 'model';
    const hasRead = this.state.readNumber !== this.before.readNumber;
    return this.listed || hasRead || this.rewind !== null || this.messages.some(isToRead);
  }

  /** Nothing but memory changes: there is nothing to commit. Events and a command aside. */
  get isEmpty(): boolean {
    const rows = [this.journal, this.attemptsReferenced, this.attemptsSettled, this.calls, this.heard];
    const sameRow = Object.keys(this.#patch()).length === 0 && this.tellsBelow === null;
    return sameRow && this.retract === null && rows.every(({ length }) => length === 0);
  }

  #patch(): ChatPatch {
    const patch = patchOf(this.before, this.state);
    return this.wakeAtMs === undefined ? patch : { ...patch, wakeAtMs: this.wakeAtMs };
  }

  /** `command`: the row of the command that the draft answers, if it does. Call after `finish`. */
  intent(command: CommandRow | null): CommitIntent {
    return {
      chat: this.state.chat.id,
      epoch: this.#epoch,
      atMs: this.atMs,
      requireUnarchived: this.requireUnarchived,
      patch: this.#patch(),
      listed: this.listed,
      fed: this.fed,
      messages: this.messages,
      ...queueRows(this.before.queue, this.state.queue),
      commands: command === null ? [] : [command],
      attemptsOpened: this.attemptsOpened,
      attemptsReferenced: this.attemptsReferenced,
      attemptsSettled: this.attemptsSettled,
      journal: this.journal,
      calls: this.calls,
      clearJournal: this.clearJournal,
      retract: this.retract,
      ...(this.rewind === null ? {} : { rewind: this.rewind }),
      ...(this.tellsBelow === null ? {} : { tellBelow: { kind: this.tellsBelow, position: this.lastPosition() } }),
      ...(this.heard.length === 0 ? {} : { heard: this.heard }),
    };
  }
}

/**
 * When the chat has to go on by itself: its turn backs off or waits for somebody, or its queue waits for an edit that may
 * never end.
 */
export function wakeAtOf({ turn, queue, chat, calls }: ActorState): number | null {
  if (turn !== null) return turn.retry?.atMs ?? nextDeadlineMs(calls);
  return chat.status === 'waiting' ? (queue[0]?.held_until ?? null) : null;
}

/** Only what differs: a chat row is not rewritten for nothing. */
function patchOf(before: ActorState, after: ActorState): ChatPatch {
  const a = before.chat;
  const b = after.chat;
  return {
    ...(a.title === b.title ? {} : { title: b.title }),
    ...(before.titleSource === after.titleSource || after.titleSource === null
      ? {}
      : { titleSource: after.titleSource }),
    ...(before.contextTokens === after.contextTokens ? {} : { contextTokens: after.contextTokens }),
    ...(before.promptModel === after.promptModel || after.promptModel === null
      ? {}
      : { promptModel: after.promptModel }),
    ...(before.reasoningFrom === after.reasoningFrom ? {} : { reasoningFrom: after.reasoningFrom }),
    ...(a.status === b.status ? {} : { status: b.status }),
    ...(a.model === b.model ? {} : { model: b.model }),
    ...(a.labels === b.labels ? {} : { labels: b.labels }),
    ...(a.last_error === b.last_error ? {} : { lastError: b.last_error }),
    ...(a.last_turn === b.last_turn || b.last_turn === null ? {} : { lastTurn: b.last_turn }),
    ...(before.turn === after.turn ? {} : { turn: after.turn }),
    ...(before.turn === after.turn && wakeAtOf(before) === wakeAtOf(after) ? {} : { wakeAtMs: wakeAtOf(after) }),
    ...(before.allowed === after.allowed ? {} : { allowed: after.allowed }),
    ...(before.toolsHash === after.toolsHash || after.toolsHash === null ? {} : { toolsHash: after.toolsHash }),
    ...(before.fixedSystem === after.fixedSystem || after.fixedSystem === null
      ? {}
      : { fixedSystem: after.fixedSystem }),
    ...(before.nextNumber === after.nextNumber ? {} : { nextNumber: after.nextNumber }),
    ...(before.readNumber === after.readNumber ? {} : { readNumber: after.readNumber }),
  };
}
