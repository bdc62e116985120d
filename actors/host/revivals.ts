// Chats whose actor ended under way: loaded again after a wait that doubles while it fails, so that no turn is forgotten
// and a failing database is not stormed.

import type { ChatId } from '../../protocol/ids.ts';
import type { Clock } from '../ports.ts';
import { HOST_LIMITS } from './settings.ts';

export class Revivals {
  readonly #clock: Clock;
  readonly #revive: (chat: ChatId) => Promise<boolean>;
  /** Chat → takes its timer back. At most one entry per chat that was active here. */
  readonly #pending = new Map<ChatId, () => void>();
  #stopped = false;

  /** `revive` is false when the chat has to be tried again. */
  constructor(clock: Clock, revive: (chat: ChatId) => Promise<boolean>) {
    this.#clock = clock;
    this.#revive = revive;
  }

  add(chat: ChatId): void {
    if (!this.#pending.has(chat)) this.#arm(chat, HOST_LIMITS.reviveBaseMs);
  }

  stop(): void {
    this.#stopped = true;
    for (const cancel of this.#pending.values()) cancel();
    this.#pending.clear();
  }

  #arm(chat: ChatId, delayMs: number): void {
    if (this.#stopped) return;
    this.#pending.set(
      chat,
      this.#clock.after(delayMs, () => void this.#run(chat, delayMs)),
    );
  }

  async #run(chat: ChatId, delayMs: number): Promise<void> {
    this.#pending.delete(chat);
    const isDone = await this.#revive(chat);
    // Trying may have called for another try by itself.
    if (!isDone && !this.#pending.has(chat)) this.#arm(chat, Math.min(HOST_LIMITS.reviveCeilingMs, delayMs * 2));
  }
}
