// The tools that a client declares with `chats.create`, from the map of arguments to typed values.

import { LIMITS } from '../../protocol/limits.ts';
import { utf8Length } from '../../protocol/text.ts';
import type { ToolSpec } from '../tool-ports.ts';
import { BadArgument, isMap } from './arguments.ts';

/** As all providers take them. */
const NAME = /^[a-zA-Z0-9_-]+$/;

export function clientTools(value: unknown): readonly ToolSpec[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new BadArgument('tools: an array of tools');
  if (value.length > LIMITS.clientTools) {
    throw new BadArgument(`tools: at most ${LIMITS.clientTools}`, 'clientTools');
  }
  const tools = value.map(clientTool);
  if (new Set(tools.map(({ name }) => name)).size < tools.length) throw new BadArgument('tools: each name once');
  const bytes = tools.reduce((sum, { description, schema }) => sum + utf8Length(description) + utf8Length(schema), 0);
  if (bytes > LIMITS.toolsBytes)
    throw new BadArgument(`tools: at most ${LIMITS.toolsBytes} bytes in all`, 'toolsBytes');
  return tools;
}

function clientTool(value: unknown): ToolSpec {
  if (!isMap(value)) throw new BadArgument('tools: maps {name, description, schema}');
  const name = limited(value['name'], 'name', 'toolNameBytes');
  if (!NAME.test(name)) throw new BadArgument('tools: names of letters, digits, _ and -');
  const description = limited(value['description'] ?? '', 'description', 'toolDescriptionBytes');
  return { name, description, schema: schemaText(limited(value['schema'], 'schema', 'toolSchemaBytes')) };
}

function limited(
  value: unknown,
  name: string,
  limit: 'toolNameBytes' | 'toolDescriptionBytes' | 'toolSchemaBytes',
): string {
  if (typeof value !== 'string') throw new BadArgument(`tools: ${name}: a text`);
  if (utf8Length(value) > LIMITS[limit]) {
    throw new BadArgument(`tools: ${name}: at most ${LIMITS[limit]} bytes`, limit);
  }
  return value;
}

/** Kept as it came: the same bytes in every request (P8). */
function schemaText(text: string): string {
  let schema: unknown;
  try {
    schema = JSON.parse(text);
  } catch {
    throw new BadArgument('tools: schema: JSON text');
  }
  if (!isMap(schema) || schema['type'] !== 'object') {
    throw new BadArgument('tools: schema: a JSON Schema whose type is "object"');
  }
  return text;
}
