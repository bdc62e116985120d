// What the in-memory store reads: the queries of `storage/`, over values.

import type { ActorEpoch } from '../../actors/actor-ports.ts';
import type { Due } from '../../actors/inbox-ports.ts';
import type { CommandRow, LedgerItem, ListRequest, NewMessage, Principal } from '../../actors/ports.ts';
import type {
  ChatChanges,
  ChatList,
  FeedPage,
  FoundMessage,
  MessagePage,
  PageRange,
} from '../../actors/history-ports.ts';
import type { ChatSummary, Message } from '../../protocol/content.ts';
import type { ChatId, CommandId, NodeId, OwnerId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { comparePositions, type Position } from '../../protocol/position.ts';
import { inlineParts } from '../../protocol/references.ts';
import { commandKey, type ChatRow, type MemoryTables, type StoredMessage } from './memory-tables.ts';

export function changes(row: ChatRow | undefined, since: Position | null, asOf: Position): ChatChanges {
  const came = (row?.messages ?? []).filter(
    ({ visibility, position }) => visibility !== 'model' && comparePositions(position, asOf) <= 0,
  );
  const known = came.filter(({ left }) => left === undefined || comparePositions(left, asOf) > 0);
  const lost = since === null ? undefined : row?.retractions.get(since.epoch);
  const retracted = since !== null && lost !== undefined && lost < since.seq ? { epoch: since.epoch, seq: lost } : null;
  const fresh = since === null ? [] : known.filter(({ position }) => comparePositions(position, since) > 0);
  if (since === null || fresh.length > LIMITS.snapshotMessages) {
    const messages = known.slice(-LIMITS.snapshotMessages).map(messageOf);
    return { dropOlder: true, messages, removed: [], hasOlder: known.length > messages.length, retracted };
  }
  const hasOlder = known.length > fresh.length;
  return {
    dropOlder: false,
    messages: fresh.map(messageOf),
    removed: removedOf(came, since, asOf),
    hasOlder,
    retracted,
  };
}

/** Of what the cursor had seen, the range that has left since. */
function removedOf(came: readonly StoredMessage[], since: Position, asOf: Position): ChatChanges['removed'] {
  const gone = came.filter(
    ({ position, left }) =>
      comparePositions(position, since) <= 0 &&
      left !== undefined &&
      comparePositions(left, since) > 0 &&
      comparePositions(left, asOf) <= 0,
  );
  const [first, last] = [gone[0], gone.at(-1)];
  return first === undefined || last === undefined ? [] : [[first.number, last.number]];
}

export function page(row: ChatRow | undefined, { before, after, limit }: PageRange): MessagePage {
  const within = seenByUsers(row).filter(
    ({ number }) => (before === null || number < before) && (after === null || number > after),
  );
  const ordered = after !== null && before === null ? within : within.toReversed();
  return { messages: ordered.slice(0, limit).map(messageOf), hasMore: ordered.length > limit };
}

export function part(row: ChatRow | undefined, number: number, index: number): string | null {
  return seenByUsers(row).find((message) => message.number === number)?.parts[index]?.text ?? null;
}

export function prompt(row: ChatRow | undefined): readonly LedgerItem[] {
  return promptRows(row).flatMap(({ number, createdBy: sentBy, role, parts, provider }) =>
    role === 'system'
      ? []
      : [{ number, sentBy, role, parts, provider: number >= (row?.reasoningFrom ?? 0) ? provider : null }],
  );
}

function promptRows(row: ChatRow | undefined): readonly StoredMessage[] {
  const there = (row?.messages ?? []).filter(({ left }) => left === undefined);
  const start = there.findLast(({ startsPrompt }) => startsPrompt === true)?.number ?? 0;
  return there.filter(({ number, visibility }) => number >= start && visibility !== 'user');
}

export function findMessage(row: ChatRow | undefined, which: number | 'last user'): FoundMessage | null {
  const found = seenByUsers(row).findLast(({ number, role }) =>
    which === 'last user' ? role === 'user' : number === which,
  );
  return found === undefined ? null : { number: found.number, role: found.role };
}

export function isPromptEmpty(row: ChatRow | undefined): boolean {
  return promptRows(row).length === 0;
}

export function get(row: ChatRow | undefined, viewer: Principal): ChatSummary | null {
  return row !== undefined && maySee(viewer, row.chat.owner) ? summary(row, viewer.owner) : null;
}

export function feed(tables: MemoryTables, owner: OwnerId, after: number, limit: number): FeedPage {
  const entries = [...tables.chats.values()]
    .filter((row) => row.chat.owner === owner && row.feedSeq > after)
    .sort((a, b) => a.feedSeq - b.feedSeq)
    .slice(0, limit)
    .map((row) => ({ seq: row.feedSeq, chat: summary(row, owner) }));
  const top = tables.feeds.get(owner) ?? 0;
  return { entries, cursor: entries.length < limit ? top : (entries.at(-1)?.seq ?? top), top };
}

export function feedTops(tables: MemoryTables, owners: readonly OwnerId[]): ReadonlyMap<OwnerId, number> {
  return new Map(owners.flatMap((owner) => [...tables.feeds].filter(([id]) => id === owner)));
}

export function summary(row: ChatRow, viewer: OwnerId): ChatSummary {
  if (row.chat.owner !== viewer) return { ...row.chat, read: null, unread: null };
  const unread = row.messages.filter((message) => isToRead(message) && message.number > row.readNumber).length;
  return { ...row.chat, read: row.readNumber, unread: Math.min(unread, LIMITS.unreadMessages) };
}

function isToRead({ role, visibility, left }: StoredMessage): boolean {
  return (role === 'assistant' || role === 'tool') && visibility !== 'model' && left === undefined;
}

export function list(tables: MemoryTables, request: ListRequest): ChatList {
  const { viewer, owner, archived, limit, after } = request;
  const chats = [...tables.chats.values()]
    .map((row) => summary(row, viewer.owner))
    .filter((chat) => maySee(viewer, chat.owner) && (owner === null || chat.owner === owner))
    .filter((chat) => archived === null || chat.archived === archived)
    .sort((a, b) => b.updated_at - a.updated_at || (a.id < b.id ? 1 : -1))
    .filter(
      (chat) =>
        after === null ||
        chat.updated_at < after.updatedAtMs ||
        (chat.updated_at === after.updatedAtMs && chat.id < after.id),
    );
  const shown = chats.slice(0, limit);
  const last = chats.length > limit ? shown.at(-1) : undefined;
  const next = last === undefined ? null : { updatedAtMs: last.updated_at, id: last.id };
  return { chats: shown, next, feed: tables.feeds.get(viewer.owner) ?? 0 };
}

export function findCommand(
  tables: MemoryTables,
  principal: OwnerId,
  chat: ChatId | null,
  id: CommandId,
): CommandRow | 'applied' | null {
  const known = tables.commands.get(commandKey(principal, chat, id));
  if (known !== undefined) return known.row;
  const rows = [...tables.chats.values()];
  const left =
    chat === null
      ? rows.some((row) => row.chat.owner === principal && row.createCommand === id)
      : rows.some((row) => row.chat.id === chat && [...row.messages, ...row.queue].some((item) => item.id === id));
  return left ? 'applied' : null;
}

export function overtaken(tables: MemoryTables, actors: readonly ActorEpoch[]): readonly ChatId[] {
  return actors.filter(({ chat, epoch }) => (tables.chats.get(chat)?.epoch ?? epoch) !== epoch).map(({ chat }) => chat);
}

export function due(
  tables: MemoryTables,
  node: NodeId | null,
  { nowMs, limit }: { readonly nowMs: number; readonly limit: number },
): Due {
  const told = [...tables.inbox.values()];
  const chats = [...tables.chats.values()]
    .filter(({ ownerNode }) => ownerNode === null || tables.deadNodes.has(ownerNode))
    .filter(
      ({ chat, wakeAtMs }) =>
        chat.status === 'running' ||
        chat.status === 'stopping' ||
        (wakeAtMs !== null && wakeAtMs <= nowMs) ||
        told.some((one) => one.chat === chat.id),
    );
  return {
    chats: chats.slice(0, limit).map((row) => row.chat.id),
    told: told.filter((one) => node !== null && tables.chats.get(one.chat)?.ownerNode === node).slice(0, limit),
  };
}

/** A stored message as clients get it in snapshots and pages: large parts as references. */
export function messageOf(row: NewMessage): Message {
  const { number, id, role, createdAtMs, createdBy, model, turn, step, interrupted, usage } = row;
  return {
    number,
    id,
    role,
    parts: inlineParts(row.parts),
    created_at: createdAtMs,
    ...(createdBy === null ? {} : { created_by: createdBy }),
    ...(model === null ? {} : { model }),
    ...(turn === null ? {} : { turn }),
    ...(step === null ? {} : { step }),
    ...(interrupted ? { interrupted: true } : {}),
    ...(usage === null ? {} : { usage }),
  };
}

function seenByUsers(row: ChatRow | undefined): readonly StoredMessage[] {
  return (row?.messages ?? []).filter(({ visibility, left }) => visibility !== 'model' && left === undefined);
}

function maySee(viewer: Principal, owner: string): boolean {
  return viewer.role !== 'member' || viewer.owner === owner;
}
