// The commands about calls of tools as typed functions (SPEC.md §8).

import type { ToolStatus } from '../content.ts';
import type { Args } from '../frames.ts';
import { uuidToBytes, type ChatId } from '../ids.ts';
import { parseToolStatus } from '../wire-parts.ts';

/** A tool that clients run, as it is declared when a chat is created. */
export type ToolDeclaration = {
  readonly name: string;
  /** For the model: what the tool does, when to use it. */
  readonly description: string;
  /** JSON Schema of the arguments, which are an object. */
  readonly schema: Readonly<Record<string, unknown>>;
};

/** What a client's tool gave for a call that waits for it. */
export type ToolAnswer = {
  readonly call: string;
  readonly output: string;
  /** The output says what went wrong. */
  readonly isError?: boolean;
};

/** The answer to an approval that is asked for, by the call and the hash of its action. */
export type ApprovalAnswer = {
  readonly call: string;
  readonly hash: string;
  readonly allow: boolean;
  /** The tool needs no approval in this chat from now on. */
  readonly always?: boolean;
};

/** The call runs, or it has ended so. An answer that came second is refused with `not_waiting`. */
export type Answered = { readonly outcome: 'running' } | { readonly outcome: 'settled'; readonly status: ToolStatus };

export function toolArgs(tools: readonly ToolDeclaration[] | undefined): readonly Args[] | undefined {
  return tools?.map(({ name, description, schema }) => ({ name, description, schema: JSON.stringify(schema) }));
}

export function toolResultArgs(chat: ChatId, { call, output, isError = false }: ToolAnswer): Args {
  return { chat: uuidToBytes(chat), call, output, is_error: isError };
}

export function approvalArgs(chat: ChatId, { call, hash, allow, always = false }: ApprovalAnswer): Args {
  return { chat: uuidToBytes(chat), call, hash, allow, always };
}

export function parseAnswered(map: Readonly<Record<string, unknown>>): Answered {
  if (map['outcome'] === 'running') return { outcome: 'running' };
  return { outcome: 'settled', status: parseToolStatus(map['status'], 'status') };
}
