// The other chats of a tree, as the actor that archives it needs them: at rest wherever they are, and told what storage has
// done with them.

import type { TakenChat } from '../actor-ports.ts';
import type { ChatId, OwnerId } from '../../protocol/ids.ts';
import type { ChatActor } from '../chat/actor.ts';
import type { Family } from '../chat/archive.ts';
import type { Clock } from '../ports.ts';
import type { Elsewhere } from './api.ts';
import type { HostDeps } from './host-deps.ts';
import { HOST_LIMITS } from './settings.ts';

export type FamilyParts = Pick<HostDeps, 'restElsewhere' | 'onTaken'> & {
  readonly clock: Clock;
  /** The actor of the chat, loaded if need be; null when it cannot be had now. */
  readonly obtain: (chat: ChatId) => Promise<ChatActor | Elsewhere | null>;
  readonly residentOf: (chat: ChatId) => ChatActor | undefined;
};

/** The chat rests, or cannot be loaded: the statement that needs it will say so. */
export type Rested = { readonly outcome: 'rested' };

const RESTED: Rested = { outcome: 'rested' };
const NOTHING = (): void => undefined;

export class HostFamily implements Family {
  readonly #parts: FamilyParts;

  constructor(parts: FamilyParts) {
    this.#parts = parts;
  }

  async quiesce(chats: readonly ChatId[], owner: OwnerId): Promise<(() => void) | null> {
    const results = await Promise.all(chats.map((chat) => this.#quiesce(chat, owner)));
    const releases = results.filter((release) => release !== null);
    const releaseAll = (): void => {
      for (const release of releases) release();
    };
    if (releases.length === chats.length) return releaseAll;
    releaseAll();
    return null;
  }

  /** For another node: it cannot say when it is done, so the chat goes on by itself after a moment. */
  async restHere(chat: ChatId): Promise<Elsewhere | Rested> {
    const found = await this.#parts.obtain(chat);
    if (found === null) return RESTED;
    if ('outcome' in found) return found;
    const release = await found.quiesce();
    this.#parts.clock.after(HOST_LIMITS.restHeldMs, release);
    return RESTED;
  }

  /** `updated_at` moves on the chat that was named only: the others change with it. */
  archived(chats: readonly ChatId[]): void {
    for (const id of chats) {
      const actor = this.#parts.residentOf(id);
      actor?.post(async () => {
        if (actor.state.chat.archived) return;
        const chat = { ...actor.state.chat, archived: true };
        actor.adopt({ ...actor.state, chat });
        actor.show([{ kind: 'chat', chat }]);
      });
    }
  }

  taken(chats: readonly TakenChat[]): void {
    this.#parts.onTaken?.(chats);
  }

  async #quiesce(chat: ChatId, owner: OwnerId): Promise<(() => void) | null> {
    const found = await this.#parts.obtain(chat);
    if (found === null) return NOTHING;
    if (!('outcome' in found)) return found.quiesce();
    return (await this.#parts.restElsewhere?.(chat, owner)) === true ? NOTHING : null;
  }
}
