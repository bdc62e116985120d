// What the in-memory store does in one transaction: checks first, then all of it or nothing of it.

import type { TakenChat } from '../../actors/actor-ports.ts';
import type { TellBelow } from '../../actors/inbox-ports.ts';
import type { Rewind } from '../../actors/history-ports.ts';
import type {
  Activation,
  ActivationResult,
  ArchiveRequest,
  ArchiveResult,
  ChatPatch,
  ChatRecord,
  CommandReply,
  CommandRow,
  CommitIntent,
  CommitResult,
  CreateResult,
  NewChat,
} from '../../actors/ports.ts';
import type { Chat, ChatStatus } from '../../protocol/content.ts';
import type { ChatId, Epoch, NodeId, OwnerId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import { commandKey, toldKey, type ChatRow, type MemoryTables, type StoredMessage } from './memory-tables.ts';

const UNIQUE_VIOLATION = '23505';

export function commit(tables: MemoryTables, intent: CommitIntent): CommitResult {
  const row = tables.chats.get(intent.chat);
  if (row?.epoch !== intent.epoch) return { outcome: 'stale' };
  if (intent.requireUnarchived && row.chat.archived) return { outcome: 'archived' };
  const clash = findClash(tables, row, intent);
  if (clash !== null) return { outcome: 'rejected', sqlstate: UNIQUE_VIOLATION, detail: clash };
  const { rewind } = intent;
  const kept = rewind === undefined ? row.messages : row.messages.map((message) => rewound(message, rewind));
  row.messages = [...kept, ...intent.messages].toSorted((a, b) => a.number - b.number);
  const left = row.queue.filter((item) => !intent.dequeue.includes(item.id));
  row.queue = [...intent.enqueueFirst, ...left, ...intent.enqueue];
  for (const command of intent.commands) saveCommand(tables, intent.chat, command);
  for (const opening of intent.attemptsOpened) {
    tables.attempts.set(opening.id, { chat: intent.chat, epoch: intent.epoch, opening, settlement: null });
  }
  for (const { id, providerRef } of intent.attemptsReferenced) {
    const attempt = tables.attempts.get(id);
    if (attempt?.chat === intent.chat && attempt.settlement === null) {
      tables.attempts.set(id, { ...attempt, opening: { ...attempt.opening, providerRef } });
    }
  }
  for (const settlement of intent.attemptsSettled) {
    const attempt = tables.attempts.get(settlement.id);
    if (attempt?.chat === intent.chat && attempt.settlement === null) attempt.settlement = settlement;
  }
  for (const call of intent.calls ?? []) {
    const key = `${call.turn} ${call.step} ${call.index}`;
    if (row.calls.get(key)?.state !== 'settled') row.calls.set(key, call);
  }
  row.journal = [...(intent.clearJournal ? [] : row.journal), ...intent.journal];
  if (intent.retract !== null) {
    const { epoch, seq } = intent.retract;
    row.retractions.set(epoch, Math.min(seq, row.retractions.get(epoch) ?? seq));
  }
  for (const told of intent.heard ?? []) tables.inbox.delete(toldKey({ ...told, chat: intent.chat }));
  if (intent.tellBelow !== undefined) tellBelow(tables, intent.chat, intent.tellBelow);
  applyPatch(row, intent.patch);
  if (intent.listed) row.chat = { ...row.chat, updated_at: intent.atMs };
  if (intent.listed || intent.fed) feed(tables, row);
  return { outcome: 'committed' };
}

function tellBelow(tables: MemoryTables, source: ChatId, { kind, position }: TellBelow): void {
  const below = (above: ChatId): ChatRow[] =>
    [...tables.chats.values()]
      .filter(({ chat }) => chat.parent === above)
      .flatMap((row) => [row, ...below(row.chat.id)]);
  for (const { chat, turn } of below(source)) {
    if (turn === null) continue;
    const told = { chat: chat.id, source, position, kind, turn: turn.id };
    tables.inbox.set(toldKey(told), tables.inbox.get(toldKey(told)) ?? told);
  }
}

function rewound(message: StoredMessage, { from, position }: Rewind): StoredMessage {
  return message.number < from || message.left !== undefined ? message : { ...message, left: position };
}

/** The name of the unique constraint that the intent breaks; null when it breaks none. */
function findClash(tables: MemoryTables, row: ChatRow, intent: CommitIntent): string | null {
  const rows = [...row.messages, ...intent.messages];
  const fresh = intent.messages.length > 0;
  if (fresh && hasTwice(rows.map(({ number }) => number))) return 'messages_pkey';
  if (fresh && hasTwice(rows.map(({ id }) => id))) return 'messages_chat_id_key';
  const shown = rows.filter(({ visibility }) => visibility !== 'model');
  if (fresh && hasTwice(shown.map(({ position }) => `${position.epoch}.${position.seq}`)))
    return 'messages_position_key';
  const left = row.queue.filter(({ id }) => !intent.dequeue.includes(id));
  const queue = [...left, ...intent.enqueue, ...intent.enqueueFirst];
  if (hasTwice(queue.map(({ id }) => id))) return 'queued_messages_pkey';
  const packs = [...(intent.clearJournal ? [] : row.journal), ...intent.journal];
  if (hasTwice(packs.map(({ position }) => `${position.epoch}.${position.seq}`))) return 'journal_packs_pkey';
  if (intent.attemptsOpened.some(({ id }) => tables.attempts.has(id))) return 'attempts_pkey';
  const known = intent.commands.some(({ principal, id }) =>
    tables.commands.has(commandKey(principal, intent.chat, id)),
  );
  return known ? 'commands_pkey' : null;
}

function hasTwice(keys: readonly (string | number)[]): boolean {
  return new Set(keys).size < keys.length;
}

function applyPatch(row: ChatRow, patch: ChatPatch): void {
  const { title, status, archived, model, labels, lastError, lastTurn } = patch;
  const { turn, fixedSystem, nextNumber, readNumber, wakeAtMs } = patch;
  row.chat = {
    ...row.chat,
    ...(title === undefined ? {} : { title }),
    ...(status === undefined ? {} : { status }),
    ...(archived === undefined ? {} : { archived }),
    ...(model === undefined ? {} : { model }),
    ...(labels === undefined ? {} : { labels }),
    ...(lastError === undefined ? {} : { last_error: lastError }),
    ...(lastTurn === undefined ? {} : { last_turn: lastTurn }),
  };
  if (turn !== undefined) row.turn = turn;
  if (fixedSystem !== undefined) row.fixedSystem = fixedSystem;
  if (patch.allowed !== undefined) row.allowed = patch.allowed;
  if (patch.toolsHash !== undefined) row.toolsHash = patch.toolsHash;
  if (nextNumber !== undefined) row.nextNumber = nextNumber;
  if (readNumber !== undefined) row.readNumber = Math.max(row.readNumber, readNumber);
  if (wakeAtMs !== undefined) row.wakeAtMs = wakeAtMs;
  if (patch.titleSource !== undefined) row.titleSource = patch.titleSource;
  if (patch.contextTokens !== undefined) row.contextTokens = patch.contextTokens;
  if (patch.promptModel !== undefined) row.promptModel = patch.promptModel;
  if (patch.reasoningFrom !== undefined) row.reasoningFrom = patch.reasoningFrom;
}

/** Who takes the chats over, and how many commands each record holds at most. */
export type Taking = { readonly node: NodeId; readonly commandsMax: number };

export function activate(tables: MemoryTables, { chat, viewer }: Activation, taking: Taking): ActivationResult {
  const row = tables.chats.get(chat);
  if (row === undefined) return { outcome: 'gone' };
  if (viewer !== null && viewer.role === 'member' && viewer.owner !== row.chat.owner) return { outcome: 'gone' };
  const { node, commandsMax } = taking;
  if (tables.deadNodes.has(node)) return { outcome: 'unavailable', detail: 'this node was marked dead' };
  const owner = row.ownerNode;
  if (owner !== null && owner !== node && !tables.deadNodes.has(owner)) return { outcome: 'owned', node: owner };
  const { sealed } = row;
  row.epoch = (row.epoch + 1) as Epoch;
  row.ownerNode = node;
  row.sealed = null;
  return { outcome: 'activated', record: recordOf(tables, row, sealed, commandsMax) };
}

function recordOf(tables: MemoryTables, row: ChatRow, sealed: Position | null, commandsMax: number): ChatRecord {
  const { chat, systemPrompt, fixedSystem, epoch, nextNumber, readNumber, turn, queue, wakeAtMs } = row;
  const { titleSource, contextTokens, promptModel, reasoningFrom } = row;
  const commands = [...tables.commands.values()]
    .filter((command) => command.chat === chat.id)
    .map((command) => command.row)
    .sort((a, b) => b.createdAtMs - a.createdAtMs || (a.id < b.id ? 1 : -1));
  return {
    chat,
    systemPrompt,
    fixedSystem,
    clientTools: row.clientTools,
    allowed: row.allowed,
    toolsHash: row.toolsHash,
    calls: [...row.calls.values()].filter((call) => call.state !== 'settled' && call.turn === turn?.id),
    epoch,
    sealed,
    nextNumber,
    readNumber,
    titleSource,
    contextTokens,
    promptModel,
    reasoningFrom,
    turn,
    queue,
    openAttempts: [...tables.attempts.values()]
      .filter((attempt) => attempt.chat === chat.id && attempt.settlement === null)
      .map((attempt) => attempt.opening),
    journal: row.journal.filter((pack) => pack.turn === turn?.id && pack.step === turn.step),
    commands: commands.slice(0, commandsMax),
    commandsComplete: commands.length <= commandsMax,
    wakeAtMs,
  };
}

export function release(tables: MemoryTables, chat: ChatId, epoch: Epoch, sealed: Position | null): boolean {
  const row = tables.chats.get(chat);
  if (row?.epoch !== epoch || row.ownerNode === null) return false;
  row.ownerNode = null;
  row.sealed = sealed;
  return true;
}

export type Creation = {
  readonly chat: NewChat;
  readonly command: Omit<CommandRow, 'reply'>;
  readonly reply: (chat: Chat) => CommandReply;
};

export function create(tables: MemoryTables, { chat, command, reply }: Creation): CreateResult {
  const known = tables.commands.get(commandKey(command.principal, null, command.id));
  if (known !== undefined) return { outcome: 'repeated', row: known.row };
  const isThere = [...tables.chats.values()].some(
    (row) => row.chat.id === chat.id || (row.chat.owner === chat.owner && row.createCommand === command.id),
  );
  if (isThere) return { outcome: 'already_applied' };
  const parent = chat.parent === null ? undefined : tables.chats.get(chat.parent);
  if (chat.parent !== null && parent?.chat.owner !== chat.owner) return { outcome: 'no_parent' };
  if (parent?.chat.archived === true) return { outcome: 'parent_archived' };
  const { id, owner, title, model, labels, background, createdAtMs, systemPrompt } = chat;
  const created: Chat = {
    id,
    owner,
    parent: chat.parent,
    root: parent?.chat.root ?? id,
    title,
    status: 'waiting',
    archived: false,
    model,
    ...(background ? { background: true } : {}),
    last_error: null,
    last_turn: null,
    labels,
    created_at: createdAtMs,
    updated_at: createdAtMs,
  };
  const encoded = reply(created);
  const titleSource = title === null ? null : ('user' as const);
  const clientTools = chat.clientTools ?? [];
  const row = { ...emptyRow(), chat: created, createCommand: command.id, systemPrompt, titleSource, clientTools };
  tables.chats.set(id, row);
  saveCommand(tables, null, { ...command, reply: encoded });
  feed(tables, row);
  return { outcome: 'created', reply: encoded };
}

/** A chat in which nothing has happened yet. */
export function emptyRow(): Omit<ChatRow, 'chat' | 'createCommand' | 'systemPrompt' | 'titleSource'> {
  return { ...EMPTY_ROW, ...freshLists() };
}

const EMPTY_ROW = {
  fixedSystem: null,
  clientTools: [],
  allowed: [],
  toolsHash: null,
  turn: null,
  nextNumber: 1,
  readNumber: 0,
  contextTokens: null,
  promptModel: null,
  reasoningFrom: 0,
  feedSeq: 0,
  epoch: 0 as Epoch,
  ownerNode: null,
  sealed: null,
  wakeAtMs: null,
} as const;

function freshLists(): Pick<ChatRow, 'messages' | 'queue' | 'journal' | 'retractions' | 'calls'> {
  return { messages: [], queue: [], journal: [], retractions: new Map(), calls: new Map() };
}

/** What stands in the way of an archive: a turn that runs, waits for a client or is being stopped. */
const ACTIVE: ReadonlySet<ChatStatus> = new Set(['running', 'requires_action', 'stopping']);

export function archiveTree(tables: MemoryTables, request: ArchiveRequest): ArchiveResult {
  const { chat, epoch, archived, atMs, command } = request;
  const named = tables.chats.get(chat);
  if (named?.epoch !== epoch) return { outcome: 'stale' };
  const parent = named.chat.parent === null ? undefined : tables.chats.get(named.chat.parent);
  if (!archived && parent?.chat.archived === true) return { outcome: 'parent_archived' };
  const tree = archived ? treeOf(tables, chat) : [named];
  const running = tree.filter((row) => ACTIVE.has(row.chat.status));
  if (archived && running.length > 0) return { outcome: 'running', chats: running.map((row) => row.chat.id) };
  const differing = tree.filter((row) => row.chat.archived !== archived);
  saveCommand(tables, chat, command);
  if (differing.length === 0) return { outcome: 'archived', changed: [], taken: [] };
  const taken: TakenChat[] = [];
  const changed = tree.filter((row) => row === named || row.chat.archived !== archived);
  for (const row of changed) {
    row.chat = { ...row.chat, archived };
    // It changes without an event: nobody may go on from its last position.
    row.sealed = null;
    if (row.ownerNode !== null && row.ownerNode !== named.ownerNode) {
      row.epoch = (row.epoch + 1) as Epoch;
      taken.push({ chat: row.chat.id, node: row.ownerNode, epoch: row.epoch });
      row.ownerNode = null;
    }
    feed(tables, row);
  }
  named.chat = { ...named.chat, updated_at: atMs };
  return { outcome: 'archived', changed: changed.map((row) => row.chat.id), taken };
}

function treeOf(tables: MemoryTables, root: ChatId): ChatRow[] {
  const tree = new Map<ChatId, ChatRow>();
  const named = tables.chats.get(root);
  if (named !== undefined) tree.set(root, named);
  // Children are created after their parents, so one walk in order of creation finds all of them.
  for (const row of tables.chats.values()) {
    if (row.chat.parent !== null && tree.has(row.chat.parent)) tree.set(row.chat.id, row);
  }
  return [...tree.values()];
}

/** The row that holds from now on: the one that was there, or this. */
export function keepRefusal(tables: MemoryTables, command: CommandRow): CommandRow {
  const known = tables.commands.get(commandKey(command.principal, null, command.id));
  if (known === undefined) saveCommand(tables, null, command);
  return known?.row ?? command;
}

export function saveCommand(tables: MemoryTables, chat: ChatId | null, row: CommandRow): void {
  tables.commands.set(commandKey(row.principal, chat, row.id), { chat, row });
}

/** Gives the chat the next place of its owner. */
export function feed(tables: MemoryTables, row: ChatRow): void {
  const owner = row.chat.owner as OwnerId;
  row.feedSeq = (tables.feeds.get(owner) ?? 0) + 1;
  tables.feeds.set(owner, row.feedSeq);
}
