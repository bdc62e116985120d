// Calls of tools on the screen: what they give while they run, how they end, and who is waited for. Pure, like render.ts.
//
// Calls run beside each other, so what they give is printed in whole lines, each with the label of its call.
import type { Action as Waiting, Message, ToolResultPart } from '../content.ts';
import type { ChatState } from '../client/chat-state.ts';
import type { LiveTurn } from '../events.ts';
import type { TurnId } from '../ids.ts';
import type { Action } from './action.ts';
import { sanitize } from './sanitize.ts';
import {
  callsOfMessage,
  describeApproval,
  describeElsewhere,
  describeSettled,
  labelOf,
  type StepCalls,
} from './tool-wording.ts';

/** What of the calls of a step is on the screen. Bounded by the calls of one step. */
export type ShownTools = {
  readonly turn: TurnId | null;
  readonly step: number;
  readonly outputs: ReadonlyMap<string, ShownOutput>;
  /** What somebody was asked, and nobody has answered yet. */
  readonly asked: readonly Waiting[];
};

export type ShownOutput = {
  /** What has become lines, or was left out. */
  readonly taken: string;
  readonly lines: number;
};

export const NO_TOOLS: ShownTools = { turn: null, step: 0, outputs: new Map(), asked: [] };

/** Lines that are printed of what one call gives. */
const OUTPUT_LINES_MAX = 12;
const NOTHING: ShownOutput = { taken: '', lines: 0 };

/** A message of role `tool`: the rest of its output, and how it ended. `messages` hold the call, `shown` what was seen. */
export function renderToolResult(
  message: Message,
  part: ToolResultPart,
  messages: readonly Message[],
  shown: ShownTools,
): Action[] {
  const asking = messageOfStep(messages, message.turn, message.step);
  const label = labelOf(callsOfMessage(asking), part.call);
  const tookMs = asking === undefined ? null : message.created_at - asking.created_at;
  const live = shown.turn === message.turn && shown.step === message.step ? shown.outputs.get(part.call) : undefined;
  const before = live !== undefined && part.text.startsWith(live.taken) ? live : NOTHING;
  const actions: Action[] = [];
  if (part.status === 'ok' || part.status === 'error') outputLines(label, before, `${part.text}\n`, actions);
  actions.push({ kind: 'line', fit: true, ...describeSettled(label, part.status, tookMs) });
  return actions;
}

/** What runs and waits now. `own.tools`: names of those that this client runs itself. */
export function renderTools(
  shown: ShownTools,
  { turn, messages }: ChatState,
  own: { readonly tools: ReadonlySet<string>; readonly isPersonThere: boolean },
  actions: Action[],
): ShownTools {
  if (turn === null) return NO_TOOLS;
  const same = shown.turn === turn.turn && shown.step === turn.step;
  const before = same ? shown : { ...NO_TOOLS, turn: turn.turn, step: turn.step };
  if (turn.calls.length === 0 && turn.actions.length === 0) return before;
  const calls = callsOfStep(messages, turn);
  renderAnswered(before, turn, calls, actions);
  const outputs = new Map<string, ShownOutput>();
  for (const { call, text, status } of turn.calls) {
    const known = before.outputs.get(call) ?? NOTHING;
    outputs.set(call, status === null ? outputLines(labelOf(calls, call), known, text, actions) : known);
  }
  if (own.isPersonThere) renderAsked(before, turn, { calls, served: own.tools }, actions);
  return { ...before, outputs, asked: turn.actions };
}

/** What the spinner says while calls run; null when none does, or a person is asked. */
export function waitingForTools({ turn, messages }: ChatState): string | null {
  if (turn === null) return null;
  const calls = callsOfStep(messages, turn);
  const waiting = new Set(turn.actions.map(({ call }) => call));
  const running = turn.calls.filter(({ call, status }) => status === null && !waiting.has(call));
  if (running.length > 0) return `running ${running.map(({ call }) => labelOf(calls, call)).join(', ')}`;
  const [first] = turn.actions;
  return first === undefined || asksForApproval(turn) ? null : `waiting for ${labelOf(calls, first.call)}`;
}

export function asksForApproval(turn: LiveTurn | null): boolean {
  return turn?.actions.some(({ type }) => type === 'approval') ?? false;
}

/** The calls of the running step by their place, from 1: what `/approve 2` means. */
export function callsOfStep(messages: readonly Message[], turn: LiveTurn): StepCalls {
  const written = callsOfMessage(messageOfStep(messages, turn.turn, turn.step));
  return written.length > 0 ? written : turn.calls;
}

/** The lines behind what was taken; the last one only when its end of line has come. */
function outputLines(label: string, before: ShownOutput, text: string, actions: Action[]): ShownOutput {
  const end = text.lastIndexOf('\n') + 1;
  const fresh = text.slice(before.taken.length, end);
  if (fresh === '') return before;
  const lines = fresh.replace(/\n+$/, '').split('\n');
  const room = Math.max(0, OUTPUT_LINES_MAX - before.lines);
  if (lines.join('') !== '') {
    for (const line of lines.slice(0, room)) actions.push(outputLine(label, line));
    const left = lines.length - room;
    // Said once: with the first line that is too many.
    if (left > 0 && room > 0) actions.push(outputLine(label, '…'));
  }
  return { taken: text.slice(0, end), lines: before.lines + lines.length };
}

function outputLine(label: string, text: string): Action {
  const plain = sanitize(text).replaceAll('\t', '  ').trimEnd();
  return { kind: 'line', fit: true, tone: 'dim', text: `  ${label} │ ${plain}` };
}

/** An approval that is no longer asked for, while its call goes on. */
function renderAnswered(before: ShownTools, turn: LiveTurn, calls: StepCalls, actions: Action[]): void {
  for (const { call, type } of before.asked) {
    if (type !== 'approval') continue;
    const runs = turn.calls.some((one) => one.call === call && one.status === null);
    if (!runs || turn.actions.some((one) => one.call === call)) continue;
    actions.push({ kind: 'line', fit: true, tone: 'dim', text: `${labelOf(calls, call)} was approved` });
  }
}

function renderAsked(
  before: ShownTools,
  turn: LiveTurn,
  { calls, served }: { readonly calls: StepCalls; readonly served: ReadonlySet<string> },
  actions: Action[],
): void {
  const several = turn.actions.filter(({ type }) => type === 'approval').length > 1;
  for (const waiting of turn.actions) {
    if (before.asked.some(({ call }) => call === waiting.call)) continue;
    const label = labelOf(calls, waiting.call);
    if (waiting.type === 'approval') {
      const place = several ? calls.findIndex(({ call }) => call === waiting.call) + 1 : null;
      for (const line of describeApproval(waiting, label, place)) actions.push({ kind: 'line', ...line });
    } else if (!served.has(waiting.name)) {
      actions.push({ kind: 'line', fit: true, ...describeElsewhere(waiting, label) });
    }
  }
}

function messageOfStep(
  messages: readonly Message[],
  turn: TurnId | undefined,
  step: number | undefined,
): Message | undefined {
  return messages.findLast((one) => one.role === 'assistant' && one.turn === turn && one.step === step);
}
