// From two states of a chat to what the terminal prints. Pure: it knows what is on the screen (`Shown`) and says what to
// add. A terminal cannot take back what it printed, so text that is no more is withdrawn in words.
import type { BlockType, CallName, Message, Part, QueuedMessage, ToolResultPart } from '../content.ts';
import type { ChatState } from '../client/chat-state.ts';
import type { LiveBlock, LiveTurn } from '../events.ts';
import type { TurnId } from '../ids.ts';
import type { Action } from './action.ts';
import { messageText } from './message-text.ts';
import { renderQueue } from './render-queue.ts';
import { NO_TOOLS, renderToolResult, renderTools, type ShownTools, waitingForTools } from './render-tools.ts';
import { CLEAN, sanitize, sanitizeDelta, sanitizeLine, type SanitizerState } from './sanitize.ts';
import { callsOfMessage, labelOf, oneLine, shortName, type StepCalls } from './tool-wording.ts';
import { describeMarker } from './marker.ts';
import { describeEnd, describeError, describeRetry } from './wording.ts';

export type Shown = {
  /** Numbers of the messages on the screen, ascending; the newest `SHOWN_MAX` of them. */
  readonly numbers: readonly number[];
  readonly history: number;
  readonly turn: TurnId | null;
  /** The last turn whose end was seen. */
  readonly ended: TurnId | null;
  /** What of the running step is on the screen. */
  readonly live: ShownStep | null;
  readonly tools: ShownTools;
  readonly retryAt: number | null;
  readonly queue: readonly QueuedMessage[];
  readonly title: string | null;
  readonly archived: boolean;
};

type ShownStep = { readonly turn: TurnId; readonly step: number; readonly blocks: readonly ShownBlock[] };

type ShownBlock = {
  readonly index: number;
  readonly type: BlockType;
  /** Of a `tool_call`. */
  readonly call: CallName | undefined;
  /** As it came; what was printed is this, sanitized. */
  readonly text: string;
  readonly sanitizer: SanitizerState;
  readonly ended: boolean;
};

/** What of the chat is this client's own. */
export type Own = {
  /** Ids of messages that were typed here and sent at once, so that they are on the screen already. */
  readonly typed: ReadonlySet<string>;
  /** Names of the tools that run here. */
  readonly tools: ReadonlySet<string>;
  /** Says what waits for somebody; without a person somebody else does. */
  readonly isPersonThere: boolean;
};

export type Rendered = { readonly shown: Shown; readonly actions: readonly Action[] };

/** Enough to notice that a message on the screen has left the chat. */
const SHOWN_MAX = 500;

/** What a screen shows that has just opened a chat and printed its messages, but nothing of a running turn. */
export function opened(state: ChatState): Shown {
  return {
    numbers: state.messages.slice(-SHOWN_MAX).map(({ number }) => number),
    history: state.history,
    turn: state.turn?.turn ?? null,
    ended: state.lastTurn?.turn ?? null,
    live: null,
    tools: NO_TOOLS,
    retryAt: null,
    queue: state.queue,
    title: state.chat?.title ?? null,
    archived: state.chat?.archived ?? false,
  };
}

export function render(shown: Shown, next: ChatState, own: Own): Rendered {
  const { typed } = own;
  // Texts that are still being fetched: they come in a moment, and everything behind them in its order.
  const fresh = newMessages(shown, next);
  if (!fresh.every(isWhole)) return { shown, actions: [] };
  const actions: Action[] = [];
  const numbers = renderRemoved(shown, next, actions);
  let live = shown.live;
  for (const message of fresh) {
    numbers.push(message.number);
    const isStep = message.role === 'assistant' && message.turn === live?.turn && message.step === live?.step;
    if (live !== null && isStep) {
      finishStep(live, message, actions);
      live = null;
    } else if (
      message.role !== 'user' ||
      !typed.has(message.id) ||
      shown.queue.some(({ id }) => (id as string) === message.id)
    ) {
      renderMessage(message, next.messages, actions, shown.tools);
    }
    if (message.interrupted === true && next.turn !== null && next.turn.turn === message.turn) {
      actions.push({ kind: 'line', tone: 'dim', text: 'interrupted here; the answer goes on' });
    }
  }
  live = renderStep(live, next.turn, actions);
  const tools = renderTools(shown.tools, next, own, actions);
  renderEnd(shown, next, actions);
  renderQueue(shown.queue, next.queue, typed, actions);
  renderChat(shown, next, actions);
  const retry = next.turn?.retry ?? null;
  if (retry !== null && retry.at !== shown.retryAt) {
    actions.push({ kind: 'line', tone: 'dim', text: describeRetry(retry) });
  }
  return {
    shown: {
      numbers: numbers.slice(-SHOWN_MAX),
      history: next.history,
      turn: next.turn?.turn ?? null,
      ended: next.lastTurn?.turn ?? null,
      live,
      tools,
      retryAt: retry?.at ?? null,
      queue: next.queue,
      title: next.chat?.title ?? null,
      archived: next.chat?.archived ?? false,
    },
    actions,
  };
}

