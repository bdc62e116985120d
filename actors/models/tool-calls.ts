// What the adapters of all providers share about calls of tools: which of them count, how they are named, and the form in
// which arguments go back to a provider that wants JSON.

import type { CallName } from '../../protocol/content.ts';
import type { ModelRequest } from '../ports.ts';
import { isObject, parseJson } from './json.ts';

/** What every provider takes as the name of a tool and as the id of a call. */
const PLAIN = /^[a-zA-Z0-9_-]{1,64}$/u;
const NAME_MAX = 64;
const NO_NAME = 'unknown_tool';

/** The model was given tools and may call them. Calls that come all the same are neither shown nor run. */
export function mayCall({ tools, toolChoice }: Pick<ModelRequest, 'tools' | 'toolChoice'>): boolean {
  return tools.length > 0 && toolChoice === 'auto';
}

/**
 * Names the calls of one attempt. A provider's id is kept as it is, unless it is none, is one that another provider would
 * refuse, or was used before in this prompt (servers that count from 0 in each answer): then it is one of ours, made of
 * the attempt and a count, so that a second look at the same answer gives the same.
 */
export class CallNames {
  readonly #request: Pick<ModelRequest, 'attempt' | 'items'>;
  #used: Set<string> | null = null;
  #count = 0;

  constructor(request: Pick<ModelRequest, 'attempt' | 'items'>) {
    this.#request = request;
  }

  name(id: string | null, name: string): CallName {
    const used = (this.#used ??= callsIn(this.#request));
    const isKept = id !== null && PLAIN.test(id) && !used.has(id);
    const call = isKept ? id : `call_${this.#request.attempt.replaceAll('-', '')}_${this.#count}`;
    this.#count += 1;
    used.add(call);
    return { call, name: toolName(name) };
  }
}

function callsIn({ items }: Pick<ModelRequest, 'items'>): Set<string> {
  return new Set(items.flatMap(({ parts }) => parts.flatMap((part) => (part.type === 'tool_call' ? [part.call] : []))));
}

/** A model may make up a name, of whatever characters; it has to go back to any provider all the same. */
function toolName(name: string): string {
  if (PLAIN.test(name)) return name;
  return name.replaceAll(/[^a-zA-Z0-9_-]/gu, '_').slice(0, NAME_MAX) || NO_NAME;
}

/** Of a call without a word; and the whole of it, for a block that would be empty otherwise. */
export const NO_ARGUMENTS = '{}';

/** Arguments as JSON of an object, as providers want them: as they are, or wrapped where they are no such thing. */
export function argumentsObject(raw: string): string {
  if (raw.trim() === '') return NO_ARGUMENTS;
  const parsed = parseJson(raw);
  return parsed !== null && isObject(parsed.value) ? raw : JSON.stringify({ INVALID_JSON: raw });
}
