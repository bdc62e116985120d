// The commands that answer a call which waits: `tool.result` and `tool.approve`. The first answer counts; whoever comes
// later, or means another call, learns that nothing waits for it.

import { errorBody, type ErrorBody } from '../../protocol/errors.ts';
import { cutOutput } from '../tool-output.ts';
import type { CallRow } from '../tool-ports.ts';
import type { ChatTools } from './chat-tools.ts';
import type { ChatCommand } from './commands.ts';
import { allowCall, DENIED, settleCall, type CallPlan } from './tool-calls.ts';

type AnswerCommand = Extract<ChatCommand, { name: 'tool.result' | 'tool.approve' }>;

export type Answer =
  | { readonly ok: true; readonly plan: CallPlan; readonly always: string | null }
  | { readonly ok: false; readonly error: ErrorBody };

export function answerCall(command: AnswerCommand, calls: readonly CallRow[], tools: ChatTools): Answer {
  const wait = command.name === 'tool.result' ? 'result' : 'approval';
  const call = calls.find((one) => one.call === command.call && one.state === 'waiting' && one.wait === wait);
  if (call === undefined) return { ok: false, error: errorBody('not_waiting') };
  if (command.name === 'tool.result') {
    const outcome = { status: command.isError ? 'error' : 'ok', text: cutOutput(command.output) } as const;
    return { ok: true, plan: settleCall(calls, call.index, outcome), always: null };
  }
  // What was shown to whoever answered was another call.
  if (command.hash !== call.hash) return { ok: false, error: errorBody('not_waiting', 'the hash is of another call') };
  if (!command.allow) {
    return { ok: true, plan: settleCall(calls, call.index, { status: 'denied', text: DENIED }), always: null };
  }
  return { ok: true, plan: allowCall(calls, call.index, tools), always: command.always ? call.name : null };
}
