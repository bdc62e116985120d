// Chats as their readers see them: one, or a page of a list. The right to read is part of the statement: sorting rows
// out afterwards would give short pages, which clients take for the end of the list.

import type { ChatList } from '../actors/history-ports.ts';
import type { ChatSummary } from '../protocol/content.ts';
import type { ChatId } from '../protocol/ids.ts';
import type { ListRequest, Principal, Read } from '../actors/ports.ts';
import type { Connections } from './connections.ts';
import { summaryFromRow, SUMMARY_COLUMNS, type SummaryRow } from './rows.ts';

/** Null when there is none that `viewer` may read. */
export function get(connections: Connections, viewer: Principal, chat: ChatId): Promise<Read<ChatSummary | null>> {
  return connections.read(async (connection) => {
    const [row] = await connection.query<SummaryRow>({
      text: `select ${SUMMARY_COLUMNS} from chats c where c.id = $1::uuid and ($2::text is null or c.owner = $2::text)`,
      values: [chat, viewer.role === 'member' ? viewer.owner : null],
    });
    return row === undefined ? null : summaryFromRow(row, viewer.owner);
  });
}

/** Newest first by (updated_at, id). */
export function list(connections: Connections, request: ListRequest): Promise<Read<ChatList>> {
  const { viewer, limit, after } = request;
  const foreign = viewer.role === 'member' && request.owner !== null && request.owner !== viewer.owner;
  // Null: of everybody, which only an auditor or an admin gets as far as asking for.
  const owner = viewer.role === 'member' ? viewer.owner : request.owner;
  return connections.read(async (connection) => {
    const [fed] = await connection.query<{ feed_seq: number }>({
      text: 'select o.feed_seq from owners o where o.id = $1::text',
      values: [viewer.owner],
    });
    const feed = fed?.feed_seq ?? 0;
    if (foreign) return { chats: [], next: null, feed };
    const page = [request.archived, after?.updatedAtMs ?? null, after?.id ?? null, limit + 1] as const;
    const rows = await connection.query<SummaryRow>(
      owner === null ? { text: OF_ALL, values: page } : { text: OF_OWNER, values: [...page, owner] },
    );
    const chats = rows.slice(0, limit).map((row) => summaryFromRow(row, viewer.owner));
    const last = rows.length > limit ? chats.at(-1) : undefined;
    return { chats, next: last === undefined ? null : { updatedAtMs: last.updated_at, id: last.id }, feed };
  });
}

function listOf(condition: string): string {
  return `
    select ${SUMMARY_COLUMNS} from chats c
    where ${condition}
      and ($1::boolean is null or c.archived = $1::boolean)
      and ($2::timestamptz is null or (c.updated_at, c.id) < ($2::timestamptz, $3::uuid))
    order by c.updated_at desc, c.id desc
    limit $4::integer`;
}

const OF_ALL = listOf('true');
const OF_OWNER = listOf('c.owner = $5::text');
