// The statements of a batch of intents, at most one intent per chat.
//
// The first one locks the chats, in the order of their ids, and gives those that have the intent's epoch. Every other
// one joins its rows with the chats again: the rows are locked, so the join finds just what the lock gave.

import { uuidV7Ms } from '../protocol/ids.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { Rewind } from '../actors/history-ports.ts';
import type { CommandRow, CommitIntent, NewMessage, QueuedItem } from '../actors/ports.ts';
import type { AttemptSettlement } from '../actors/turn-ports.ts';
import { CONTENT_VERSION, encodeContent, encodeJournal, encodeJson, encodeTurn } from './codec.ts';
import { CALL, callCells, WRITE_CALLS } from './calls.ts';
import { Columns } from './columns.ts';
import { FENCE, LOCKED, type Fence } from './fence.ts';
import { DELETE_HEARD, HEARD, heardRow, TELL, TELL_BELOW, tellRow } from './inbox.ts';
import type { Statement } from './connection.ts';
import { FENCED } from './transaction.ts';

const MESSAGE = {
  ...FENCE,
  number: 'bigint',
  id: 'uuid',
  position_epoch: 'bigint',
  seq: 'bigint',
  role: 'message_role',
  visibility: 'message_visibility',
  content: 'bytea',
  content_version: 'smallint',
  provider: 'text',
  provider_blocks: 'bytea',
  created_at: 'timestamptz',
  created_by: 'text',
  model: 'text',
  turn: 'uuid',
  step: 'integer',
  interrupted: 'boolean',
  input_tokens: 'bigint',
  output_tokens: 'bigint',
  cache_read_tokens: 'bigint',
  cache_write_tokens: 'bigint',
  usage_estimated: 'boolean',
  total_cost_micros: 'bigint',
  starts_prompt: 'boolean',
} as const;
const REWOUND = { ...FENCE, from_number: 'bigint', position_epoch: 'bigint', seq: 'bigint' } as const;
const QUEUED = {
  ...FENCE,
  first: 'boolean',
  id: 'uuid',
  content: 'bytea',
  content_version: 'smallint',
  created_by: 'text',
  created_at: 'timestamptz',
  trace: 'text',
  held_until: 'timestamptz',
  steer: 'boolean',
} as const;
const DEQUEUED = { ...FENCE, id: 'uuid' } as const;
const COMMAND = {
  ...FENCE,
  principal: 'text',
  id: 'uuid',
  name: 'text',
  args_hash: 'bytea',
  ok: 'boolean',
  body: 'bytea',
  created_at: 'timestamptz',
  keep_until: 'timestamptz',
} as const;
const OPENED = {
  ...FENCE,
  id: 'uuid',
  turn: 'uuid',
  step: 'integer',
  attempt: 'integer',
  purpose: 'text',
  provider: 'text',
  model: 'text',
  opened_at: 'timestamptz',
} as const;
const REFERENCED = { ...FENCE, id: 'uuid', provider_ref: 'text' } as const;
const SETTLED = {
  ...FENCE,
  id: 'uuid',
  outcome: 'attempt_outcome',
  error_code: 'text',
  request_id: 'text',
  settled_at: 'timestamptz',
  input_tokens: 'bigint',
  output_tokens: 'bigint',
  cache_read_tokens: 'bigint',
  cache_write_tokens: 'bigint',
  usage_estimated: 'boolean',
  total_cost_micros: 'bigint',
} as const;
const PACK = {
  ...FENCE,
  position_epoch: 'bigint',
  seq: 'bigint',
  turn: 'uuid',
  step: 'integer',
  attempt: 'integer',
  pack: 'integer',
  entries: 'bytea',
  provider_cursor: 'text',
} as const;
const RETRACTED = { ...FENCE, position_epoch: 'bigint', seq: 'bigint' } as const;
const PATCH = {
  ...FENCE,
  listed_at: 'timestamptz',
  fed: 'boolean',
  status: 'chat_status',
  archived: 'boolean',
  model: 'text',
  labels: 'bytea',
  fixed_system: 'bytea',
  allowed_tools: 'bytea',
  tools_hash: 'text',
  next_number: 'bigint',
  read_number: 'bigint',
  set_title: 'boolean',
  title: 'text',
  title_source: 'title_source',
  set_context: 'boolean',
  context_tokens: 'bigint',
  prompt_model: 'text',
  reasoning_from: 'bigint',
  set_error: 'boolean',
  last_error: 'bytea',
  last_turn: 'bytea',
  set_turn: 'boolean',
  turn: 'bytea',
  set_wake: 'boolean',
  wake_at: 'timestamptz',
} as const;

