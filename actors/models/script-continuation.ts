// What the scripted model was asked, and what of its answer is there already: after a crash of its server it goes on
// where the text ends, as a real model is asked to, so that both halves together are the whole script.

import type { ToolResultPart } from '../../protocol/content.ts';
import { RECOVERY_NOTE, STEP_LIMIT_NOTE } from '../chat/prompt.ts';
import type { PromptItem } from '../ports.ts';
import type { ScriptedReply } from './script-text.ts';

export type Asked = {
  /** The last thing that the user said; empty when there is none. */
  readonly prompt: string;
  /** What the interrupted answers to it have said so far. */
  readonly said: string;
  /** The results of tools that came since, and of how many steps. */
  readonly results: readonly ToolResultPart[];
  readonly toolSteps: number;
};

export function askedIn(items: readonly PromptItem[]): Asked {
  let said = '';
  let toolSteps = 0;
  let results: readonly ToolResultPart[] = [];
  let continues = false;
  for (const item of items.toReversed()) {
    const text = textOf(item);
    // What comes before the result of a tool is of the steps before, which are whole.
    if (item.role === 'assistant') {
      if (continues && toolSteps === 0) said = text + said;
    } else if (item.role === 'tool') {
      toolSteps += 1;
      results = [...item.parts.filter((part) => part.type === 'tool_result'), ...results];
    } else if (text === STEP_LIMIT_NOTE) {
      continue;
    } else if (text === RECOVERY_NOTE) {
      continues = true;
    } else {
      return { prompt: text, said, results, toolSteps };
    }
  }
  return { prompt: '', said, results, toolSteps };
}

/** The rest of the reply behind `said`; the whole reply when that is not its beginning. */
export function continueReply<T extends ScriptedReply>(reply: T, said: string): T {
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
