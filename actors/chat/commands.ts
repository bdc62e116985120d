// The commands of a chat, from the map of arguments to a typed value. Anything that does not fit is `bad_args`, with the
// name of the argument; nothing here looks at the state of a chat.

import type { Busy, TextPart } from '../../protocol/content.ts';
import { errorBody } from '../../protocol/errors.ts';
import type { Args } from '../../protocol/frames.ts';
import type { ChatId, CommandId, TurnId } from '../../protocol/ids.ts';
import {
  BadArgument,
  content,
  flag,
  labels,
  messageNumber,
  oneOf,
  optional,
  optionalText,
  parsing,
  text,
  uuid,
  uuids,
  choice,
  plainText,
  type Parsed,
} from './arguments.ts';
import type { ToolSpec } from '../tool-ports.ts';
import { clientTools } from './tool-args.ts';

export type ChatCommand =
  | {
      readonly name: 'chat.send';
      readonly parts: readonly TextPart[];
      readonly busy: Busy;
      readonly model: string | null;
    }
  | {
      readonly name: 'chat.stop';
      /** Null: only what runs below. */
      readonly turn: TurnId | null;
      /** With what runs in the chats below. */
      readonly tree: boolean;
    }
  | { readonly name: 'chat.rename'; readonly title: string }
  | { readonly name: 'chat.set_labels'; readonly labels: Readonly<Record<string, string>> }
  | { readonly name: 'chat.read'; readonly number: number }
  | { readonly name: 'tool.result'; readonly call: string; readonly output: string; readonly isError: boolean }
  | {
      readonly name: 'tool.approve';
      readonly call: string;
      readonly hash: string;
      readonly allow: boolean;
      readonly always: boolean;
    }
  | { readonly name: 'chat.compact' }
  | { readonly name: 'chat.archive' }
  | { readonly name: 'chat.unarchive' }
  | EditCommand
  | QueueCommand;

/** What changes the history of a chat, or the model that goes on with it. */
export type EditCommand =
  | {
      readonly name: 'chat.edit';
      readonly number: number;
      readonly parts: readonly TextPart[];
      readonly model: string | null;
    }
  | { readonly name: 'chat.retry' }
  | { readonly name: 'chat.clear' }
  | { readonly name: 'chat.set_model'; readonly model: string };

/** What happens to the messages that wait. */
export type QueueCommand =
  /** `hold`: it waits for its edit; else it goes on, with `parts` unless they are null. */
  | { readonly name: 'queue.edit'; readonly id: CommandId; readonly hold: true }
  | {
      readonly name: 'queue.edit';
      readonly id: CommandId;
      readonly hold: false;
      readonly parts: readonly TextPart[] | null;
    }
  | { readonly name: 'queue.reorder'; readonly ids: readonly CommandId[] }
  | { readonly name: 'queue.promote'; readonly id: CommandId }
  | { readonly name: 'queue.delete'; readonly id: CommandId };

const COMMAND_NAMES: Readonly<Record<ChatCommand['name'] | 'chats.create' | 'chat.fork', true>> = {
  'chats.create': true,
  'chat.fork': true,
  'chat.send': true,
  'chat.stop': true,
  'chat.rename': true,
  'chat.set_labels': true,
  'chat.read': true,
  'tool.result': true,
  'tool.approve': true,
  'chat.compact': true,
  'chat.archive': true,
  'chat.unarchive': true,
  'chat.edit': true,
  'chat.retry': true,
  'chat.clear': true,
  'chat.set_model': true,
  'queue.edit': true,
  'queue.reorder': true,
  'queue.promote': true,
  'queue.delete': true,
};

/** Whether there is such a command. */
export function isCommandName(name: string): boolean {
  return Object.hasOwn(COMMAND_NAMES, name);
}

/** Whether such commands are sent to a chat: all but those that make one. */
export function isChatCommandName(name: string): boolean {
  return isCommandName(name) && name !== 'chats.create' && name !== 'chat.fork';
}

export type NewChatArgs = {
  readonly title: string | null;
  readonly model: string | null;
  readonly systemPrompt: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly parent: ChatId | null;
  readonly background: boolean;
  readonly clientTools: readonly ToolSpec[];
};

