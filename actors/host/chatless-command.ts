// Commands without a chat: what each of them begins and ends with, so that it takes effect once (P3).

import { createHash } from 'node:crypto';
import { must } from '../../protocol/assert.ts';
import { errorBody, type ErrorBody } from '../../protocol/errors.ts';
import { uuidFromBytes, uuidV7Ms, type CommandId, type OwnerId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { isSameCommand } from '../chat/command-memory.ts';
import { hashArgs, refusal } from '../chat/command-runner.ts';
import type { ChatStore, Clock, CommandReply, CommandRow, Principal } from '../ports.ts';
import type { CommandRequest } from './api.ts';

export type ChatlessDeps = { readonly store: Pick<ChatStore, 'findCommand' | 'keepRefusal'>; readonly clock: Clock };

/** A command without its reply. */
export type Unanswered = Omit<CommandRow, 'reply'>;

/** The command, when it may be done by its id; else the reply that says why not. */
export async function admitCommand(
  { store, clock }: ChatlessDeps,
  principal: Principal,
  request: CommandRequest,
): Promise<{ readonly command: Unanswered } | { readonly reply: CommandReply }> {
  const nowMs = clock.nowMs();
  const madeMs = uuidV7Ms(request.id);
  if (madeMs === null || madeMs > nowMs + LIMITS.commandReplyMs) return { reply: refusal(errorBody('bad_command_id')) };
  const { id, name } = request;
  const command = { principal: principal.owner, id, name, argsHash: hashArgs(request.rawArgs), createdAtMs: nowMs };
  if (madeMs >= nowMs - LIMITS.commandReplyMs) return { command };
  const found = await store.findCommand(principal.owner, null, id);
  if (found.outcome === 'unavailable') return { reply: unavailable() };
  if (found.value === null) return { reply: refusal(errorBody('expired')) };
  if (found.value === 'applied') return { reply: refusal(errorBody('already_applied')) };
  return { reply: replyOf(found.value, command) };
}

/** A refusal is kept as a reply is: the same command gets it again, even when it could be done by then (P3). */
export async function keepRefusal(
  store: ChatlessDeps['store'],
  command: Unanswered,
  error: ErrorBody,
): Promise<CommandReply> {
  const kept = await store.keepRefusal({ ...command, reply: refusal(error) });
  return kept.outcome === 'read' ? replyOf(kept.value, command) : unavailable();
}

/** The reply that is kept, to whoever sends the same command. */
export function replyOf(row: CommandRow, command: Unanswered): CommandReply {
  return isSameCommand(row, command) ? row.reply : refusal(errorBody('id_reused'));
}

/** The id of what a command without a chat creates: a UUIDv8 (RFC 9562 §5.8) from SHA-256 of owner and command id. */
export function derivedId<T extends string>(owner: OwnerId, command: CommandId): T {
  const bytes = new Uint8Array(createHash('sha256').update(`${owner}\0${command}`).digest().subarray(0, 16));
  bytes[6] = (must(bytes[6], 'a digest is longer') & 0x0f) | 0x80;
  bytes[8] = (must(bytes[8], 'a digest is longer') & 0x3f) | 0x80;
  return must(uuidFromBytes<T>(bytes), 'there are 16 bytes');
}

function unavailable(): CommandReply {
  return refusal(errorBody('unavailable', undefined, 1_000));
}
