// The history checker: takes the records of a history one by one, in the manner of Jepsen, and says what they break.
//
// It knows nothing of the server but protocol/SPEC.md, holds per chat and client what that client must show, and per chat
// what its clients and storage have in common. What it holds does not grow with the stream of events: see the limits of
// its parts. Per command a few words are kept until the chat's pages have come.

import type { ChatFrame } from '../../protocol/client/attachment.ts';
import { unreachable } from '../../protocol/assert.ts';
import type { ChatId } from '../../protocol/ids.ts';
import { formatPosition } from '../../protocol/position.ts';
import { ANSWER_MAX_MS, Answers } from './answers.ts';
import { ChatBook } from './chat-book.ts';
import { difference } from './compare.ts';
import type { HistoryRecord } from './history.ts';
import { nothingLooked, unlooked, type Looked } from './looked.ts';
import { NOWHERE, type Place, type Rule, type Violation } from './violation.ts';

export type Verdict = {
  /** The first `VIOLATIONS_KEPT`, in the order in which they were found. */
  readonly violations: readonly Violation[];
  /** How many there were, in all and by rule. */
  readonly count: number;
  readonly byRule: Readonly<Record<Rule, number>>;
  readonly looked: Looked;
};

const VIOLATIONS_KEPT = 100;

export class HistoryChecker {
  readonly #looked = nothingLooked();
  readonly #books = new Map<ChatId, ChatBook>();
  readonly #clients = new Map<string, Set<ChatId>>();
  readonly #answers = new Answers(this.#looked);
  readonly #violations: Violation[] = [];
  #count = 0;
  readonly #byRule: Record<Rule, number> = { a: 0, b: 0, c: 0, d: 0, e: 0 };

  /** As far as it has come. */
  get looked(): Readonly<Looked> {
    return this.#looked;
  }

  add(record: HistoryRecord): void {
    this.#looked.records += 1;
    switch (record.type) {
      case 'sent':
        this.#answers.onSent(record);
        return this.#book(record.chat).commands.onSent(record);
      case 'acked':
      case 'refused':
      case 'unknown':
        return this.#book(record.chat).commands.onAnswer(record);
      case 'attach':
        return this.#log(record).onAttach(record.cursor);
      case 'detached':
        return this.#log(record).onDetached();
      case 'frame':
        return this.#onFrame(record);
      case 'lost':
        return this.#onLost(record.client);
      case 'ended':
        return this.#onEnded(record);
      case 'fresh':
        return this.#onFresh(record);
      case 'said':
        return this.#book(record.chat).onSaid(record.turn, record.text);
      case 'page':
        return this.#book(record.chat).onPage(record);
      case 'owner':
        return this.#book(record.chat).writers.onOwner(record.epoch, record.node);
      case 'attempt':
        return this.#book(record.chat).writers.onWriter(record.epoch, record.node);
      case 'rows':
        return this.#book(record.chat).writers.onRows(record.places);
      case 'reset':
        return this.#book(record.chat).onReset(record);
      case 'fault':
        return this.#answers.onFault();
      case 'calm':
        return this.#answers.onCalm(record);
      default:
        return unreachable(record);
    }
  }

  /** After the last record. */
  end(): Verdict {
    // Storage may tell of chats that no client of the history follows.
    const followed = [...this.#books].filter(([, { logs }]) => logs.size > 0).map(([chat]) => chat);
    for (const { chat, tookMs } of this.#answers.late(followed)) {
      const took = tookMs === null ? 'did not answer' : `answered after ${tookMs} ms`;
      this.#report(
        'e',
        { ...NOWHERE, chat },
        `The chat ${took}; ${ANSWER_MAX_MS} ms from the end of the faults are allowed.`,
      );
    }
    for (const [rule, what] of unlooked(this.#looked)) this.#report(rule, NOWHERE, what);
    return { violations: this.#violations, count: this.#count, byRule: this.#byRule, looked: this.#looked };
  }

  #onFrame({ at, client, chat, frame }: HistoryRecord & { readonly type: 'frame' }): void {
    const book = this.#book(chat);
    this.#log({ client, chat }).onFrame(frame);
    const turn = endedTurn(frame);
    if (turn !== null) this.#answers.onTurnEnded(turn, at);
    if (frame.op === 'event') book.onEvent(client, frame);
  }

  #onLost(client: string): void {
    this.#looked.lostConnections += 1;
    for (const chat of this.#clients.get(client) ?? []) this.#log({ client, chat }).onLost();
  }

  #onEnded({ client, chat, state }: HistoryRecord & { readonly type: 'ended' }): void {
    const { state: sent } = this.#log({ client, chat });
    const differs = difference(state, sent);
    if (differs === null) return;
    const place = { chat, client, position: sent.position };
    this.#report('b', place, `The client ends with another state than its log gives: ${differs} differs.`);
  }

  #onFresh({ chat, state }: HistoryRecord & { readonly type: 'fresh' }): void {
    for (const [client, log] of this.#book(chat).logs) {
      if (!log.isAttached) continue;
      this.#looked.freshCompared += 1;
      const differs = difference(log.state, state);
      if (differs === null) continue;
      const stands = state.position === null ? 'nowhere' : `at ${formatPosition(state.position)}`;
      const place = { chat, client, position: log.state.position };
      this.#report('b', place, `The client's state is not that of a fresh attach, ${stands}: ${differs} differs.`);
    }
    this.#book(chat).commands.checkTitle(state.chat?.title ?? null);
  }

  #book(chat: ChatId): ChatBook {
    const known = this.#books.get(chat);
    if (known !== undefined) return known;
    const book = new ChatBook(chat, this.#looked, (...report) => this.#report(...report));
    this.#books.set(chat, book);
    this.#looked.chats = this.#books.size;
    return book;
  }

  #log({ client, chat }: { readonly client: string; readonly chat: ChatId }): ReturnType<ChatBook['log']> {
    const chats = this.#clients.get(client) ?? new Set<ChatId>();
    this.#clients.set(client, chats.add(chat));
    this.#looked.clients = this.#clients.size;
    return this.#book(chat).log(client);
  }

  #report(rule: Rule, place: Place, what: string): void {
    this.#count += 1;
    this.#byRule[rule] += 1;
    if (this.#violations.length < VIOLATIONS_KEPT) this.#violations.push({ rule, ...place, what });
  }
}

/** The turn that a frame says is over. */
function endedTurn(frame: ChatFrame): string | null {
  if (frame.op === 'event') {
    const { event } = frame;
    if (event.kind === 'chat') return event.chat.last_turn?.turn ?? null;
    return event.kind === 'turn' && event.type === 'ended' ? event.turn : null;
  }
  if (frame.op !== 'attached' || frame.outcome !== 'snapshot') return null;
  return frame.piece.head?.chat.last_turn?.turn ?? null;
}
