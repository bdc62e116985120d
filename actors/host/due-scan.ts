// Looks for what waits for this node: chats that run or are due and that nobody has, and what other chats have told those
// that it has. It looks now and then, and when somebody says that there is something.

import type { ChatId } from '../../protocol/ids.ts';
import type { Told } from '../inbox-ports.ts';
import type { ChatStore, Clock } from '../ports.ts';
import { HOST_LIMITS } from './settings.ts';

export type DueScanParts = {
  readonly store: Pick<ChatStore, 'due'>;
  readonly clock: Clock;
  /** Absent: every chat is for this node. */
  readonly isMine: ((chat: ChatId) => boolean) | undefined;
  readonly isResident: (chat: ChatId) => boolean;
  readonly revive: (chat: ChatId) => Promise<unknown>;
  /** Resolves when it was done, or could not be. */
  readonly hear: (told: Told) => Promise<void>;
  readonly onFault: (error: unknown) => void;
};

export class DueScan {
  readonly #parts: DueScanParts;
  #running: Promise<number> | null = null;
  #cancelLook = (): void => undefined;
  /** Due at the last look, and left to the nodes that should have them. */
  #left = new Set<ChatId>();
  #stopped = false;

  constructor(parts: DueScanParts) {
    this.#parts = parts;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelLook();
  }

  /** A node is dead, or a chat was told something: one more look. Never rejects. */
  async takeUp(): Promise<void> {
    try {
      // A look that is under way may have been too early.
      await this.#running;
      const againMs = await this.run();
      if (againMs > HOST_LIMITS.dueAgainMs || this.#stopped) return;
      this.#cancelLook();
      this.#cancelLook = this.#parts.clock.after(againMs, () => void this.takeUp());
    } catch (error) {
      this.#parts.onFault(error);
    }
  }

  /** Gives the time to the next scan: soon, when storage could not answer, or when others should take up what is due. */
  run(): Promise<number> {
    this.#running ??= this.#scan().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #scan(): Promise<number> {
    const { store, clock, isMine, isResident, revive, hear } = this.#parts;
    const seen = new Set<ChatId>();
    const heard = new Set<string>();
    const leftBefore = this.#left;
    this.#left = new Set();
    // Repeated until a scan brings nothing new: one batch is not all there is.
    for (;;) {
      const due = await store.due(clock.nowMs(), HOST_LIMITS.dueBatch);
      if (due.outcome === 'unavailable' || this.#stopped) return HOST_LIMITS.dueAgainMs;
      const fresh = due.value.chats.filter((chat) => !isResident(chat) && !seen.has(chat));
      const told = due.value.told.filter((one) => !heard.has(keyOf(one)));
      if (fresh.length === 0 && told.length === 0) {
        return this.#left.size > 0 ? HOST_LIMITS.leftAgainMs : HOST_LIMITS.dueEveryMs;
      }
      for (const chat of fresh) seen.add(chat);
      for (const one of told) heard.add(keyOf(one));
      // Whoever should have it takes it up, at the same time; what is still there at the next look is anybody's.
      const mine = fresh.filter((chat) => isMine === undefined || leftBefore.has(chat) || isMine(chat));
      const taken = new Set(mine);
      for (const chat of fresh) if (!taken.has(chat)) this.#left.add(chat);
      await Promise.all([...mine.map(revive), ...told.map(hear)]);
    }
  }
}

function keyOf({ chat, source, position }: Told): string {
  return `${chat} ${source} ${position.epoch} ${position.seq}`;
}
