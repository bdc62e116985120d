// A screen that follows a chat: events in, what it printed out.
import { EMPTY_CHAT_STATE, type ChatState } from '../../protocol/client/chat-state.ts';
import { applyEvent } from '../../protocol/client/reducer.ts';
import type { Action } from '../../protocol/cli/action.ts';
import { opened, render, type Shown } from '../../protocol/cli/render.ts';
import type { BlockType, CallName, Chat, Message, Part } from '../../protocol/content.ts';
import { errorBody } from '../../protocol/errors.ts';
import type { ChatEvent } from '../../protocol/events.ts';
import type { ChatId, Epoch, TurnId } from '../../protocol/ids.ts';

export const CHAT: Chat = {
  id: '0190a1b2-0000-7000-8000-000000000001' as ChatId,
  owner: 'o',
  parent: null,
  root: '0190a1b2-0000-7000-8000-000000000001' as ChatId,
  title: null,
  status: 'waiting',
  archived: false,
  model: 'm',
  last_error: null,
  last_turn: null,
  labels: {},
  created_at: 1,
  updated_at: 1,
};
export const TURN = 'turn-1' as TurnId;
const ZERO = { epoch: 1 as Epoch, seq: 0 };
const START: ChatState = { ...EMPTY_CHAT_STATE, position: ZERO, chat: CHAT };

export class Screen {
  state: ChatState;
  shown: Shown;
  readonly typed = new Set<string>();
  readonly tools = new Set<string>();

  constructor(state = START) {
    this.state = state;
    this.shown = opened(state);
  }

  event(event: ChatEvent): string[] {
    const position = { epoch: 1 as Epoch, seq: (this.state.position?.seq ?? 0) + 1 };
    const applied = applyEvent(this.state, { position, span: 1, event });
    if (applied.outcome !== 'applied') throw new Error(`not applied: ${JSON.stringify(event)}`);
    return this.show(applied.state);
  }

  events(...events: readonly ChatEvent[]): string[] {
    return events.flatMap((event) => this.event(event));
  }

  show(state: ChatState): string[] {
    this.state = state;
    const { shown, actions } = render(this.shown, state, { typed: this.typed, tools: this.tools, isPersonThere: true });
    this.shown = shown;
    return actions.map(format);
  }
}

function format(action: Action): string {
  if (action.kind === 'line') return `${action.tone}: ${action.text}`;
  if (action.kind === 'stream') return action.text;
  if (action.kind === 'call') return `<call ${action.label}>`;
  return action.kind === 'begin' ? `<${action.block}>` : '<end>';
}

export const turnStarted: ChatEvent = { kind: 'turn', type: 'started', turn: TURN, model: 'm' };
export const stepStarted = (attempt = 1, step = 1): ChatEvent => ({
  kind: 'step',
  type: 'started',
  turn: TURN,
  step,
  attempt,
});
export const reset: ChatEvent = { kind: 'step', type: 'reset', turn: TURN, step: 1, attempt: 1 };
export const start = (index: number, block: BlockType = 'text', call?: CallName): ChatEvent => ({
  kind: 'block',
  type: 'start',
  step: 1,
  index,
  block,
  ...(call === undefined ? {} : { call }),
});
export const delta = (index: number, offset: number, text: string): ChatEvent => ({
  kind: 'block',
  type: 'delta',
  step: 1,
  index,
  offset,
  text,
});
export const endBlock = (index: number, bytes: number): ChatEvent => ({
  kind: 'block',
  type: 'end',
  step: 1,
  index,
  bytes,
});
export const ended = (outcome: 'completed' | 'stopped' | 'error', code?: 'model_overloaded'): ChatEvent => ({
  kind: 'turn',
  type: 'ended',
  turn: TURN,
  outcome,
  error: code === undefined ? null : errorBody(code),
});
export const answer = (number: number, parts: readonly Part[], more: Partial<Message> = {}): ChatEvent => ({
  kind: 'message',
  message: { number, id: `m${number}`, role: 'assistant', parts, created_at: 1, turn: TURN, step: 1, ...more },
});
export const asked = (number: number, text: string, id = `u${number}`): ChatEvent => ({
  kind: 'message',
  message: { number, id, role: 'user', parts: [{ type: 'text', text }], created_at: 1, created_by: 'o' },
});
export const text = (value: string): Part => ({ type: 'text', text: value });
