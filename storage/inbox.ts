// What chats tell each other: rows that come with the commit of the one that tells and go with that of the one that was
// told. Only what runs is told anything, so a tree at rest costs nothing.

import type { TellBelow, Told } from '../actors/inbox-ports.ts';
import type { ChatId, Epoch, NodeId, TurnId } from '../protocol/ids.ts';
import { parseJson } from './codec.ts';
import { Columns } from './columns.ts';
import type { Connection } from './connection.ts';
import { UnreadableRow } from './errors.ts';
import { FENCE, LOCKED, type Fence } from './fence.ts';

const BODY_VERSION = 1;

export const TELL = {
  ...FENCE,
  kind: 'text',
  position_epoch: 'bigint',
  seq: 'bigint',
  created_at: 'timestamptz',
} as const;
export const HEARD = { ...FENCE, source: 'uuid', position_epoch: 'bigint', seq: 'bigint' } as const;

type Cell = string | number | boolean;

export function tellRow(
  fence: Fence,
  { kind, position }: TellBelow,
  createdAtMs: number,
): Record<keyof typeof TELL, Cell> {
  return { ...fence, kind, position_epoch: position.epoch, seq: position.seq, created_at: createdAtMs };
}

export function heardRow(fence: Fence, { source, position }: Told): Record<keyof typeof HEARD, Cell> {
  return { ...fence, source, position_epoch: position.epoch, seq: position.seq };
}

/**
 * Every chat below that has a turn, with the turn's id. A turn that begins while this runs is not seen, or belongs to a
 * chat that was told already: whoever stops a tree stops what runs.
 */
export const TELL_BELOW = `
  with recursive tellers as (
    select r.chat, r.kind, r.position_epoch, r.seq, r.created_at from ${Columns.source('r', TELL)} ${LOCKED}
  ), below as (
    select t.chat as source, t.kind, t.position_epoch, t.seq, t.created_at, c.id, c.turn
    from tellers t join chats c on c.parent = t.chat
    union all
    select b.source, b.kind, b.position_epoch, b.seq, b.created_at, c.id, c.turn
    from below b join chats c on c.parent = b.id
  )
  insert into inbox (chat, source_chat, source_epoch, source_seq, kind, body, body_version, created_at)
  select b.id, b.source, b.position_epoch, b.seq, b.kind,
    convert_to(json_build_object('turn', convert_from(b.turn, 'UTF8')::json #>> '{turn,id}')::text, 'UTF8'),
    ${BODY_VERSION}, b.created_at
  from below b
  where b.turn is not null
  on conflict (chat, source_chat, source_epoch, source_seq) do nothing`;

export const DELETE_HEARD = `
  delete from inbox i using ${Columns.source('r', HEARD)} ${LOCKED}
  and i.chat = r.chat and i.source_chat = r.source and i.source_epoch = r.position_epoch and i.source_seq = r.seq`;

type InboxRow = {
  readonly chat: ChatId;
  readonly source_chat: ChatId;
  readonly source_epoch: Epoch;
  readonly source_seq: number;
  readonly body: Uint8Array;
  readonly body_version: number;
};

/** What chats of the node were told and have not done yet, the oldest first. */
export async function toldTo(connection: Connection, node: NodeId, limit: number): Promise<readonly Told[]> {
  const rows = await connection.query<InboxRow>({
    text: `
      select i.chat, i.source_chat, i.source_epoch, i.source_seq, i.body, i.body_version
      from inbox i join chats c on c.id = i.chat
      where c.owner_node = $1::uuid and i.kind = 'stop'
      order by i.created_at, i.chat
      limit $2::integer`,
    values: [node, limit],
  });
  return rows.map(toldFromRow);
}

function toldFromRow({ chat, source_chat, source_epoch, source_seq, body, body_version }: InboxRow): Told {
  const value = parseJson(body);
  if (body_version !== BODY_VERSION || typeof value !== 'object' || value === null || !('turn' in value)) {
    throw new UnreadableRow('a row of the inbox that this version of Parley does not know: upgrade it');
  }
  const turn = value.turn as TurnId;
  return { chat, source: source_chat, position: { epoch: source_epoch, seq: source_seq }, kind: 'stop', turn };
}
