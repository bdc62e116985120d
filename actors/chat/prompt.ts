// The prompt ledger: what a request to a model consists of. Items are only ever appended (P8): the system prompt is
// fixed at the chat's first request, and how a step goes into prompts is decided once, when its message is committed.

import type { ResumedRun } from '../background-run.ts';
import type { ToolSpec } from '../tool-ports.ts';
import type { ModelRequest, PromptItem } from '../ports.ts';
import type { AttemptOpening } from '../turn-ports.ts';
import type { Part } from '../../protocol/content.ts';
import type { ChatId } from '../../protocol/ids.ts';
import type { TraceParent } from '../../protocol/trace-parent.ts';

const BUILT_IN = [
  'You are a helpful assistant in a chat. Answer in the language of the user.',
  'Your answers are shown as Markdown while you write them.',
].join(' ');

/** Follows text that a crash cut off, so that the model continues it. */
export const RECOVERY_NOTE =
  'Your answer above was cut off when the server that streamed it went down. The user still sees it. ' +
  'Continue exactly where it ends; do not repeat any of it and do not mention the interruption.';

/** Before the last request of a turn that has used all of its steps. */
export const STEP_LIMIT_NOTE =
  'You have reached the limit of steps for this turn: no tool can be called any more. Answer now with what you know, ' +
  'and say what is left to do.';

/**
 * The results of a step as one item, in the order of its calls: they are rows of their own, in the order in which they were
 * settled.
 */
export function joinResults<T extends PromptItem>(items: readonly T[]): readonly T[] {
  const joined: T[] = [];
  for (const item of items) {
    const last = joined.at(-1);
    if (item.role === 'tool' && last?.role === 'tool') {
      joined[joined.length - 1] = { ...last, parts: inOrder([...last.parts, ...item.parts], joined.at(-2)) };
    } else {
      joined.push(item);
    }
  }
  return joined;
}

function inOrder(results: readonly Part[], asked: PromptItem | undefined): readonly Part[] {
  const order = (asked?.parts ?? []).flatMap((part) => (part.type === 'tool_call' ? [part.call] : []));
  const place = (part: Part): number => (part.type === 'tool_result' ? order.indexOf(part.call) : -1);
  return results.toSorted((a, b) => place(a) - place(b));
}

/** Built-in, then the deployment's, then the chat's own; the empty ones left out. */
export function systemPrompt(deployment: string, chat: string | null): readonly string[] {
  return [BUILT_IN, deployment, chat ?? ''].filter((text) => text !== '');
}

export type RequestSource = {
  readonly chat: ChatId;
  readonly attempt: AttemptOpening;
  readonly providerModel: string;
  readonly maxOutputTokens: number | null;
  readonly system: readonly string[];
  readonly items: readonly PromptItem[];
  readonly tools: readonly ToolSpec[];
  readonly toolChoice: ModelRequest['toolChoice'];
  readonly trace: TraceParent | null;
  readonly background: boolean;
  readonly resume: ResumedRun | null;
};

export function modelRequest(source: RequestSource): ModelRequest {
  return {
    model: source.providerModel,
    system: source.system,
    items: source.items,
    tools: source.tools,
    toolChoice: source.toolChoice,
    maxOutputTokens: source.maxOutputTokens,
    chat: source.chat,
    attempt: source.attempt.id,
    attemptNumber: source.attempt.attempt,
    trace: source.trace,
    background: source.background,
    resume: source.resume,
  };
}
