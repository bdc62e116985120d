// Rows as postgres.js gives them, turned into the values of the protocol and the ports.

import type { Chat, ChatStatus, ChatSummary, Message, Role, Usage } from '../protocol/content.ts';
import type { AttemptId, ChatId, CommandId, Epoch, OwnerId, TurnId } from '../protocol/ids.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { Position } from '../protocol/position.ts';
import { inlineParts } from '../protocol/references.ts';
import { parseTraceParent } from '../protocol/trace-parent.ts';
import type { CommandRow, QueuedItem } from '../actors/ports.ts';
import type { AttemptPurpose } from '../actors/turn-ports.ts';
import type { AttemptOpening, JournalPack } from '../actors/turn-ports.ts';
import {
  decodeContent,
  decodeJournal,
  decodeLabels,
  decodeLastError,
  decodeLastTurn,
  decodeTextParts,
} from './codec.ts';

/** The columns of a chat that every reader of chats selects, with `c` as its table. */
export const CHAT_COLUMNS = `c.id, c.owner, c.parent, c.root, c.title, c.status, c.archived, c.model, c.last_error, c.last_turn,
  c.labels, c.background, c.created_at, c.updated_at`;

export type ChatRow = {
  readonly id: ChatId;
  readonly owner: OwnerId;
  readonly parent: ChatId | null;
  readonly root: ChatId;
  readonly title: string | null;
  readonly status: ChatStatus;
  readonly archived: boolean;
  readonly model: string;
  readonly last_error: Uint8Array | null;
  readonly last_turn: Uint8Array | null;
  readonly labels: Uint8Array;
  readonly background: boolean;
  readonly created_at: number;
  readonly updated_at: number;
};

export function chatFromRow(row: ChatRow): Chat {
  return {
    id: row.id,
    owner: row.owner,
    parent: row.parent,
    root: row.root,
    title: row.title,
    status: row.status,
    archived: row.archived,
    model: row.model,
    ...(row.background ? { background: true } : {}),
    last_error: row.last_error === null ? null : decodeLastError(row.last_error),
    last_turn: row.last_turn === null ? null : decodeLastTurn(row.last_turn),
    labels: decodeLabels(row.labels),
    created_at: row.created_at,
    updated_at: row.updated_at,
  };
}

/**
 * Those of a chat as its owner sees it in lists: what is unread is counted up to the limit, by an index of its own, whose
 * condition names the role that is left out.
 */
export const SUMMARY_COLUMNS = `${CHAT_COLUMNS}, c.read_number, (
    select count(*) from (
      select from messages m
      where m.chat = c.id and m.number > c.read_number
        and m.role <> 'user' and m.role <> 'system' and m.visibility <> 'model' and m.left_epoch is null
      limit ${LIMITS.unreadMessages}) u) as unread`;

export type SummaryRow = ChatRow & { readonly read_number: number; readonly unread: number };

/** How far a chat was read is its owner's affair: others see null. */
export function summaryFromRow(row: SummaryRow, viewer: OwnerId): ChatSummary {
  const isOwn = row.owner === viewer;
  return { ...chatFromRow(row), read: isOwn ? row.read_number : null, unread: isOwn ? row.unread : null };
}

/** The columns of a message that clients see, with `m` as its table. */
export const MESSAGE_COLUMNS = `m.number, m.id, m.role, m.content, m.content_version, m.created_at, m.created_by,
  m.model, m.turn, m.step, m.interrupted, m.input_tokens, m.output_tokens, m.cache_read_tokens, m.cache_write_tokens,
  m.usage_estimated`;

export type MessageRow = UsageRow & {
  readonly number: number;
  readonly id: string;
  readonly role: Role;
  readonly content: Uint8Array;
  readonly content_version: number;
  readonly created_at: number;
  readonly created_by: string | null;
  readonly model: string | null;
  readonly turn: TurnId | null;
  readonly step: number | null;
  readonly interrupted: boolean;
};

type UsageRow = {
  readonly input_tokens: number | null;
  readonly output_tokens: number | null;
  readonly cache_read_tokens: number | null;
  readonly cache_write_tokens: number | null;
  readonly usage_estimated: boolean | null;
};