/** What the person waits for, for the spinner; null when nothing runs or text is coming. */
export function waitingFor(state: ChatState): string | null {
  const { turn } = state;
  if (turn === null) return null;
  if (state.chat?.status === 'stopping') return 'stopping';
  if (turn.retry !== null) return 'waiting to try again';
  if (turn.actions.length > 0 || turn.calls.some(({ status }) => status === null)) return waitingForTools(state);
  if (turn.compaction !== null) return 'making the chat smaller for the model';
  const open = turn.blocks.at(-1);
  if (open === undefined || open.ended) return 'waiting for the model';
  return open.text === '' && open.type !== 'tool_call' ? 'thinking' : null;
}

/**
 * The whole of a message, as after `/history` or when another device sent it. `messages`: those around it, of which one
 * has the call that a result is for; `shown`: what of that result was seen while it came.
 */
export function renderMessage(
  message: Message,
  messages: readonly Message[],
  actions: Action[],
  shown: ShownTools = NO_TOOLS,
): void {
  if (message.role === 'user') {
    actions.push({ kind: 'line', tone: 'user', text: messageText(message) });
    return;
  }
  const marker = describeMarker(message);
  if (marker !== null) {
    if (marker !== '') actions.push({ kind: 'line', tone: 'dim', text: marker });
    return;
  }
  const calls = callsOfMessage(message);
  for (const part of message.parts) {
    if (!('text' in part)) {
      actions.push({
        kind: 'line',
        tone: 'dim',
        text: `${part.type} of ${Math.ceil(part.bytes / 1024)} KiB, not loaded`,
      });
    } else if (part.type === 'tool_result') {
      actions.push(...renderToolResult(message, part, messages, shown));
    } else if (isVisible(part)) {
      actions.push(beginning(part.type, part.type === 'tool_call' ? part : undefined, calls));
      const text = part.type === 'tool_call' ? oneLine(part.text) : sanitize(part.text);
      actions.push({ kind: 'stream', block: part.type, text }, { kind: 'end' });
    }
  }
}

/** Whether all of its text is there; large parts of a snapshot are fetched one by one. */
export function isWhole(message: Message): boolean {
  return message.parts.every((part) => 'text' in part);
}

/** Looks from the end on: a long chat has few new messages. */
function newMessages(shown: Shown, { messages }: ChatState): readonly Message[] {
  const last = shown.numbers.at(-1) ?? 0;
  return messages.slice(messages.findLastIndex(({ number }) => number <= last) + 1);
}

function renderRemoved(shown: Shown, next: ChatState, actions: Action[]): number[] {
  if (shown.history === next.history) return [...shown.numbers];
  const there = new Set(next.messages.map(({ number }) => number));
  const oldest = next.oldest ?? Number.POSITIVE_INFINITY;
  // Below `oldest` nothing is known: those may well be there still.
  const removed = shown.numbers.filter((number) => number >= oldest && !there.has(number));
  const [from, to] = [removed[0], removed.at(-1)];
  if (from !== undefined && to !== undefined) {
    const which = from === to ? `message ${from} above has` : `messages ${from} to ${to} above have`;
    actions.push({ kind: 'line', tone: 'note', text: `${which} left the chat` });
  }
  return shown.numbers.filter((number) => !removed.includes(number));
}

/** The step's message is committed: what is on the screen is completed, or withdrawn where it differs. */
function finishStep(live: ShownStep, message: Message, actions: Action[]): void {
  const final = message.parts.flatMap((part, index): LiveBlock[] =>
    'text' in part && part.type !== 'tool_result' && isVisible(part)
      ? [{ index, text: part.text, bytes: part.text.length, ended: true, ...typeOf(part) }]
      : [],
  );
  // A message has no empty blocks and may number its parts anew: blocks and parts are matched by their order.
  const printed = live.blocks.filter(isVisible);
  const matched = printed.map((block, at) => ({ ...block, index: final[at]?.index ?? block.index }));
  continueBlocks(matched, final, actions);
}

function renderStep(live: ShownStep | null, turn: LiveTurn | null, actions: Action[]): ShownStep | null {
  const same = live !== null && turn !== null && live.turn === turn.turn && live.step === turn.step;
  if (live !== null && !same) withdraw(live.blocks, 0, actions);
  if (turn === null) return null;
  const blocks = continueBlocks(same ? live.blocks : [], turn.blocks, actions);
  return { turn: turn.turn, step: turn.step, blocks };
}

