// The rows of the in-memory store: what the tables of `storage/migrations` hold, as values.

import type { CommandRow, NewMessage, TitleSource } from '../../actors/ports.ts';
import type { AttemptOpening, AttemptSettlement, JournalPack, TurnRecord } from '../../actors/turn-ports.ts';
import type { Told } from '../../actors/inbox-ports.ts';
import type { CallRow, ToolSpec } from '../../actors/tool-ports.ts';
import type { Chat, QueuedMessage } from '../../protocol/content.ts';
import type { ChatId, CommandId, Epoch, NodeId, OwnerId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';

export type ChatRow = {
  chat: Chat;
  readonly createCommand: CommandId;
  readonly systemPrompt: string | null;
  fixedSystem: readonly string[] | null;
  readonly clientTools: readonly ToolSpec[];
  allowed: readonly string[];
  toolsHash: string | null;
  /** By `turn step index`. */
  readonly calls: Map<string, CallRow>;
  turn: TurnRecord | null;
  nextNumber: number;
  readNumber: number;
  titleSource: TitleSource | null;
  contextTokens: number | null;
  promptModel: string | null;
  reasoningFrom: number;
  /** The owner's place in the feed at the last change that shows in a summary; no two chats have the same. */
  feedSeq: number;
  epoch: Epoch;
  /** The incarnation that took `epoch`; null when it was released. */
  ownerNode: NodeId | null;
  sealed: Position | null;
  wakeAtMs: number | null;
  /** Ascending by number. */
  messages: readonly StoredMessage[];
  queue: readonly QueuedMessage[];
  journal: readonly JournalPack[];
  /** By epoch, the seq behind which its events are void. */
  readonly retractions: Map<Epoch, number>;
};

/** `left`: where an edit took it out of the chat. */
export type StoredMessage = NewMessage & { readonly left?: Position };

export type AttemptRow = {
  readonly chat: ChatId;
  readonly epoch: Epoch;
  readonly opening: AttemptOpening;
  settlement: AttemptSettlement | null;
};

export type StoredCommand = { readonly chat: ChatId | null; readonly row: CommandRow };

/** What survives every crash of the simulation. Only `memory-writes.ts` changes it. */
export class MemoryTables {
  readonly chats = new Map<ChatId, ChatRow>();
  readonly attempts = new Map<string, AttemptRow>();
  readonly commands = new Map<string, StoredCommand>();
  /** By chat, source and its position. */
  readonly inbox = new Map<string, Told>();
  readonly feeds = new Map<OwnerId, number>();
  /** When the leases of nodes expire that nobody has marked dead, in Unix milliseconds of the database's clock. */
  readonly leases = new Map<NodeId, number>();
  readonly deadNodes = new Set<NodeId>();
}

export function toldKey({ chat, source, position }: Pick<Told, 'chat' | 'source' | 'position'>): string {
  return `${chat} ${source} ${position.epoch}.${position.seq}`;
}

export function commandKey(principal: OwnerId, chat: ChatId | null, id: CommandId): string {
  return `${principal} ${chat ?? '-'} ${id}`;
}