/** What the locking statement gives for each chat that has the intent's epoch. */
export type LockedChat = { readonly id: string; readonly archived: boolean };

/** The statements for `intents`, the locking one first. Those without rows are left out. */
export function commitStatements(intents: readonly CommitIntent[]): readonly Statement[] {
  const rows = gather(intents);
  const writes: readonly (readonly [{ readonly empty: boolean; statement(text: string): Statement }, string])[] = [
    [rows.rewound, REWIND_MESSAGES],
    [rows.messages, INSERT_MESSAGES],
    [rows.dequeued, DELETE_QUEUED],
    [rows.queued, INSERT_QUEUED],
    [rows.commands, INSERT_COMMANDS],
    [rows.opened, INSERT_ATTEMPTS],
    [rows.referenced, REFERENCE_ATTEMPTS],
    [rows.settled, SETTLE_ATTEMPTS],
    [rows.calls, WRITE_CALLS],
    [rows.cleared, DELETE_PACKS],
    [rows.packs, INSERT_PACKS],
    [rows.retracted, INSERT_RETRACTIONS],
    [rows.heard, DELETE_HEARD],
    [rows.tells, TELL_BELOW],
    [rows.fed, LOCK_OWNERS],
    [rows.patches, UPDATE_CHATS],
  ];
  return [
    rows.fences.statement(LOCK_CHATS),
    ...writes.filter(([columns]) => !columns.empty).map(([columns, text]) => columns.statement(text)),
  ];
}

/** Until when the row of a command is kept: ids may be ahead of the clock, and a retry comes up to 24 h after it. */
export function commandKeptUntilMs(command: Pick<CommandRow, 'id' | 'createdAtMs'>): number {
  return Math.max(command.createdAtMs, uuidV7Ms(command.id) ?? 0) + LIMITS.commandReplyMs;
}

// oxlint-disable-next-line typescript/explicit-function-return-type -- a record of columns, typed by its parts
function gather(intents: readonly CommitIntent[]) {
  const rows = {
    fences: new Columns(FENCE),
    rewound: new Columns(REWOUND),
    messages: new Columns(MESSAGE),
    dequeued: new Columns(DEQUEUED),
    queued: new Columns(QUEUED),
    commands: new Columns(COMMAND),
    opened: new Columns(OPENED),
    referenced: new Columns(REFERENCED),
    settled: new Columns(SETTLED),
    calls: new Columns(CALL),
    cleared: new Columns(FENCE),
    packs: new Columns(PACK),
    retracted: new Columns(RETRACTED),
    heard: new Columns(HEARD),
    tells: new Columns(TELL),
    fed: new Columns(FENCE),
    patches: new Columns(PATCH),
  };
  for (const intent of intents) {
    const fence = { chat: intent.chat, epoch: intent.epoch, unarchived: intent.requireUnarchived };
    rows.fences.add(fence);
    if (intent.rewind !== undefined) rows.rewound.add(rewindRow(fence, intent.rewind));
    for (const message of intent.messages) rows.messages.add(messageRow(fence, message));
    for (const id of intent.dequeue) rows.dequeued.add({ ...fence, id });
    for (const queued of intent.enqueueFirst) rows.queued.add({ ...queuedRow(fence, queued), first: true });
    for (const queued of intent.enqueue) rows.queued.add({ ...queuedRow(fence, queued), first: false });
    for (const command of intent.commands) rows.commands.add(commandRow(fence, command));
    for (const opened of intent.attemptsOpened) {
      const { id, turn, step, attempt, purpose = 'turn', provider, model, startedAtMs } = opened;
      rows.opened.add({ ...fence, id, turn, step, attempt, purpose, provider, model, opened_at: startedAtMs });
    }
    for (const { id, providerRef } of intent.attemptsReferenced) {
      rows.referenced.add({ ...fence, id, provider_ref: providerRef });
    }
    for (const settled of intent.attemptsSettled) rows.settled.add(settledRow(fence, settled));
    for (const call of intent.calls ?? []) rows.calls.add(callCells(fence, call, intent.atMs));
    if (intent.clearJournal) rows.cleared.add(fence);
    for (const pack of intent.journal) {
      rows.packs.add({
        ...fence,
        position_epoch: pack.position.epoch,
        seq: pack.position.seq,
        turn: pack.turn,
        step: pack.step,
        attempt: pack.attempt,
        pack: pack.pack,
        entries: encodeJournal(pack.entries),
        provider_cursor: pack.cursor ?? null,
      });
    }
    if (intent.retract !== null) {
      rows.retracted.add({ ...fence, position_epoch: intent.retract.epoch, seq: intent.retract.seq });
    }
    for (const told of intent.heard ?? []) rows.heard.add(heardRow(fence, told));
    if (intent.tellBelow !== undefined) rows.tells.add(tellRow(fence, intent.tellBelow, intent.atMs));
    const fed = intent.listed || intent.fed;
    if (fed) rows.fed.add(fence);
    if (fed || Object.keys(intent.patch).length > 0) rows.patches.add(patchRow(fence, intent, fed));
  }
  return rows;
}

