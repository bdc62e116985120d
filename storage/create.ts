// Creating a chat, once per command.

import type { Chat } from '../protocol/content.ts';
import type { ChatId, OwnerId } from '../protocol/ids.ts';
import type { CommandReply, CommandRow, CreateResult, NewChat, Unavailable } from '../actors/ports.ts';
import { encodeJson } from './codec.ts';
import { findOn, NO_CHAT } from './commands.ts';
import { commandKeptUntilMs } from './commit-statements.ts';
import type { Connection, Statement } from './connection.ts';
import type { Connections } from './connections.ts';
import { describe, isContentFault } from './errors.ts';
import type { StoreLimits } from './limits.ts';
import { FENCED, transactAgain } from './transaction.ts';

export type Creation = {
  readonly chat: NewChat;
  readonly command: Omit<CommandRow, 'reply'>;
  readonly reply: (chat: Chat) => CommandReply;
};

export function create(connections: Connections, creation: Creation, limits: StoreLimits): Promise<CreateResult> {
  return untilKnown(connections, limits, (connection) => createOn(connection, creation, limits));
}

/**
 * A connection lost at the commit is asked about again: the key of the second try waits for the first one if it is
 * still on its way, so the answer of the second holds for both.
 */
export async function untilKnown<T extends { readonly outcome: string }>(
  connections: Connections,
  limits: StoreLimits,
  attempt: (connection: Connection) => Promise<T>,
): Promise<T | Unavailable> {
  for (let left = limits.createTries; ; left -= 1) {
    try {
      const result = await connections.use(attempt);
      if (result.outcome !== 'unknown' || left <= 1) return result;
    } catch (error) {
      return connections.unavailable(error);
    }
  }
}

type Parent = { readonly owner: OwnerId; readonly root: ChatId; readonly archived: boolean };

async function createOn(connection: Connection, creation: Creation, limits: StoreLimits): Promise<CreateResult> {
  const { chat, command, reply } = creation;
  let root = chat.id;
  if (chat.parent !== null) {
    const parent = await readParent(connection, chat.parent);
    if (parent === null || parent.owner !== chat.owner) return refusal(connection, creation, 'no_parent');
    // Owner and root never change; `archived` does, and is looked at again under the lock.
    if (parent.archived) return refusal(connection, creation, 'parent_archived');
    root = parent.root;
  }
  const encoded = reply(created(chat, root));
  const statements = createStatements(chat, root, { ...command, reply: encoded });
  const result = await makeOnce(connection, statements, limits);
  if (result.outcome === 'made') return { outcome: 'created', reply: encoded };
  return result.outcome === 'refused' ? refusal(connection, creation, 'parent_archived') : result;
}

/** Runs statements of which the last one gives a row when it has made what it is for. */
export async function makeOnce(
  connection: Connection,
  statements: readonly Statement[],
  limits: StoreLimits,
): Promise<
  | { readonly outcome: 'made' }
  | { readonly outcome: 'refused' }
  | { readonly outcome: 'unknown'; readonly detail: string }
  | Unavailable
> {
  const result = await transactAgain(connection, statements, limits.conflictTries);
  switch (result.outcome) {
    case 'unknown':
      connection.close(result.detail);
      return result;
    case 'aborted':
      if (result.error.fatal) connection.close();
      return {
        outcome: 'unavailable',
        detail: isContentFault(result.error.sqlstate) ? `SQLSTATE ${result.error.sqlstate}` : describe(result.error),
      };
    case 'committed':
      return { outcome: (result.results.at(-1)?.length ?? 0) > 0 ? 'made' : 'refused' };
  }
}

/** Nothing was created: because it was before, or for the reason given. */
async function refusal(
  connection: Connection,
  creation: Creation,
  reason: 'no_parent' | 'parent_archived',
): Promise<CreateResult> {
  return (await madeBefore(connection, creation)) ?? { outcome: reason };
}

/** What became of the command before; null when nothing did. */
export async function madeBefore(
  connection: Connection,
  { chat, command }: { readonly chat: Pick<NewChat, 'id' | 'owner'>; readonly command: Omit<CommandRow, 'reply'> },
): Promise<
  { readonly outcome: 'already_applied' } | { readonly outcome: 'repeated'; readonly row: CommandRow } | null
