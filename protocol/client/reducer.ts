// The pure reducer from the events of a chat's log to its state. It is the one place that decides what an event does;
// the terminal, web pages, tests and the simulation share it.
//
// An event covers the positions (seq − span, seq] of its epoch. At the cursor `last` it is dropped when seq ≤ last,
// applied when seq − span ≤ last < seq, and anything else is a gap: something was lost, the client attaches again with
// its cursor. Events that may cover more than one position work by replacement or by offset, so a state that already
// holds part of what they cover comes out the same (P2).

import type {
  BlockEvent,
  ChatEvent,
  CompactionEvent,
  LiveBlock,
  LiveTurn,
  PositionedEvent,
  StepEvent,
  ToolEvent,
  TurnEvent,
} from '../events.ts';
import type { Message, PartOrReference } from '../content.ts';
import { withText } from '../parts.ts';
import type { Position } from '../position.ts';
import { comparePositions } from '../position.ts';
import { unreachable } from '../assert.ts';
import { unitsAtByte, utf8Length } from '../text.ts';
import type { ChatState } from './chat-state.ts';
import { STATE_MESSAGES_MAX } from './chat-state.ts';
import { withMessage, withoutRanges } from './messages.ts';

export type Applied =
  | { readonly outcome: 'applied'; readonly state: ChatState }
  /** Everything that the event covers was applied before, or it belongs to an epoch that is over. */
  | { readonly outcome: 'duplicate' }
  /** Something before the event is missing: attach again with the cursor. */
  | { readonly outcome: 'gap' };

const DUPLICATE: Applied = { outcome: 'duplicate' };
const GAP: Applied = { outcome: 'gap' };

/** An event of a kind that this client does not know: it moves the cursor and changes nothing else. */
export type SkippedEvent = Omit<PositionedEvent, 'event'> & { readonly event: null };

/** Applies one event, or says why not. Never throws for what a server may send; never changes `state`. */
export function applyEvent(state: ChatState, { position, span, event }: PositionedEvent | SkippedEvent): Applied {
  const last = state.position;
  if (last === null) return GAP;
  if (position.epoch < last.epoch) return DUPLICATE;
  if (position.epoch > last.epoch) {
    return continuesFrom(last, event) ? { outcome: 'applied', state: { ...state, position } } : GAP;
  }
  if (position.seq <= last.seq) return DUPLICATE;
  if (position.seq - span > last.seq) return GAP;
  const next = event === null ? state : reduce(state, event);
  return next === null ? GAP : { outcome: 'applied', state: { ...next, position } };
}

/** A block or a call with `text` from `offset` on; null when bytes before `offset` are missing or the place is no boundary. */
export function extendText<T extends { readonly text: string; readonly bytes: number }>(
  block: T,
  offset: number,
  text: string,
): T | null {
  if (offset > block.bytes) return null;
  const fresh = offset === block.bytes ? text : behindByte(text, block.bytes - offset);
  if (fresh === null) return null;
  if (fresh === '') return block;
  return { ...block, text: block.text + fresh, bytes: block.bytes + utf8Length(fresh) };
}

/** What of `text` comes after its first `known` bytes; null when that place is inside a code point. */
function behindByte(text: string, known: number): string | null {
  if (known >= utf8Length(text)) return '';
  const units = unitsAtByte(text, known);
  return units === null ? null : text.slice(units);
}

/** Only a client that has applied everything of the epoch before goes on into the next one. */
function continuesFrom(last: Position, event: ChatEvent | null): boolean {
  return event?.kind === 'epoch' && event.after !== null && comparePositions(event.after, last) === 0;
}

/** The state with the event in it, its position left to the caller; null when the event does not fit the state. */
function reduce(state: ChatState, event: ChatEvent): ChatState | null {
  switch (event.kind) {
    case 'epoch':
    case 'fork':
      return state;
    case 'chat':
      return { ...state, chat: event.chat };
    case 'message':
      return reduceMessage(state, event.message);
    case 'rewind':
      return {
        ...state,
        messages: withoutRanges(state.messages, [[event.from, event.to]]),
        history: state.history + 1,
      };
    case 'queue':
      return { ...state, queue: event.queue };
    case 'turn':
      return reduceTurn(state, event);
    case 'step':
      return onTurn(state, (turn) => (turn.turn === event.turn ? reduceStep(turn, event) : null));
    case 'retry': {
      const { attempt, delay_ms, at, error } = event;
      return onTurn(state, (turn) =>
        turn.turn === event.turn ? { ...turn, retry: { attempt, delay_ms, at, error } } : null,
      );
    }
    case 'block':
      return onTurn(state, (turn) => reduceBlock(turn, event));
    case 'tool':
      return onTurn(state, (turn) => reduceTool(turn, event));
    case 'action':
      return onTurn(state, (turn) => ({ ...turn, actions: event.actions }));
    case 'compaction':
      return onTurn(state, (turn) => ({ ...turn, compaction: liveCompaction(event) }));
    case 'usage':
      // The figures of an attempt may be known only when its turn is over; then nothing shows them.
      return state.turn !== null && state.turn.turn === event.turn
        ? { ...state, turn: { ...state.turn, usage: event.usage } }
        : state;
    default:
      return unreachable(event);
  }
}