function settledRow(fence: Fence, settled: AttemptSettlement): Record<keyof typeof SETTLED, Cell> {
  return {
    ...fence,
    id: settled.id,
    outcome: settled.outcome,
    error_code: settled.errorCode,
    request_id: settled.requestId,
    settled_at: settled.settledAtMs,
    ...usageCells(settled.usage),
    total_cost_micros: settled.costMicros,
  };
}

function rewindRow(fence: Fence, { from, position }: Rewind): Record<keyof typeof REWOUND, Cell> {
  return { ...fence, from_number: from, position_epoch: position.epoch, seq: position.seq };
}

function messageRow(fence: Fence, message: NewMessage): Record<keyof typeof MESSAGE, Cell> {
  return {
    ...fence,
    number: message.number,
    id: message.id,
    position_epoch: message.position.epoch,
    seq: message.position.seq,
    role: message.role,
    visibility: message.visibility,
    content: encodeContent(message.parts),
    content_version: CONTENT_VERSION,
    provider: message.provider?.provider ?? null,
    provider_blocks: message.provider?.json ?? null,
    created_at: message.createdAtMs,
    created_by: message.createdBy,
    model: message.model,
    turn: message.turn,
    step: message.step,
    interrupted: message.interrupted,
    ...usageCells(message.usage),
    total_cost_micros: message.costMicros,
    starts_prompt: message.startsPrompt === true,
  };
}

function queuedRow(fence: Fence, queued: QueuedItem): Omit<Record<keyof typeof QUEUED, Cell>, 'first'> {
  return {
    ...fence,
    id: queued.id,
    content: encodeContent(queued.parts),
    content_version: CONTENT_VERSION,
    created_by: queued.created_by,
    created_at: queued.created_at,
    trace: queued.trace ?? null,
    held_until: queued.held_until ?? null,
    steer: queued.steer === true,
  };
}

function commandRow(fence: Fence, command: CommandRow): Record<keyof typeof COMMAND, Cell> {
  return {
    ...fence,
    principal: command.principal,
    id: command.id,
    name: command.name,
    args_hash: command.argsHash,
    ok: command.reply.ok,
    body: command.reply.body,
    created_at: command.createdAtMs,
    keep_until: commandKeptUntilMs(command),
  };
}

function patchRow(fence: Fence, intent: CommitIntent, fed: boolean): Record<keyof typeof PATCH, Cell> {
  const { patch } = intent;
  return {
    ...fence,
    listed_at: intent.listed ? intent.atMs : null,
    fed,
    status: patch.status ?? null,
    archived: patch.archived ?? null,
    model: patch.model ?? null,
    labels: patch.labels === undefined ? null : encodeJson(patch.labels),
    fixed_system: patch.fixedSystem === undefined ? null : encodeJson(patch.fixedSystem),
    allowed_tools: patch.allowed === undefined ? null : encodeJson(patch.allowed),
    tools_hash: patch.toolsHash ?? null,
    next_number: patch.nextNumber ?? null,
    read_number: patch.readNumber ?? null,
    set_title: patch.title !== undefined,
    title: patch.title ?? null,
    title_source: patch.titleSource ?? null,
    set_context: patch.contextTokens !== undefined,
    context_tokens: patch.contextTokens ?? null,
    prompt_model: patch.promptModel ?? null,
    reasoning_from: patch.reasoningFrom ?? null,
    set_error: patch.lastError !== undefined,
    last_error: patch.lastError ? encodeJson(patch.lastError) : null,
    last_turn: patch.lastTurn === undefined ? null : encodeJson(patch.lastTurn),
    set_turn: patch.turn !== undefined,
    turn: patch.turn ? encodeTurn(patch.turn) : null,
    set_wake: patch.wakeAtMs !== undefined,
    wake_at: patch.wakeAtMs ?? null,
  };
}

