// What becomes of the calls of a step, as plans: what each call is from now on, and which of them are settled by it with what
// text. Pure. A plan settles only calls that are open, so that each one is settled exactly once (P7).

import type { Action, Part, ToolCallPart, ToolStatus } from '../../protocol/content.ts';
import type { CallRow, ToolOutcome } from '../tool-ports.ts';
import type { TurnRecord } from '../turn-ports.ts';
import { callHash, objectFault, type ChatTools } from './chat-tools.ts';
import { CHAT_LIMITS, type ChatSettings } from './settings.ts';

/** `calls`: all of the step. */
export type CallPlan = { readonly calls: readonly CallRow[]; readonly settled: readonly Settlement[] };

export type Settlement = { readonly index: number; readonly status: ToolStatus; readonly text: string };

/** Where the turn goes on: with runs, waiting for somebody, or with the next request. */
export type AfterCalls = 'tools' | 'action' | 'next';

export type OpenSource = {
  readonly turn: Pick<TurnRecord, 'id' | 'step'>;
  /** What the model wrote. */
  readonly parts: readonly Part[];
  readonly tools: ChatTools;
  /** Tools that the owner has allowed for good in this chat. */
  readonly allowed: readonly string[];
  readonly atMs: number;
  readonly settings: Pick<ChatSettings, 'clientDeadlineMs' | 'approvalDeadlineMs'>;
  readonly newKey: () => string;
  /** Why none of them may run, for the model to read; null: they may. */
  readonly refused: Omit<Settlement, 'index'> | null;
};

export const NOT_RUN = {
  interrupted: { status: 'interrupted', text: 'This call was not run: the answer was interrupted.' },
  cut: { status: 'error', text: 'This call was not run: the answer ended before it was complete.' },
  limited: { status: 'error', text: 'This call was not run: the limit of steps is reached.' },
} as const satisfies Record<string, Omit<Settlement, 'index'>>;

/** The calls of an answer: which run, which wait for somebody, which are answered at once because something is wrong. */
export function openCalls(source: OpenSource): CallPlan {
  const { turn, parts, tools, newKey } = source;
  const settled: Settlement[] = [];
  const calls = callsIn(parts).map((part, index): CallRow => {
    const { call, name, text: args } = part;
    const tool = tools.find(name);
    const hash = tool === null ? '' : callHash({ call, args }, tool.tool);
    const row = { turn: turn.id, step: turn.step, index, call, name, args, key: newKey(), hash };
    const refused = source.refused ?? faultOf(source, part, index);
    if (refused === null) return { ...row, ...stateOf(source, name) };
    settled.push({ index, status: refused.status, text: refused.text });
    return { ...row, state: 'settled', status: refused.status };
  });
  return { calls, settled };
}

export function callsIn(parts: readonly Part[]): readonly ToolCallPart[] {
  return parts.filter((part) => part.type === 'tool_call');
}

/** The parts of an answer whose calls may not run: those that the model did not finish are no calls. */
export function withoutUnfinished(parts: readonly Part[]): readonly Part[] {
  return parts.filter((part) => part.type !== 'tool_call' || objectFault(part.text) === null);
}

function faultOf({ tools }: OpenSource, { name, text }: ToolCallPart, index: number): Omit<Settlement, 'index'> | null {
  if (index >= CHAT_LIMITS.callsPerStep) {
    return { status: 'error', text: `At most ${CHAT_LIMITS.callsPerStep} calls in one step: this one was not run.` };
  }
  if (tools.find(name) === null) {
    const known = tools.specs.map((spec) => spec.name).join(', ');
    return { status: 'error', text: `There is no tool of this name. The tools are: ${known === '' ? 'none' : known}.` };
  }
  const fault = tools.fault(name, text);
  return fault === null ? null : { status: 'error', text: fault };
}

function stateOf({ tools, allowed, atMs, settings }: OpenSource, name: string): Pick<CallRow, never> & OpenState {
  const found = tools.find(name);
  if (found?.kind === 'client') {
    return { state: 'waiting', wait: 'result', deadlineAtMs: atMs + settings.clientDeadlineMs };
  }
  if (found?.tool.needsApproval === true && !allowed.includes(name)) {
    return { state: 'waiting', wait: 'approval', deadlineAtMs: atMs + settings.approvalDeadlineMs };
  }
  return { state: 'running' };
}

type OpenState =
  | { readonly state: 'running' }
  | { readonly state: 'waiting'; readonly wait: 'result' | 'approval'; readonly deadlineAtMs: number };

/** Settles those that `outcomeOf` has something to say about, of the open ones. */
function settle(calls: readonly CallRow[], outcomeOf: (call: CallRow) => Omit<Settlement, 'index'> | null): CallPlan {
  const settled: Settlement[] = [];
  const next = calls.map((call): CallRow => {
    const outcome = call.state === 'settled' ? null : outcomeOf(call);
    if (outcome === null) return call;
    const { status, text } = outcome;
    settled.push({ index: call.index, status, text });
    return { ...bare(call), state: 'settled', status };
  });
  return { calls: next, settled };
}

