// `chats.create`: the one command without a chat. The chat's id derives from the owner and the command id, so that a
// retry that reaches another node makes the same chat.

import { createHash } from 'node:crypto';
import { errorBody, type ErrorBody } from '../../protocol/errors.ts';
import { uuidFromBytes, uuidV7Ms, type ChatId, type CommandId, type OwnerId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { wireChat } from '../../protocol/wire-content.ts';
import { must } from '../../protocol/assert.ts';
import type { ActorDeps } from '../chat/actor.ts';
import { isSameCommand } from '../chat/command-memory.ts';
import { encodeReplyBody, hashArgs, refusal } from '../chat/command-runner.ts';
import { parseNewChat } from '../chat/commands.ts';
import type { ChatStore, CommandReply, CommandRow, Principal } from '../ports.ts';
import type { CommandRequest } from './api.ts';

type CreateDeps = Pick<ActorDeps, 'store' | 'models' | 'clock' | 'counts' | 'onFed'>;

export async function createChat(
  deps: CreateDeps,
  principal: Principal,
  request: CommandRequest,
): Promise<CommandReply> {
  const { store, models, clock } = deps;
  const nowMs = clock.nowMs();
  const madeMs = uuidV7Ms(request.id);
  if (madeMs === null || madeMs > nowMs + LIMITS.commandReplyMs) return refusal(errorBody('bad_command_id'));
  const { id, name } = request;
  const command = { principal: principal.owner, id, name, argsHash: hashArgs(request.rawArgs), createdAtMs: nowMs };
  if (madeMs < nowMs - LIMITS.commandReplyMs) {
    const found = await store.findCommand(principal.owner, null, id);
    if (found.outcome === 'unavailable') return refusal(errorBody('unavailable', undefined, 1_000));
    if (found.value === null) return refusal(errorBody('expired'));
    if (found.value === 'applied') return refusal(errorBody('already_applied'));
  }
  const parsed = parseNewChat(request.args);
  if (!parsed.ok) {
    if (parsed.limit !== undefined) deps.counts.limits.add(parsed.limit);
    return refuse(store, command, parsed.error);
  }
  const { model, ...args } = parsed.value;
  if (model !== null && models.find(model) === null) return refuse(store, command, errorBody('unknown_model'));
  const chat = {
    ...args,
    id: chatIdOf(principal.owner, id),
    owner: principal.owner,
    model: model ?? models.defaultId,
    createdAtMs: nowMs,
  };
  const result = await store.create(chat, command, (created) =>
    encodeReplyBody({ ok: true, result: { chat: wireChat(created) } }),
  );
  switch (result.outcome) {
    case 'created':
      deps.onFed(principal.owner);
      return result.reply;
    case 'repeated':
      return replyOf(result.row, command);
    case 'already_applied':
      return refusal(errorBody('already_applied'));
    case 'no_parent':
      return refuse(store, command, errorBody('not_found', 'the parent'));
    case 'parent_archived':
      return refuse(store, command, errorBody('parent_archived'));
    case 'unknown':
      return refusal(errorBody('unknown_outcome'));
    case 'unavailable':
      return refusal(errorBody('unavailable', undefined, 1_000));
  }
}

type Created = Omit<CommandRow, 'reply'>;

/** A refusal is kept as a reply is: the same command gets it again, even when it could be done by then (P3). */
async function refuse(store: ChatStore, command: Created, error: ErrorBody): Promise<CommandReply> {
  const kept = await store.keepRefusal({ ...command, reply: refusal(error) });
  return kept.outcome === 'read' ? replyOf(kept.value, command) : refusal(errorBody('unavailable', undefined, 1_000));
}

function replyOf(row: CommandRow, command: Created): CommandReply {
  return isSameCommand(row, command) ? row.reply : refusal(errorBody('id_reused'));
}

/** A UUIDv8 (RFC 9562 §5.8) from SHA-256 of owner and command id. */
export function chatIdOf(owner: OwnerId, command: CommandId): ChatId {
  const bytes = new Uint8Array(createHash('sha256').update(`${owner}\0${command}`).digest().subarray(0, 16));
  bytes[6] = (must(bytes[6], 'a digest is longer') & 0x0f) | 0x80;
  bytes[8] = (must(bytes[8], 'a digest is longer') & 0x3f) | 0x80;
  return must(uuidFromBytes<ChatId>(bytes), 'there are 16 bytes');
}
