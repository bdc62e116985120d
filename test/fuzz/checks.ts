// What has to hold of a chat's rows, after each act and in the end.

import { must } from '../../protocol/assert.ts';
import type { ChatRow, StoredMessage } from '../sim/memory-tables.ts';
import type { FuzzScene, Spoken } from './scene.ts';
import type { Tally } from './tally.ts';

/** How late what waits for a time may be: a node looks for what is due on others that often. */
const LATE_MAX_MS = 61_000;

/** After every act. */
export function checkRow(row: ChatRow, nowMs: number): void {
  const { chat, turn } = row;
  const open = [...row.calls.values()].filter(({ state }) => state !== 'settled');
  if ((turn === null) !== (chat.status === 'waiting' || chat.status === 'error')) {
    throw new Error(`[P12] the status is ${chat.status} and a turn ${turn === null ? 'does not run' : 'runs'}`);
  }
  if (turn === null && open.length > 0) throw new Error(`[P7] no turn runs, and ${open.length} calls are open`);
  const others = open.filter((call) => call.turn !== turn?.id || call.step !== turn.step);
  if (others.length > 0) throw new Error('[P7] a call of an earlier step is open');
  if (chat.status === 'requires_action' && !open.some(({ state }) => state === 'waiting')) {
    throw new Error('[P12] the chat waits for somebody, but no call does');
  }
  for (const call of open) {
    if (call.state === 'waiting' && call.deadlineAtMs < nowMs - LATE_MAX_MS) {
      throw new Error(`[P12] ${call.call} still waits ${nowMs - call.deadlineAtMs} ms after its deadline`);
    }
  }
  if (turn !== null && turn.retry !== null && turn.retry.atMs < nowMs - LATE_MAX_MS) {
    throw new Error('[P12] a retry is overdue');
  }
  checkResults(row, false);
}

/** In the end, at rest. */
export function checkScene(scene: FuzzScene, tally: Tally): void {
  const { row } = scene;
  checkResults(row, true);
  for (const call of row.calls.values()) tally.count('calls', call.state === 'settled' ? call.status : call.state);
  const shown = shownOf(row).map(textOf);
  for (const [text, fate] of scene.texts) {
    const found = shown.filter((one) => one.includes(text)).length;
    const allowed = fate === 'open' ? [0, 1] : [fate === 'there' ? 1 : 0];
    if (!allowed.includes(found)) throw new Error(`[P2] ${text}, which is ${fate}, is in the chat ${found} times`);
    tally.texts += 1;
  }
  for (const spoken of scene.spoken) checkSpoken(scene, spoken, tally);
}

/** No call has two results; `all`: and none is without. */
function checkResults(row: ChatRow, all: boolean): void {
  const { calls } = row;
  const messages = shownOf(row);
  const results = new Map<string, number>();
  for (const { turn, step, parts } of messages) {
    for (const part of parts) {
      if (part.type !== 'tool_result') continue;
      const key = `${turn} ${step} ${part.call}`;
      results.set(key, (results.get(key) ?? 0) + 1);
    }
  }
  for (const [key, count] of results) if (count !== 1) throw new Error(`[P7] ${count} results for ${key}`);
  if (!all) return;
  // What an edit threw away has no result to show, but it is settled.
  const open = [...calls.values()].filter(({ state }) => state !== 'settled');
  if (open.length > 0) throw new Error(`[P7] ${open.length} calls were never settled`);
  for (const { turn, step, parts, left, visibility } of messages) {
    if (left !== undefined || visibility !== 'both') continue;
    for (const part of parts) {
      const key = part.type === 'tool_call' ? `${turn} ${step} ${part.call}` : null;
      if (key !== null && !results.has(key)) throw new Error(`[P7] no result for ${key}`);
    }
  }
}

/** What the model said is in the chat as it was said, as far as it was to be kept, and once. */
function checkSpoken(scene: FuzzScene, spoken: Spoken, tally: Tally): void {
  const { attempt, text, isReplaced } = spoken;
  const purpose = scene.purposeOf(attempt);
  const outcome = scene.outcomeOf(attempt);
  tally.count('attempts', `${purpose} ${outcome ?? 'open'}`);
  if (outcome === null) throw new Error(`an attempt (${purpose}) was never settled`);
  if (purpose !== 'turn' || text === '') return;
  const holders = shownOf(scene.row).filter((message) => textOf(message).includes(firstOf(text)));
  const isKept = !isReplaced && (outcome === 'completed' || outcome === 'aborted');
  if (holders.length > 1 || (isKept && holders.length === 0)) {
    throw new Error(`[P5] ${text}, of an attempt that was ${outcome}, is in the chat ${holders.length} times`);
  }
  const kept = holders[0] === undefined ? '' : textOf(holders[0]);
  if (isKept ? kept !== text : !text.startsWith(kept)) {
    throw new Error(`[P2] ${JSON.stringify(text)} was streamed, ${JSON.stringify(kept)} is kept`);
  }
  tally.texts += 1;
}

/** What compaction makes for the model alone holds texts again. */
function shownOf({ messages }: ChatRow): readonly StoredMessage[] {
  return messages.filter(({ visibility }) => visibility !== 'model');
}

function firstOf(text: string): string {
  return text.slice(0, must(text.indexOf('}'), 'a text has an end') + 1);
}

function textOf({ parts }: Pick<StoredMessage, 'parts'>): string {
  return parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
}
