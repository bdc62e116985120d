// What the actors need from outside: the same actors run on real parts in production and on small fakes in the
// simulation. Expected failures are values; a port throws for bugs only.

import type { ActorEpoch, TakenChat } from './actor-ports.ts';
import type {
  BlockType,
  CallName,
  Chat,
  ChatStatus,
  ChatSummary,
  QueuedMessage,
  Role,
  TurnEnd,
  Usage,
  Visibility,
  Part,
} from '../protocol/content.ts';
import type { ErrorBody } from '../protocol/errors.ts';
import type { AttemptId, ChatId, CommandId, Epoch, NodeId, OwnerId, TurnId } from '../protocol/ids.ts';
import type { Position } from '../protocol/position.ts';
import type { TraceParent } from '../protocol/trace-parent.ts';
import type { ProviderRun, ResumedRun } from './background-run.ts';
import type { CallRow, ToolSpec } from './tool-ports.ts';
import type { Due, TellBelow, Told } from './inbox-ports.ts';
import type { TurnRecord, AttemptOpening, AttemptReference, AttemptSettlement, JournalPack } from './turn-ports.ts';
import type { ChatChanges, ChatList, FeedPage, FoundMessage, MessagePage, PageRange, Rewind } from './history-ports.ts';

export interface Clock {
  /** Unix milliseconds; within a process it never goes back, and never slower than timers do. It may jump forward. */
  nowMs(): number;
  /** Runs `task` once after `delayMs`; the function returned takes that back. */
  after(delayMs: number, task: () => void): () => void;
}

export interface Random {
  bytes(length: number): Uint8Array;
  /** In [0, 1). */
  fraction(): number;
}

/** Constant messages, fields for the rest; never prompts, replies or tokens. Carries its context (node, chat). */
export interface Log {
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  child(context: Readonly<Record<string, string>>): Log;
}

/** Who acts. `auditor` and `admin` read the chats of others; nobody writes to them. */
export type Principal = {
  readonly owner: OwnerId;
  readonly role: 'member' | 'auditor' | 'admin';
  readonly groups: readonly string[];
};

// ---------------------------------------------------------------------------------------------------- model

export type ModelClient = {
  /**
   * Streams one attempt into `sink`. Resolves once, never rejects; after `signal` it resolves promptly with `aborted`.
   * What the provider runs in the background is given up with it, unless the signal's reason is `Abandoned`.
   */
  stream(request: ModelRequest, sink: StepSink, signal: AbortSignal): Promise<AttemptResult>;
  /** Gives up what the provider runs in the background. Nothing is to be done about a failure. */
  cancel?(ref: string): void;
  /** Ends what nobody waits for; resolves within seconds, never rejects. */
  stop?(): Promise<void>;
};

/** A model as it is set up here. */
export type ModelBinding = {
  readonly client: ModelClient;
  /** For the ledger. */
  readonly provider: string;
  /** The provider's id of the model, an opaque string. */
  readonly providerModel: string;
  /** Null: the provider decides. */
  readonly maxOutputTokens: number | null;
  /** Tokens of prompt and answer together; null: unknown, the provider says when it is exceeded. */
  readonly contextWindow: number | null;
  /** Of the window, from which on a chat is compacted; 100: never; null: by the rule (`chat/compaction/threshold.ts`). */
  readonly compactionPercent: number | null;
  /** Micro-dollars of an attempt; null is unpriced. */
  cost(usage: Usage): bigint | null;
};

export type ModelDirectory = {
  readonly defaultId: string;
  find(id: string): ModelBinding | null;
  list(): readonly { readonly id: string; readonly default: boolean }[];
  /** The model that names chats with the model `id`; null: nobody does. */
  titleModelFor(id: string): string | null;
};

export type ModelRequest = {
  /** As in `ModelBinding.providerModel`. */
  readonly model: string;
  readonly system: readonly string[];
  readonly items: readonly PromptItem[];
  /** Sorted by name. */
  readonly tools: readonly ToolSpec[];
  /** `none`: the tools are there, but the model may call none of them. */
  readonly toolChoice: 'auto' | 'none';
  readonly maxOutputTokens: number | null;
  readonly chat: ChatId;
  readonly attempt: AttemptId;
  /** From 1 in each step: the scripted model fails by it. */
  readonly attemptNumber: number;
  /** For the `traceparent` header of the request; null: none is sent. */
  readonly trace: TraceParent | null;
  /** The chat's policy: what the provider can run in the background runs there. Other adapters take no notice. */
  readonly background: boolean;
  /** Null: a new attempt. */
  readonly resume: ResumedRun | null;
};

