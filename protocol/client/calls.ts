// The commands and queries of the protocol as typed functions: what goes into the args, and what the results mean
// (SPEC.md §8). Ids are text here and 16 bytes on the wire.

import type { Busy, Chat, ChatSummary, Message, QueuedMessage, TextPart } from '../content.ts';
import { errorBody } from '../errors.ts';
import { asArray, asBool, asId, asMap, asPosition, asString, asUint, orNull, asWord } from '../fields.ts';
import type { Args } from '../frames.ts';
import { uuidToBytes, type ChatId, type TurnId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { Position } from '../position.ts';
import { ProtocolError } from '../protocol-error.ts';
import { utf8Length } from '../text.ts';
import { parseChat, parseMessage, parseQueued, parseSummary } from '../wire-content.ts';
import { clientError, CommandError } from './errors.ts';
import { toolArgs, type ToolDeclaration } from './tool-calls.ts';

export type NewChat = {
  readonly title?: string;
  /** One of `models()`; without it the server's default. */
  readonly model?: string;
  /** At most 10,000 characters; fixed when the chat makes its first request. */
  readonly systemPrompt?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly parent?: ChatId;
  /** Turns go on at the provider while their node is gone; slower to begin with. For long and expensive ones. */
  readonly background?: boolean;
  /** Tools that run in clients: the model may call them, `ChatHandle.serve` runs them. */
  readonly tools?: readonly ToolDeclaration[];
};

export type NewMessage = {
  readonly text: string | readonly TextPart[];
  /** What happens while a turn runs; `queue` when absent. */
  readonly busy?: Busy;
  /** Another model for this turn and the ones behind it. */
  readonly model?: string;
};

/** `turn` is the one that the message starts, now or when it leaves the queue: the id of the command that sent it. */
export type Sent =
  | { readonly outcome: 'started'; readonly turn: TurnId; readonly number: number; readonly position: Position }
  | { readonly outcome: 'queued'; readonly turn: TurnId; readonly position: Position };

/** `queued`: before the next step of the running turn, or behind its end; `running`: it joined the one that runs. */
export type Compacted = { readonly outcome: 'started' | 'queued' | 'running'; readonly turn: TurnId };
export type StopOptions = { readonly tree?: boolean };
export type Stopped = { readonly outcome: 'stopping' | 'not_running' };

export type ListOptions = {
  /** Null or absent: every chat that one may see. */
  readonly owner?: string;
  /** Absent: both. */
  readonly archived?: boolean;
  /** 1 to 100; 25 when absent. */
  readonly limit?: number;
  /** `next` of the page before. */
  readonly after?: ListCursor;
};

export type ListCursor = { readonly updatedAtMs: number; readonly id: ChatId };

export type ChatPage = {
  /** By the time of the last change, newest first. */
  readonly chats: readonly ChatSummary[];
  /** Null after the last page. */
  readonly next: ListCursor | null;
  /** Where one's own feed stood before the page was read. */
  readonly feed: number;
};

export type MessagesOptions = {
  readonly before?: number;
  readonly after?: number;
  /** 1 to 200; 50 when absent. */
  readonly limit?: number;
};

export type MessagePage = {
  /** Ascending by number, whichever way the page was asked for. */
  readonly messages: readonly Message[];
  readonly hasMore: boolean;
  /** With the newest page only. */
  readonly queue: readonly QueuedMessage[] | null;
};

export type Model = { readonly id: string; readonly isDefault: boolean };

export type PartSlice = { readonly offset: number; readonly text: string; readonly more: boolean };

export function newChatArgs({ title, model, systemPrompt, labels, parent, background, tools }: NewChat): Args {
  return {
    title,
    model,
    system_prompt: systemPrompt,
    labels,
    parent: parent === undefined ? undefined : uuidToBytes(parent),
    background,
    tools: toolArgs(tools),
  };
}

export function chatArgs(chat: ChatId, rest: Args = {}): Args {
  return { chat: uuidToBytes(chat), ...rest };
}

export function sendArgs(chat: ChatId, { text, busy, model }: NewMessage): Args {
  return chatArgs(chat, { content: contentArg(text), busy, model });
}

/** Throws a `CommandError` for a text that no frame can carry: the server would know only that it is no frame. */
export function contentArg(text: NewMessage['text']): readonly TextPart[] {
  const content = typeof text === 'string' ? [{ type: 'text' as const, text }] : text;
  if (content.some((part) => utf8Length(part.text) > LIMITS.scannedStringBytes)) {
    throw new CommandError(errorBody('too_large', `a text has at most ${LIMITS.scannedStringBytes} bytes`));
  }
  return content;
}

export function stopArgs(chat: ChatId, turn: TurnId | null, { tree }: StopOptions = {}): Args {
  return chatArgs(chat, { turn: turn === null ? undefined : uuidToBytes(turn), tree });
}

export function listArgs({ owner, archived, limit, after }: ListOptions): Args {
  return {
    owner,
    archived,
    limit,
    after: after === undefined ? undefined : [after.updatedAtMs, uuidToBytes(after.id)],
  };
}

/** Runs a parser of this file over a result; a result that does not fit is a `ClientError` of kind `bad_reply`. */
export function readResult<T>(result: unknown, parse: (map: Readonly<Record<string, unknown>>) => T): T {
  try {
    return parse(asMap(result, 'result'));
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw clientError('bad_reply', `The reply is not what the protocol says: ${error.message}.`, error);
  }
}

export function parseChatResult(map: Readonly<Record<string, unknown>>): Chat {
  return parseChat(map['chat']);
}

export function parseSummaryResult(map: Readonly<Record<string, unknown>>): ChatSummary {
  return parseSummary(map['chat']);
}

export function parseRead(map: Readonly<Record<string, unknown>>): number {
  return asUint(map['read'], 'read');
}

export function parseSent(map: Readonly<Record<string, unknown>>): Sent {
  const turn = asId<TurnId>(map['turn'], 'turn');
  const position = asPosition(map['position'], 'position');
  if (map['outcome'] !== 'started') return { outcome: 'queued', turn, position };
  return { outcome: 'started', turn, position, number: asUint(map['number'], 'number') };
}

export function parseCompacted(map: Readonly<Record<string, unknown>>): Compacted {
  const outcome = asWord(map['outcome'], 'outcome', ['started', 'queued', 'running'], 'running');
  return { outcome, turn: asId<TurnId>(map['turn'], 'turn') };
}

export function parseStopped(map: Readonly<Record<string, unknown>>): Stopped {
  return { outcome: map['outcome'] === 'not_running' ? 'not_running' : 'stopping' };
}

export function parseChatPage(map: Readonly<Record<string, unknown>>): ChatPage {
  return {
    chats: asArray(map['chats'], 'chats').map(parseSummary),
    next: orNull(map['next'], 'next', parseListCursor),
    feed: asUint(map['feed'], 'feed'),
  };
}

export function parseMessagePage(map: Readonly<Record<string, unknown>>): MessagePage {
  const messages = asArray(map['messages'], 'messages').map(parseMessage);
  return {
    messages: messages.toSorted((a, b) => a.number - b.number),
    hasMore: asBool(map['has_more'], 'has_more'),
    queue: orNull(map['queue'], 'queue', (queue) => asArray(queue, 'queue').map(parseQueued)),
  };
}

export function parseModels(map: Readonly<Record<string, unknown>>): readonly Model[] {
  return asArray(map['models'], 'models').map((value) => {
    const model = asMap(value, 'model');
    return { id: asString(model['id'], 'model.id'), isDefault: model['default'] === true };
  });
}

export function parsePartSlice(map: Readonly<Record<string, unknown>>): PartSlice {
  return {
    offset: asUint(map['offset'], 'offset'),
    text: asString(map['text'], 'text'),
    more: asBool(map['more'], 'more'),
  };
}

function parseListCursor(value: unknown): ListCursor {
  const [updatedAtMs, id] = asArray(value, 'next');
  return { updatedAtMs: asUint(updatedAtMs, 'next.updated_at'), id: asId<ChatId>(id, 'next.id') };
}

/** Joins the slices of a part, each asked for at the byte behind the one before. */
export async function collectPart(fetch: (offset: number) => Promise<PartSlice>): Promise<string> {
  let text = '';
  let bytes = 0;
  for (;;) {
    const slice = await fetch(bytes);
    const length = utf8Length(slice.text);
    if (slice.offset !== bytes || (slice.more && length === 0)) {
      throw clientError('bad_reply', 'The slices of the part do not fit together.');
    }
    text += slice.text;
    bytes += length;
    if (!slice.more) return text;
  }
}
