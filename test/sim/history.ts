// The history of a run as its devices saw it, judged by the checker that also judges real processes.

import type { NewMessage } from '../../actors/ports.ts';
import { HistoryChecker } from '../../loadtest/check/checker.ts';
import { comparedState } from '../../loadtest/check/compare.ts';
import type { HistoryRecord } from '../../loadtest/check/history.ts';
import { formatViolation } from '../../loadtest/check/violation.ts';
import type { ChatState } from '../../protocol/client/index.ts';
import type { ChatId } from '../../protocol/ids.ts';
import { messageOf } from './memory-reads.ts';

export type ChatEnd = {
  readonly at: number;
  readonly chat: ChatId;
  /** By the names of the devices that follow it. */
  readonly shown: readonly (readonly [string, ChatState])[];
  readonly fresh: ChatState;
  readonly rows: readonly NewMessage[];
};

export class SimHistory {
  readonly #checker = new HistoryChecker();

  add(record: HistoryRecord): void {
    this.#checker.add(record);
  }

  /** A chat in the end, as its devices show it, as somebody sees it who has just come, and as storage has it. */
  end({ at, chat, shown, fresh, rows }: ChatEnd): void {
    for (const [client, state] of shown) this.add({ type: 'ended', at, client, chat, state: comparedState(state) });
    this.add({ type: 'fresh', at, chat, state: comparedState(fresh) });
    const visible = rows.filter(({ visibility }) => visibility !== 'model');
    const messages = visible.map((row) => ({ ...messageOf(row), parts: row.parts }));
    this.add({ type: 'page', chat, messages, last: true, queue: fresh.queue });
  }

  /** What the history breaks, in words. A run may be too short to hold something of everything: that is the sights' to say. */
  violations(): readonly string[] {
    const { violations } = this.#checker.end();
    return violations.filter(({ chat }) => chat !== null).map(formatViolation);
  }
}
