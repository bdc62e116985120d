// The queries: they change nothing and are authorised in the reading itself.

import { unreachable } from '../../protocol/assert.ts';
import { encodeBody } from '../../protocol/codec.ts';
import { uuidArg, wireMessage, wireQueued, wireSummary } from '../../protocol/wire-content.ts';
import type { QueuedMessage } from '../../protocol/content.ts';
import { errorBody, type ErrorBody } from '../../protocol/errors.ts';
import type { Args } from '../../protocol/frames.ts';
import { uuidToBytes, type ChatId, type OwnerId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { sliceUtf8, utf8Length } from '../../protocol/text.ts';
import { parseChatArg } from '../chat/commands.ts';
import type { ChatStore, ListRequest, ModelDirectory, Principal, Read } from '../ports.ts';
import type { QueryResult } from './api.ts';
import { messageBytes } from './snapshot.ts';

export type QueryDeps = {
  readonly store: ChatStore;
  readonly models: ModelDirectory;
  /** The queue of a chat that the viewer may see; null when it cannot be had now. */
  readonly queueOf: (viewer: Principal, chat: ChatId) => Promise<readonly QueuedMessage[] | null>;
};

const QUERY_NAMES = ['chats.list', 'chats.get', 'messages', 'messages.part', 'models.list'] as const;
type QueryName = (typeof QUERY_NAMES)[number];

/** Whether there is such a query. */
export function isQueryName(name: string): name is QueryName {
  return (QUERY_NAMES as readonly string[]).includes(name);
}

export async function runQuery(deps: QueryDeps, viewer: Principal, name: string, args: Args): Promise<QueryResult> {
  if (!isQueryName(name)) return refused(errorBody('unknown_query'));
  switch (name) {
    case 'chats.list':
      return listChats(deps, viewer, args);
    case 'chats.get':
      return getChat(deps, viewer, args);
    case 'messages':
      return pageMessages(deps, viewer, args);
    case 'messages.part':
      return readPart(deps, viewer, args);
    case 'models.list':
      return { ok: true, result: { models: deps.models.list() } };
    default:
      return unreachable(name);
  }
}

async function listChats({ store }: QueryDeps, viewer: Principal, args: Args): Promise<QueryResult> {
  const { owner, archived } = args;
  const limit = count(args['limit'], LIMITS.pageChatsDefault, LIMITS.pageChats);
  const after = listCursor(args['after']);
  if (limit === null) return badArgs(`limit: 1 to ${LIMITS.pageChats}`);
  if (after === undefined) return badArgs('after: [updated_at, id] as in `next`');
  if (owner !== undefined && owner !== null && typeof owner !== 'string') return badArgs('owner: a text');
  if (archived !== undefined && archived !== null && typeof archived !== 'boolean')
    return badArgs('archived: true, false or none');
  const page = await store.list({
    viewer,
    owner: (owner ?? null) as OwnerId | null,
    archived: archived ?? null,
    limit,
    after,
  });
  if (page.outcome === 'unavailable') return unavailable();
  const { chats, next, feed } = page.value;
  const within = withinBytes(chats.map(wireSummary), (chat) => encodeBody(chat).length);
  // Cut short, the next page begins behind the last chat of this one.
  const last = within.length < chats.length ? chats[within.length - 1] : undefined;
  const goesOn = last === undefined ? next : { updatedAtMs: last.updated_at, id: last.id };
  const wireNext = goesOn === null ? null : [goesOn.updatedAtMs, uuidToBytes(goesOn.id)];
  return { ok: true, result: { chats: within, next: wireNext, feed } };
}

async function getChat({ store }: QueryDeps, viewer: Principal, args: Args): Promise<QueryResult> {
  const chat = parseChatArg(args);
  if (!chat.ok) return refused(chat.error);
  const found = await store.get(viewer, chat.value);
  if (found.outcome === 'unavailable') return unavailable();
  return found.value === null
    ? refused(errorBody('not_found'))
    : { ok: true, result: { chat: wireSummary(found.value) } };
}

async function pageMessages(deps: QueryDeps, viewer: Principal, args: Args): Promise<QueryResult> {
  const chat = parseChatArg(args);
  if (!chat.ok) return refused(chat.error);
  const limit = count(args['limit'], LIMITS.pageMessagesDefault, LIMITS.pageMessages);
  const before = messageNumber(args['before']);
  const after = messageNumber(args['after']);
  if (limit === null) return badArgs(`limit: 1 to ${LIMITS.pageMessages}`);
  if (before === undefined || after === undefined) return badArgs('before and after: numbers of messages');
  if (before !== null && after !== null && after >= before) return badArgs('after must be below before');
  if (!(await maySee(deps.store, viewer, chat.value))) return refused(errorBody('not_found'));
  const isFirst = before === null && after === null;
  // The queue before the page: a message that is promoted in between is in both, and never in neither.
  const queue = isFirst ? await deps.queueOf(viewer, chat.value) : [];
  const page = await deps.store.page(chat.value, { before, after, limit });
  if (page.outcome === 'unavailable' || queue === null) return unavailable();
  const messages = withinBytes(page.value.messages, messageBytes);
  const hasMore = page.value.hasMore || messages.length < page.value.messages.length;
  const result = { messages: messages.map(wireMessage), has_more: hasMore };
  if (!isFirst) return { ok: true, result };
  const promoted = new Set(page.value.messages.map((message) => message.id));
  const waiting = queue.filter((item) => !promoted.has(item.id));
  return { ok: true, result: { ...result, queue: waiting.map(wireQueued) } };
}

/** As many of the first items as a reply may hold, one at least: whoever pages on gets the others. */
function withinBytes<Item>(items: readonly Item[], bytesOf: (item: Item) => number): readonly Item[] {
  let bytes = 0;
  const end = items.findIndex((item, i) => {
    bytes += bytesOf(item);
    return i > 0 && bytes > LIMITS.snapshotPieceBytes;
  });
  return end === -1 ? items : items.slice(0, end);
}

async function readPart({ store }: QueryDeps, viewer: Principal, args: Args): Promise<QueryResult> {
  const chat = parseChatArg(args);
  if (!chat.ok) return refused(chat.error);
  const number = messageNumber(args['number']);
  const part = messageNumber(args['part']);
  const offset = messageNumber(args['offset']);
  if (typeof number !== 'number' || typeof part !== 'number' || offset === undefined) {
    return badArgs('number, part and offset: whole numbers');
  }
  if (!(await maySee(store, viewer, chat.value))) return refused(errorBody('not_found'));
  const text = await store.part(chat.value, number, part);
  if (text.outcome === 'unavailable') return unavailable();
  if (text.value === null) return refused(errorBody('not_found'));
  const bytes = utf8Length(text.value);
  const slice = sliceUtf8(text.value, offset ?? 0, LIMITS.partSliceBytes);
  const more = slice.offset + slice.bytes < bytes;
  return { ok: true, result: { offset: slice.offset, text: slice.text, bytes, more } };
}

async function maySee(store: ChatStore, viewer: Principal, chat: ChatId): Promise<boolean> {
  const found: Read<unknown> = await store.get(viewer, chat);
  return found.outcome === 'read' && found.value !== null;
}

/** A limit between 1 and `max`; null when it is none. */
function count(value: unknown, byDefault: number, max: number): number | null {
  if (value === undefined || value === null) return byDefault;
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= max ? value : null;
}

/** Null when absent, undefined when it is no such number. */
function messageNumber(value: unknown): number | null | undefined {
  if (value === undefined || value === null) return null;
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** Null when absent, undefined when it is no cursor of a list. */
function listCursor(value: unknown): ListRequest['after'] | undefined {
  if (value === undefined || value === null) return null;
  if (!Array.isArray(value)) return undefined;
  const [updatedAtMs, bytes] = value as readonly unknown[];
  const id = uuidArg<ChatId>(bytes);
  return typeof updatedAtMs === 'number' && Number.isSafeInteger(updatedAtMs) && id !== null
    ? { updatedAtMs, id }
    : undefined;
}

function badArgs(detail: string): QueryResult {
  return refused(errorBody('bad_args', detail));
}

function refused(error: ErrorBody): QueryResult {
  return { ok: false, error };
}

function unavailable(): QueryResult {
  return refused(errorBody('unavailable', undefined, 1_000));
}
