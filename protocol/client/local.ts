// Changes of a chat's state that come from queries and from the person, not from the log. They never move the cursor.

import type { Message } from '../content.ts';
import type { ChatState } from './chat-state.ts';
import { lowerBound, mergeMessages } from './messages.ts';
import { withText } from '../parts.ts';

/** An answer of the query `messages` for what is older than the state. */
export type OlderPage = {
  /** `ChatState.history` when the page was asked for. */
  readonly history: number;
  /** Ascending by number. */
  readonly messages: readonly Message[];
  readonly hasMore: boolean;
};

/** A part whose text was fetched: the `index`-th part of message `number`. */
export type PartText = { readonly number: number; readonly index: number; readonly text: string };

/** Puts older messages in front. A page from before a rewind could bring back what left the chat: it is dropped. */
export function applyOlderPage(state: ChatState, page: OlderPage): ChatState {
  if (page.history !== state.history) return state;
  const { oldest } = state;
  const older = oldest === null ? page.messages : page.messages.filter(({ number }) => number < oldest);
  return {
    ...state,
    messages: mergeMessages(older, state.messages),
    hasOlder: page.hasMore,
    oldest: older[0]?.number ?? oldest,
  };
}

/** Puts the text of a part in the place of its reference; nothing happens when there is no such reference (any more). */
export function applyPartText(state: ChatState, { number, index, text }: PartText): ChatState {
  const at = lowerBound(state.messages, number);
  const message = state.messages[at];
  if (message === undefined || message.number !== number) return state;
  const reference = message.parts[index];
  if (reference === undefined || 'text' in reference) return state;
  const part = withText(reference, text);
  return { ...state, messages: state.messages.with(at, { ...message, parts: message.parts.with(index, part) }) };
}

/** The person has seen that text was retracted. */
export function dismissRetracted(state: ChatState): ChatState {
  return state.retracted === null ? state : { ...state, retracted: null };
}
