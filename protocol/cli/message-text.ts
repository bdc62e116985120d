// The words of a message.
import type { Message } from '../content.ts';
import { sanitize } from './sanitize.ts';

/** The text of a message without its reasoning, sanitized. */
export function messageText(message: Pick<Message, 'parts'>): string {
  const texts = message.parts.map((part) => (part.type === 'text' && 'text' in part ? part.text : ''));
  return sanitize(texts.filter((text) => text !== '').join('\n\n'));
}
