// Taking chats over, and giving them up.
//
// One transaction for many chats: it locks their rows, which waits for commits in flight, takes epoch + 1 of those that
// no live incarnation owns, and reads only after that. So nothing that an earlier activation wrote can come later.

import type { ActorEpoch } from '../actors/actor-ports.ts';
import type { Due } from '../actors/inbox-ports.ts';
import type { ChatId, Epoch, NodeId } from '../protocol/ids.ts';
import type { Position } from '../protocol/position.ts';
import type { Activation, ActivationResult, ChatRecord, Read, TitleSource } from '../actors/ports.ts';
import { arrayLiteral } from './array-literal.ts';
import { mayRead } from './authorize.ts';
import { callFromRow, type CallDatabaseRow } from './calls.ts';
import { decodeStrings, decodeTools, decodeTurn } from './codec.ts';
import type { Rows, Statement } from './connection.ts';
import type { Connections } from './connections.ts';
import { describe } from './errors.ts';
import { toldTo } from './inbox.ts';
import type { StoreLimits } from './limits.ts';
import {
  attemptFromRow,
  chatFromRow,
  CHAT_COLUMNS,
  commandFromRow,
  COMMAND_COLUMNS,
  packFromRow,
  positionFromColumns,
  queuedFromRow,
  type AttemptRow,
  type ChatRow,
  type CommandDatabaseRow,
  type PackRow,
  type QueuedRow,
} from './rows.ts';
import { transactAgain } from './transaction.ts';

/** Who takes, and how many commands each record holds at most. */
export type Taking = { readonly node: NodeId; readonly commandsMax: number };

/** One result per activation, in their order. */
export async function activate(
  connections: Connections,
  activations: readonly Activation[],
  taking: Taking,
  limits: StoreLimits,
): Promise<readonly ActivationResult[]> {
  const results: ActivationResult[] = [];
  for (let start = 0; start < activations.length; start += limits.activationsPerRound) {
    const round = activations.slice(start, start + limits.activationsPerRound);
    results.push(...(await activateRound(connections, round, taking, limits)));
  }
  return results;
}

type LockedRow = ChatRow & {
  readonly system_prompt: string | null;
  readonly fixed_system: Uint8Array | null;
  readonly client_tools: Uint8Array | null;
  readonly allowed_tools: Uint8Array | null;
  readonly tools_hash: string | null;
  readonly sealed_epoch: Epoch | null;
  readonly sealed_seq: number | null;
  readonly next_number: number;
  readonly read_number: number;
  readonly title_source: TitleSource | null;
  readonly context_tokens: number | null;
  readonly prompt_model: string | null;
  readonly reasoning_from: number;
  readonly turn: Uint8Array | null;
  readonly wake_at: number | null;
  readonly owner_node: NodeId | null;
  /** Null when this node never registered, false when it was marked dead. */
  readonly node_lives: boolean | null;
};
type TakenRow = { readonly id: ChatId; readonly epoch: Epoch };
type Loaded = {
  readonly locked: ReadonlyMap<ChatId, LockedRow>;
  readonly taken: ReadonlyMap<ChatId, Epoch>;
  readonly queue: ByChat<QueuedRow>;
  readonly attempts: ByChat<AttemptRow>;
  readonly packs: ByChat<PackRow>;
  readonly calls: ByChat<CallDatabaseRow>;
  readonly commands: ByChat<CommandDatabaseRow & { readonly chat: ChatId }>;
};
type ByChat<T> = ReadonlyMap<ChatId, readonly T[]>;

async function activateRound(
  connections: Connections,
  activations: readonly Activation[],
  taking: Taking,
  limits: StoreLimits,
): Promise<readonly ActivationResult[]> {
  const statements = activationStatements(activations, taking);
  try {
    const result = await connections.use((connection) => transactAgain(connection, statements, limits.conflictTries));
    if (result.outcome !== 'committed') {
      // Not knowing is no harm to the chat: the next try takes another epoch on top. There must be one, though.
      if (result.outcome === 'unknown') {
        return activations.map(() => ({ outcome: 'unavailable', detail: result.detail, isUnknown: true }));
      }
      const detail = describe(result.error);
      return activations.map(() => ({ outcome: 'unavailable', detail }));
    }
    const loaded = parseResults(result.results);
    return activations.map((activation) => resultOf(connections, activation, loaded, taking));
  } catch (error) {
    const unavailable = connections.unavailable(error);
    return activations.map(() => unavailable);
  }
}

