// A tool that runs in the server, as its author writes it: what it is for, the shape of its arguments, and what it does.

import { z } from 'zod';
import type { Clock, Random } from '../ports.ts';
import type { ServerTool, ToolInvocation, ToolSink } from '../tool-ports.ts';

/** What a running tool may use. After `signal` it should end soon: what it gives then is not looked at. */
export type ToolContext = {
  readonly clock: Clock;
  readonly random: Random;
  readonly invocation: ToolInvocation;
  readonly sink: ToolSink;
  readonly signal: AbortSignal;
};

/** `fault`: something that the model can mend or must know. */
export type ToolAnswer = { readonly text: string } | { readonly fault: string };

export type Tool = ServerTool & {
  readonly timeoutMs: number;
  /** The arguments as they are to be; or what is wrong with them. */
  parse(args: string): { readonly value: unknown } | { readonly fault: string };
  run(value: unknown, context: ToolContext): Promise<ToolAnswer>;
};

export type ToolDefinition<T extends z.ZodType> = {
  readonly name: string;
  readonly description: string;
  /** An object; keys that it does not know are refused. */
  readonly args: T;
  readonly timeoutMs: number;
  readonly readOnly?: true;
  readonly idempotent?: true;
  readonly exclusive?: true;
  readonly needsApproval?: true;
  readonly run: (args: z.output<T>, context: ToolContext) => Promise<ToolAnswer>;
};

export function defineTool<T extends z.ZodType>(definition: ToolDefinition<T>): Tool {
  const { name, description, args: shape, timeoutMs, readOnly, idempotent, exclusive, needsApproval } = definition;
  const parse = (text: string): { readonly value: z.output<T> } | { readonly fault: string } => {
    const read = parseJson(text);
    if ('fault' in read) return read;
    const parsed = shape.safeParse(read.value);
    return parsed.success ? { value: parsed.data } : { fault: faultOf(parsed.error) };
  };
  return {
    name,
    description,
    schema: JSON.stringify(z.toJSONSchema(shape)),
    timeoutMs,
    readOnly: readOnly === true,
    idempotent: idempotent === true,
    exclusive: exclusive === true,
    needsApproval: needsApproval === true,
    parse,
    // The runner hands in what `parse` gave.
    run: (value, context) => definition.run(shape.parse(value), context),
  };
}

/** A model may leave the arguments of a tool without any empty. */
function parseJson(text: string): { readonly value: unknown } | { readonly fault: string } {
  try {
    return { value: text === '' ? {} : JSON.parse(text) };
  } catch (error) {
    return { fault: `The arguments are not valid JSON: ${error instanceof Error ? error.message : 'unknown'}.` };
  }
}

function faultOf(error: z.ZodError): string {
  const issues = error.issues.map(
    ({ path, message }) => `${path.length === 0 ? 'arguments' : path.join('.')}: ${message}`,
  );
  return `The arguments do not fit the tool. ${issues.join('; ')}.`;
}