> {
  const found = await findOn(connection, command.principal, null, command.id);
  if (found === null) {
    // The command may have been sent by another principal of the same owner: the chat's own id tells.
    const [row] = await connection.query<{ owner: OwnerId }>({
      text: 'select c.owner from chats c where c.id = $1::uuid',
      values: [chat.id],
    });
    return row?.owner === chat.owner ? { outcome: 'already_applied' } : null;
  }
  return found === 'applied' ? { outcome: 'already_applied' } : { outcome: 'repeated', row: found };
}

async function readParent(connection: Connection, parent: ChatId): Promise<Parent | null> {
  const [row] = await connection.query<Parent>({
    text: 'select c.owner, c.root, c.archived from chats c where c.id = $1::uuid',
    values: [parent],
  });
  return row ?? null;
}

export function created(chat: NewChat, root: ChatId): Chat {
  return {
    id: chat.id,
    owner: chat.owner,
    parent: chat.parent,
    root,
    title: chat.title,
    status: 'waiting',
    archived: false,
    model: chat.model,
    ...(chat.background ? { background: true } : {}),
    last_error: null,
    last_turn: null,
    labels: chat.labels,
    created_at: chat.createdAtMs,
    updated_at: chat.createdAtMs,
  };
}

function createStatements(chat: NewChat, root: ChatId, command: CommandRow): readonly Statement[] {
  const lock = { text: LOCK_ABOVE, values: [chat.parent, root] };
  const insert = {
    text: INSERT,
    values: [
      chat.id,
      chat.owner,
      chat.parent,
      root,
      chat.title,
      chat.model,
      chat.systemPrompt,
      encodeJson(chat.labels),
      chat.createdAtMs,
      command.id,
      command.principal,
      NO_CHAT,
      command.name,
      command.argsHash,
      command.reply.ok,
      command.reply.body,
      command.createdAtMs,
      commandKeptUntilMs(command),
      chat.background,
      chat.clientTools === undefined || chat.clientTools.length === 0 ? null : encodeJson(chat.clientTools),
    ],
  };
  return chat.parent === null ? [insert] : [lock, insert];
}

/** Against an archive of the tree, which takes the same rows: either it sees the new chat, or we see it archived. */
const LOCK_ABOVE = `
  select c.id from chats c
  where c.id in ($1::uuid, $2::uuid)
  order by c.id
  for share of c`;

/** The title's source is the user whenever there is a title at creation. */
const INSERT = `
  with free as (
    select 1 as one
    where ${FENCED}
      and not exists (select from chats c where c.id = $1::uuid or (c.owner = $2::text and c.create_command = $10::uuid))
      and not exists (select from commands k where k.principal = $11::text and k.chat = $12::uuid and k.id = $10::uuid)
      and ($3::uuid is null or exists (select from chats p where p.id = $3::uuid and not p.archived))
  ), fed as (
    insert into owners (id, feed_seq) select $2::text, 1 from free
    on conflict (id) do update set feed_seq = owners.feed_seq + 1
    returning feed_seq
  ), chat as (
    insert into chats (
      id, owner, parent, root, create_command, status, archived, title, title_source, model, system_prompt, labels,
      next_number, read_number, epoch, feed_seq, created_at, updated_at, background, client_tools)
    select
      $1::uuid, $2::text, $3::uuid, $4::uuid, $10::uuid, 'waiting', false, $5::text,
      case when $5::text is null then null else 'user'::title_source end, $6::text, $7::text, $8::bytea,
      1, 0, 0, f.feed_seq, $9::timestamptz, $9::timestamptz, $19::boolean, $20::bytea
    from fed f
    on conflict do nothing
    returning id
  )
  insert into commands (principal, chat, id, name, args_hash, ok, body, created_at, keep_until)
  select $11::text, $12::uuid, $10::uuid, $13::text, $14::bytea, $15::boolean, $16::bytea, $17::timestamptz,
    $18::timestamptz
  from chat
  returning id`;
