// What a checker knows of one chat: the logs of its clients, its commands, its writers, its messages.

import type { TurnOutcome } from '../../protocol/content.ts';
import type { ChatEvent, PositionedEvent } from '../../protocol/events.ts';
import type { ChatId } from '../../protocol/ids.ts';
import type { ChatState } from '../../protocol/client/chat-state.ts';
import { ClientLog, type Cause } from './client-log.ts';
import { Commands } from './commands.ts';
import type { HistoryRecord } from './history.ts';
import { Ledger, messageDigest } from './ledger.ts';
import type { Looked } from './looked.ts';
import { fateOfShown, type Shown } from './shown-text.ts';
import type { Report } from './violation.ts';
import { Writers } from './writers.ts';

/** Resets that are remembered: a client that was away that long is judged without. */
const RESETS_KEPT = 64;
/** Shown texts that wait for the pages; more: the text counts as never judged, and is not compared. */
const UNSEEN_KEPT = 256;

export class ChatBook {
  readonly chat: ChatId;
  readonly commands: Commands;
  readonly writers: Writers;
  readonly logs = new Map<string, ClientLog>();
  readonly #looked: Looked;
  readonly #report: Report;
  readonly #messages = new Map<number, string>();
  readonly #outcomes = new Map<string, TurnOutcome>();
  readonly #said = new Map<string, string>();
  readonly #unseen: (Shown & { readonly client: string })[] = [];
  readonly #resets: string[] = [];
  #ledger: Ledger;

  constructor(chat: ChatId, looked: Looked, report: Report) {
    this.chat = chat;
    this.#looked = looked;
    this.#report = report;
    this.#ledger = new Ledger(chat);
    this.commands = new Commands(looked, (client, what) => report('a', { chat, client, position: null }, what));
    this.writers = new Writers(looked, (client, position, what) => report('c', { chat, client, position }, what));
  }

  log(client: string): ClientLog {
    const known = this.logs.get(client);
    if (known !== undefined) return known;
    const log = new ClientLog({
      looked: this.#looked,
      fail: (rule, position, what) => this.#report(rule, { chat: this.chat, client, position }, what),
      onMoved: (before, after, cause) => this.#onMoved(client, { before, after, cause }),
    });
    this.logs.set(client, log);
    return log;
  }

  /** An event that some client was sent. */
  onEvent(client: string, { position, event }: PositionedEvent): void {
    this.writers.onEvent(client, position, event);
    if (event.kind === 'step' && event.type === 'reset') this.onReset(event);
  }

  /** The attempt's text was taken back in order. */
  onReset(attempt: Attempt): void {
    this.#resets.push(attemptKey(attempt));
    if (this.#resets.length > RESETS_KEPT) this.#resets.shift();
  }

  onSaid(turn: string, text: string): void {
    this.#said.set(turn, text);
  }

  onPage({ messages, last, queue }: HistoryRecord & { readonly type: 'page' }): void {
    this.#ledger.add(messages, queue);
    if (!last) return;
    const seen = {
      messages: this.#messages,
      outcomes: this.#outcomes,
      said: this.#said,
      unseen: this.#unseen,
    };
    for (const { rule, client, what } of this.#ledger.faults(seen, this.#looked)) {
      this.#report(rule, { chat: this.chat, client, position: null }, what);
    }
    this.commands.checkSends(this.#ledger.effects());
    this.commands.checkStops(this.#outcomes);
    this.#ledger = new Ledger(this.chat);
    this.#said.clear();
  }

  #onMoved(client: string, move: { before: ChatState; after: ChatState; cause: Cause }): void {
    const { after, cause } = move;
    const isReset = (shown: Shown): boolean => this.#resets.includes(attemptKey(shown)) || isResetBy(cause, shown);
    const fate = fateOfShown(move, isReset, this.#looked);
    if (fate.outcome === 'fault') this.#report('d', { chat: this.chat, client, position: after.position }, fate.what);
    if (fate.outcome === 'unseen' && this.#unseen.length < UNSEEN_KEPT) this.#unseen.push({ ...fate.shown, client });
    const title = after.chat?.title ?? null;
    if (title !== null) this.commands.onTitle(client, title);
    if (cause.kind === 'snapshot') this.#onSnapshot(after);
    else this.#onApplied(cause.event);
  }

  #onSnapshot({ messages, lastTurn }: ChatState): void {
    for (const message of messages) this.#shown(message);
    if (lastTurn !== null) this.#ended(lastTurn.turn, lastTurn.outcome);
  }

  #onApplied(event: ChatEvent): void {
    if (event.kind === 'message') this.#shown(event.message);
    if (event.kind === 'turn' && event.type === 'ended') this.#ended(event.turn, event.outcome);
    if (event.kind === 'rewind') for (let n = event.from; n <= event.to; n++) this.#messages.delete(n);
  }

  #shown(message: Parameters<typeof messageDigest>[0]): void {
    if (this.#messages.has(message.number)) return;
    const digest = messageDigest(message);
    if (digest !== null) this.#messages.set(message.number, digest);
  }

  #ended(turn: string, outcome: TurnOutcome): void {
    const known = this.#outcomes.get(turn);
    if (known !== undefined && known !== outcome) {
      const place = { chat: this.chat, client: null, position: null };
      this.#report('c', place, `Turn ${turn} ended twice: ${known} and ${outcome}.`);
    }
    this.#outcomes.set(turn, outcome);
  }
}

type Attempt = { readonly turn: string; readonly step: number; readonly attempt: number };

function attemptKey({ turn, step, attempt }: Attempt): string {
  return `${turn} ${step} ${attempt}`;
}

function isResetBy(cause: Cause, shown: Shown): boolean {
  if (cause.kind !== 'event' || cause.event.kind !== 'step' || cause.event.type !== 'reset') return false;
  return cause.event.turn === shown.turn && cause.event.step === shown.step;
}
