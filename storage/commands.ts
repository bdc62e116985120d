// Commands outside the memory of an actor, and their end.

import type { ChatId, CommandId, OwnerId } from '../protocol/ids.ts';
import type { CommandRow, Read } from '../actors/ports.ts';
import { must } from '../protocol/assert.ts';
import { commandKeptUntilMs } from './commit-statements.ts';
import type { Connection } from './connection.ts';
import type { Connections } from './connections.ts';
import type { StoreLimits } from './limits.ts';
import { commandFromRow, COMMAND_COLUMNS, type CommandDatabaseRow } from './rows.ts';

/** Stands for "no chat" in the key of a command. */
export const NO_CHAT = '00000000-0000-0000-0000-000000000000';

/** The row of a command; `applied` when only what it created tells of it; null when nothing does. */
export function findCommand(
  connections: Connections,
  principal: OwnerId,
  chat: ChatId | null,
  id: CommandId,
): Promise<Read<CommandRow | 'applied' | null>> {
  return connections.read((connection) => findOn(connection, principal, chat, id));
}

export async function findOn(
  connection: Connection,
  principal: OwnerId,
  chat: ChatId | null,
  id: CommandId,
): Promise<CommandRow | 'applied' | null> {
  const [row] = await connection.query<CommandDatabaseRow>({
    text: FIND,
    values: [principal, chat ?? NO_CHAT, id],
  });
  if (row !== undefined) return commandFromRow(row);
  const [created] = await connection.query<{ there: boolean }>(
    chat === null ? { text: CREATED_CHAT, values: [principal, id] } : { text: CREATED_ROW, values: [chat, id] },
  );
  return created?.there === true ? 'applied' : null;
}

/** Keeps the refusal of a command without a chat, unless a reply to it is kept; gives the row that is. */
export function keepRefusal(connections: Connections, command: CommandRow): Promise<Read<CommandRow>> {
  const { principal, id, name, argsHash, reply, createdAtMs } = command;
  return connections.read(async (connection) => {
    await connection.query({
      text: KEEP,
      values: [principal, NO_CHAT, id, name, argsHash, reply.ok, reply.body, createdAtMs, commandKeptUntilMs(command)],
    });
    const [row] = await connection.query<CommandDatabaseRow>({ text: FIND, values: [principal, NO_CHAT, id] });
    return commandFromRow(must(row, 'the row was inserted or was there'));
  });
}

/** Deletes the rows of commands that are kept no longer; gives how many. */
export async function pruneCommands(
  connections: Connections,
  nowMs: number,
  limits: StoreLimits,
): Promise<Read<number>> {
  for (let pruned = 0; ;) {
    // A round per use of a connection: others get their turn in between.
    const round = await connections.read((connection) =>
      connection.query<{ id: CommandId }>({ text: PRUNE, values: [nowMs, limits.prunedPerRound] }),
    );
    if (round.outcome !== 'read') return round;
    pruned += round.value.length;
    if (round.value.length < limits.prunedPerRound) return { outcome: 'read', value: pruned };
  }
}

const FIND = `
  select ${COMMAND_COLUMNS} from commands k
  where k.principal = $1::text and k.chat = $2::uuid and k.id = $3::uuid`;

const KEEP = `
  insert into commands (principal, chat, id, name, args_hash, ok, body, created_at, keep_until)
  values ($1::text, $2::uuid, $3::uuid, $4::text, $5::bytea, $6::boolean, $7::bytea, $8::timestamptz, $9::timestamptz)
  on conflict do nothing`;

const CREATED_CHAT = `
  select exists (select from chats c where c.owner = $1::text and c.create_command = $2::uuid) as there`;

/** A message of somebody else's with that id is none of a command's that this principal may send to the chat. */
const CREATED_ROW = `
  select exists (select from messages m where m.chat = $1::uuid and m.id = $2::uuid)
    or exists (select from queued_messages q where q.chat = $1::uuid and q.id = $2::uuid) as there`;

const PRUNE = `
  with old as (
    select k.principal, k.chat, k.id from commands k
    where k.keep_until < $1::timestamptz
    order by k.keep_until
    limit $2::integer)
  delete from commands k using old o
  where k.principal = o.principal and k.chat = o.chat and k.id = o.id
  returning k.id`;
