// From two states of a chat to what the terminal prints. Pure: it knows what is on the screen (`Shown`) and says what to
// add. A terminal cannot take back what it printed, so text that is no more is withdrawn in words.
import type { BlockType, Message, QueuedMessage } from '../content.ts';
import type { ChatState } from '../client/chat-state.ts';
import type { LiveBlock, LiveTurn } from '../events.ts';
import type { TurnId } from '../ids.ts';
import type { Action } from './action.ts';
import { CLEAN, sanitize, sanitizeDelta, sanitizeLine, type SanitizerState } from './sanitize.ts';
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
  readonly retryAt: number | null;
  readonly queue: readonly string[];
  readonly title: string | null;
  readonly archived: boolean;
};

type ShownStep = { readonly turn: TurnId; readonly step: number; readonly blocks: readonly ShownBlock[] };

type ShownBlock = {
  readonly index: number;
  readonly type: BlockType;
  /** As it came; what was printed is this, sanitized. */
  readonly text: string;
  readonly sanitizer: SanitizerState;
  readonly ended: boolean;
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
    retryAt: null,
    queue: state.queue.map(({ id }) => id),
    title: state.chat?.title ?? null,
    archived: state.chat?.archived ?? false,
  };
}

/** `typed`: ids of messages that were typed here and sent at once, so that they are on the screen already. */
export function render(shown: Shown, next: ChatState, typed: ReadonlySet<string>): Rendered {
  // Texts that are still being fetched: they come in a moment, and everything behind them in its order.
  const fresh = newMessages(shown, next);
  if (!fresh.every(isWhole)) return { shown, actions: [] };
  const actions: Action[] = [];
  const numbers = renderRemoved(shown, next, actions);
  let live = shown.live;
  for (const message of fresh) {
    numbers.push(message.number);
    if (live !== null && message.turn === live.turn && message.step === live.step) {
      finishStep(live, message, actions);
      live = null;
    } else if (message.role !== 'user' || !typed.has(message.id) || shown.queue.includes(message.id)) {
      renderMessage(message, actions);
    }
    if (message.interrupted === true && next.turn !== null && next.turn.turn === message.turn) {
      actions.push({ kind: 'line', tone: 'dim', text: 'interrupted here; the answer goes on' });
    }
  }
  live = renderStep(live, next.turn, actions);
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
      retryAt: retry?.at ?? null,
      queue: next.queue.map(({ id }) => id),
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
  const open = turn.blocks.at(-1);
  if (open === undefined || open.ended) return 'waiting for the model';
  return open.text === '' ? 'thinking' : null;
}

/** The whole of a message, as after `/history` or when another device sent it. */
export function renderMessage(message: Message, actions: Action[]): void {
  if (message.role === 'user') {
    actions.push({ kind: 'line', tone: 'user', text: messageText(message) });
    return;
  }
  for (const part of message.parts) {
    if (!('text' in part)) {
      actions.push({
        kind: 'line',
        tone: 'dim',
        text: `${part.type} of ${Math.ceil(part.bytes / 1024)} KiB, not loaded`,
      });
    } else if (part.type === 'tool_result') {
      actions.push({ kind: 'line', tone: 'dim', text: `${part.status}: ${sanitize(part.text)}` });
    } else if (part.text !== '') {
      actions.push(
        { kind: 'begin', block: part.type },
        { kind: 'stream', block: part.type, text: sanitize(part.text) },
      );
      actions.push({ kind: 'end' });
    }
  }
}

/** The text of a message without its reasoning, sanitized. */
export function messageText(message: Pick<Message, 'parts'>): string {
  const texts = message.parts.map((part) => (part.type === 'text' && 'text' in part ? part.text : ''));
  return sanitize(texts.filter((text) => text !== '').join('\n\n'));
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
    'text' in part && part.text !== '' && part.type !== 'tool_result'
      ? [{ index, type: part.type, text: part.text, bytes: part.text.length, ended: true }]
      : [],
  );
  // A message has no empty blocks and may number its parts anew: blocks and parts are matched by their order.
  const printed = live.blocks.filter(({ text }) => text !== '');
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
  return next.map((block, at) => continueBlock(kept[at] ?? undefined, block, actions));
}

/** What of a printed block still holds: all of it, what the block has been cut to, or nothing. */
function keep(block: ShownBlock, next: LiveBlock | undefined): ShownBlock | null {
  if (block.text === '' && next === undefined) return block;
  if (next === undefined || next.type !== block.type) return null;
  if (next.index !== block.index && block.text !== '') return null;
  if (next.text.startsWith(block.text)) return block;
  if (!block.text.startsWith(next.text)) return null;
  return { ...block, text: next.text, sanitizer: sanitizeDelta(CLEAN, next.text).state };
}

function continueBlock(before: ShownBlock | undefined, block: LiveBlock, actions: Action[]): ShownBlock {
  const { index, type, ended } = block;
  const known = before?.text ?? '';
  const fresh = block.text.slice(known.length);
  const { text, state } = sanitizeDelta(before?.sanitizer ?? CLEAN, fresh);
  if (known === '' && fresh !== '') actions.push({ kind: 'begin', block: type });
  if (text !== '') actions.push({ kind: 'stream', block: type, text });
  if (ended && before?.ended !== true && block.text !== '') actions.push({ kind: 'end' });
  return { index, type, text: block.text, sanitizer: state, ended };
}

/** Withdraws the text of `blocks` behind the first `from` characters. */
function withdraw(blocks: readonly ShownBlock[], from: number, actions: Action[]): void {
  const lost = sanitize(
    blocks
      .map(({ text }) => text)
      .join('')
      .slice(from),
  );
  const beginning = sanitizeLine(lost.slice(0, 200)).slice(0, 30);
  if (beginning === '') return;
  const text = `withdrawn: the text above from “${beginning}…” on was lost and is no part of the chat`;
  actions.push({ kind: 'end' }, { kind: 'line', tone: 'note', text });
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

function renderQueue(
  shown: readonly string[],
  next: readonly QueuedMessage[],
  typed: ReadonlySet<string>,
  actions: Action[],
): void {
  for (const { id } of next) {
    if (shown.includes(id)) continue;
    const whose = typed.has(id) ? 'queued' : 'queued from elsewhere';
    const place = next.length === 1 ? 'it goes to the model after this turn' : `${next.length} are waiting`;
    actions.push({ kind: 'line', tone: 'dim', text: `${whose}: ${place}` });
  }
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
