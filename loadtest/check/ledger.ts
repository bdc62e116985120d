// All messages of one chat in the end, compared with what clients saw and with what the provider said (rules a and d).

import type { Message, QueuedMessage, TurnOutcome } from '../../protocol/content.ts';
import type { ChatId } from '../../protocol/ids.ts';
import { digestOf } from './canonical.ts';
import type { Looked } from './looked.ts';
import { fateIn, isMessageOf, type Shown } from './shown-text.ts';

/** What the clients of a chat have seen of it, as far as it bears on its messages. */
export type Seen = {
  /** Number → digest of the message as it was shown. */
  readonly messages: ReadonlyMap<number, string>;
  readonly outcomes: ReadonlyMap<string, TurnOutcome>;
  /** Turn → what the provider says to it. */
  readonly said: ReadonlyMap<string, string>;
  /** Shown texts whose message no client held at the time. */
  readonly unseen: readonly (Shown & { readonly client: string })[];
};

export type LedgerFault = { readonly rule: 'a' | 'd'; readonly client: string | null; readonly what: string };

/** Collects the pages of one chat. */
export class Ledger {
  readonly #messages: Message[] = [];
  #queue: readonly QueuedMessage[] = [];

  readonly chat: ChatId;

  constructor(chat: ChatId) {
    this.chat = chat;
  }

  add(messages: readonly Message[], queue: readonly QueuedMessage[]): void {
    this.#messages.push(...messages);
    this.#queue = queue;
  }

  /** Id of a command → how often it stands in the chat. */
  effects(): ReadonlyMap<string, number> {
    const times = new Map<string, number>();
    const ids: readonly string[] = [...this.#messages.filter(({ role }) => role === 'user'), ...this.#queue].map(
      ({ id }) => id,
    );
    for (const id of ids) times.set(id, (times.get(id) ?? 0) + 1);
    return times;
  }

  faults(seen: Seen, looked: Looked): readonly LedgerFault[] {
    return [...this.#numbers(), ...this.#shown(seen), ...this.#said(seen, looked), ...this.#unseen(seen, looked)];
  }

  #numbers(): readonly LedgerFault[] {
    return this.#messages.flatMap(({ number }, i) => {
      const before = this.#messages[i - 1]?.number ?? 0;
      if (number > before) return [];
      return [{ rule: 'a', client: null, what: `Message ${number} comes behind message ${before}.` }];
    });
  }

  /** What was shown as a message is what stands there. */
  #shown({ messages }: Seen): readonly LedgerFault[] {
    return this.#messages.flatMap((message) => {
      const [shown, stands] = [messages.get(message.number), messageDigest(message)];
      if (shown === undefined || stands === null || shown === stands) return [];
      return [{ rule: 'd', client: null, what: `Message ${message.number} was shown with another content.` }];
    });
  }

  /** The messages of a turn together are what the provider said: all of it when the turn was completed. */
  #said({ said, outcomes }: Seen, looked: Looked): readonly LedgerFault[] {
    return [...said].flatMap(([turn, text]) => {
      const answer = this.#messages.filter((message) => message.turn === turn && message.role === 'assistant');
      const committed = answer.map(textOf).join('');
      const outcome = outcomes.get(turn);
      if (answer.length === 0 && outcome !== 'completed') return [];
      looked.turnsSaid += 1;
      const isIt = outcome === 'completed' ? committed === text : text.startsWith(committed);
      if (isIt) return [];
      const what = `Turn ${turn}, ${outcome ?? 'not over'}, holds ${committed.length} characters in ${answer.length} messages that are not what the provider said (${text.length}).`;
      return [{ rule: 'd', client: null, what }];
    });
  }

  #unseen({ unseen }: Seen, looked: Looked): readonly LedgerFault[] {
    return unseen.flatMap((shown) => {
      const message = this.#messages.find((one) => isMessageOf(one, shown));
      if (message === undefined) {
        return [{ rule: 'd', client: shown.client, what: `Text shown in turn ${shown.turn} was never committed.` }];
      }
      const fate = fateIn(message, shown, { exactly: false }, looked);
      return fate.outcome === 'fault' ? [{ rule: 'd', client: shown.client, what: fate.what }] : [];
    });
  }
}

/** Null for a message that came with references: it says less than the one in the ledger. */
export function messageDigest(message: Message): string | null {
  return message.parts.every((part) => 'text' in part) ? digestOf(message) : null;
}

function textOf({ parts }: Message): string {
  return parts.map((part) => (part.type === 'text' && 'text' in part ? part.text : '')).join('');
}
