// Chats, messages and queued messages as maps of the wire, and back (SPEC.md §7).
//
// The maps have the keys of content.ts. What differs are the ids, which are 16 bytes on the wire and text in memory;
// the `owner` and `created_by` of a chat or message are subjects of credentials, so they are text in both.

import { asArray, asBool, asId, asMap, asString, asUint, asWord, orNull, type WireMap } from './fields.ts';
import type {
  Chat,
  ChatStatus,
  ChatSummary,
  Message,
  QueuedMessage,
  Role,
  TurnEnd,
  TurnOutcome,
  Usage,
} from './content.ts';
import { ERRORS, type ErrorBody, type ErrorCode, type Retry } from './errors.ts';
import type { ChatId, CommandId, TurnId } from './ids.ts';
import { uuidFromBytes, uuidToBytes } from './ids.ts';
import { parsePart, parseQueuedPart, wirePart } from './wire-parts.ts';

const STATUSES: readonly ChatStatus[] = ['waiting', 'running', 'requires_action', 'stopping', 'error'];
const ROLES: readonly Role[] = ['user', 'assistant', 'tool', 'system'];
const RETRIES: readonly Retry[] = ['never', 'now', 'later'];
const ERROR_CODES = Object.keys(ERRORS) as readonly ErrorCode[];
const OUTCOMES: readonly TurnOutcome[] = [
  'completed',
  'stopped',
  'refused',
  'max_tokens',
  'step_limit',
  'budget',
  'error',
  'interrupted',
];

/** An id inside the args of a command or query: text, or null when it is no bin of 16 bytes. */
export function uuidArg<T extends string>(value: unknown): T | null {
  return value instanceof Uint8Array ? uuidFromBytes<T>(value) : null;
}

export function wireChat(chat: Chat): WireMap {
  return {
    id: uuidToBytes(chat.id),
    owner: chat.owner,
    parent: chat.parent === null ? null : uuidToBytes(chat.parent),
    root: uuidToBytes(chat.root),
    title: chat.title,
    status: chat.status,
    archived: chat.archived,
    model: chat.model,
    ...(chat.background === true ? { background: true } : {}),
    last_error: chat.last_error === null ? null : wireError(chat.last_error),
    last_turn: chat.last_turn === null ? null : wireTurnEnd(chat.last_turn),
    labels: chat.labels,
    created_at: chat.created_at,
    updated_at: chat.updated_at,
  };
}

/** A chat from its map; throws a `ProtocolError`. A status of a later version reads as `waiting`. */
export function parseChat(value: unknown): Chat {
  const map = asMap(value, 'chat');
  return {
    id: asId<ChatId>(map['id'], 'chat.id'),
    owner: asString(map['owner'], 'chat.owner'),
    parent: orNull(map['parent'], 'chat.parent', asId<ChatId>),
    root: asId<ChatId>(map['root'], 'chat.root'),
    title: orNull(map['title'], 'chat.title', asString),
    status: asWord(map['status'], 'chat.status', STATUSES, 'waiting'),
    archived: asBool(map['archived'], 'chat.archived'),
    model: asString(map['model'], 'chat.model'),
    ...(orNull(map['background'], 'chat.background', asBool) === true ? { background: true } : {}),
    last_error: orNull(map['last_error'], 'chat.last_error', parseError),
    last_turn: orNull(map['last_turn'], 'chat.last_turn', parseTurnEnd),
    labels: Object.fromEntries(
      Object.entries(asMap(map['labels'], 'chat.labels')).map(([key, label]) => [key, asString(label, 'a label')]),
    ),
    created_at: asUint(map['created_at'], 'chat.created_at'),
    updated_at: asUint(map['updated_at'], 'chat.updated_at'),
  };
}

export function wireSummary(chat: ChatSummary): WireMap {
  return { ...wireChat(chat), read: chat.read, unread: chat.unread };
}

export function parseSummary(value: unknown): ChatSummary {
  const map = asMap(value, 'chat');
  return {
    ...parseChat(map),
    read: orNull(map['read'], 'chat.read', asUint),
    unread: orNull(map['unread'], 'chat.unread', asUint),
  };
}

function wireTurnEnd({ turn, outcome, error }: TurnEnd): WireMap {
  return { turn: uuidToBytes(turn), outcome, error: error === null ? null : wireError(error) };
}

function parseTurnEnd(value: unknown, field: string): TurnEnd {
  const map = asMap(value, field);
  return {
    turn: asId<TurnId>(map['turn'], `${field}.turn`),
    outcome: parseOutcome(map['outcome']),
    error: orNull(map['error'], `${field}.error`, parseError),
  };
}

