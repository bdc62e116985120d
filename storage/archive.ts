// Archiving a tree of chats, and taking one chat out of the archive.

import type { ArchiveRequest, ArchiveResult } from '../actors/ports.ts';
import type { ChatStatus } from '../protocol/content.ts';
import type { ChatId, Epoch, NodeId } from '../protocol/ids.ts';
import { arrayLiteral } from './array-literal.ts';
import { commandKeptUntilMs } from './commit-statements.ts';
import type { Connection, Rows, Statement } from './connection.ts';
import type { Connections } from './connections.ts';
import { describe, isDatabaseError } from './errors.ts';
import type { StoreLimits } from './limits.ts';
import { FENCED, transactAgain } from './transaction.ts';

/**
 * All of the tree in one statement or nothing of it. The rows to lock are read before: locking what a later look finds
 * would break the order of locks. When the tree has grown by then, nothing is done and it is read again.
 */
export async function archiveTree(
  connections: Connections,
  request: ArchiveRequest,
  limits: StoreLimits,
): Promise<ArchiveResult> {
  try {
    return await connections.use(async (connection) => {
      for (let left = limits.archiveTries; left > 0; left -= 1) {
        const result = await archiveOn(connection, request, limits);
        if (result !== 'grown') return result;
      }
      return { outcome: 'unavailable', detail: 'the tree of the chat keeps growing' };
    });
  } catch (error) {
    if (!isDatabaseError(error)) throw error;
    return connections.unavailable(error);
  }
}

type LockedRow = {
  readonly id: ChatId;
  readonly epoch: Epoch;
  readonly status: ChatStatus;
  readonly archived: boolean;
};

type ChangedRow = { readonly id: ChatId | null; readonly epoch: Epoch; readonly taken_from: NodeId | null };

async function archiveOn(
  connection: Connection,
  request: ArchiveRequest,
  limits: StoreLimits,
): Promise<ArchiveResult | 'grown'> {
  const { tree, parent } = await readTree(connection, request);
  const statements = archiveStatements(request, tree, parent);
  const result = await transactAgain(connection, statements, limits.conflictTries);
  switch (result.outcome) {
    case 'unknown':
      connection.close(result.detail);
      return result;
    case 'aborted':
      if (result.error.fatal) connection.close();
      return { outcome: 'unavailable', detail: describe(result.error) };
    case 'committed':
      return verdict(request, parent, result.results);
  }
}

/** The chats that change (of an unarchive: the one alone), and what its parent is. */
async function readTree(
  connection: Connection,
  request: ArchiveRequest,
): Promise<{ readonly tree: readonly ChatId[]; readonly parent: ChatId | null }> {
  const rows = await connection.query<{ id: ChatId; parent: ChatId | null }>({
    text: `${TREE} select c.id, c.parent from tree t join chats c on c.id = t.id`,
    values: [request.chat],
  });
  const parent = rows.find((row) => row.id === request.chat)?.parent ?? null;
  return { tree: request.archived ? rows.map((row) => row.id) : [request.chat], parent };
}

function verdict(
  request: ArchiveRequest,
  parent: ChatId | null,
  results: readonly Rows<object>[],
): ArchiveResult | 'grown' {
  const locked = (results[0] ?? []) as readonly LockedRow[];
  const done = (results.at(-1) ?? []) as readonly ChangedRow[];
  if (done.length > 0) {
    const changed = done.flatMap((row) => (row.id === null ? [] : [row.id]));
    const taken = done.flatMap(({ id, epoch, taken_from: node }) =>
      id === null || node === null ? [] : [{ chat: id, node, epoch }],
    );
    return { outcome: 'archived', changed, taken };
  }
  if (locked.find((row) => row.id === request.chat)?.epoch !== request.epoch) return { outcome: 'stale' };
  if (!request.archived) {
    const above = locked.find((row) => row.id === parent);
    return above?.archived === true ? { outcome: 'parent_archived' } : 'grown';
  }
  const running = locked.filter((row) => ACTIVE.has(row.status)).map((row) => row.id);
  return running.length > 0 ? { outcome: 'running', chats: running } : 'grown';
}

