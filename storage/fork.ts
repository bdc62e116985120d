// A new chat with the messages of another: one statement that copies rows, so that it sees the other chat at one moment.
//
// What is read before it says where to cut and what the new chat is called. Messages never change, and they leave from
// the end on: while the last of them is there, so are the others, and the statement makes sure that it is.

import type { PartOrReference, Role } from '../protocol/content.ts';
import type { TurnId } from '../protocol/ids.ts';
import type { CommandRow, ForkReply, ForkResult, NewFork } from '../actors/ports.ts';
import { decodeContent } from './codec.ts';
import { NO_CHAT } from './commands.ts';
import { commandKeptUntilMs } from './commit-statements.ts';
import type { Connection, Statement } from './connection.ts';
import type { Connections } from './connections.ts';
import { created, madeBefore, makeOnce, untilKnown } from './create.ts';
import type { StoreLimits } from './limits.ts';
import { chatFromRow, CHAT_COLUMNS, type ChatRow } from './rows.ts';
import { FENCED } from './transaction.ts';

export type Forking = {
  readonly fork: NewFork;
  readonly command: Omit<CommandRow, 'reply'>;
  readonly reply: ForkReply;
};

export function fork(connections: Connections, forking: Forking, limits: StoreLimits): Promise<ForkResult> {
  return untilKnown(connections, limits, (connection) => forkOn(connection, forking, limits));
}

async function forkOn(connection: Connection, forking: Forking, limits: StoreLimits): Promise<ForkResult> {
  const { fork: wanted, command, reply } = forking;
  const { id, owner, source, createdAtMs } = wanted;
  const before = await madeBefore(connection, { chat: wanted, command });
  if (before !== null) return before;
  const [row] = await connection.query<ChatRow>({
    text: `select ${CHAT_COLUMNS} from chats c where c.id = $1::uuid and c.owner = $2::text`,
    values: [source, owner],
  });
  if (row === undefined) return { outcome: 'not_found' };
  const cut = await findCut(connection, wanted);
  if (typeof cut === 'string') return { outcome: cut };
  const { title, model, labels, background = false } = chatFromRow(row);
  const chat = { id, owner, parent: null, model, labels, background, createdAtMs, systemPrompt: null };
  const made = created({ ...chat, title: wanted.title ?? title }, id);
  const encoded = reply(made, cut.count);
  const statement = { text: FORK, values: values(wanted, cut, { ...command, reply: encoded }) };
  const result = await makeOnce(connection, [statement], limits);
  if (result.outcome === 'made') return { outcome: 'created', reply: encoded };
  if (result.outcome !== 'refused') return result;
  return (await madeBefore(connection, { chat: wanted, command })) ?? { outcome: 'not_found' };
}

/** The last number that goes over, and how many messages do. */
type Cut = { readonly last: number; readonly count: number };

async function findCut(connection: Connection, { source, number }: NewFork): Promise<Cut | 'not_found' | 'unsettled'> {
  const [named] = await connection.query<{ role: Role; turn: TurnId | null; step: number | null }>({
    text: `select m.role, m.turn, m.step from messages m
      where m.chat = $1::uuid and m.number = $2::bigint and m.left_epoch is null and m.visibility in ('user', 'both')`,
    values: [source, number],
  });
  if (named === undefined) return 'not_found';
  const isOfStep = (named.role === 'assistant' || named.role === 'tool') && named.turn !== null && named.step !== null;
  const step = isOfStep ? await stepOf(connection, [source, named.turn, named.step]) : [];
  if (hasUnsettled(step.flatMap(({ parts }) => parts))) return 'unsettled';
  const last = Math.max(number, ...step.map((message) => message.number));
  const [counted] = await connection.query<{ count: number }>({
    text: `select count(*) as count from messages m
      where m.chat = $1::uuid and m.number <= $2::bigint and m.left_epoch is null`,
    values: [source, last],
  });
  return { last, count: counted?.count ?? 0 };
}

