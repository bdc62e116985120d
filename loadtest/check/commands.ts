// What became of the commands of one chat (rule a).

import type { TurnOutcome } from '../../protocol/content.ts';
import type { CommandId } from '../../protocol/ids.ts';
import type { HistoryRecord, SentRecord } from './history.ts';
import type { Looked } from './looked.ts';

type Command = {
  readonly sent: SentRecord;
  state: 'open' | 'acked' | 'refused' | 'unknown';
  ackedAt: number;
  outcome: string | null;
  digest: string;
};

type Answer = HistoryRecord & { readonly type: 'acked' | 'refused' | 'unknown' };

/** One chat's; `fail` takes the sentence and the client that sent the command. */
export class Commands {
  readonly #looked: Looked;
  readonly #fail: (client: string | null, what: string) => void;
  readonly #all = new Map<CommandId, Command>();
  /** Titles in the order in which the log of any client has shown them, by client. */
  readonly #titles = new Map<string, string[]>();

  readonly #asked = new Set<string>();

  constructor(looked: Looked, fail: (client: string | null, what: string) => void) {
    this.#looked = looked;
    this.#fail = fail;
  }

  onSent(sent: SentRecord): void {
    this.#looked.sent += 1;
    if (this.#all.has(sent.id)) return;
    if (sent.title !== undefined) this.#asked.add(sent.title);
    this.#all.set(sent.id, { sent, state: 'open', ackedAt: Infinity, outcome: null, digest: '' });
  }

  onAnswer(answer: Answer): void {
    const command = this.#all.get(answer.id);
    if (command === undefined) return this.#fail(answer.client, `An answer came to ${answer.id}, which nobody sent.`);
    this.#looked[answer.type] += 1;
    if (answer.type === 'unknown') {
      if (command.state === 'open') command.state = 'unknown';
      return;
    }
    if (command.state === 'acked' || command.state === 'refused') return this.#again(command, answer);
    command.state = answer.type;
    if (answer.type !== 'acked') return;
    command.ackedAt = answer.at;
    command.outcome = answer.outcome;
    command.digest = answer.digest;
  }

  /** A retry hears what the first try heard. */
  #again({ sent, state, digest }: Command, answer: Exclude<Answer, { readonly type: 'unknown' }>): void {
    const which = `${sent.name} ${sent.id}`;
    if (state !== answer.type) this.#fail(answer.client, `${which} was ${state}, and a repeat was ${answer.type}.`);
    else if (answer.type === 'acked' && answer.digest !== digest) {
      this.#fail(answer.client, `A repeat of ${which} was acknowledged with another result.`);
    } else this.#looked.repeated += 1;
  }

  /** A client's log shows that title now. */
  onTitle(client: string, title: string): void {
    // Only titles that somebody asked for are said to be given once.
    if (!this.#asked.has(title)) return;
    const titles = this.#titles.get(client) ?? [];
    this.#titles.set(client, titles);
    if (titles.at(-1) === title) return;
    if (titles.includes(title)) this.#fail(client, `The chat was renamed to ${JSON.stringify(title)} a second time.`);
    titles.push(title);
  }

  /** Judges the sends by how often their ids stand in the chat in the end, messages and queue together. */
  checkSends(times: ReadonlyMap<string, number>): void {
    for (const { sent, state } of this.#all.values()) {
      if (sent.name !== 'chat.send') continue;
      const count = times.get(sent.id) ?? 0;
      this.#looked.effects += count;
      const which = `chat.send ${sent.id}`;
      if (count > 1) this.#fail(sent.client, `${which} took effect ${count} times.`);
      else if (state === 'acked' && count === 0) this.#fail(sent.client, `${which} was acknowledged and left nothing.`);
      else if (state === 'refused' && count > 0) this.#fail(sent.client, `${which} was refused and took effect.`);
    }
  }

  /** A stop that was acknowledged ends its turn so, and in no other way but by an interruption that came first. */
  checkStops(outcomes: ReadonlyMap<string, TurnOutcome>): void {
    for (const { sent, state, outcome } of this.#all.values()) {
      if (sent.name !== 'chat.stop' || state !== 'acked' || outcome !== 'stopping') continue;
      const ended = outcomes.get(sent.turn ?? '');
      if (ended === undefined) continue;
      this.#looked.effects += 1;
      if (ended === 'stopped' || ended === 'interrupted') continue;
      this.#fail(sent.client, `A stop of turn ${sent.turn} was acknowledged, and the turn ended ${ended}.`);
    }
  }

  /** The last title is none that an acknowledged rename had replaced by another one before. */
  checkTitle(title: string | null): void {
    const renames = [...this.#all.values()].filter(({ sent }) => sent.name === 'chat.rename');
    const last = renames.find(({ sent }) => sent.title === title);
    const acked = renames.filter(({ state }) => state === 'acked');
    if (last === undefined) {
      const lost = acked[0];
      if (lost !== undefined) this.#fail(lost.sent.client, `chat.rename ${lost.sent.id} was acknowledged and is lost.`);
      return;
    }
    this.#looked.effects += 1;
    if (last.state === 'refused')
      this.#fail(last.sent.client, `chat.rename ${last.sent.id} was refused and took effect.`);
    const later = acked.find(({ sent }) => sent.at > last.ackedAt);
    if (later !== undefined) {
      this.#fail(later.sent.client, `chat.rename ${later.sent.id} was acknowledged, and an earlier title stands.`);
    }
  }
}