/**
 * One message of the prompt ledger (P8). Items are only ever appended, but for fork events. One of role `tool` holds all
 * results of a step, in the order of its calls.
 */
export type PromptItem = {
  readonly role: 'user' | 'assistant' | 'tool';
  readonly parts: readonly Part[];
  /** What its provider sent, byte for byte; sent back to that provider instead of `parts`. */
  readonly provider: ProviderBlocks | null;
};

/** An item as storage has it. */
export type LedgerItem = PromptItem & {
  /** Of its message, or of the first of them. */
  readonly number: number;
  /** Who said it; null: a model, a tool or a note of ours. */
  readonly sentBy: OwnerId | null;
};

/** `json` is a JSON array of the provider's content blocks, in UTF-8. */
export type ProviderBlocks = { readonly provider: string; readonly json: Uint8Array };

/** Where an adapter writes what it receives. Calls after the attempt was aborted are ignored. */
export type StepSink = {
  /** Blocks are numbered 0, 1, … in the order in which they start. `call`: of a `tool_call`, whose deltas are raw JSON. */
  blockStart(index: number, type: BlockType, call?: CallName): void;
  blockDelta(index: number, text: string): void;
  blockEnd(index: number): void;
  /** Overwrites what was known before: providers send running totals. */
  usage(usage: Usage): void;
  /** Bytes came in, of whatever kind: feeds the idle watchdog. */
  activity(): void;
  /** Called before the first block. Nothing is shown before `run.ref` is durable, so that a crash does not pay twice. */
  runsInBackground(run: ProviderRun): void;
};

/** Kinds of provider failures, after the provider's own typed errors (never by matching text where a type exists). */
export type ModelErrorKind =
  | 'overloaded'
  | 'rate_limited'
  | 'unavailable'
  | 'silent'
  | 'cut'
  | 'unauthorized'
  | 'spend_limit'
  | 'bad_request'
  /** Ours: it breaks a rule of the providers and was not sent. */
  | 'invalid_prompt'
  /** The provider does not take its own reasoning back: another account or model, a history that it does not know. */
  | 'reasoning_rejected'
  | 'model_not_found'
  | 'context_overflow';

export type ModelError = {
  readonly kind: ModelErrorKind;
  /** HTTP status where there was one. */
  readonly status: number | null;
  /** The provider's id of the request, for logs and the ledger. */
  readonly requestId: string | null;
  /** Fit for the chat's owner: never a prompt, a key or a body. */
  readonly detail: string;
  /** What the provider asks to wait at least, in milliseconds. */
  readonly retryAfterMs: number | null;
};

export type StopReason = 'end_turn' | 'tool_use' | 'max_tokens' | 'refusal' | 'context_overflow';

/** `provider` holds what may go back into a prompt: finished blocks, text so far; no unsigned reasoning. */
export type AttemptResult =
  | {
      readonly outcome: 'completed';
      readonly stopReason: StopReason;
      readonly provider: ProviderBlocks | null;
      readonly usage: Usage;
      readonly requestId: string | null;
    }
  | {
      readonly outcome: 'failed';
      readonly error: ModelError;
      readonly provider: ProviderBlocks | null;
      readonly usage: Usage | null;
    }
  | {
      readonly outcome: 'aborted';
      readonly provider: ProviderBlocks | null;
      readonly usage: Usage | null;
      readonly requestId: string | null;
    };

// ---------------------------------------------------------------------------------------------------- storage