type Cell = string | number | bigint | boolean | Uint8Array | null;

function usageCells(
  usage: NewMessage['usage'],
): Record<'input_tokens' | 'output_tokens' | 'cache_read_tokens' | 'cache_write_tokens' | 'usage_estimated', Cell> {
  return {
    input_tokens: usage?.input_tokens ?? null,
    output_tokens: usage?.output_tokens ?? null,
    cache_read_tokens: usage?.cache_read_tokens ?? null,
    cache_write_tokens: usage?.cache_write_tokens ?? null,
    usage_estimated: usage?.estimated ?? null,
  };
}

const LOCK_CHATS = `
  select c.id, c.archived
  from chats c join ${Columns.source('r', FENCE)} on c.id = r.chat and c.epoch = r.epoch
  where ${FENCED}
  order by c.id
  for no key update of c`;

/** In the commit of what takes their place, before it: only rows that were there leave. */
const REWIND_MESSAGES = `
  update messages m set left_epoch = r.position_epoch, left_seq = r.seq
  from ${Columns.source('r', REWOUND)} ${LOCKED}
  and m.chat = r.chat and m.number >= r.from_number and m.left_epoch is null`;

const INSERT_MESSAGES = `
  insert into messages (
    chat, number, id, epoch, seq, role, visibility, content, content_version, provider, provider_blocks, created_at,
    created_by, model, turn, step, interrupted, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
    usage_estimated, total_cost_micros, starts_prompt)
  select
    r.chat, r.number, r.id, r.position_epoch, r.seq, r.role, r.visibility, r.content, r.content_version, r.provider,
    r.provider_blocks, r.created_at, r.created_by, r.model, r.turn, r.step, r.interrupted, r.input_tokens,
    r.output_tokens, r.cache_read_tokens, r.cache_write_tokens, r.usage_estimated, r.total_cost_micros, r.starts_prompt
  from ${Columns.source('r', MESSAGE)} ${LOCKED}`;

const DELETE_QUEUED = `
  delete from queued_messages q using ${Columns.source('r', DEQUEUED)} ${LOCKED}
  and q.chat = r.chat and q.id = r.id`;

/** In front or behind of what waits; the rows of an intent among themselves in their order. */
const INSERT_QUEUED = `
  insert into queued_messages (chat, id, position, content, content_version, created_by, created_at, trace, held_until, steer)
  select r.chat, r.id,
    case when r.first
      then coalesce((select min(q.position) from queued_messages q where q.chat = r.chat), 1)
        - row_number() over (partition by r.chat, r.first order by r.ordinal desc)
      else coalesce((select max(q.position) from queued_messages q where q.chat = r.chat), 0) + r.ordinal end,
    r.content, r.content_version, r.created_by, r.created_at, r.trace, r.held_until, r.steer
  from ${Columns.source('r', QUEUED)} ${LOCKED}`;

const INSERT_COMMANDS = `
  insert into commands (principal, chat, id, name, args_hash, ok, body, created_at, keep_until)
  select r.principal, r.chat, r.id, r.name, r.args_hash, r.ok, r.body, r.created_at, r.keep_until
  from ${Columns.source('r', COMMAND)} ${LOCKED}`;

const INSERT_ATTEMPTS = `
  insert into attempts (id, chat, epoch, node, turn, step, attempt, purpose, provider, model, opened_at)
  select r.id, r.chat, r.epoch, c.owner_node, r.turn, r.step, r.attempt, r.purpose, r.provider, r.model, r.opened_at
  from ${Columns.source('r', OPENED)} ${LOCKED}`;

const REFERENCE_ATTEMPTS = `
  update attempts a set provider_ref = r.provider_ref
  from ${Columns.source('r', REFERENCED)} ${LOCKED}
  and a.id = r.id and a.chat = r.chat and a.settled_at is null`;

const SETTLE_ATTEMPTS = `
  update attempts a set
    outcome = r.outcome, error_code = r.error_code, request_id = r.request_id, settled_at = r.settled_at,
    input_tokens = r.input_tokens, output_tokens = r.output_tokens, cache_read_tokens = r.cache_read_tokens,
    cache_write_tokens = r.cache_write_tokens, usage_estimated = r.usage_estimated,
    total_cost_micros = r.total_cost_micros
  from ${Columns.source('r', SETTLED)} ${LOCKED}
  and a.id = r.id and a.chat = r.chat and a.settled_at is null`;

