// Chats and their messages as they are listed and looked back at.
import { LIMITS } from '../limits.ts';
import type { ChatState, ChatSummary, Message } from '../client/index.ts';
import type { Action } from './action.ts';
import { renderMessage } from './render.ts';
import { sanitizeLine } from './sanitize.ts';
import { describeError } from './wording.ts';

/** Messages that are shown of a chat that is opened. */
const INTRODUCED = 6;

/** What a person sees on opening a chat. */
export function introduce({ chat, messages, hasOlder }: ChatState): Action[] {
  if (chat === null) return [];
  const title = chat.title === null ? '' : ` “${sanitizeLine(chat.title)}”`;
  const actions: Action[] = [
    line(`chat ${chat.id}${title} · ${sanitizeLine(chat.model)}${chat.archived ? ' · archived' : ''}`),
  ];
  const last = messages.slice(-INTRODUCED);
  if (last.length === 0) actions.push(line('/help lists the commands'));
  else if (hasOlder || last.length < messages.length) actions.push(line('… /history shows more'));
  actions.push(...transcript(last, messages));
  if (chat.last_error !== null) actions.push({ kind: 'line', tone: 'error', text: describeError(chat.last_error) });
  return actions;
}

/** `around`: more messages of the chat, of which some may hold the calls that results among these are for. */
export function transcript(messages: readonly Message[], around = messages): Action[] {
  const actions: Action[] = [];
  for (const message of messages) {
    renderMessage(message, around, actions);
    if (message.interrupted === true) actions.push(line('interrupted'));
  }
  return actions;
}

/** As `transcript`, each message under its number. */
export function numbered(messages: readonly Message[]): Action[] {
  return messages.flatMap((message) => [line(`#${message.number}`), ...transcript([message])]);
}

/** One line per chat, numbered from 1 for `/open`. */
export function listChats(chats: readonly ChatSummary[], current: ChatSummary['id'], nowMs: number): Action[] {
  if (chats.length === 0) return [line('no chats yet')];
  const width = String(chats.length).length;
  return chats.map((chat, index) => {
    const mark = chat.id === current ? '*' : ' ';
    const title = chat.title === null ? '(no title)' : sanitizeLine(chat.title);
    const status = chat.status === 'waiting' ? '' : ` · ${chat.status}`;
    const unread = unreadText(chat.unread ?? 0);
    const number = String(index + 1).padStart(width);
    return {
      kind: 'line',
      tone: 'plain',
      text: `${mark}${number}  ${title}  ${ago(nowMs - chat.updated_at)}${status}${unread}  ${chat.id}`,
    };
  });
}

/** ` · 3 new`; nothing when there is nothing to read. */
function unreadText(unread: number): string {
  if (unread === 0) return '';
  return unread < LIMITS.unreadMessages ? ` · ${unread} new` : ` · ${LIMITS.unreadMessages} or more new`;
}

/** `just now`, `5 min ago`, `3 h ago`, `12 d ago`. */
export function ago(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ago`;
  return `${Math.floor(minutes / (24 * 60))} d ago`;
}

function line(text: string): Action {
  return { kind: 'line', tone: 'dim', text };
}
