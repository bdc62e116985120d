// One chat of a play: who follows it, what was said in it, and the requests that it made.

import { isDeepStrictEqual } from 'node:util';
import { pairingFault } from '../../actors/chat/pairing.ts';
import type { ReadableLog } from '../../actors/host/api.ts';
import type { AttemptOpening } from '../../actors/turn-ports.ts';
import type { PositionedEvent, StepEvent } from '../../protocol/events.ts';
import type { ChatId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import { must } from '../../protocol/assert.ts';
import type { ChatRow } from '../sim/memory-tables.ts';
import { eventsBehind, type PlayedAttempt, type Stage } from '../actors/stage.ts';
import { Watcher } from '../actors/watcher.ts';
import { PromptLedger } from './ledger.ts';
import type { FuzzProviders } from './providers.ts';
import type { Tally } from './tally.ts';

/** Where a user's text is to be in the end: in the chat or its queue; taken back by its owner; nobody knows. */
export type Fate = 'there' | 'gone' | 'open';

/** An attempt of the model and what it has said. */
export type Spoken = {
  readonly attempt: PlayedAttempt;
  text: string;
  /** Blocks that were begun. */
  blocks: number;
  isOver: boolean;
  /** Its turn was given up for another one: nothing of it is kept. */
  isReplaced: boolean;
};

export class FuzzScene {
  readonly chat: ChatId;
  readonly texts = new Map<string, Fate>();
  readonly spoken: Spoken[] = [];
  readonly #ledger = new PromptLedger();
  readonly #tally: Tally;
  readonly #providers: FuzzProviders;
  #stage: Stage;
  #watcher: Watcher;
  #readTo: Position | null = null;
  #log: ReadableLog | null = null;
  /** Attempts of the stage that are in `spoken`. */
  #taken = 0;
  /** Attempts whose step the log has told of. */
  #told = 0;

  constructor(stage: Stage, chat: ChatId, parts: { readonly tally: Tally; readonly providers: FuzzProviders }) {
    this.chat = chat;
    this.#stage = stage;
    this.#watcher = new Watcher(stage, chat);
    this.#tally = parts.tally;
    this.#providers = parts.providers;
  }

  get row(): ChatRow {
    return must(this.#stage.tables.chats.get(this.chat), 'the chat is there');
  }

  /** The node is another one: who follows comes back with what it has. */
  moveTo(stage: Stage): void {
    this.#bury();
    this.#taken = 0;
    const { state } = this.#watcher;
    this.#stage = stage;
    this.#watcher = new Watcher(stage, this.chat);
    this.#watcher.state = state;
  }

  /** The request that the turn waits for: titles are asked for beside it. */
  get current(): Spoken | undefined {
    return this.spoken.findLast((one) => !one.isOver && this.purposeOf(one.attempt) !== 'title');
  }

  /** Takes in what the log and the model have got since; throws what is wrong with it. */
  async follow(): Promise<void> {
    const events = await this.#readLog();
    this.#take(events);
  }

  /** What a node that has died since had still shown and asked, and the next one has not. */
  #bury(): void {
    const events = this.#rest();
    this.#readTo = events.at(-1)?.position ?? this.#readTo;
    this.#take(events);
    for (const one of this.spoken) one.isOver = true;
  }

  #take(events: readonly PositionedEvent[]): void {
    const attempts = this.#stage.attempts.filter(({ request }) => request.chat === this.chat);
    for (const one of this.spoken) one.isOver ||= one.attempt.signal.aborted;
    for (const attempt of attempts.slice(this.#taken)) {
      this.spoken.push({ attempt, text: '', blocks: 0, isOver: false, isReplaced: false });
      this.#checkRequest(attempt);
    }
    this.#taken = attempts.length;
    for (const { event } of events) {
      if (event.kind === 'fork') {
        this.#ledger.fork();
        this.#tally.count('forks', event.reason);
      }
      if (event.kind === 'step' && event.type === 'started') this.#checkPrefix(event);
    }
  }

  /** A client that has followed shows what one shows that has just come (P2). */
  async look(): Promise<void> {
    await this.#watcher.catchUp();
    const fresh = new Watcher(this.#stage, this.chat);
    await fresh.catchUp();
    const difference = firstDifference('', this.#watcher.shown, fresh.shown);
    if (difference !== null) throw new Error(`[P2] who follows sees another chat than who comes now: ${difference}`);
    this.#tally.compared += 1;
  }

  /** All events since, also those that a crash kept from who follows: the ring has them. */
  async #readLog(): Promise<readonly PositionedEvent[]> {
    const attached = await this.#stage.attach(this.chat, this.#readTo);
    if (!('log' in attached)) throw new Error(`nobody can follow: ${attached.outcome}`);
    const { position, log } = attached;
    const events =
      attached.outcome === 'resumed'
        ? eventsBehind(log, must(this.#readTo, 'it had a cursor'))
        : [...this.#rest(), ...eventsBehind(log, { ...position, seq: 0 })];
    attached.detach();
    this.#log = log;
    this.#readTo = events.at(-1)?.position ?? position;
    return events;
  }

  /** What the log that was read last has got since: it stays as it was when its actor ended. */
  #rest(): readonly PositionedEvent[] {
    return this.#log === null || this.#readTo === null ? [] : eventsBehind(this.#log, this.#readTo);
  }

  #checkRequest({ request }: PlayedAttempt): void {
    const fault = pairingFault(request);
    if (fault !== null) throw new Error(`[P12] a request breaks the rule ${fault.rule} at item ${fault.item}`);
    const refusal = this.#providers.refusal(request);
    if (refusal !== null) throw new Error(`[P12] the provider refuses a request: ${refusal}`);
    this.#tally.requests += 1;
  }

  #checkPrefix({ turn, step, attempt }: StepEvent): void {
    const steps = this.spoken.filter((one) => this.purposeOf(one.attempt) === 'turn');
    const at = steps.findIndex((one) => {
      const opening = this.#openingOf(one.attempt);
      return opening?.turn === turn && opening.step === step && opening.attempt === attempt;
    });
    const next = must(steps[at], 'a step that was started has its request');
    // An epoch came and went with nobody there: its log may have held anything.
    if (at !== this.#told) this.#ledger.fork();
    this.#told = at + 1;
    const continuation = this.#ledger.next(next.attempt.request);
    if (continuation.outcome === 'another') throw new Error(continuation.fault);
    if (continuation.outcome === 'continued') this.#tally.prefixes += 1;
  }

  purposeOf(attempt: PlayedAttempt): string {
    return this.#openingOf(attempt)?.purpose ?? 'turn';
  }

  outcomeOf({ request }: PlayedAttempt): string | null {
    return this.#stage.tables.attempts.get(request.attempt)?.settlement?.outcome ?? null;
  }

  #openingOf({ request }: PlayedAttempt): AttemptOpening | undefined {
    return this.#stage.tables.attempts.get(request.attempt)?.opening;
  }
}

/** What is not the same in both, and where; null: nothing. */
function firstDifference(path: string, left: unknown, right: unknown): string | null {
  if (isDeepStrictEqual(left, right)) return null;
  if (isRecord(left) && isRecord(right)) {
    for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
      const found = firstDifference(`${path}/${key}`, left[key], right[key]);
      if (found !== null) return found;
    }
  }
  return `${path}: ${JSON.stringify(left)} and ${JSON.stringify(right)}`;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
