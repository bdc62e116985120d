// What the model is asked for a summary with. As long as the chat fits into the window, the request is the chat's own, with
// one item behind it: its prefix is in the provider's cache. A chat that does not fit is asked about as a transcript, from
// which the oldest is left out: it has no calls that have to pair, so it can be cut anywhere. Pure.

import { unreachable } from '../../../protocol/assert.ts';
import type { Part } from '../../../protocol/content.ts';
import { sliceUtf8, utf8Length } from '../../../protocol/text.ts';
import type { PromptItem } from '../../ports.ts';
import { bytesOf, estimatedTokens } from './estimate.ts';

const INSTRUCTION = [
  'The context window of this conversation is about to be cleared. Write the hand-over for whoever goes on with it: they',
  'will see what you write now, the messages of the user that have no answer yet, and nothing else. Call no tool, answer',
  'no question of the conversation, and do not address the user. Be dense and exact, in the language of the conversation,',
  'under these headings:',
  '',
  '## Goal',
  'What the user wants, with every wish and constraint they stated, in their words where the words matter.',
  '## Done',
  'What is finished, and how it turned out.',
  '## In progress',
  'What was being done at the very end, how far it is, and the next step.',
  '## Remains',
  'What is still to do, in order.',
  '## Facts',
  'Everything that was found out and will be needed: results, figures, decisions and their reasons, errors and what was',
  'learned from them.',
  '## Names',
  'Exact names, as they were written: files, paths, identifiers, addresses, commands, ids, versions.',
  '',
  'If the conversation begins with an earlier summary, carry over what still holds of it.',
].join('\n');

const PREAMBLE =
  'The following is a summary of the earlier conversation, which no longer fits into the context window. Go on from it; do ' +
  'not mention the summary.';

/** Of one text in a transcript; what is longer is cut in its middle. */
const TRANSCRIPT_TEXT_BYTES = 8 * 1024;
const OMITTED = '[… left out …]';

/** The text of the row that a summary becomes: the first that the model sees from then on. */
export function summaryText(summary: string): string {
  return `${PREAMBLE}\n\n${summary}`;
}

/** `budgetTokens`: what the request may hold, by estimate; null: whatever the chat is. */
export function summaryItems(items: readonly PromptItem[], budgetTokens: number | null): readonly PromptItem[] {
  if (budgetTokens === null || estimatedTokens(items) <= budgetTokens) return [...items, userItem(INSTRUCTION)];
  const text = transcript(items, bytesOf(budgetTokens));
  return [userItem(`<conversation>\n${text}\n</conversation>\n\n${INSTRUCTION}`)];
}

function userItem(text: string): PromptItem {
  return { role: 'user', parts: [{ type: 'text', text }], provider: null };
}

/** The first item, for it may be an earlier summary or say what all is about, and as many of the newest as fit. */
function transcript(items: readonly PromptItem[], bytesMax: number): string {
  const [first, ...others] = items.map(spoken);
  const head = first === undefined ? '' : cutMiddle(first, Math.floor(bytesMax / 4));
  const tail: string[] = [];
  let left = bytesMax - utf8Length(head);
  for (const text of others.reverse()) {
    const cut = cutMiddle(text, Math.min(TRANSCRIPT_TEXT_BYTES, Math.max(0, left)));
    left -= utf8Length(cut);
    if (left < 0) break;
    tail.unshift(cut);
  }
  const gap = tail.length < others.length ? [OMITTED] : [];
  return [head, ...gap, ...tail].join('\n\n');
}

function spoken({ role, parts }: PromptItem): string {
  const lines = parts.map(partText).filter((text) => text !== '');
  return `${role === 'user' ? 'User' : role === 'assistant' ? 'Assistant' : 'Tools'}: ${lines.join('\n')}`;
}

function partText(part: Part): string {
  switch (part.type) {
    case 'text':
      return part.text;
    case 'reasoning':
      return '';
    case 'tool_call':
      return `[calls ${part.name} with ${cutMiddle(part.text, TRANSCRIPT_TEXT_BYTES)}]`;
    case 'tool_result':
      return `[result, ${part.status}: ${cutMiddle(part.text, TRANSCRIPT_TEXT_BYTES)}]`;
    default:
      return unreachable(part);
  }
}

/** At most `bytesMax` of it, and a word for what is left out. */
function cutMiddle(text: string, bytesMax: number): string {
  const bytes = utf8Length(text);
  if (bytes <= bytesMax) return text;
  const half = Math.floor((bytesMax - OMITTED.length) / 2);
  if (half <= 0) return OMITTED;
  return `${sliceUtf8(text, 0, half).text}${OMITTED}${sliceUtf8(text, bytes - half, half).text}`;
}