function reduceMessage(state: ChatState, event: Message): ChatState {
  const message = withLiveText(event, state.turn);
  const messages = withMessage(state.messages, message);
  const oldest = state.oldest === null ? message.number : Math.min(state.oldest, message.number);
  return withinBound({ ...state, messages, oldest, turn: replaceBlocks(state.turn, message) });
}

/** A part that is too large for an event comes as a reference: whoever saw it stream has its text already. */
function withLiveText(message: Message, turn: LiveTurn | null): Message {
  if (turn === null || turn.turn !== message.turn || turn.step !== message.step) return message;
  if (message.parts.every((part) => 'text' in part)) return message;
  let next = 0;
  const parts = message.parts.map((part): PartOrReference => {
    if ('text' in part) return part;
    // Parts are in the order of their blocks: of two that look alike each one has its own.
    const at = turn.blocks.findIndex((one, i) => i >= next && one.type === part.type && one.bytes === part.bytes);
    const block = turn.blocks[at];
    if (block === undefined) return part;
    next = at + 1;
    return withText(part, block.text);
  });
  return { ...message, parts };
}

/** The message of the live step stands where its blocks were. */
function replaceBlocks(turn: LiveTurn | null, { turn: id, step }: Message): LiveTurn | null {
  return turn !== null && turn.turn === id && turn.step === step ? { ...turn, blocks: [] } : turn;
}

/** Drops the oldest tenth when the list is at its bound, so that the copy is paid once in a while. */
function withinBound(state: ChatState): ChatState {
  if (state.messages.length <= STATE_MESSAGES_MAX) return state;
  const messages = state.messages.slice(STATE_MESSAGES_MAX / 10);
  return { ...state, messages, hasOlder: true, oldest: messages[0]?.number ?? null };
}

function reduceTurn(state: ChatState, event: TurnEvent): ChatState {
  if (event.type === 'started') {
    const { turn, model } = event;
    const started: LiveTurn = { turn, model, step: 0, attempt: 0, ...NOTHING_LIVE };
    return { ...state, turn: started, retracted: null };
  }
  const { turn, outcome, error } = event;
  return { ...state, turn: state.turn?.turn === turn ? null : state.turn, lastTurn: { turn, outcome, error } };
}

/** Both kinds of it leave an attempt without blocks: `started` begins one, `reset` takes back what one has shown. */
function reduceStep(turn: LiveTurn, { step, attempt }: StepEvent): LiveTurn {
  return { ...turn, step, attempt, ...NOTHING_LIVE };
}

const NOTHING_LIVE = { blocks: [], retry: null, usage: null, calls: [], actions: [], compaction: null } as const;

/** The turn that it names is the one that runs: none begins while a chat is made smaller. */
function liveCompaction(event: CompactionEvent): LiveTurn['compaction'] {
  if (event.type === 'ended') return null;
  const { source, context_tokens, context_limit_tokens } = event;
  return { source, context_tokens, context_limit_tokens };
}

function reduceTool(turn: LiveTurn, event: ToolEvent): LiveTurn | null {
  if (turn.step !== event.step) return null;
  const at = turn.calls.findIndex(({ call }) => call === event.call);
  const known = turn.calls[at];
  if (event.type === 'started') {
    if (known !== undefined) return turn;
    const { call, name } = event;
    return { ...turn, calls: [...turn.calls, { call, name, text: '', bytes: 0, status: null }] };
  }
  if (known === undefined) return null;
  if (event.type === 'settled') {
    return { ...turn, calls: turn.calls.with(at, { ...known, text: '', bytes: 0, status: event.status }) };
  }
  const call = extendText(known, event.offset, event.text);
  return call === null ? null : { ...turn, calls: turn.calls.with(at, call) };
}

function reduceBlock(turn: LiveTurn, event: BlockEvent): LiveTurn | null {
  if (turn.step !== event.step) return null;
  const at = turn.blocks.findLastIndex(({ index }) => index === event.index);
  const known = turn.blocks[at];
  switch (event.type) {
    case 'start': {
      if (known !== undefined) return known.type === event.block ? turn : null;
      const { index, block: type, call } = event;
      const block: LiveBlock = {
        index,
        type,
        text: '',
        bytes: 0,
        ended: false,
        ...(call === undefined ? {} : { call }),
      };
      return { ...turn, blocks: [...turn.blocks, block] };
    }
    case 'delta': {
      const block = known === undefined ? null : extendText(known, event.offset, event.text);
      return block === null ? null : { ...turn, blocks: turn.blocks.with(at, block) };
    }
    case 'end':
      if (known?.bytes !== event.bytes) return null;
      return { ...turn, blocks: turn.blocks.with(at, { ...known, ended: true }) };
    default:
      return unreachable(event);
  }
}

function onTurn(state: ChatState, change: (turn: LiveTurn) => LiveTurn | null): ChatState | null {
  if (state.turn === null) return null;
  const turn = change(state.turn);
  if (turn === null) return null;
  return turn === state.turn ? state : { ...state, turn };
}
