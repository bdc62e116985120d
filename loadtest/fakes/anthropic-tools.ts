// What the real API looks at in tools, calls and results, with its words: every call is answered in the very next message,
// which begins with the results, all of them, each once.

import { type Block, type Turn, isObject } from './anthropic-block.ts';

const TOOL_NAME = /^[a-zA-Z0-9_-]{1,128}$/u;
const CALL_ID = /^[a-zA-Z0-9_-]+$/u;

/** What is wrong with the tools of a request; null when nothing is. */
export function toolsFault(body: Readonly<Record<string, unknown>>, turns: readonly Turn[]): string | null {
  const { tools, tool_choice: choice } = body;
  if (tools === undefined) {
    if (choice !== undefined) return 'tool_choice: may only be specified while providing tools';
    const uses = turns.some(({ blocks }) => blocks.some(({ type }) => type === 'tool_use' || type === 'tool_result'));
    return uses ? 'Requests which include `tool_use` or `tool_result` blocks must define tools' : null;
  }
  if (!Array.isArray(tools)) return 'tools: Input should be a valid list';
  const names = new Set<string>();
  for (const [i, tool] of (tools as readonly unknown[]).entries()) {
    const name = isObject(tool) ? tool['name'] : null;
    if (!isObject(tool) || typeof name !== 'string' || !TOOL_NAME.test(name)) {
      return `tools.${i}.custom.name: String should match pattern '${TOOL_NAME.source}'`;
    }
    const schema = tool['input_schema'];
    if (!isObject(schema) || schema['type'] !== 'object') return `tools.${i}.custom.input_schema.type: Field required`;
    if (names.has(name)) return 'tools: Tool names must be unique.';
    names.add(name);
  }
  const known = ['auto', 'any', 'none', 'tool'];
  if (choice !== undefined && !(isObject(choice) && known.includes(String(choice['type']))))
    return 'tool_choice: invalid';
  return null;
}

/** What is wrong with calls and results; null when nothing is. Messages of one role in a row are one to the API. */
export function pairFault(turns: readonly Turn[]): string | null {
  const joined = joinTurns(turns);
  const known = new Set<unknown>();
  for (const [i, { role, blocks }] of joined.entries()) {
    const fault = placeFault(role, blocks, `messages.${i}`) ?? resultFault(blocks, joined[i - 1], `messages.${i}`);
    if (fault !== null) return fault;
    for (const [j, block] of blocks.entries()) {
      if (block.type !== 'tool_use') continue;
      if (known.has(block['id'])) return `messages.${i}.content.${j}: \`tool_use\` ids must be unique`;
      known.add(block['id']);
    }
    const unanswered = unansweredCalls(blocks, joined[i + 1]);
    if (unanswered.length > 0) {
      const why = 'Each `tool_use` block must have a corresponding `tool_result` block in the next message.';
      return `messages.${i}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${unanswered.join(', ')}. ${why}`;
    }
    const served = blocks.filter((block) => block.type === 'server_tool_use').map((block) => block['id']);
    const answers = new Set(blocks.map((block) => block['tool_use_id']));
    if (served.some((id) => !answers.has(id))) return `messages.${i}: server_tool_use without its result`;
  }
  return null;
}

function joinTurns(turns: readonly Turn[]): readonly Turn[] {
  const joined: { role: Turn['role']; blocks: Block[] }[] = [];
  for (const { role, blocks } of turns) {
    const last = joined.at(-1);
    if (last?.role === role) last.blocks.push(...blocks);
    else joined.push({ role, blocks: [...blocks] });
  }
  return joined;
}

/** Calls are the assistant's, results the user's; both have to be well formed. */
function placeFault(role: Turn['role'], blocks: readonly Block[], path: string): string | null {
  for (const [j, block] of blocks.entries()) {
    const at = `${path}.content.${j}`;
    if (block.type === 'tool_use') {
      if (role !== 'assistant') return `${at}: \`tool_use\` blocks can only be in \`assistant\` messages`;
      if (!CALL_ID.test(String(block['id'])))
        return `${at}.tool_use.id: String should match pattern '${CALL_ID.source}'`;
      if (typeof block['name'] !== 'string' || block['name'] === '') return `${at}.tool_use.name: Field required`;
      if (!isObject(block['input'])) return `${at}.tool_use.input: Input should be a valid dictionary`;
    }
    if (block.type === 'tool_result' && role !== 'user') {
      return `${at}: \`tool_result\` blocks can only be in \`user\` messages`;
    }
  }
  return null;
}

function resultFault(blocks: readonly Block[], before: Turn | undefined, path: string): string | null {
  const calls = callIds(before?.blocks ?? []);
  const seen = new Set<unknown>();
  for (const [j, block] of blocks.entries()) {
    if (block.type !== 'tool_result') continue;
    const id = block['tool_use_id'];
    if (!calls.includes(id)) {
      const why = 'Each `tool_result` block must have a corresponding `tool_use` block in the previous message.';
      return `${path}.content.${j}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${String(id)}. ${why}`;
    }
    if (seen.has(id)) {
      return `${path}.content.${j}: each tool_use must have a single result. Found multiple \`tool_result\` blocks with id: ${String(id)}`;
    }
    seen.add(id);
  }
  return null;
}

/** Results count only where the next message begins with them. */
function unansweredCalls(blocks: readonly Block[], next: Turn | undefined): readonly unknown[] {
  const following = next?.blocks ?? [];
  const end = following.findIndex(({ type }) => type !== 'tool_result');
  const answered = following.slice(0, end < 0 ? undefined : end).map((block) => block['tool_use_id']);
  return callIds(blocks).filter((id) => !answered.includes(id));
}

function callIds(blocks: readonly Block[]): readonly unknown[] {
  return blocks.filter(({ type }) => type === 'tool_use').map((block) => block['id']);
}
