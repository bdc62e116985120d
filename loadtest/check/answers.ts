// Whether every chat answers once the faults have stopped (rule e): a message that was sent then has had the end of its
// turn in time.

import type { ChatId } from '../../protocol/ids.ts';
import type { HistoryRecord, SentRecord } from './history.ts';
import type { Looked } from './looked.ts';

/** From the end of the faults to the end of a turn that was asked for behind it. */
export const ANSWER_MAX_MS = 10_000;

/** `tookMs` is null when it did not answer at all. */
type Late = { readonly chat: ChatId; readonly tookMs: number | null };

export class Answers {
  readonly #looked: Looked;
  #calmAt: number | null = null;
  readonly #asked = new Map<string, { readonly chat: ChatId; readonly at: number }>();
  readonly #answeredAt = new Map<ChatId, number>();

  constructor(looked: Looked) {
    this.#looked = looked;
  }

  onFault(): void {
    this.#looked.faults += 1;
    this.#calmAt = null;
    this.#asked.clear();
    this.#answeredAt.clear();
  }

  onCalm({ at }: HistoryRecord & { readonly type: 'calm' }): void {
    this.#calmAt = at;
  }

  onSent({ name, id, chat, at }: SentRecord): void {
    if (this.#calmAt === null || name !== 'chat.send' || this.#answeredAt.has(chat)) return;
    this.#asked.set(id, { chat, at });
  }

  /** A client saw that the turn is over. */
  onTurnEnded(turn: string, at: number): void {
    const asked = this.#asked.get(turn);
    if (asked === undefined || this.#answeredAt.has(asked.chat)) return;
    this.#asked.delete(turn);
    this.#answeredAt.set(asked.chat, at);
  }

  /** The chats that did not answer in time. */
  late(chats: Iterable<ChatId>): readonly Late[] {
    const calmAt = this.#calmAt;
    if (calmAt === null) return [];
    return [...chats].flatMap((chat): readonly Late[] => {
      const at = this.#answeredAt.get(chat);
      if (at === undefined) return [{ chat, tookMs: null }];
      this.#looked.answers += 1;
      return at - calmAt > ANSWER_MAX_MS ? [{ chat, tookMs: at - calmAt }] : [];
    });
  }
}