/** A message as clients get it in snapshots and pages: large parts as references. */
export function messageFromRow(row: MessageRow): Message {
  const usage = usageFromRow(row);
  return {
    number: row.number,
    id: row.id,
    role: row.role,
    parts: inlineParts(decodeContent(row.content_version, row.content)),
    created_at: row.created_at,
    ...(row.created_by === null ? {} : { created_by: row.created_by }),
    ...(row.model === null ? {} : { model: row.model }),
    ...(row.turn === null ? {} : { turn: row.turn }),
    ...(row.step === null ? {} : { step: row.step }),
    ...(row.interrupted ? { interrupted: true } : {}),
    ...(usage === null ? {} : { usage }),
  };
}

function usageFromRow(row: UsageRow): Usage | null {
  if (row.usage_estimated === null) return null;
  return {
    input_tokens: row.input_tokens ?? 0,
    output_tokens: row.output_tokens ?? 0,
    cache_read_tokens: row.cache_read_tokens ?? 0,
    cache_write_tokens: row.cache_write_tokens ?? 0,
    estimated: row.usage_estimated,
  };
}

export type QueuedRow = {
  readonly chat: ChatId;
  readonly id: CommandId;
  readonly content: Uint8Array;
  readonly content_version: number;
  readonly created_by: string;
  readonly created_at: number;
  readonly trace: string | null;
  readonly held_until: number | null;
  readonly steer: boolean;
};

export function queuedFromRow(row: QueuedRow): QueuedItem {
  const trace = parseTraceParent(row.trace ?? undefined);
  return {
    ...(trace === null ? {} : { trace }),
    id: row.id,
    parts: decodeTextParts(row.content_version, row.content),
    created_by: row.created_by,
    created_at: row.created_at,
    ...(row.held_until === null ? {} : { held_until: row.held_until }),
    ...(row.steer ? { steer: true } : {}),
  };
}

/** With `k` as the table of commands. */
export const COMMAND_COLUMNS = 'k.principal, k.id, k.name, k.args_hash, k.ok, k.body, k.created_at';

export type CommandDatabaseRow = {
  readonly principal: OwnerId;
  readonly id: CommandId;
  readonly name: string;
  readonly args_hash: Uint8Array;
  readonly ok: boolean;
  readonly body: Uint8Array;
  readonly created_at: number;
};

export function commandFromRow(row: CommandDatabaseRow): CommandRow {
  return {
    principal: row.principal,
    id: row.id,
    name: row.name,
    argsHash: row.args_hash,
    reply: { ok: row.ok, body: row.body },
    createdAtMs: row.created_at,
  };
}

export type AttemptRow = {
  readonly chat: ChatId;
  readonly id: AttemptId;
  readonly turn: TurnId;
  readonly step: number;
  readonly attempt: number;
  readonly purpose: AttemptPurpose;
  readonly provider: string;
  readonly model: string;
  readonly opened_at: number;
  readonly provider_ref: string | null;
};

export function attemptFromRow(row: AttemptRow): AttemptOpening {
  const { id, turn, step, attempt, purpose, provider, model } = row;
  const reference = row.provider_ref === null ? {} : { providerRef: row.provider_ref };
  const aside = purpose === 'turn' ? {} : { purpose };
  return { id, turn, step, attempt, ...aside, provider, model, startedAtMs: row.opened_at, ...reference };
}

export type PackRow = {
  readonly chat: ChatId;
  readonly epoch: Epoch;
  readonly seq: number;
  readonly turn: TurnId;
  readonly step: number;
  readonly attempt: number;
  readonly pack: number;
  readonly entries: Uint8Array;
  readonly provider_cursor: string | null;
};

export function packFromRow(row: PackRow): JournalPack {
  const { turn, step, attempt, pack } = row;
  return {
    turn,
    step,
    attempt,
    pack,
    position: { epoch: row.epoch, seq: row.seq },
    entries: decodeJournal(row.entries),
    ...(row.provider_cursor === null ? {} : { cursor: row.provider_cursor }),
  };
}

/** A position kept in two columns that are null together. */
export function positionFromColumns(epoch: Epoch | null, seq: number | null): Position | null {
  return epoch === null || seq === null ? null : { epoch, seq };
}
