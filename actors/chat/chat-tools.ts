// The tools of one chat: the server's, and those that its client declared when it was created.

import { createHash } from 'node:crypto';
import type { ServerTool, ToolRunner, ToolSpec } from '../tool-ports.ts';

export type ChatTool =
  | { readonly kind: 'server'; readonly tool: ServerTool }
  | { readonly kind: 'client'; readonly tool: ToolSpec };

export type ChatTools = {
  /** Sorted by name: requests begin alike (P8). */
  readonly specs: readonly ToolSpec[];
  /** Of all specs: another one breaks the prompt's prefix. */
  readonly hash: string;
  find(name: string): ChatTool | null;
  /** What is wrong with the arguments; null: nothing is. Those of a client's tool are its client's to check. */
  fault(name: string, args: string): string | null;
};

/** Most chats have none of their own: they share what the server's tools make. */
const SHARED = new WeakMap<readonly ToolSpec[] | ToolRunner, ChatTools>();

export function chatTools(runner: ToolRunner, clientTools: readonly ToolSpec[]): ChatTools {
  const key = clientTools.length === 0 ? runner : clientTools;
  const known = SHARED.get(key);
  if (known !== undefined) return known;
  const made = makeTools(runner, clientTools);
  SHARED.set(key, made);
  return made;
}

function makeTools(runner: ToolRunner, clientTools: readonly ToolSpec[]): ChatTools {
  const client = clientTools.map((tool): ChatTool => ({ kind: 'client', tool }));
  // A tool that the server got later does not take a client's name away from it: the chat began with that one.
  const byName = new Map<string, ChatTool>([
    ...runner.tools.map((tool): [string, ChatTool] => [tool.name, { kind: 'server', tool }]),
    ...client.map((one): [string, ChatTool] => [one.tool.name, one]),
  ]);
  const specs = [...byName.values()]
    .map(({ tool: { name, description, schema } }): ToolSpec => ({ name, description, schema }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    specs,
    hash: sha256([specs.map(({ name, description, schema }) => [name, description, schema])]),
    find: (name) => byName.get(name) ?? null,
    fault: (name, args) => (byName.get(name)?.kind === 'server' ? runner.fault(name, args) : objectFault(args)),
  };
}

/** Binds a call to what it is: to its id, its arguments and the definition of its tool. */
export function callHash(call: { readonly call: string; readonly args: string }, tool: ToolSpec): string {
  return sha256([call.call, call.args, tool.name, tool.description, tool.schema]);
}

/** A model may leave the arguments of a tool without any empty. */
export function objectFault(args: string): string | null {
  if (args === '') return null;
  try {
    const value: unknown = JSON.parse(args);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? null : 'The arguments are not a JSON object.';
  } catch (error) {
    return `The arguments are not valid JSON: ${error instanceof Error ? error.message : 'unknown'}.`;
  }
}

function sha256(values: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(values)).digest('hex');
}
