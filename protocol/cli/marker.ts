// The marker of a compaction in words: a call and its result in the place where the model's memory was made smaller.

import type { Message } from '../content.ts';
import { sanitizeLine } from './sanitize.ts';

/** The name of the call, and the beginning of its id. */
const MARKER_NAME = 'chat_summarized';
const MARKER_CALL = /^compaction_\d+$/u;

/** The line for a message of the marker: empty for the call, whose result says it; null when it is no marker. */
export function describeMarker({ parts }: Message): string | null {
  const [part] = parts;
  if (part === undefined || parts.length > 1) return null;
  if (part.type === 'tool_call') return part.name === MARKER_NAME ? '' : null;
  if (part.type !== 'tool_result' || !MARKER_CALL.test(part.call)) return null;
  const { source, tokens, limit } = figures('text' in part ? part.text : '');
  const why = source === 'manual' ? 'as you asked' : source === 'overflow' ? 'it had outgrown the model' : 'by itself';
  const held = tokens === null ? '' : ` It held ${tokens}${limit === null ? '' : ` of ${limit}`} tokens.`;
  return `the chat was made smaller for the model, ${why}: from here on it sees a summary.${held}`;
}

function figures(text: string): { source: string; tokens: string | null; limit: string | null } {
  try {
    const value: unknown = JSON.parse(text);
    const map = typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
    const source = typeof map['source'] === 'string' ? map['source'] : '';
    return { source, tokens: count(map['context_tokens']), limit: count(map['context_limit_tokens']) };
  } catch {
    return { source: '', tokens: null, limit: null };
  }
}

function count(value: unknown): string | null {
  return typeof value === 'number' ? sanitizeLine(value.toLocaleString('en')) : null;
}
