// Whether two states of a chat are one.

import type { Message, PartOrReference } from '../../protocol/content.ts';
import { utf8Length } from '../../protocol/text.ts';
import { isSame } from './canonical.ts';
import type { ComparedState } from './history.ts';

/** Messages that a comparison looks at: a fresh attach gives no more. */
export const COMPARED_MESSAGES = 50;

/** The part of a state that is compared and recorded. */
export function comparedState(state: ComparedState): ComparedState {
  const messages = state.messages.slice(-COMPARED_MESSAGES);
  const { position, chat, queue, turn } = state;
  const cut = messages.length < state.messages.length;
  return { position, chat, queue, turn, messages, oldest: cut ? (messages[0]?.number ?? null) : state.oldest };
}

/** What differs, by name, or null. Of the messages those count that both reach back to: how far is each one's own matter. */
export function difference(has: ComparedState, wants: ComparedState): string | null {
  for (const key of ['position', 'chat', 'queue', 'turn'] as const) {
    if (!isSame(has[key], wants[key])) return key;
  }
  const from = Math.max(has.oldest ?? 0, wants.oldest ?? 0);
  const [mine, theirs] = [has, wants].map(({ messages }) => messages.filter(({ number }) => number >= from));
  const count = Math.max(mine?.length ?? 0, theirs?.length ?? 0);
  for (let i = 0; i < count; i++) {
    const [one, other] = [mine?.[i], theirs?.[i]];
    if (one === undefined || other === undefined || !isSameMessage(one, other)) {
      return `message ${Math.min(one?.number ?? Infinity, other?.number ?? Infinity)}`;
    }
  }
  return null;
}

/** A part may still be a reference where another client has its text. */
export function isSameMessage(a: Message, b: Message): boolean {
  if (!isSame({ ...a, parts: null }, { ...b, parts: null }) || a.parts.length !== b.parts.length) return false;
  return a.parts.every((part, i) => isSamePart(part, b.parts[i]));
}

function isSamePart(a: PartOrReference, b: PartOrReference | undefined): boolean {
  if (b === undefined) return false;
  if ('text' in a && 'text' in b) return isSame(a, b);
  return a.type === b.type && bytesOf(a) === bytesOf(b);
}

function bytesOf(part: PartOrReference): number {
  return 'text' in part ? utf8Length(part.text) : part.bytes;
}
