// A client without a connection: it follows a chat of a stage through the reducer, as every client does.

import { assert, must } from '../../protocol/assert.ts';
import { EMPTY_CHAT_STATE, type ChatState } from '../../protocol/client/chat-state.ts';
import { applyEvent } from '../../protocol/client/reducer.ts';
import { applyPiece } from '../../protocol/client/snapshot.ts';
import type { ChatEvent } from '../../protocol/events.ts';
import type { ChatId } from '../../protocol/ids.ts';
import type { ReadableLog } from '../../actors/host/api.ts';
import { eventsBehind, type Stage } from './stage.ts';

export class Watcher {
  readonly #stage: Stage;
  readonly #chat: ChatId;
  #log: ReadableLog | null = null;
  state: ChatState = EMPTY_CHAT_STATE;
  /** What was applied, in order. */
  readonly events: ChatEvent[] = [];
  /** How the latest attach was answered. */
  outcome: string | null = null;

  constructor(stage: Stage, chat: ChatId) {
    this.#stage = stage;
    this.#chat = chat;
  }

  /** Attaches with its cursor, and applies everything up to now. */
  async catchUp(): Promise<ChatState> {
    const attached = await this.#stage.attach(this.#chat, this.state.position);
    this.outcome = attached.outcome;
    if (attached.outcome === 'snapshot') {
      for (let piece = attached.nextPiece(); piece !== null; piece = attached.nextPiece()) {
        const applied = applyPiece(this.state, attached.position, piece);
        assert(applied.outcome === 'applied', `a piece is applied: ${applied.outcome}`);
        this.state = applied.state;
      }
    }
    if ('log' in attached) {
      this.#log = attached.log;
      attached.detach();
    }
    return this.readOn();
  }

  /** What the log has got since, also when its actor has ended. */
  readOn(): ChatState {
    const from = must(this.state.position, 'there is a snapshot');
    for (const event of this.#log === null ? [] : eventsBehind(this.#log, from)) {
      const applied = applyEvent(this.state, event);
      assert(applied.outcome === 'applied', `an event is applied: ${applied.outcome}`);
      this.state = applied.state;
      this.events.push(event.event);
    }
    return this.state;
  }

  /** What two clients at one position must agree on, however they came there. */
  get shown(): unknown {
    const { position, chat, messages, queue, turn, lastTurn } = this.state;
    return { position, chat, messages, queue, turn, lastTurn };
  }

  get texts(): readonly string[] {
    return this.state.messages.map(({ parts }) => parts.map((part) => ('text' in part ? part.text : '?')).join(''));
  }
}
