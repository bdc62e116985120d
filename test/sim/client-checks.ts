// What is checked each time that a client's state of a chat has changed: whether what it shows is what is true at its
// position, and whether text that it showed was committed or taken back in so many words.

import type { NewMessage } from '../../actors/ports.ts';
import type { ChatHandle, ChatState, Message } from '../../protocol/client/index.ts';
import type { ServerFrame } from '../../protocol/frames.ts';
import type { PositionedEvent } from '../../protocol/events.ts';
import { comparePositions, formatPosition, type Position } from '../../protocol/position.ts';
import { canonical, isSame } from '../../loadtest/check/canonical.ts';
import type { Audit } from './audit.ts';
import { messageOf } from './memory-reads.ts';

/** Text of a live attempt that the client has shown. */
type ShownText = {
  readonly turn: string;
  readonly step: number;
  readonly attempt: number;
  readonly position: Position;
  readonly texts: readonly string[];
};

/** Follows one chat of one client. */
export class ClientChecks {
  readonly #audit: Audit;
  readonly #handle: ChatHandle;
  readonly #name: string;
  #position: Position | null = null;
  #messages: ChatState['messages'] | null = null;
  /** Messages that were found in storage as they are: rows never change. */
  readonly #stored = new WeakSet<Message>();
  readonly #equal = new WeakMap<object, object>();
  #shown: ShownText | null = null;
  /** What took text back since it was shown. */
  #wasReset = false;
  #retracted: Position | null = null;

  constructor(audit: Audit, handle: ChatHandle, device: string) {
    this.#audit = audit;
    this.#handle = handle;
    this.#name = `${device} at ${handle.id.slice(0, 8)}`;
    handle.subscribe(() => this.#onChange());
    handle.onEvent((event) => this.#onEvent(event));
  }

  /** Before the client handles the frame. */
  onFrame(frame: ServerFrame): void {
    if (frame.op !== 'attached' || frame.chat !== this.#handle.id) return;
    const audit = this.#audit;
    audit.saw(frame.outcome);
    if (frame.outcome !== 'snapshot') return;
    const { head, last } = frame.piece;
    if (!last) audit.saw('pieces');
    if (head === null) return;
    this.#retracted = head.retracted;
    if (head.retracted !== null) audit.saw('retracted');
    if (head.retracted !== null && audit.journal === 'shown') this.#fail('P5', 'was told of a loss where none can be');
    if (head.drop_older && head.has_older) audit.saw('dropOlder');
    if (head.disowned) audit.fail('P4', `${this.#name} was disowned though storage was never set back`);
  }

  #onEvent({ position, span, event }: PositionedEvent): void {
    const before = this.#position;
    this.#position = position;
    if (event.kind === 'step' && event.type === 'reset') this.#wasReset = true;
    if (before === null || before.epoch !== position.epoch) return;
    if (position.seq <= before.seq) this.#fail('P2', `applied ${formatPosition(position)} a second time`);
    if (position.seq - span > before.seq) this.#fail('P2', `skipped what comes before ${formatPosition(position)}`);
  }

  #onChange(): void {
    const { state } = this.#handle;
    const { position } = state;
    if (position === null) return;
    if (this.#position !== null && comparePositions(position, this.#position) < 0) {
      this.#fail('P2', `went back from ${formatPosition(this.#position)} to ${formatPosition(position)}`);
    }
    this.#position = position;
    this.#checkTruth(state, position);
    if (state.messages !== this.#messages) this.#checkMessages(state, position);
    this.#messages = state.messages;
    this.#checkShown(state, position);
  }

  #checkTruth({ chat, queue, turn }: ChatState, position: Position): void {
    const truth = this.#audit.truth(this.#handle.id, position);
    if (truth === undefined) return this.#fail('P2', `stands at ${formatPosition(position)}, which never was`);
    if (chat === null) return this.#fail('P2', 'has a position and no chat');
    const shown = { chat, queue, turn };
    const isTrue = this.#isEqual(chat, truth.chat) && this.#isEqual(queue, truth.queue) && isSame(turn, truth.turn);
    if (isTrue) return;
    this.#fail('P2', `shows at ${formatPosition(position)}\n  ${canonical(shown)}\ninstead of\n  ${canonical(truth)}`);
  }

  /** Most changes leave the chat and the queue as they were: what was compared once is not compared again. */
  #isEqual(shown: object, truth: object): boolean {
    if (this.#equal.get(shown) === truth) return true;
    if (!isSame(shown, truth)) return false;
    this.#equal.set(shown, truth);
    return true;
  }

  /** Durable events come after their commit, so storage holds what the client has, to the letter. */
  #checkMessages({ messages, oldest, hasOlder }: ChatState, position: Position): void {
    const rows = this.#audit.tables.chats.get(this.#handle.id)?.messages ?? [];
    const visible = rows.filter(
      ({ visibility, position: at, left }) =>
        visibility !== 'model' &&
        comparePositions(at, position) <= 0 &&
        (left === undefined || comparePositions(left, position) > 0),
    );
    const expected = visible.filter((row) => oldest !== null && row.number >= oldest);
    if (!hasOlder && expected.length < visible.length) this.#fail('P4', 'does not know that there are older messages');
    const at = expected.findIndex((row, i) => !this.#isStored(messages[i], row));
    if (at === -1 && messages.length === expected.length) return;
    const place = at === -1 ? expected.length : at;
    this.#fail('P2', `has message\n  ${canonical(messages[place])}\ninstead of\n  ${canonical(expected[place])}`);
  }

  /** A large part may have been fetched, or still stand as a reference. */
  #isStored(message: Message | undefined, row: NewMessage): boolean {
    if (message === undefined) return false;
    if (this.#stored.has(message)) return message.number === row.number;
    const inlined = messageOf(row);
    if (!isSame(message, inlined) && !isSame(message, { ...inlined, parts: row.parts })) return false;
    this.#stored.add(message);
    return true;
  }

  #checkShown(state: ChatState, position: Position): void {
    const before = this.#shown;
    const { turn } = state;
    const texts = (turn?.blocks ?? []).map((block) => block.text);
    const goesOn =
      before !== null &&
      turn !== null &&
      turn.turn === before.turn &&
      turn.step === before.step &&
      turn.attempt === before.attempt &&
      before.texts.every((text, i) => texts[i]?.startsWith(text) === true);
    if (before !== null && !goesOn) this.#checkVanished(before, state);
    const isShown = turn !== null && texts.some((text) => text !== '');
    if (isShown) this.#checkGenerated(turn, texts);
    if (!goesOn) {
      this.#wasReset = false;
      this.#retracted = null;
    }
    this.#shown = isShown ? { turn: turn.turn, step: turn.step, attempt: turn.attempt, position, texts } : null;
  }

