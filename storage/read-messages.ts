// Messages as clients page through them, one part whole, and what the model may see. Rows that only the model may see
// never leave the server; rows that an edit took out are gone for everybody.

import type { ChatId, OwnerId } from '../protocol/ids.ts';
import type { Role } from '../protocol/content.ts';
import type { FoundMessage, MessagePage, PageRange } from '../actors/history-ports.ts';
import type { LedgerItem, Read } from '../actors/ports.ts';
import { decodeContent } from './codec.ts';
import type { Connections } from './connections.ts';
import { UnreadableRow } from './errors.ts';
import { messageFromRow, MESSAGE_COLUMNS, type MessageRow } from './rows.ts';

const SEEN_BY_USERS = `m.visibility in ('user', 'both')`;

/** Of chat $1: what the model may see and has not left, from the row on with which prompts begin. */
const IN_PROMPT = `m.visibility in ('model', 'both') and m.left_epoch is null and m.number >= coalesce((
    select max(s.number) from messages s where s.chat = $1::uuid and s.starts_prompt and s.left_epoch is null), 0)`;

/** Newest first, unless only `after` is given: then ascending from it. */
export function page(connections: Connections, chat: ChatId, range: PageRange): Promise<Read<MessagePage>> {
  const ascending = range.after !== null && range.before === null;
  return connections.read(async (connection) => {
    const rows = await connection.query<MessageRow>({
      text: ascending ? PAGE_ASCENDING : PAGE_DESCENDING,
      values: [chat, range.after ?? 0, range.before ?? Number.MAX_SAFE_INTEGER, range.limit + 1],
    });
    return { messages: rows.slice(0, range.limit).map(messageFromRow), hasMore: rows.length > range.limit };
  });
}

/** The text of one part; null when there is none that users may see. */
export function part(
  connections: Connections,
  chat: ChatId,
  number: number,
  index: number,
): Promise<Read<string | null>> {
  return connections.read(async (connection) => {
    const [row] = await connection.query<{ content: Uint8Array; content_version: number }>({
      text: `select m.content, m.content_version from messages m
        where m.chat = $1::uuid and m.number = $2::bigint and m.left_epoch is null and ${SEEN_BY_USERS}`,
      values: [chat, number],
    });
    if (row === undefined) return null;
    return decodeContent(row.content_version, row.content)[index]?.text ?? null;
  });
}

type PromptRow = {
  readonly number: number;
  readonly created_by: OwnerId | null;
  readonly role: Role;
  readonly content: Uint8Array;
  readonly content_version: number;
  readonly provider: string | null;
  readonly provider_blocks: Uint8Array | null;
};

/** What the model may see, ascending. */
export function prompt(connections: Connections, chat: ChatId): Promise<Read<readonly LedgerItem[]>> {
  return connections.read(async (connection) => {
    const rows = await connection.query<PromptRow>({
      text: `select m.number, m.created_by, m.role, m.content, m.content_version, m.provider,
          case when m.number >= c.reasoning_from then m.provider_blocks end as provider_blocks
        from messages m join chats c on c.id = m.chat
        where m.chat = $1::uuid and ${IN_PROMPT}
        order by m.number`,
      values: [chat],
    });
    return rows.map(promptItem);
  });
}

/** The message of that number, or the last one that a user has sent; null when there is none that users see. */
export function findMessage(
  connections: Connections,
  chat: ChatId,
  which: number | 'last user',
): Promise<Read<FoundMessage | null>> {
  const isWanted = which === 'last user' ? `m.role = 'user'` : 'm.number = $2::bigint';
  return connections.read(async (connection) => {
    const [row] = await connection.query<FoundMessage>({
      text: `select m.number, m.role from messages m
        where m.chat = $1::uuid and ${isWanted} and m.left_epoch is null and ${SEEN_BY_USERS}
        order by m.number desc
        limit 1`,
      values: which === 'last user' ? [chat] : [chat, which],
    });
    return row ?? null;
  });
}

/** Whether the model would see no message at all. */
export function isPromptEmpty(connections: Connections, chat: ChatId): Promise<Read<boolean>> {
  return connections.read(async (connection) => {
    const [row] = await connection.query<{ there: boolean }>({
      text: `select exists (select from messages m where m.chat = $1::uuid and ${IN_PROMPT}) as there`,
      values: [chat],
    });
    return row?.there !== true;
  });
}

function promptItem(row: PromptRow): LedgerItem {
  // Leaving one out would send another prompt than the one that was answered (P8).
  if (row.role === 'system') {
    throw new UnreadableRow(`a message of role ${row.role} has no place in a prompt of this version of Parley`);
  }
  return {
    number: row.number,
    sentBy: row.created_by,
    role: row.role,
    parts: decodeContent(row.content_version, row.content),
    provider:
      row.provider === null || row.provider_blocks === null
        ? null
        : { provider: row.provider, json: row.provider_blocks },
  };
}

function pageIn(direction: 'asc' | 'desc'): string {
  return `
    select ${MESSAGE_COLUMNS} from messages m
    where m.chat = $1::uuid and m.number > $2::bigint and m.number < $3::bigint
      and m.left_epoch is null and ${SEEN_BY_USERS}
    order by m.number ${direction}
    limit $4::integer`;
}

const PAGE_ASCENDING = pageIn('asc');
const PAGE_DESCENDING = pageIn('desc');
