// `chat.fork`: a command without a chat of its own, like `chats.create`. It reads what is committed of the other chat and
// asks nothing of the actor of that one, so that any node does it, whatever runs there.

import { unreachable } from '../../protocol/assert.ts';
import { errorBody } from '../../protocol/errors.ts';
import type { ChatId } from '../../protocol/ids.ts';
import { wireChat } from '../../protocol/wire-content.ts';
import type { ActorDeps } from '../chat/actor.ts';
import { encodeReplyBody, refusal } from '../chat/command-runner.ts';
import { parseFork } from '../chat/commands.ts';
import type { CommandReply, Principal } from '../ports.ts';
import type { CommandRequest } from './api.ts';
import { admitCommand, derivedId, keepRefusal, replyOf } from './chatless-command.ts';

type ForkDeps = Pick<ActorDeps, 'store' | 'clock' | 'counts' | 'onFed'>;

export async function forkChat(deps: ForkDeps, principal: Principal, request: CommandRequest): Promise<CommandReply> {
  const { store } = deps;
  const admitted = await admitCommand(deps, principal, request);
  if ('reply' in admitted) return admitted.reply;
  const { command } = admitted;
  const parsed = parseFork(request.args);
  if (!parsed.ok) {
    if (parsed.limit !== undefined) deps.counts.limits.add(parsed.limit);
    return keepRefusal(store, command, parsed.error);
  }
  const { owner } = principal;
  const fork = { ...parsed.value, owner, id: derivedId<ChatId>(owner, command.id), createdAtMs: command.createdAtMs };
  const result = await store.fork(fork, command, (chat, number) =>
    encodeReplyBody({ ok: true, result: { chat: wireChat(chat), number } }),
  );
  switch (result.outcome) {
    case 'created':
      deps.onFed(owner);
      return result.reply;
    case 'repeated':
      return replyOf(result.row, command);
    case 'already_applied':
      return refusal(errorBody('already_applied'));
    case 'not_found':
      return keepRefusal(store, command, errorBody('not_found', 'the chat, or its message'));
    case 'unsettled':
      return keepRefusal(store, command, errorBody('busy', 'a tool of that step still runs'));
    case 'unknown':
      return refusal(errorBody('unknown_outcome'));
    case 'unavailable':
      return refusal(errorBody('unavailable', undefined, 1_000));
    default:
      return unreachable(result);
  }
}