/** A chat as its actor loads it. */
export type ChatRecord = {
  readonly chat: Chat;
  readonly systemPrompt: string | null;
  /** Fixed at the first request of the chat: what was sent as its system prompt ever since. */
  readonly fixedSystem: readonly string[] | null;
  /** The epoch that this activation took. */
  readonly epoch: Epoch;
  /** Last position of the epoch before when that ended in order, else null. */
  readonly sealed: Position | null;
  /** Number of the next message. */
  readonly nextNumber: number;
  /** The number of the last message that the owner has read. */
  readonly readNumber: number;
  /** Null without a title, and where nobody took it down. */
  readonly titleSource: TitleSource | null;
  /** What the latest request held; null: nothing was asked since the chat began, was compacted or cleared. */
  readonly contextTokens: number | null;
  /** The model of the latest request; null before the first one. */
  readonly promptModel: string | null;
  /** What providers sent goes back from this number of a message on; before it, only what was shown of it. */
  readonly reasoningFrom: number;
  readonly clientTools: readonly ToolSpec[];
  /** Tools that the owner has allowed for good in this chat. */
  readonly allowed: readonly string[];
  /** Of the tools that the latest request had; null before the first one. */
  readonly toolsHash: string | null;
  /** Those that are not settled, by their index. */
  readonly calls: readonly CallRow[];
  readonly turn: TurnRecord | null;
  readonly queue: readonly QueuedItem[];
  /** Attempts without a settlement: the epochs that opened them are over. */
  readonly openAttempts: readonly AttemptOpening[];
  /** Of the turn's current step, ascending. */
  readonly journal: readonly JournalPack[];
  /** Commands of the last 24 h, newest first, at most as many as the activation asked for. */
  readonly commands: readonly CommandRow[];
  /** `commands` holds all of the last 24 h: one that is not among them was never applied. */
  readonly commandsComplete: boolean;
  readonly wakeAtMs: number | null;
};

/** A message that waits, and the trace of the command that sent it: its turn goes on under it, whenever that is. */
export type QueuedItem = QueuedMessage & { readonly trace?: TraceParent };

/** Who named the chat. */
export type TitleSource = 'fallback' | 'generated' | 'user';

export type CommandRow = {
  readonly principal: OwnerId;
  readonly id: CommandId;
  readonly name: string;
  /** SHA-256 of the raw argument bytes. */
  readonly argsHash: Uint8Array;
  readonly reply: CommandReply;
  readonly createdAtMs: number;
};

/** The body of a reply as it was first encoded: a retry gets the same bytes (P3). */
export type CommandReply = { readonly ok: boolean; readonly body: Uint8Array };

export type NewMessage = {
  readonly number: number;
  readonly id: string;
  readonly position: Position;
  readonly role: Role;
  readonly visibility: Visibility;
  readonly parts: readonly Part[];
  readonly provider: ProviderBlocks | null;
  readonly createdAtMs: number;
  readonly createdBy: OwnerId | null;
  readonly model: string | null;
  readonly turn: TurnId | null;
  readonly step: number | null;
  readonly interrupted: boolean;
  readonly usage: Usage | null;
  readonly costMicros: bigint | null;
  /** Prompts begin with this message, whoever may see it, until a later one says so: nothing before it goes to the model. */
  readonly startsPrompt?: true;
};

/** Only the columns that are there are written. */
export type ChatPatch = {
  readonly title?: string | null;
  readonly titleSource?: TitleSource;
  readonly contextTokens?: number | null;
  readonly promptModel?: string;
  readonly reasoningFrom?: number;
  readonly status?: ChatStatus;
  readonly archived?: boolean;
  readonly model?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly lastError?: ErrorBody | null;
  readonly lastTurn?: TurnEnd;
  readonly turn?: TurnRecord | null;
  readonly fixedSystem?: readonly string[];
  readonly allowed?: readonly string[];
  readonly toolsHash?: string;
  readonly nextNumber?: number;
  /** Never goes back: a lower one than there is changes nothing. */
  readonly readNumber?: number;
  readonly wakeAtMs?: number | null;
};

