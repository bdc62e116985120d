// The last look at a prompt before it is sent: what any provider would refuse is found here, with a name, instead of there,
// with a 400 that leaves the chat at a loss. Pure; it runs over every request, in tests and in production.
//
// The rules are those of Anthropic and OpenAI together, and of the templates of open models, since a chat may go on with
// any of them: whatever passes here is accepted by all (`test/models/pairing.test.ts` holds it against the fakes of all
// three protocols). What an adapter leaves out (an answer without a word) does not count; what it puts in for a blank
// message does.

import type { Part, ToolCallPart } from '../../protocol/content.ts';
import type { ModelRequest, PromptItem, ProviderBlocks } from '../ports.ts';

/** Why a request would be refused. Append only: metrics and logs name them. */
export const PAIRING_RULES = [
  'no_messages',
  'first_role',
  'last_role',
  'unfit_part',
  'call_name',
  'call_id',
  'call_id_reused',
  'call_unanswered',
  'result_without_call',
  'result_repeated',
  'provider_calls',
  'tools',
] as const;
export type PairingRule = (typeof PAIRING_RULES)[number];

/** `item`: which one of the request; null: the request as a whole. */
export type PairingFault = { readonly rule: PairingRule; readonly item: number | null };

type Checked = Pick<ModelRequest, 'items' | 'tools'>;
type Placed = { readonly item: PromptItem; readonly at: number };

/** OpenAI's limit; Anthropic wants the same characters. */
const PLAIN = /^[a-zA-Z0-9_-]{1,64}$/u;

/** The first thing that is wrong with a request; null when nothing is. */
export function pairingFault(request: Checked): PairingFault | null {
  if (!areTools(request.tools)) return { rule: 'tools', item: null };
  const sent = request.items.map((item, at) => ({ item, at })).filter(({ item }) => isSent(item));
  const used = new Set<string>();
  for (const [i, placed] of sent.entries()) {
    const rule = partsRule(placed.item) ?? callsRule(placed.item, used) ?? neighbourRule(placed, sent[i - 1]);
    if (rule !== null) return { rule, item: placed.at };
    const next = sent[i + 1]?.item;
    if (callsOf(placed.item).length > 0 && next?.role !== 'tool') return { rule: 'call_unanswered', item: placed.at };
  }
  return endsRule(sent);
}

function endsRule(sent: readonly Placed[]): PairingFault | null {
  const first = sent[0];
  const last = sent.at(-1);
  if (first === undefined || last === undefined) return { rule: 'no_messages', item: null };
  if (first.item.role !== 'user') return { rule: 'first_role', item: first.at };
  return last.item.role === 'assistant' ? { rule: 'last_role', item: last.at } : null;
}

/** What adapters leave out: an answer of which nothing may or can go back. */
function isSent({ role, parts, provider }: PromptItem): boolean {
  if (role !== 'assistant' || (provider !== null && provider.json.length > EMPTY_BYTES)) return true;
  return parts.some(({ type, text }) => type === 'tool_call' || (type === 'text' && text.trim() !== ''));
}

/** The array of a refused answer: `[]`. */
const EMPTY_BYTES = 2;

/** Who may say what; results are never beside anything else, so that they come first in their message. */
function partsRule({ role, parts }: PromptItem): PairingRule | null {
  const allowed: Readonly<Record<PromptItem['role'], readonly Part['type'][]>> = {
    user: ['text'],
    assistant: ['text', 'reasoning', 'tool_call'],
    tool: ['tool_result'],
  };
  const isFit = parts.every(({ type }) => allowed[role].includes(type)) && (role !== 'tool' || parts.length > 0);
  return isFit ? null : 'unfit_part';
}

function callsRule(item: PromptItem, used: Set<string>): PairingRule | null {
  const calls = callsOf(item);
  for (const { call, name } of calls) {
    if (!PLAIN.test(name)) return 'call_name';
    if (!PLAIN.test(call)) return 'call_id';
    if (used.has(call)) return 'call_id_reused';
    used.add(call);
  }
  return item.provider === null || sameCalls(calls, item.provider) ? null : 'provider_calls';
}

/** Results stand right behind the message with their calls, all of them, each once. */
function neighbourRule({ item }: Placed, before: Placed | undefined): PairingRule | null {
  if (item.role !== 'tool') return null;
  const open = new Set(before?.item.role === 'assistant' ? callsOf(before.item).map(({ call }) => call) : []);
  const seen = new Set<string>();
  for (const part of item.parts) {
    if (part.type !== 'tool_result') continue;
    if (seen.has(part.call)) return 'result_repeated';
    if (!open.has(part.call)) return 'result_without_call';
    seen.add(part.call);
  }
  return seen.size === open.size ? null : 'call_unanswered';
}

function callsOf({ parts }: PromptItem): readonly ToolCallPart[] {
  return parts.filter((part) => part.type === 'tool_call');
}

/** The blocks that go back to their provider make the same calls as the parts that go to any other. */
function sameCalls(calls: readonly ToolCallPart[], { json }: ProviderBlocks): boolean {
  const ids = calls.map(({ call }) => call);
  const text = new TextDecoder().decode(json);
  // Most answers call nothing: looking for the words is cheaper than reading all of them again.
  if (!/"(?:tool_use|function_call)"/u.test(text)) return ids.length === 0;
  const found = callIdsIn(text);
  // What cannot be read does not go back: the parts do.
  return found === null || JSON.stringify(found) === JSON.stringify(ids);
}

function callIdsIn(text: string): readonly unknown[] | null {
  try {
    const blocks: unknown = JSON.parse(text);
    if (!Array.isArray(blocks)) return null;
    return (blocks as readonly Readonly<Record<string, unknown>>[]).flatMap((block) => {
      if (block['type'] === 'tool_use') return [block['id']];
      return block['type'] === 'function_call' ? [block['call_id']] : [];
    });
  } catch {
    return null;
  }
}

/** Sorted, each once, with schemas of objects: as every provider takes them. */
function areTools(tools: ModelRequest['tools']): boolean {
  return tools.every(({ name, schema }, i) => {
    const before = tools[i - 1]?.name;
    return PLAIN.test(name) && (before === undefined || before < name) && isObjectSchema(schema);
  });
}

function isObjectSchema(schema: string): boolean {
  try {
    const parsed: unknown = JSON.parse(schema);
    return typeof parsed === 'object' && parsed !== null && 'type' in parsed && parsed.type === 'object';
  } catch {
    return false;
  }
}
