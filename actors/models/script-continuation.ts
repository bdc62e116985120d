// What the scripted model was asked, and what of its answer is there already: after a crash of its server it goes on
// where the text ends, as a real model is asked to, so that both halves together are the whole script.

import { RECOVERY_NOTE } from '../chat/prompt.ts';
import type { PromptItem } from '../ports.ts';
import type { ScriptedReply } from './script-text.ts';

export type Asked = {
  /** The last thing that the user said; empty when there is none. */
  readonly prompt: string;
  /** What the interrupted answers to it have said so far. */
  readonly said: string;
};

export function askedIn(items: readonly PromptItem[]): Asked {
  let said = '';
  let continues = false;
  for (const item of items.toReversed()) {
    const text = textOf(item);
    if (item.role === 'assistant') {
      if (continues) said = text + said;
    } else if (text === RECOVERY_NOTE) {
      continues = true;
    } else {
      return { prompt: text, said };
    }
  }
  return { prompt: '', said };
}

/** The rest of the reply behind `said`; the whole reply when that is not its beginning. */
export function continueReply(reply: ScriptedReply, said: string): ScriptedReply {
  if (said === '' || !reply.text.join('').startsWith(said)) return reply;
  let left = said.length;
  const text: string[] = [];
  for (const delta of reply.text) {
    if (left < delta.length) text.push(delta.slice(left));
    left = Math.max(0, left - delta.length);
  }
  return { ...reply, reasoning: [], text };
}

function textOf(item: PromptItem): string {
  return item.parts.map((part) => (part.type === 'text' ? part.text : '')).join(item.role === 'user' ? '\n' : '');
}