export function wireMessage(message: Message): WireMap {
  const { number, id, role, parts, created_at, created_by, model, turn, step, interrupted, usage } = message;
  return {
    number,
    id: uuidToBytes(id),
    role,
    parts: parts.map(wirePart),
    created_at,
    ...(created_by === undefined ? {} : { created_by }),
    ...(model === undefined ? {} : { model }),
    ...(turn === undefined ? {} : { turn: uuidToBytes(turn) }),
    ...(step === undefined ? {} : { step }),
    ...(interrupted === undefined ? {} : { interrupted }),
    ...(usage === undefined ? {} : { usage: wireUsage(usage) }),
  };
}

/** A message from its map; throws a `ProtocolError`. A role of a later version reads as `system`. */
export function parseMessage(value: unknown): Message {
  const map = asMap(value, 'message');
  const createdBy = orNull(map['created_by'], 'message.created_by', asString);
  const model = orNull(map['model'], 'message.model', asString);
  const turn = orNull(map['turn'], 'message.turn', asId<TurnId>);
  const step = orNull(map['step'], 'message.step', asUint);
  const interrupted = orNull(map['interrupted'], 'message.interrupted', asBool);
  const usage = orNull(map['usage'], 'message.usage', parseUsage);
  return {
    number: asUint(map['number'], 'message.number'),
    id: asId(map['id'], 'message.id'),
    role: asWord(map['role'], 'message.role', ROLES, 'system'),
    parts: asArray(map['parts'], 'message.parts').map(parsePart),
    created_at: asUint(map['created_at'], 'message.created_at'),
    ...(createdBy === null ? {} : { created_by: createdBy }),
    ...(model === null ? {} : { model }),
    ...(turn === null ? {} : { turn }),
    ...(step === null ? {} : { step }),
    ...(interrupted === null ? {} : { interrupted }),
    ...(usage === null ? {} : { usage }),
  };
}

export function wireQueued(queued: QueuedMessage): WireMap {
  return {
    id: uuidToBytes(queued.id),
    parts: queued.parts.map(wirePart),
    created_by: queued.created_by,
    created_at: queued.created_at,
    ...(queued.steer === true ? { steer: true } : {}),
    ...(queued.held_until === undefined ? {} : { held_until: queued.held_until }),
  };
}

/** A queued message from its map; throws a `ProtocolError`. */
export function parseQueued(value: unknown): QueuedMessage {
  const map = asMap(value, 'queued');
  const heldUntil = orNull(map['held_until'], 'queued.held_until', asUint);
  return {
    id: asId<CommandId>(map['id'], 'queued.id'),
    parts: asArray(map['parts'], 'queued.parts').map(parseQueuedPart),
    created_by: asString(map['created_by'], 'queued.created_by'),
    created_at: asUint(map['created_at'], 'queued.created_at'),
    ...(orNull(map['steer'], 'queued.steer', asBool) === true ? { steer: true } : {}),
    ...(heldUntil === null ? {} : { held_until: heldUntil }),
  };
}

export function wireUsage(usage: Usage): WireMap {
  const { input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, estimated } = usage;
  return { input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, estimated };
}

export function parseUsage(value: unknown): Usage {
  const map = asMap(value, 'usage');
  return {
    input_tokens: asUint(map['input_tokens'], 'usage.input_tokens'),
    output_tokens: asUint(map['output_tokens'], 'usage.output_tokens'),
    cache_read_tokens: asUint(map['cache_read_tokens'], 'usage.cache_read_tokens'),
    cache_write_tokens: asUint(map['cache_write_tokens'], 'usage.cache_write_tokens'),
    estimated: asBool(map['estimated'], 'usage.estimated'),
  };
}

export function wireError(error: ErrorBody): WireMap {
  const { code, message, retry, retry_after_ms } = error;
  return { code, message, retry, ...(retry_after_ms === undefined ? {} : { retry_after_ms }) };
}

/** An error from its map; throws a `ProtocolError`. A code of a later version reads as `internal`, with its own retry. */
export function parseError(value: unknown): ErrorBody {
  const map = asMap(value, 'error');
  const retryAfterMs = orNull(map['retry_after_ms'], 'error.retry_after_ms', asUint);
  return {
    code: asWord(map['code'], 'error.code', ERROR_CODES, 'internal'),
    message: asString(map['message'], 'error.message'),
    retry: asWord(map['retry'], 'error.retry', RETRIES, 'later'),
    ...(retryAfterMs === null ? {} : { retry_after_ms: retryAfterMs }),
  };
}

/** An outcome of a later version reads as `completed`: the turn is over, whatever else is to be said of it. */
export function parseOutcome(value: unknown): TurnOutcome {
  return asWord(value, 'turn.outcome', OUTCOMES, 'completed');
}
