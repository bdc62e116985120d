// Chats whose actor ended under way: loaded again after a wait that doubles while they keep ending, so that no turn is
// forgotten and neither a failing database nor a failing chat makes a storm.

import type { ChatId } from '../../protocol/ids.ts';
import type { Clock } from '../ports.ts';
import type { ActorCounts } from '../chat/counts.ts';
import { HOST_LIMITS } from './settings.ts';

type Last = { readonly delayMs: number; readonly atMs: number };

export class Revivals {
  readonly #clock: Clock;
  readonly #revive: (chat: ChatId) => Promise<boolean>;
  /** Chat → takes its timer back. At most one entry per chat that was active here. */
  readonly #pending = new Map<ChatId, () => void>();
  /** The wait that a chat had last. Full: the oldest is forgotten, its chat begins anew. */
  readonly #last = new Map<ChatId, Last>();
  #stopped = false;
  readonly #counts: ActorCounts;

  /** `revive` is false when the chat has to be tried again; it never rejects. */
  constructor(clock: Clock, counts: ActorCounts, revive: (chat: ChatId) => Promise<boolean>) {
    this.#clock = clock;
    this.#counts = counts;
    this.#revive = revive;
  }

  add(chat: ChatId): void {
    if (this.#stopped || this.#pending.has(chat)) return;
    const delayMs = this.#nextDelayMs(chat);
    this.#last.delete(chat);
    this.#last.set(chat, { delayMs, atMs: this.#clock.nowMs() });
    const oldest = this.#last.keys().next();
    if (this.#last.size > HOST_LIMITS.crashedChats && !oldest.done) {
      this.#counts.limits.add('crashedChats');
      this.#last.delete(oldest.value);
    }
    this.#pending.set(
      chat,
      this.#clock.after(delayMs, () => void this.#run(chat)),
    );
  }

  get pending(): number {
    return this.#pending.size;
  }

  stop(): void {
    this.#stopped = true;
    this.clear();
  }

  /** Forgets those that wait; others may come. */
  clear(): void {
    for (const cancel of this.#pending.values()) cancel();
    this.#pending.clear();
  }

  /** A chat that stayed up for longer than the longest wait begins with the first one again. */
  #nextDelayMs(chat: ChatId): number {
    const last = this.#last.get(chat);
    const isLongAgo = last === undefined || this.#clock.nowMs() - last.atMs > 2 * HOST_LIMITS.reviveCeilingMs;
    return isLongAgo ? HOST_LIMITS.reviveBaseMs : Math.min(HOST_LIMITS.reviveCeilingMs, last.delayMs * 2);
  }

  async #run(chat: ChatId): Promise<void> {
    this.#pending.delete(chat);
    this.#counts.revivals += 1;
    // Trying may have called for another try by itself.
    if (!(await this.#revive(chat))) this.add(chat);
  }
}
