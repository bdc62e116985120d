// The feed of an owner's chats: each chat once, where it changed last.
//
// There is no log. Every commit that changes a summary gives the chat the next place of its owner, and holds the lock on
// the owner until it has ended: so places become visible in their order, and whoever has read up to one has missed none.

import type { FeedPage } from '../actors/history-ports.ts';
import type { OwnerId } from '../protocol/ids.ts';
import type { Read } from '../actors/ports.ts';
import { arrayLiteral } from './array-literal.ts';
import type { Connections } from './connections.ts';
import { summaryFromRow, SUMMARY_COLUMNS, type SummaryRow } from './rows.ts';

type Top = { readonly id: OwnerId; readonly feed_seq: number };
/** The columns of a chat are null together: an owner without anything new. */
type FedRow = { readonly top: number; readonly seq: number | null } & SummaryRow;

export function feed(connections: Connections, owner: OwnerId, after: number, limit: number): Promise<Read<FeedPage>> {
  return connections.read(async (connection) => {
    const rows = await connection.query<FedRow>({ text: FEED, values: [owner, after, limit] });
    const top = rows[0]?.top ?? 0;
    const entries = rows.flatMap((row) =>
      row.seq === null ? [] : [{ seq: row.seq, chat: summaryFromRow(row, owner) }],
    );
    return { entries, cursor: entries.length < limit ? top : (entries.at(-1)?.seq ?? top), top };
  });
}

export function feedTops(
  connections: Connections,
  owners: readonly OwnerId[],
): Promise<Read<ReadonlyMap<OwnerId, number>>> {
  return connections.read(async (connection) => {
    const rows = await connection.query<Top>({
      text: 'select o.id, o.feed_seq from owners o where o.id = any($1::text[])',
      values: [arrayLiteral(owners)],
    });
    return new Map(rows.map((row) => [row.id, row.feed_seq]));
  });
}

/** One statement, so that the top and the chats are of one moment. */
const FEED = `
  select o.feed_seq as top, f.* from owners o
  left join lateral (
    select c.feed_seq as seq, ${SUMMARY_COLUMNS} from chats c
    where c.owner = o.id and c.feed_seq > $2::bigint
    order by c.feed_seq
    limit $3::integer) f on true
  where o.id = $1::text
  order by f.seq`;