  /** Text that is no longer live is in a message, or was taken back in so many words (P5). */
  #checkVanished(before: ShownText, { messages }: ChatState): void {
    if (this.#audit.wasReset(before, before.position.epoch)) return;
    if (this.#audit.journal === 'batched' && this.#isTakenBack(before.position)) return;
    const message = messages.find(({ turn, step }) => turn === before.turn && step === before.step);
    const kept = (message?.parts ?? []).flatMap((part) => ('text' in part ? [part.text] : []));
    const isKept = before.texts.filter((text) => text !== '').every((text, i) => kept[i]?.startsWith(text) === true);
    if (!isKept) {
      this.#fail(
        'P5',
        `showed ${JSON.stringify(before.texts)} at ${formatPosition(before.position)}, now ${JSON.stringify(kept)}, untold`,
      );
    }
  }

  /** By a crash: what was shown before it was journaled. */
  #isTakenBack({ epoch, seq }: Position): boolean {
    const lost = this.#retracted;
    return this.#wasReset || (lost !== null && lost.epoch === epoch && lost.seq < seq);
  }

  /** Nothing is shown that the model did not say. */
  #checkGenerated({ turn, step, attempt }: NonNullable<ChatState['turn']>, texts: readonly string[]): void {
    for (const { opening } of this.#audit.tables.attempts.values()) {
      if (opening.turn !== turn || opening.step !== step || opening.attempt !== attempt) continue;
      const blocks = this.#audit.generated.get(opening.id)?.blocks ?? [];
      if (texts.some((text, i) => blocks[i]?.text.startsWith(text) !== true)) {
        this.#fail('(e)', `shows ${JSON.stringify(texts)} where the model said ${JSON.stringify(blocks)}`);
      }
      return;
    }
    this.#fail('P10', `shows an attempt that was never opened`);
  }

  #fail(rule: string, what: string): void {
    this.#audit.fail(rule, `${this.#name} ${what}`);
  }
}