async function stepOf(
  connection: Connection,
  key: Statement['values'],
): Promise<readonly { readonly number: number; readonly parts: readonly PartOrReference[] }[]> {
  const rows = await connection.query<{ number: number; content: Uint8Array; content_version: number }>({
    text: `select m.number, m.content, m.content_version from messages m
      where m.chat = $1::uuid and m.turn = $2::uuid and m.step = $3::integer and m.left_epoch is null
        and m.role in ('assistant', 'tool')
      order by m.number`,
    values: key,
  });
  return rows.map((row) => ({ number: row.number, parts: decodeContent(row.content_version, row.content) }));
}

/** A prompt may not end between a call and its result. */
function hasUnsettled(parts: readonly PartOrReference[]): boolean {
  const settled = new Set(parts.flatMap((part) => (part.type === 'tool_result' ? [part.call] : [])));
  return parts.some((part) => part.type === 'tool_call' && !settled.has(part.call));
}

function values(fork: NewFork, cut: Cut, command: CommandRow): Statement['values'] {
  return [
    fork.id,
    fork.owner,
    fork.source,
    cut.last,
    cut.count,
    fork.title,
    fork.createdAtMs,
    command.id,
    command.principal,
    NO_CHAT,
    command.name,
    command.argsHash,
    command.reply.ok,
    command.reply.body,
    command.createdAtMs,
    commandKeptUntilMs(command),
  ];
}

/**
 * Everything that a request is made of goes over as it is; what was paid for it stays in the ledger of the other chat. The
 * rows stand in epoch 0, before the first one of the new chat.
 */
const FORK = `
  with free as (
    select s.* from chats s
    where ${FENCED}
      and s.id = $3::uuid and s.owner = $2::text
      and exists (select from messages m where m.chat = s.id and m.number = $4::bigint and m.left_epoch is null)
      and not exists (select from chats c where c.id = $1::uuid or (c.owner = $2::text and c.create_command = $8::uuid))
      and not exists (select from commands k where k.principal = $9::text and k.chat = $10::uuid and k.id = $8::uuid)
  ), fed as (
    insert into owners (id, feed_seq) select $2::text, 1 from free
    on conflict (id) do update set feed_seq = owners.feed_seq + 1
    returning feed_seq
  ), chat as (
    insert into chats (
      id, owner, root, create_command, status, archived, title, title_source, model, system_prompt, fixed_system, client_tools, tools_hash,
      labels,
      prompt_model, reasoning_from, background, next_number, read_number, epoch, feed_seq, created_at, updated_at)
    select
      $1::uuid, $2::text, $1::uuid, $8::uuid, 'waiting', false, coalesce($6::text, s.title),
      case when $6::text is null then s.title_source else 'user'::title_source end, s.model, s.system_prompt,
      s.fixed_system, s.client_tools, s.tools_hash, s.labels, s.prompt_model,
      (select 1 + count(*) from messages m
        where m.chat = s.id and m.number <= $4::bigint and m.number < s.reasoning_from and m.left_epoch is null),
      s.background, $5::bigint + 1, $5::bigint, 0, f.feed_seq, $7::timestamptz, $7::timestamptz
    from free s, fed f
    on conflict do nothing
    returning id
  ), copied as (
    insert into messages (
      chat, number, id, epoch, seq, role, visibility, content, content_version, provider, provider_blocks, created_at,
      created_by, model, turn, step, interrupted, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
      usage_estimated, total_cost_micros, starts_prompt)
    select
      c.id, row_number() over (order by m.number), m.id, 0, row_number() over (order by m.number), m.role, m.visibility,
      m.content, m.content_version, m.provider, m.provider_blocks, m.created_at, m.created_by, m.model, m.turn, m.step,
      m.interrupted, m.input_tokens, m.output_tokens, m.cache_read_tokens, m.cache_write_tokens, m.usage_estimated,
      case when m.total_cost_micros is null then null else 0 end, m.starts_prompt
    from messages m, chat c
    where m.chat = $3::uuid and m.number <= $4::bigint and m.left_epoch is null
    returning number
  )
  insert into commands (principal, chat, id, name, args_hash, ok, body, created_at, keep_until)
  select $9::text, $10::uuid, $8::uuid, $11::text, $12::bytea, $13::boolean, $14::bytea, $15::timestamptz, $16::timestamptz
  from chat where (select count(*) from copied) > 0
  returning id`;
