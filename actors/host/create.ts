// `chats.create`. The chat's id derives from the owner and the command id, so that a retry that reaches another node makes
// the same chat.

import { errorBody } from '../../protocol/errors.ts';
import type { ChatId, CommandId, OwnerId } from '../../protocol/ids.ts';
import { wireChat } from '../../protocol/wire-content.ts';
import type { ActorDeps } from '../chat/actor.ts';
import { encodeReplyBody, refusal } from '../chat/command-runner.ts';
import { parseNewChat } from '../chat/commands.ts';
import type { CommandReply, Principal } from '../ports.ts';
import type { CommandRequest } from './api.ts';
import { admitCommand, derivedId, keepRefusal, replyOf } from './chatless-command.ts';

type CreateDeps = Pick<ActorDeps, 'store' | 'models' | 'tools' | 'clock' | 'counts' | 'onFed'>;

export async function createChat(
  deps: CreateDeps,
  principal: Principal,
  request: CommandRequest,
): Promise<CommandReply> {
  const { store, models } = deps;
  const admitted = await admitCommand(deps, principal, request);
  if ('reply' in admitted) return admitted.reply;
  const { command } = admitted;
  const parsed = parseNewChat(request.args);
  if (!parsed.ok) {
    if (parsed.limit !== undefined) deps.counts.limits.add(parsed.limit);
    return keepRefusal(store, command, parsed.error);
  }
  const { model, ...args } = parsed.value;
  if (model !== null && models.find(model) === null) return keepRefusal(store, command, errorBody('unknown_model'));
  const taken = args.clientTools.find(({ name }) => deps.tools.tools.some((tool) => tool.name === name));
  if (taken !== undefined) {
    return keepRefusal(store, command, errorBody('bad_args', `tools: the server has a tool named ${taken.name}`));
  }
  const chat = {
    ...args,
    id: chatIdOf(principal.owner, command.id),
    owner: principal.owner,
    model: model ?? models.defaultId,
    createdAtMs: command.createdAtMs,
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
      return keepRefusal(store, command, errorBody('not_found', 'the parent'));
    case 'parent_archived':
      return keepRefusal(store, command, errorBody('parent_archived'));
    case 'unknown':
      return refusal(errorBody('unknown_outcome'));
    case 'unavailable':
      return refusal(errorBody('unavailable', undefined, 1_000));
  }
}

export function chatIdOf(owner: OwnerId, command: CommandId): ChatId {
  return derivedId<ChatId>(owner, command);
}