function resultOf(connections: Connections, activation: Activation, loaded: Loaded, taking: Taking): ActivationResult {
  const row = loaded.locked.get(activation.chat);
  if (row === undefined || !mayRead(activation.viewer, row.owner)) return { outcome: 'gone' };
  const epoch = loaded.taken.get(activation.chat);
  if (epoch !== undefined) {
    try {
      return { outcome: 'activated', record: recordFrom(row, epoch, loaded, taking.commandsMax) };
    } catch (error) {
      // One chat that this version cannot read leaves the others of the round alone.
      return connections.unavailable(error);
    }
  }
  if (row.node_lives !== true) return { outcome: 'unavailable', detail: 'this node was marked dead' };
  if (row.owner_node === null) return { outcome: 'unavailable', detail: 'the chat was taken and released meanwhile' };
  return { outcome: 'owned', node: row.owner_node };
}

function recordFrom(row: LockedRow, epoch: Epoch, loaded: Loaded, commandsMax: number): ChatRecord {
  const mine = <T>(rows: ByChat<T>): readonly T[] => rows.get(row.id) ?? [];
  const turn = row.turn === null ? null : decodeTurn(row.turn);
  const commands = mine(loaded.commands);
  return {
    chat: chatFromRow(row),
    systemPrompt: row.system_prompt,
    clientTools: row.client_tools === null ? [] : decodeTools(row.client_tools),
    allowed: row.allowed_tools === null ? [] : decodeStrings(row.allowed_tools),
    toolsHash: row.tools_hash,
    calls:
      turn === null
        ? []
        : mine(loaded.calls)
            .map(callFromRow)
            .filter((call) => call.turn === turn.id),
    fixedSystem: row.fixed_system === null ? null : decodeStrings(row.fixed_system),
    epoch,
    sealed: positionFromColumns(row.sealed_epoch, row.sealed_seq),
    nextNumber: row.next_number,
    readNumber: row.read_number,
    titleSource: row.title_source,
    contextTokens: row.context_tokens,
    promptModel: row.prompt_model,
    reasoningFrom: row.reasoning_from,
    turn,
    queue: mine(loaded.queue).map(queuedFromRow),
    openAttempts: mine(loaded.attempts).map(attemptFromRow),
    journal: mine(loaded.packs)
      .filter((pack) => turn !== null && pack.turn === turn.id && pack.step === turn.step)
      .map(packFromRow),
    commands: commands.slice(0, commandsMax).map(commandFromRow),
    commandsComplete: commands.length <= commandsMax,
    wakeAtMs: row.wake_at,
  };
}

/** True when `chat` was held with `epoch` and is free now. False also when the database could not be asked. */
export async function release(
  connections: Connections,
  chat: ChatId,
  epoch: Epoch,
  sealed: Position | null,
): Promise<boolean> {
  const released = await connections.read((connection) =>
    connection.query<{ id: ChatId }>({
      text: `update chats set owner_node = null, sealed_epoch = $3::bigint, sealed_seq = $4::bigint
        where id = $1::uuid and epoch = $2::bigint and owner_node is not null returning id`,
      values: [chat, epoch, sealed?.epoch ?? null, sealed?.seq ?? null],
    }),
  );
  return released.outcome === 'read' && released.value.length === 1;
}

/** Those of the actors whose chat has another epoch by now. */
export function overtaken(connections: Connections, actors: readonly ActorEpoch[]): Promise<Read<readonly ChatId[]>> {
  return connections.read(async (connection) => {
    const rows = await connection.query<{ id: ChatId }>({
      text: `
        select c.id from unnest($1::uuid[], $2::bigint[]) as a (chat, epoch) join chats c on c.id = a.chat
        where c.epoch <> a.epoch`,
      values: [arrayLiteral(actors.map(({ chat }) => chat)), arrayLiteral(actors.map(({ epoch }) => epoch))],
    });
    return rows.map((row) => row.id);
  });
}

/**
 * Chats that must run on and that no live incarnation owns, the owners taking turns: somebody with a thousand of them
 * does not keep the others waiting. Sorting reads every due chat; after a crash these are the active ones of a node.
 * Beside them what the chats of this node were told; `node` null: it has none.
 */
export function due(
  connections: Connections,
  node: NodeId | null,
  { nowMs, limit }: { readonly nowMs: number; readonly limit: number },
): Promise<Read<Due>> {
  return connections.read(async (connection) => {
    const rows = await connection.query<{ id: ChatId }>({
      text: `
        with waiting as (
          select id, owner, owner_node, wake_at from chats where status in ('running', 'stopping')
          union
          select id, owner, owner_node, wake_at from chats where wake_at <= $1::timestamptz
          union
          select id, owner, owner_node, wake_at from chats where id in (select chat from inbox)
        )
        select w.id from waiting w
        where ${unowned('w')}
        order by row_number() over (partition by w.owner order by w.wake_at nulls first, w.id), w.id
        limit $2::integer`,
      values: [nowMs, limit],
    });
    const told = node === null ? [] : await toldTo(connection, node, limit);
    return { chats: rows.map((row) => row.id), told };
  });
}

/** Nobody has the chat, or somebody who is dead: a row of `nodes` that is gone was dead before. */
function unowned(table: string): string {
  return `(${table}.owner_node is null or not exists (
    select from nodes n where n.id = ${table}.owner_node and n.dead_at is null))`;
}

