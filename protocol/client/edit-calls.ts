// The commands that change what a chat holds and what waits in it, as typed functions (SPEC.md §8).

import type { Chat, TextPart } from '../content.ts';
import { asPosition, asUint, orNull } from '../fields.ts';
import type { Args } from '../frames.ts';
import { uuidToBytes, type ChatId, type CommandId } from '../ids.ts';
import type { Position } from '../position.ts';
import { chatArgs, contentArg, parseChatResult, parseSent, readResult, type Sent } from './calls.ts';

export type Edit = {
  /** Of the message of a user that is replaced; it and all behind it leave the chat. */
  readonly number: number;
  readonly text: string | readonly TextPart[];
  /** Another model for this turn and the ones behind it. */
  readonly model?: string;
};

export type Fork = {
  /** The last message that the new chat begins with. */
  readonly number: number;
  /** That of the chat it comes from, when absent. */
  readonly title?: string;
};

/** `number`: that of its last message. */
export type Forked = { readonly chat: Chat; readonly number: number };

/** `number`: that of the message that marks the place. */
export type Cleared = { readonly number: number; readonly position: Position };

/** What may be done to a message that waits. */
export type QueueChange =
  /** It waits for its edit, at most until the `heldUntilMs` of the result; from any device, again and again. */
  | { readonly hold: CommandId }
  /** The end of its edit; without a text it goes on as it was. */
  | { readonly release: CommandId; readonly text?: string | readonly TextPart[] }
  | { readonly remove: CommandId }
  /** All ids of the queue, in the order in which they are to be taken. */
  | { readonly order: readonly CommandId[] };

export type QueueChanged = { readonly position: Position; readonly heldUntilMs: number | null };

/** Sends a command and gives its result; rejects with a `CommandError` or a `ClientError`. */
type Command = (name: string, args: Args) => Promise<unknown>;

export async function editMessage(command: Command, chat: ChatId, { number, text, model }: Edit): Promise<Sent> {
  const args = chatArgs(chat, { number, content: contentArg(text), model });
  return readResult(await command('chat.edit', args), parseSent);
}

export async function retryTurn(command: Command, chat: ChatId): Promise<Sent> {
  return readResult(await command('chat.retry', chatArgs(chat)), parseSent);
}

export async function clearChat(command: Command, chat: ChatId): Promise<Cleared> {
  return readResult(await command('chat.clear', chatArgs(chat)), ({ number, position }) => ({
    number: asUint(number, 'number'),
    position: asPosition(position, 'position'),
  }));
}

export async function forkChat(command: Command, chat: ChatId, { number, title }: Fork): Promise<Forked> {
  return readResult(await command('chat.fork', chatArgs(chat, { number, title })), (map) => ({
    chat: parseChatResult(map),
    number: asUint(map['number'], 'number'),
  }));
}

export async function setModel(command: Command, chat: ChatId, model: string): Promise<Chat> {
  return readResult(await command('chat.set_model', chatArgs(chat, { model })), parseChatResult);
}

export async function promoteQueued(command: Command, chat: ChatId, id: CommandId): Promise<Sent> {
  return readResult(await command('queue.promote', chatArgs(chat, { id: uuidToBytes(id) })), parseSent);
}

export async function changeQueue(command: Command, chat: ChatId, change: QueueChange): Promise<QueueChanged> {
  const [name, args] = queueArgs(change);
  return readResult(await command(name, chatArgs(chat, args)), (map) => ({
    position: asPosition(map['position'], 'position'),
    heldUntilMs: orNull(map['held_until'], 'held_until', asUint),
  }));
}

function queueArgs(change: QueueChange): readonly [string, Args] {
  if ('hold' in change) return ['queue.edit', { id: uuidToBytes(change.hold), hold: true }];
  if ('remove' in change) return ['queue.delete', { id: uuidToBytes(change.remove) }];
  if ('order' in change) return ['queue.reorder', { ids: change.order.map(uuidToBytes) }];
  const { release, text } = change;
  const content = text === undefined ? undefined : contentArg(text);
  return ['queue.edit', { id: uuidToBytes(release), hold: false, content }];
}
