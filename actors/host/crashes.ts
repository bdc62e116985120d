// Counts the crashes of each chat's actors within a window: three in a minute and its turn is not taken up again (P12).

import type { ChatId } from '../../protocol/ids.ts';
import type { ActorLimit } from '../chat/counted-limits.ts';
import type { Tally } from '../../protocol/measures.ts';
import { HOST_LIMITS } from './settings.ts';

export class Crashes {
  readonly #times = new Map<ChatId, number[]>();
  readonly #limits: Tally<ActorLimit>;

  constructor(limits: Tally<ActorLimit>) {
    this.#limits = limits;
  }

  /** Notes a crash at `nowMs` and gives how many there were within the window. */
  note(chat: ChatId, nowMs: number): number {
    const recent = [...(this.#times.get(chat) ?? []), nowMs].filter((at) => nowMs - at < HOST_LIMITS.crashWindowMs);
    this.#times.delete(chat);
    this.#times.set(chat, recent.slice(-HOST_LIMITS.crashesMax - 1));
    const oldest = this.#times.keys().next();
    if (this.#times.size > HOST_LIMITS.crashedChats && !oldest.done) {
      this.#limits.add('crashedChats');
      this.#times.delete(oldest.value);
    }
    return recent.length;
  }

  count(chat: ChatId, nowMs: number): number {
    return (this.#times.get(chat) ?? []).filter((at) => nowMs - at < HOST_LIMITS.crashWindowMs).length;
  }
}
