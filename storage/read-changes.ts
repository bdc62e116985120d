// What a cursor misses: the messages and rewinds of (since, asOf], and text that it was shown and that is no more (P4).

import type { ChatId, Epoch } from '../protocol/ids.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { Position } from '../protocol/position.ts';
import type { ChatChanges } from '../actors/history-ports.ts';
import type { Read } from '../actors/ports.ts';
import type { Connection } from './connection.ts';
import type { Connections } from './connections.ts';
import { messageFromRow, MESSAGE_COLUMNS, positionFromColumns, type MessageRow } from './rows.ts';

/**
 * `since` null: the newest messages. So also when more than `LIMITS.snapshotMessages` came since: the client drops
 * what it has. Positions of other chats give nonsense, not errors.
 */
export function changes(
  connections: Connections,
  chat: ChatId,
  since: Position | null,
  asOf: Position,
): Promise<Read<ChatChanges>> {
  return connections.read(async (connection) => {
    if (since === null) return newest(connection, chat, asOf, null);
    const [rows, removed, retracted] = await Promise.all([
      connection.query<MessageRow>({
        text: CHANGED,
        values: [chat, since.epoch, since.seq, asOf.epoch, asOf.seq, LIMITS.snapshotMessages + 1],
      }),
      connection.query<{ low: number; high: number }>({
        text: REMOVED,
        values: [chat, since.epoch, since.seq, asOf.epoch, asOf.seq],
      }),
      connection.query<{ epoch: Epoch; seq: number }>({ text: RETRACTED, values: [chat, since.epoch, since.seq] }),
    ]);
    const lost = positionFromColumns(retracted[0]?.epoch ?? null, retracted[0]?.seq ?? null);
    if (rows.length > LIMITS.snapshotMessages) return newest(connection, chat, asOf, lost);
    return {
      dropOlder: false,
      messages: rows.map(messageFromRow),
      removed: removed.map(({ low, high }) => [low, high] as const),
      hasOlder: await anyBefore(connection, chat, since, asOf),
      retracted: lost,
    };
  });
}

async function newest(
  connection: Connection,
  chat: ChatId,
  asOf: Position,
  retracted: Position | null,
): Promise<ChatChanges> {
  const rows = await connection.query<MessageRow>({
    text: NEWEST,
    values: [chat, asOf.epoch, asOf.seq, LIMITS.snapshotMessages + 1],
  });
  const messages = rows.slice(0, LIMITS.snapshotMessages).map(messageFromRow);
  return {
    dropOlder: true,
    messages: messages.toReversed(),
    removed: [],
    hasOlder: rows.length > LIMITS.snapshotMessages,
    retracted,
  };
}

/** Whether there are messages that are older than the ones which came after `since`. */
async function anyBefore(connection: Connection, chat: ChatId, since: Position, asOf: Position): Promise<boolean> {
  const [row] = await connection.query<{ there: boolean }>({
    text: OLDER,
    values: [chat, since.epoch, since.seq, asOf.epoch, asOf.seq],
  });
  return row?.there === true;
}

const SEEN_BY_USERS = `m.visibility in ('user', 'both')`;

const CHANGED = `
  select ${MESSAGE_COLUMNS} from messages m
  where m.chat = $1::uuid and ${SEEN_BY_USERS}
    and (m.epoch, m.seq) > ($2::bigint, $3::bigint) and (m.epoch, m.seq) <= ($4::bigint, $5::bigint)
    and (m.left_epoch is null or (m.left_epoch, m.left_seq) > ($4::bigint, $5::bigint))
  order by m.epoch, m.seq
  limit $6::integer`;

const NEWEST = `
  select ${MESSAGE_COLUMNS} from messages m
  where m.chat = $1::uuid and ${SEEN_BY_USERS} and (m.epoch, m.seq) <= ($2::bigint, $3::bigint)
    and (m.left_epoch is null or (m.left_epoch, m.left_seq) > ($2::bigint, $3::bigint))
  order by m.number desc
  limit $4::integer`;

/**
 * What left is always the end of the chat as it then was, so one range names all of it; the numbers in it that left before
 * the cursor are not there for the client either. Rows that only the model saw are nothing to tell.
 */
const REMOVED = `
  select min(m.number) as low, max(m.number) as high from messages m
  where m.chat = $1::uuid and m.left_epoch is not null and ${SEEN_BY_USERS}
    and (m.left_epoch, m.left_seq) > ($2::bigint, $3::bigint)
    and (m.left_epoch, m.left_seq) <= ($4::bigint, $5::bigint)
    and (m.epoch, m.seq) <= ($2::bigint, $3::bigint)
  having count(*) > 0`;

const RETRACTED = `
  select epoch, seq from retractions
  where chat = $1::uuid and epoch = $2::bigint and seq < $3::bigint`;

const OLDER = `
  select exists (
    select from messages m
    where m.chat = $1::uuid and (m.epoch, m.seq) <= ($2::bigint, $3::bigint)
      and (m.left_epoch is null or (m.left_epoch, m.left_seq) > ($4::bigint, $5::bigint)) and ${SEEN_BY_USERS}) as there`;