/** One durable step of a chat: all of it or nothing of it. */
export type CommitIntent = {
  readonly chat: ChatId;
  /** Refused as `stale` unless it is the chat's epoch when the transaction has locked the row (P1). */
  readonly epoch: Epoch;
  readonly atMs: number;
  /** Refused as `archived` when the chat is, by then. */
  readonly requireUnarchived: boolean;
  readonly patch: ChatPatch;
  /** The chat itself shows a difference: `updated_at` and the feed move. */
  readonly listed: boolean;
  /** Its summary may: the feed moves, also when only what is unread is another. */
  readonly fed: boolean;
  /** Before `messages` are written. */
  readonly rewind?: Rewind;
  readonly messages: readonly NewMessage[];
  readonly enqueue: readonly QueuedItem[];
  /** Before all that wait, the first of these foremost. */
  readonly enqueueFirst: readonly QueuedItem[];
  readonly dequeue: readonly CommandId[];
  readonly commands: readonly CommandRow[];
  readonly attemptsOpened: readonly AttemptOpening[];
  readonly attemptsReferenced: readonly AttemptReference[];
  readonly attemptsSettled: readonly AttemptSettlement[];
  readonly journal: readonly JournalPack[];
  /** Rows of the ledger of calls, each as it is from now on. */
  readonly calls?: readonly CallRow[];
  /** Drop every pack of the chat. */
  readonly clearJournal: boolean;
  /** After a crash: events of that epoch behind that seq are void. */
  readonly retract: Position | null;
  readonly tellBelow?: TellBelow;
  /** It is done with these: their rows go. */
  readonly heard?: readonly Told[];
};

export type CommitResult =
  | { readonly outcome: 'committed' }
  /** The chat has another epoch: this activation is over. */
  | { readonly outcome: 'stale' }
  | { readonly outcome: 'archived' }
  /** Postgres rejects this intent for what it holds (SQLSTATE 22 or 23). */
  | { readonly outcome: 'rejected'; readonly sqlstate: string; readonly detail: string }
  /** It was certainly not applied; the same intent may be handed in again. */
  | { readonly outcome: 'unavailable'; readonly detail: string }
  /** The connection was lost at the commit: it may have been applied, or may yet be. Only a new epoch tells. */
  | { readonly outcome: 'unknown'; readonly detail: string };

export type Activation = {
  readonly chat: ChatId;
  /** Null: on the node's own behalf (wake-up, recovery). Else a chat that this one may not read is `gone`. */
  readonly viewer: Principal | null;
};

export type ActivationResult =
  | { readonly outcome: 'activated'; readonly record: ChatRecord }
  | { readonly outcome: 'gone' }
  /** A live node owns it. */
  | { readonly outcome: 'owned'; readonly node: NodeId }
  /** `isUnknown`: the answer was lost, the epoch may have been taken all the same. Then nobody else takes the chat up. */
  | { readonly outcome: 'unavailable'; readonly detail: string; readonly isUnknown?: true };

/** A reading that the database could not give. */
export type Unavailable = { readonly outcome: 'unavailable'; readonly detail: string };
export type Read<T> = { readonly outcome: 'read'; readonly value: T } | Unavailable;

export type ChatStore = {
  /** Takes `epoch + 1` by compare-and-swap from dead, released or own incarnations and loads; one round for many. */
  activate(activations: readonly Activation[], commandsMax: number): Promise<readonly ActivationResult[]>;
  commit(intent: CommitIntent): Promise<CommitResult>;
  /** Gives the chat up. `sealed`: the last position of the epoch; null: it ended in mid-turn. False when the epoch was another's. */
  release(chat: ChatId, epoch: Epoch, sealed: Position | null): Promise<boolean>;

  /** Creates, unless the command did so before: then the first reply. `reply` encodes what the row became. */
  create(chat: NewChat, command: Omit<CommandRow, 'reply'>, reply: (chat: Chat) => CommandReply): Promise<CreateResult>;
  /** A new chat with the messages of another up to one, once per command; `reply` encodes it and its last number. */
  fork(fork: NewFork, command: Omit<CommandRow, 'reply'>, reply: ForkReply): Promise<ForkResult>;
  /** Keeps the refusal of a command without a chat, unless a reply to it is kept: gives the row that holds from then on. */
  keepRefusal(command: CommandRow): Promise<Read<CommandRow>>;
  /** The whole tree under `root` in one statement, fenced by the root's epoch; nothing happens while one of it runs. */
  archiveTree(request: ArchiveRequest): Promise<ArchiveResult>;

  /** What changed after `since` as of `asOf` (both of one chat): see P4. `since` null: the newest messages. */
  changes(chat: ChatId, since: Position | null, asOf: Position): Promise<Read<ChatChanges>>;
  page(chat: ChatId, range: PageRange): Promise<Read<MessagePage>>;
  /** One part whole; null when there is none that the user may see. */
  part(chat: ChatId, number: number, part: number): Promise<Read<string | null>>;
  /** What the model may see, ascending, from the last message on that `startsPrompt`. */
  prompt(chat: ChatId): Promise<Read<readonly LedgerItem[]>>;
  /** The message of that number, or the last one that a user has sent; null when there is none, or not any more. */
  findMessage(chat: ChatId, which: number | 'last user'): Promise<Read<FoundMessage | null>>;
  /** Whether the model would see no message at all. */
  isPromptEmpty(chat: ChatId): Promise<Read<boolean>>;
  get(viewer: Principal, chat: ChatId): Promise<Read<ChatSummary | null>>;
  list(request: ListRequest): Promise<Read<ChatList>>;
  /** The chats of `owner` whose latest change lies behind `after`, at most `limit`, in the order of those changes. */
  feed(owner: OwnerId, after: number, limit: number): Promise<Read<FeedPage>>;
  /** The newest place in the feed of each owner; those without chats are absent. */
  feedTops(owners: readonly OwnerId[]): Promise<Read<ReadonlyMap<OwnerId, number>>>;
  /** A command outside the actor's memory: its row, `applied` when only what it created is left, or null. */
  findCommand(principal: OwnerId, chat: ChatId | null, id: CommandId): Promise<Read<CommandRow | 'applied' | null>>;
  /** What waits for this node, at most `limit` of each: chats that must run on, and what chats of its own were told. */
  due(nowMs: number, limit: number): Promise<Read<Due>>;
  /** Those of the actors whose epoch is over. */
  overtaken(actors: readonly ActorEpoch[]): Promise<Read<readonly ChatId[]>>;
};

