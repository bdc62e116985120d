// The commands of a chat, from the map of arguments to a typed value. Anything that does not fit is `bad_args`, with the
// name of the argument; nothing here looks at the state of a chat.

import type { Busy, TextPart } from '../../protocol/content.ts';
import { errorBody, type ErrorBody } from '../../protocol/errors.ts';
import type { Args } from '../../protocol/frames.ts';
import { uuidFromBytes, type ChatId, type TurnId } from '../../protocol/ids.ts';
import { LIMITS, type WireLimit } from '../../protocol/limits.ts';
import { utf8Length } from '../../protocol/text.ts';
import type { ActorLimit } from './counted-limits.ts';

export type ChatCommand =
  | {
      readonly name: 'chat.send';
      readonly parts: readonly TextPart[];
      readonly busy: Busy;
      readonly model: string | null;
    }
  | { readonly name: 'chat.stop'; readonly turn: TurnId }
  | { readonly name: 'chat.rename'; readonly title: string }
  | { readonly name: 'chat.set_labels'; readonly labels: Readonly<Record<string, string>> }
  | { readonly name: 'chat.read'; readonly number: number }
  | { readonly name: 'chat.archive' }
  | { readonly name: 'chat.unarchive' };

const COMMAND_NAMES: Readonly<Record<ChatCommand['name'] | 'chats.create', true>> = {
  'chats.create': true,
  'chat.send': true,
  'chat.stop': true,
  'chat.rename': true,
  'chat.set_labels': true,
  'chat.read': true,
  'chat.archive': true,
  'chat.unarchive': true,
};

/** Whether there is such a command. */
export function isCommandName(name: string): boolean {
  return Object.hasOwn(COMMAND_NAMES, name);
}

export type NewChatArgs = {
  readonly title: string | null;
  readonly model: string | null;
  readonly systemPrompt: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly parent: ChatId | null;
  readonly background: boolean;
};

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  /** `limit`: the one that the arguments are over, when it is that. */
  | { readonly ok: false; readonly error: ErrorBody; readonly limit?: ArgumentLimit };

/** The limits of arguments. */
export type ArgumentLimit = Extract<ActorLimit, WireLimit>;

const BUSY: readonly unknown[] = ['queue', 'interrupt', 'reject'] satisfies readonly Busy[];

class BadArgument extends Error {
  readonly limit: ArgumentLimit | null;

  constructor(message: string, limit: ArgumentLimit | null = null) {
    super(message);
    this.limit = limit;
  }
}

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
      return parsing(() => ({ name, turn: uuid<TurnId>(args['turn'], 'turn') }));
    case 'chat.rename':
      return parsing(() => ({ name, title: text(args['title'], 'title', 'titleChars') }));
    case 'chat.set_labels':
      return parsing(() => ({ name, labels: labels(args['labels']) }));
    case 'chat.read':
      return parsing(() => ({ name, number: messageNumber(args['number']) }));
    case 'chat.archive':
    case 'chat.unarchive':
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
    parent: args['parent'] === undefined || args['parent'] === null ? null : uuid<ChatId>(args['parent'], 'parent'),
    background: flag(args['background'], 'background'),
  }));
}

function parsing<T>(parse: () => T): Parsed<T> {
  try {
    return { ok: true, value: parse() };
  } catch (error) {
    if (!(error instanceof BadArgument)) throw error;
    const { message, limit } = error;
    return { ok: false, error: errorBody('bad_args', message), ...(limit === null ? {} : { limit }) };
  }
}

function content(value: unknown): readonly TextPart[] {
  if (!Array.isArray(value) || value.length === 0) throw new BadArgument('content: an array of parts');
  if (value.length > LIMITS.partsPerMessage) {
    throw new BadArgument(`content: at most ${LIMITS.partsPerMessage} parts`, 'partsPerMessage');
  }
  const parts = value.map(textPart);
  if (parts.every((part) => part.text.trim() === '')) throw new BadArgument('content: some text');
  return parts;
}

function textPart(value: unknown): TextPart {
  const part: unknown = value;
  if (!isMap(part) || part['type'] !== 'text' || typeof part['text'] !== 'string') {
    throw new BadArgument('content: parts of the form {type: "text", text}');
  }
  return { type: 'text', text: part['text'] };
}

function labels(value: unknown): Readonly<Record<string, string>> {
  if (!isMap(value)) throw new BadArgument('labels: a map of strings');
  const entries = Object.entries(value);
  if (entries.length > LIMITS.labels) throw new BadArgument(`labels: at most ${LIMITS.labels}`, 'labels');
  for (const [key, label] of entries) {
    if (key === '' || utf8Length(key) > LIMITS.labelKeyBytes) {
      throw new BadArgument(`labels: keys of 1 to ${LIMITS.labelKeyBytes} bytes`, 'labelKeyBytes');
    }
    if (typeof label !== 'string' || utf8Length(label) > LIMITS.labelValueBytes) {
      throw new BadArgument(`labels: values of at most ${LIMITS.labelValueBytes} bytes`, 'labelValueBytes');
    }
  }
  return Object.fromEntries(entries) as Record<string, string>;
}

function text(value: unknown, name: string, limit: 'titleChars' | 'systemPromptChars'): string {
  const charsMax = LIMITS[limit];
  if (typeof value !== 'string' || value.trim() === '') throw new BadArgument(`${name}: a text that is not empty`);
  if (value.length > charsMax) throw new BadArgument(`${name}: at most ${charsMax} characters`, limit);
  return value.trim();
}

function optionalText(value: unknown, name: string, limit: 'titleChars' | 'systemPromptChars'): string | null {
  return value === undefined || value === null ? null : text(value, name, limit);
}

function flag(value: unknown, name: string): boolean {
  if (value !== undefined && value !== null && typeof value !== 'boolean') throw new BadArgument(`${name}: a bool`);
  return value === true;
}

function uuid<T extends string>(value: unknown, name: string): T {
  const id = value instanceof Uint8Array ? uuidFromBytes<T>(value) : null;
  if (id === null) throw new BadArgument(`${name}: an id of 16 bytes`);
  return id;
}

function messageNumber(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new BadArgument('number: that of a message');
  }
  return value;
}

function oneOf<T extends string>(value: unknown, allowed: readonly unknown[], name: string): T {
  if (!allowed.includes(value)) throw new BadArgument(`${name}: one of ${allowed.join(', ')}`);
  return value as T;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