/** What stands in the way of an archive: a turn that runs, waits for a client or is being stopped. */
const ACTIVE: ReadonlySet<ChatStatus> = new Set(['running', 'requires_action', 'stopping']);

function archiveStatements(
  request: ArchiveRequest,
  tree: readonly ChatId[],
  parent: ChatId | null,
): readonly Statement[] {
  const { chat, epoch, atMs, command } = request;
  const named = arrayLiteral(tree);
  const toLock = request.archived || parent === null ? tree : [...tree, parent];
  return [
    { text: LOCK, values: [arrayLiteral(toLock)] },
    { text: LOCK_OWNER, values: [chat] },
    {
      text: request.archived ? ARCHIVE : UNARCHIVE,
      values: [
        chat,
        epoch,
        named,
        atMs,
        command.principal,
        command.id,
        command.name,
        command.argsHash,
        command.reply.ok,
        command.reply.body,
        command.createdAtMs,
        commandKeptUntilMs(command),
      ],
    },
  ];
}

/** The named chat and everything below it. */
const TREE = `
  with recursive tree as (
    select c.id from chats c where c.id = $1::uuid
    union all
    select c.id from chats c join tree t on c.parent = t.id
  )`;

/** Conflicts with the share lock that the creation of a child takes on its parent. */
const LOCK = `
  select c.id, c.epoch, c.status, c.archived from chats c
  where c.id = any($1::uuid[])
  order by c.id
  for no key update of c`;

const LOCK_OWNER = `
  select o.id from owners o where o.id = (select c.owner from chats c where c.id = $1::uuid) for no key update of o`;

/**
 * `ready` has a row when it may be done. A chat that was given up loses its seal: it changes without an event, so that a
 * client at its last position must get its state anew; so does one whose actor is on another node, which is fenced: it has
 * heard nothing of the change. Every chat that changes gets a place in the feed: lists tell the
 * archive from the rest. `updated_at` moves on the chat that was named alone: the others keep their place in the list.
 * Gives a row per changed chat, or one with null when it may be done and nothing changes.
 */
function apply(archived: boolean, ready: string): string {
  return `${TREE}, ready as (
    select c.owner, c.owner_node from chats c
    where c.id = $1::uuid and c.epoch = $2::bigint and ${FENCED} and ${ready}
  ), changing as (
    select x.id, row_number() over (order by x.id) as place, nullif(x.owner_node, r.owner_node) as taken_from
    from chats x, ready r
    where x.id = any($3::uuid[]) and (x.archived is distinct from ${archived} or x.id = $1::uuid)
      and exists (
        select from chats y join tree t on t.id = y.id
        where y.id = any($3::uuid[]) and y.archived is distinct from ${archived})
  ), fed as (
    update owners o set feed_seq = o.feed_seq + n.places
    from ready r, (select count(*) as places from changing) n
    where o.id = r.owner and n.places > 0
    returning o.feed_seq - n.places as before
  ), changed as (
    update chats c set
      archived = ${archived},
      sealed_epoch = null,
      sealed_seq = null,
      epoch = c.epoch + (g.taken_from is not null)::int,
      owner_node = case when g.taken_from is null then c.owner_node end,
      updated_at = case when c.id = $1::uuid then $4::timestamptz else c.updated_at end,
      feed_seq = f.before + g.place
    from changing g, fed f
    where c.id = g.id
    returning c.id, c.epoch, g.taken_from
  ), recorded as (
    insert into commands (principal, chat, id, name, args_hash, ok, body, created_at, keep_until)
    select $5::text, $1::uuid, $6::uuid, $7::text, $8::bytea, $9::boolean, $10::bytea, $11::timestamptz,
      $12::timestamptz
    from ready
    returning id
  )
  select c.id, c.epoch, c.taken_from from recorded r left join changed c on true`;
}

const ARCHIVE = apply(
  true,
  `not exists (
    select from tree t join chats x on x.id = t.id
    where not x.id = any($3::uuid[]) or x.status in ('running', 'requires_action', 'stopping'))`,
);

const UNARCHIVE = apply(false, `not exists (select from chats p where p.id = c.parent and p.archived)`);