export type NewChat = {
  readonly id: ChatId;
  readonly owner: OwnerId;
  readonly parent: ChatId | null;
  readonly title: string | null;
  readonly model: string;
  readonly systemPrompt: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly background: boolean;
  /** Tools that its clients run. */
  readonly clientTools?: readonly ToolSpec[];
  readonly createdAtMs: number;
};

export type ListRequest = {
  readonly viewer: Principal;
  /** Null: every chat that the viewer may see. */
  readonly owner: OwnerId | null;
  /** Null: both. */
  readonly archived: boolean | null;
  readonly limit: number;
  /** Chats behind this one in (updated_at, id) descending. */
  readonly after: { readonly updatedAtMs: number; readonly id: ChatId } | null;
};

export type NewFork = {
  readonly id: ChatId;
  readonly owner: OwnerId;
  readonly source: ChatId;
  /** The last message of it that goes over; with one of a step that calls tools its results do too. */
  readonly number: number;
  /** Null: as the source is called. */
  readonly title: string | null;
  readonly createdAtMs: number;
};

export type ForkReply = (chat: Chat, number: number) => CommandReply;

export type ForkResult =
  | Exclude<CreateResult, { readonly outcome: 'no_parent' | 'parent_archived' }>
  /** No such chat of the owner, or no such message that users see. */
  | { readonly outcome: 'not_found' }
  /** A call of that step has no result yet: no prompt may end there. */
  | { readonly outcome: 'unsettled' };

export type CreateResult =
  | { readonly outcome: 'created'; readonly reply: CommandReply }
  /** The command was applied before; `argsHash` says whether it was the same one. */
  | { readonly outcome: 'repeated'; readonly row: CommandRow }
  | { readonly outcome: 'no_parent' }
  | { readonly outcome: 'parent_archived' }
  | { readonly outcome: 'already_applied' }
  /** The answer to the commit was lost; the same command, sent again, learns what became of it. */
  | { readonly outcome: 'unknown'; readonly detail: string }
  | Unavailable;

export type ArchiveRequest = {
  readonly chat: ChatId;
  readonly epoch: Epoch;
  readonly archived: boolean;
  readonly atMs: number;
  readonly command: CommandRow;
};

export type ArchiveResult =
  /** `changed`: the chats of the tree that it changed, the named one included; `taken`: those that other nodes had. */
  | { readonly outcome: 'archived'; readonly changed: readonly ChatId[]; readonly taken: readonly TakenChat[] }
  | { readonly outcome: 'running'; readonly chats: readonly ChatId[] }
  | { readonly outcome: 'parent_archived' }
  | { readonly outcome: 'stale' }
  | { readonly outcome: 'unknown'; readonly detail: string }
  | Unavailable;