function activationStatements(activations: readonly Activation[], taking: Taking): readonly Statement[] {
  const chats = arrayLiteral(activations.map((activation) => activation.chat));
  // A member may take its own chats only; null: any.
  const owners = arrayLiteral(
    activations.map(({ viewer }) => (viewer === null || viewer.role !== 'member' ? null : viewer.owner)),
  );
  const loads = [LOAD_QUEUE, LOAD_ATTEMPTS, LOAD_PACKS, LOAD_CALLS].map((text) => ({
    text,
    values: [chats, taking.node],
  }));
  return [
    { text: LOCK, values: [chats, taking.node] },
    { text: TAKE, values: [chats, owners, taking.node] },
    ...loads,
    { text: LOAD_COMMANDS, values: [chats, taking.node, taking.commandsMax + 1] },
  ];
}

/** The rows of the statements above, in their order. */
function parseResults(results: readonly Rows<object>[]): Loaded {
  const [locked = [], taken = [], queue = [], attempts = [], packs = [], calls = [], commands = []] = results;
  return {
    locked: new Map((locked as readonly LockedRow[]).map((row) => [row.id, row])),
    taken: new Map((taken as readonly TakenRow[]).map((row) => [row.id, row.epoch])),
    queue: byChat(queue as readonly QueuedRow[]),
    attempts: byChat(attempts as readonly AttemptRow[]),
    packs: byChat(packs as readonly PackRow[]),
    calls: byChat(calls as readonly CallDatabaseRow[]),
    commands: byChat(commands as readonly (CommandDatabaseRow & { readonly chat: ChatId })[]),
  };
}

function byChat<T extends { readonly chat: ChatId }>(rows: readonly T[]): ByChat<T> {
  return Map.groupBy(rows, (row) => row.chat);
}

const LOCK = `
  select ${CHAT_COLUMNS}, c.system_prompt, c.fixed_system, c.client_tools, c.allowed_tools, c.tools_hash, c.sealed_epoch, c.sealed_seq, c.next_number, c.read_number, c.turn,
    c.title_source, c.context_tokens, c.prompt_model, c.reasoning_from, c.wake_at, c.owner_node, (select n.dead_at is null from nodes n where n.id = $2::uuid) as node_lives
  from chats c
  where c.id = any($1::uuid[])
  order by c.id
  for no key update of c`;

const TAKE = `
  update chats c set epoch = c.epoch + 1, owner_node = $3::uuid, sealed_epoch = null, sealed_seq = null
  where c.id in (
      select a.chat from unnest($1::uuid[], $2::text[]) as a (chat, owner) join chats o on o.id = a.chat
      where a.owner is null or a.owner = o.owner)
    and (c.owner_node = $3::uuid or ${unowned('c')})
    and exists (select from nodes n where n.id = $3::uuid and n.dead_at is null)
  returning c.id, c.epoch`;

/** Of the chats asked for, those that are this node's by now. */
const TAKEN = `chats c where c.id = any($1::uuid[]) and c.owner_node = $2::uuid`;

const LOAD_QUEUE = `
  select q.chat, q.id, q.content, q.content_version, q.created_by, q.created_at, q.trace, q.held_until, q.steer
  from queued_messages q
  where q.chat in (select c.id from ${TAKEN})
  order by q.chat, q.position`;

const LOAD_ATTEMPTS = `
  select a.chat, a.id, a.turn, a.step, a.attempt, a.purpose, a.provider, a.model, a.opened_at, a.provider_ref
  from attempts a
  where a.settled_at is null and a.chat in (select c.id from ${TAKEN})
  order by a.chat, a.opened_at, a.id`;

const LOAD_PACKS = `
  select p.chat, p.epoch, p.seq, p.turn, p.step, p.attempt, p.pack, p.entries, p.provider_cursor
  from journal_packs p
  where p.chat in (select c.id from ${TAKEN})
  order by p.chat, p.epoch, p.seq`;

const LOAD_CALLS = `
  select t.chat, t.turn, t.step, t.index, t.call, t.name, t.args, t.key, t.hash, t.state, t.wait, t.deadline_at, t.status
  from tool_calls t
  where t.state <> 'settled' and t.chat in (select c.id from ${TAKEN})
  order by t.chat, t.step, t.index`;

/** Rows are kept for `LIMITS.commandReplyMs` at least: when there are no more, these are all of that time. */
const LOAD_COMMANDS = `
  select mine.id as chat, ${COMMAND_COLUMNS}
  from (select c.id from ${TAKEN}) mine
  cross join lateral (
    select * from commands d
    where d.chat = mine.id and d.chat <> '00000000-0000-0000-0000-000000000000'
    order by d.created_at desc, d.id desc
    limit $3::integer) k
  order by mine.id, k.created_at desc, k.id desc`;