const DELETE_PACKS = `
  delete from journal_packs p using ${Columns.source('r', FENCE)} ${LOCKED}
  and p.chat = r.chat`;

const INSERT_PACKS = `
  insert into journal_packs (chat, epoch, seq, turn, step, attempt, pack, entries, provider_cursor)
  select r.chat, r.position_epoch, r.seq, r.turn, r.step, r.attempt, r.pack, r.entries, r.provider_cursor
  from ${Columns.source('r', PACK)} ${LOCKED}`;

const INSERT_RETRACTIONS = `
  insert into retractions (chat, epoch, seq)
  select r.chat, r.position_epoch, r.seq
  from ${Columns.source('r', RETRACTED)} ${LOCKED}
  on conflict (chat, epoch) do update set seq = least(retractions.seq, excluded.seq)`;

/** After the chats, by id as well: two batches with the same owners wait for each other in one order only. */
const LOCK_OWNERS = `
  select o.id from owners o
  where ${FENCED} and o.id in (select c.owner from ${Columns.source('r', FENCE)} ${LOCKED})
  order by o.id
  for no key update`;

/**
 * Rewrites only what differs; `updated_at` moves with `listed_at` alone. Each chat whose summary may differ gets a place of
 * its own in the feed, and all of them are above every place that was given before: the owners are locked until the end.
 */
const UPDATE_CHATS = `
  with patched as (
    select c.id, c.owner, r.listed_at, r.fed,
      coalesce(r.status, c.status) as status,
      coalesce(r.archived, c.archived) as archived,
      coalesce(r.model, c.model) as model,
      coalesce(r.labels, c.labels) as labels,
      coalesce(r.fixed_system, c.fixed_system) as fixed_system,
      coalesce(r.allowed_tools, c.allowed_tools) as allowed_tools,
      coalesce(r.tools_hash, c.tools_hash) as tools_hash,
      coalesce(r.next_number, c.next_number) as next_number,
      greatest(r.read_number, c.read_number) as read_number,
      case when r.set_title then r.title else c.title end as title,
      coalesce(r.title_source, c.title_source) as title_source,
      case when r.set_context then r.context_tokens else c.context_tokens end as context_tokens,
      coalesce(r.prompt_model, c.prompt_model) as prompt_model,
      coalesce(r.reasoning_from, c.reasoning_from) as reasoning_from,
      case when r.set_error then r.last_error else c.last_error end as last_error,
      coalesce(r.last_turn, c.last_turn) as last_turn,
      case when r.set_turn then r.turn else c.turn end as turn,
      case when r.set_wake then r.wake_at else c.wake_at end as wake_at
    from ${Columns.source('r', PATCH)} ${LOCKED}
  ), fed as (
    update owners o set feed_seq = o.feed_seq + n.places
    from (select p.owner, count(*) as places from patched p where p.fed group by p.owner) n
    where o.id = n.owner
    returning o.id, o.feed_seq - n.places as before
  ), placed as (
    select p.id, f.before + row_number() over (partition by p.owner order by p.id) as feed_seq
    from patched p join fed f on f.id = p.owner
    where p.fed
  )
  update chats c set
    status = p.status, archived = p.archived, model = p.model, labels = p.labels, fixed_system = p.fixed_system,
    allowed_tools = p.allowed_tools, tools_hash = p.tools_hash,
    next_number = p.next_number, read_number = p.read_number, title = p.title, last_error = p.last_error,
    title_source = p.title_source, context_tokens = p.context_tokens, prompt_model = p.prompt_model,
    reasoning_from = p.reasoning_from, last_turn = p.last_turn, turn = p.turn, wake_at = p.wake_at,
    updated_at = coalesce(p.listed_at, c.updated_at),
    feed_seq = coalesce(l.feed_seq, c.feed_seq)
  from patched p left join placed l on l.id = p.id
  where c.id = p.id and (
    p.fed or
    (p.status, p.archived, p.model, p.labels, p.fixed_system, p.next_number, p.title, p.title_source, p.context_tokens,
      p.prompt_model, p.reasoning_from, p.last_error, p.last_turn, p.turn, p.wake_at, p.allowed_tools, p.tools_hash)
    is distinct from
    (c.status, c.archived, c.model, c.labels, c.fixed_system, c.next_number, c.title, c.title_source, c.context_tokens,
      c.prompt_model, c.reasoning_from, c.last_error, c.last_turn, c.turn, c.wake_at, c.allowed_tools, c.tools_hash))`;