const BUSY: readonly unknown[] = ['queue', 'interrupt', 'steer', 'reject'] satisfies readonly Busy[];

/** The chat that a command or query names in `args.chat`. */
export function parseChatArg(args: Args): Parsed<ChatId> {
  return parsing(() => uuid<ChatId>(args['chat'], 'chat'));
}

export function parseChatCommand(name: string, args: Args): Parsed<ChatCommand> {
  switch (name) {
    case 'chat.send':
      return parsing(() => ({
        name,
        parts: content(args['content']),
        busy: args['busy'] === undefined ? 'queue' : oneOf<Busy>(args['busy'], BUSY, 'busy'),
        model: optionalText(args['model'], 'model', 'titleChars'),
      }));
    case 'chat.stop':
      return parsing(() => {
        const tree = flag(args['tree'], 'tree');
        const turn = tree && args['turn'] === undefined ? null : uuid<TurnId>(args['turn'], 'turn');
        return { name, turn, tree };
      });
    case 'chat.rename':
      return parsing(() => ({ name, title: text(args['title'], 'title', 'titleChars') }));
    case 'chat.set_labels':
      return parsing(() => ({ name, labels: labels(args['labels']) }));
    case 'chat.read':
      return parsing(() => ({ name, number: messageNumber(args['number']) }));
    case 'chat.edit':
      return parsing(() => ({
        name,
        number: messageNumber(args['number']),
        parts: content(args['content']),
        model: optionalText(args['model'], 'model', 'titleChars'),
      }));
    case 'chat.set_model':
      return parsing(() => ({ name, model: text(args['model'], 'model', 'titleChars') }));
    case 'queue.edit':
      return parsing(() => queueEdit(args));
    case 'queue.reorder':
      return parsing(() => ({ name, ids: uuids<CommandId>(args['ids'], 'ids') }));
    case 'queue.promote':
    case 'queue.delete':
      return parsing(() => ({ name, id: uuid<CommandId>(args['id'], 'id') }));
    case 'tool.result':
      return parsing(() => ({
        name,
        call: plainText(args['call'], 'call'),
        output: plainText(args['output'], 'output'),
        isError: flag(args['is_error'], 'is_error'),
      }));
    case 'tool.approve':
      return parsing(() => ({
        name,
        call: plainText(args['call'], 'call'),
        hash: plainText(args['hash'], 'hash'),
        allow: choice(args['allow'], 'allow'),
        always: flag(args['always'], 'always'),
      }));
    case 'chat.compact':
    case 'chat.archive':
    case 'chat.unarchive':
    case 'chat.retry':
    case 'chat.clear':
      return { ok: true, value: { name } };
    default:
      return { ok: false, error: errorBody('unknown_command') };
  }
}

export function parseNewChat(args: Args): Parsed<NewChatArgs> {
  return parsing(() => ({
    title: optionalText(args['title'], 'title', 'titleChars'),
    model: optionalText(args['model'], 'model', 'titleChars'),
    systemPrompt: optionalText(args['system_prompt'], 'system_prompt', 'systemPromptChars'),
    labels: args['labels'] === undefined || args['labels'] === null ? {} : labels(args['labels']),
    parent: optional(args['parent'], (parent) => uuid<ChatId>(parent, 'parent')),
    background: flag(args['background'], 'background'),
    clientTools: clientTools(args['tools']),
  }));
}

export type ForkArgs = { readonly source: ChatId; readonly number: number; readonly title: string | null };

export function parseFork(args: Args): Parsed<ForkArgs> {
  return parsing(() => ({
    source: uuid<ChatId>(args['chat'], 'chat'),
    number: messageNumber(args['number']),
    title: optionalText(args['title'], 'title', 'titleChars'),
  }));
}

function queueEdit(args: Args): QueueCommand {
  const name = 'queue.edit';
  const id = uuid<CommandId>(args['id'], 'id');
  const parts = optional(args['content'], content);
  if (!flag(args['hold'], 'hold')) return { name, id, hold: false, parts };
  // Whoever has the new text is done: a hold that outlives its edit would keep the queue waiting for nobody.
  if (parts !== null) throw new BadArgument('content: only without hold');
  return { name, id, hold: true };
}