/** The call without what its state says. */
export function bare(call: CallRow): Omit<CallRow, 'state' | 'status' | 'wait' | 'deadlineAtMs'> {
  const { turn, step, index, call: id, name, args, key, hash } = call;
  return { turn, step, index, call: id, name, args, key, hash };
}

export function settleCall(calls: readonly CallRow[], index: number, outcome: Omit<Settlement, 'index'>): CallPlan {
  return settle(calls, (call) => (call.index === index ? outcome : null));
}

/** How runs ended. */
export function endRuns(calls: readonly CallRow[], ended: ReadonlyMap<number, ToolOutcome>): CallPlan {
  return settle(calls, (call) => (call.state === 'running' ? (ended.get(call.index) ?? null) : null));
}

/** The owner's leave: from here on the call runs, unless the tool is not the one that was shown any more. */
export function allowCall(calls: readonly CallRow[], index: number, tools: ChatTools): CallPlan {
  const call = calls.find((one) => one.index === index);
  const tool = call === undefined ? null : tools.find(call.name);
  if (call === undefined || tool?.kind !== 'server' || callHash(call, tool.tool) !== call.hash) {
    return settleCall(calls, index, { status: 'error', text: 'The tool has changed since it was approved: not run.' });
  }
  return { calls: calls.map((one) => (one.index === index ? { ...bare(one), state: 'running' } : one)), settled: [] };
}

export const DENIED = 'The user did not allow this call. Do not try it again unless the user asks for it.';
export const DENIED_BY_MESSAGE = 'The user wrote a message instead of answering this call.';

/** A message came instead of what is waited for. */
export function denyWaiting(calls: readonly CallRow[]): CallPlan {
  return settle(calls, (call) => (call.state === 'waiting' ? { status: 'denied', text: DENIED_BY_MESSAGE } : null));
}

export function expireWaiting(calls: readonly CallRow[], atMs: number): CallPlan {
  return settle(calls, (call) =>
    call.state === 'waiting' && call.deadlineAtMs <= atMs
      ? { status: 'timeout', text: 'Nobody answered this call in time.' }
      : null,
  );
}

/** A stop: nobody needs to answer any more, what runs has its grace. */
export function interruptWaiting(calls: readonly CallRow[]): CallPlan {
  return settle(calls, (call) =>
    call.state === 'waiting' ? { status: 'interrupted', text: 'The turn was stopped before this call ran.' } : null,
  );
}

/** The end of a turn, whatever runs: it may have run, unless it changes nothing. */
export function settleAll(calls: readonly CallRow[], tools: ChatTools): CallPlan {
  return settle(calls, (call) => {
    if (call.state === 'waiting') return { status: 'interrupted', text: 'The turn ended before this call ran.' };
    const tool = tools.find(call.name);
    const isHarmless = tool?.kind === 'server' && tool.tool.readOnly;
    return isHarmless
      ? { status: 'interrupted', text: 'This call was interrupted.' }
      : { status: 'unknown', text: 'This call was interrupted. It may have run, wholly or in part.' };
  });
}

/** What ran in an epoch that is over: run again with the same key where that does no harm, else nobody knows. */
export function recoverCalls(calls: readonly CallRow[], tools: ChatTools): CallPlan {
  return settle(calls, (call) => {
    if (call.state !== 'running') return null;
    const tool = tools.find(call.name);
    const again = tool?.kind === 'server' && (tool.tool.idempotent || tool.tool.readOnly);
    return again
      ? null
      : { status: 'unknown', text: 'The server went down while this call ran. It may have run, wholly or in part.' };
  });
}

export function afterCalls({ calls }: CallPlan): AfterCalls {
  if (calls.some((call) => call.state === 'running')) return 'tools';
  return calls.some((call) => call.state === 'waiting') ? 'action' : 'next';
}

/** What is waited for, for clients. */
export function actionsOf(calls: readonly CallRow[]): readonly Action[] {
  return calls.flatMap((call): Action[] => {
    if (call.state !== 'waiting') return [];
    const { call: id, name, args, hash, wait, deadlineAtMs } = call;
    return [{ type: wait, call: id, name, args, deadline_at: deadlineAtMs, hash }];
  });
}

/** The next moment at which something that is waited for is over; null: nothing is waited for. */
export function nextDeadlineMs(calls: readonly CallRow[]): number | null {
  const deadlines = calls.flatMap((call) => (call.state === 'waiting' ? [call.deadlineAtMs] : []));
  return deadlines.length === 0 ? null : Math.min(...deadlines);
}