/** Prints what `next` has beyond `printed`; what is on the screen and not in `next` is withdrawn first. */
function continueBlocks(
  printed: readonly ShownBlock[],
  next: readonly LiveBlock[],
  actions: Action[],
): readonly ShownBlock[] {
  const kept = printed.map((block, at) => keep(block, next[at]));
  const broken = printed.findIndex((block, at) => kept[at]?.text !== block.text);
  if (broken !== -1) {
    withdraw(printed.slice(broken), kept[broken]?.text.length ?? 0, actions);
    kept.splice(broken + 1);
  }
  const calls = next.flatMap(({ call }) => (call === undefined ? [] : [call]));
  return next.map((block, at) => continueBlock(kept[at] ?? undefined, block, calls, actions));
}

/** What of a printed block still holds: all of it, what the block has been cut to, or nothing. */
function keep(block: ShownBlock, next: LiveBlock | undefined): ShownBlock | null {
  if (!isVisible(block) && next === undefined) return block;
  if (next === undefined || next.type !== block.type || next.call?.call !== block.call?.call) return null;
  if (next.index !== block.index && isVisible(block)) return null;
  if (next.text.startsWith(block.text)) return block;
  if (!block.text.startsWith(next.text)) return null;
  return { ...block, text: next.text, sanitizer: sanitizeDelta(CLEAN, next.text).state };
}

function continueBlock(
  before: ShownBlock | undefined,
  block: LiveBlock,
  calls: StepCalls,
  actions: Action[],
): ShownBlock {
  const { index, type, call, ended } = block;
  const fresh = block.text.slice(before?.text.length ?? 0);
  const { text, state } = sanitizeDelta(before?.sanitizer ?? CLEAN, fresh);
  if (isVisible(block) && (before === undefined || !isVisible(before))) actions.push(beginning(type, call, calls));
  // The arguments of a call are shown on one row.
  const shown = type === 'tool_call' ? text.replaceAll(/\s+/g, ' ') : text;
  if (shown !== '') actions.push({ kind: 'stream', block: type, text: shown });
  if (ended && before?.ended !== true && isVisible(block)) actions.push({ kind: 'end' });
  return { index, type, call, text: block.text, sanitizer: state, ended };
}

/** A block without text shows nothing, but for a call, which may have no arguments. */
function isVisible({ type, text }: { readonly type: BlockType; readonly text: string }): boolean {
  return text !== '' || type === 'tool_call';
}

function beginning(block: BlockType, call: CallName | undefined, calls: StepCalls): Action {
  return call === undefined ? { kind: 'begin', block } : { kind: 'call', label: labelOf(calls, call.call) };
}

function typeOf(part: Exclude<Part, ToolResultPart>): Pick<LiveBlock, 'type' | 'call'> {
  const { type } = part;
  return type === 'tool_call' ? { type, call: { call: part.call, name: part.name } } : { type };
}

/** Withdraws the text of `blocks` behind the first `from` characters. */
function withdraw(blocks: readonly ShownBlock[], from: number, actions: Action[]): void {
  const text = lostText(blocks, from);
  if (text === null) return;
  actions.push({ kind: 'end' }, { kind: 'line', tone: 'note', text: `withdrawn: ${text} and is no part of the chat` });
}

function lostText(blocks: readonly ShownBlock[], from: number): string | null {
  const first = blocks.find(isVisible);
  if (first?.call !== undefined && from === 0) return `the call of ${shortName(first.call.name)} above was lost`;
  const lost = sanitize(
    blocks
      .map(({ text }) => text)
      .join('')
      .slice(from),
  );
  const beginning = sanitizeLine(lost.slice(0, 200)).slice(0, 30);
  return beginning === '' ? null : `the text above from “${beginning}…” on was lost`;
}

function renderEnd(shown: Shown, next: ChatState, actions: Action[]): void {
  const ended = next.lastTurn;
  if (ended !== null && ended.turn !== shown.ended) {
    const line = describeEnd(ended.outcome, ended.error);
    if (line !== null) actions.push({ kind: 'line', ...line });
    return;
  }
  // A snapshot does not say how the turn ended, but an error stays on the chat.
  const failed = shown.turn !== null && next.turn === null && ended === null ? (next.chat?.last_error ?? null) : null;
  if (failed !== null) actions.push({ kind: 'line', tone: 'error', text: describeError(failed) });
}

function renderChat(shown: Shown, { chat }: ChatState, actions: Action[]): void {
  if (chat === null) return;
  // The first title comes from the first message: it says nothing new.
  if (chat.title !== null && shown.title !== null && chat.title !== shown.title) {
    actions.push({ kind: 'line', tone: 'dim', text: `title: ${sanitizeLine(chat.title)}` });
  }
  if (chat.archived !== shown.archived) {
    const text = chat.archived ? 'this chat is archived now' : 'this chat is no longer archived';
    actions.push({ kind: 'line', tone: 'dim', text });
  }
}
