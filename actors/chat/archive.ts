// Archiving: the named chat comes to rest, then storage archives its whole tree in one statement; the other chats of the
// tree that are active here are told, those of other nodes are fenced. Unarchiving is one chat.

import type { TakenChat } from '../actor-ports.ts';
import type { Chat } from '../../protocol/content.ts';
import { errorBody, type ErrorBody } from '../../protocol/errors.ts';
import type { ChatId, OwnerId } from '../../protocol/ids.ts';
import type { CommandReply, CommandRow } from '../ports.ts';
import type { ChatActor } from './actor.ts';

/** The other chats of the tree. */
export type Family = {
  /**
   * Brings them to rest and keeps them there until the function returned is called, those of other nodes for a moment. Null
   * when one of them cannot be reached: none is kept then.
   */
  quiesce(chats: readonly ChatId[], owner: OwnerId): Promise<(() => void) | null>;
  /** Storage has archived them: those that are active here show it. */
  archived(chats: readonly ChatId[]): void;
  /** Storage has archived them while they were active elsewhere. */
  taken(chats: readonly TakenChat[]): void;
};

export type ArchiveOutcome =
  | { readonly ok: true; readonly reply: CommandReply }
  | { readonly ok: false; readonly error: ErrorBody }
  | 'ended'
  /** The named chat runs again: bring it to rest, outside of its own tasks, and try anew. */
  | 'running';

/** A chat of the tree may begin a turn between being brought to rest and the statement: bounded tries. */
export const ARCHIVE_TRIES = 5;

/** `rowOf`: the command's row, given the chat as it will be. Runs as one task of the actor, so nothing comes between. */
export async function setArchived(
  actor: ChatActor,
  family: Family,
  archived: boolean,
  rowOf: (chat: Chat) => CommandRow,
): Promise<ArchiveOutcome> {
  const { store, clock } = actor.deps;
  const releases: (() => void)[] = [];
  try {
    for (let tries = 0; tries < ARCHIVE_TRIES; tries++) {
      const atMs = clock.nowMs();
      const before = actor.state.chat;
      const chat = before.archived === archived ? before : { ...before, archived, updated_at: atMs };
      const command = rowOf(chat);
      const result = await store.archiveTree({ chat: actor.chat, epoch: actor.epoch, archived, atMs, command });
      if (actor.ended !== null) return 'ended';
      switch (result.outcome) {
        case 'archived':
          if (result.changed.length > 0) actor.deps.onFed(before.owner);
          if (chat !== before) {
            // It may have gone into the archive with a tree above it, of which this actor has not heard yet.
            const now = result.changed.includes(actor.chat) ? chat : { ...before, archived };
            actor.adopt({ ...actor.state, chat: now });
            actor.show([{ kind: 'chat', chat: now }]);
          }
          if (archived) family.archived(result.changed.filter((id) => id !== actor.chat));
          if (result.taken.length > 0) family.taken(result.taken);
          return { ok: true, reply: command.reply };
        case 'running': {
          if (result.chats.includes(actor.chat)) return 'running';
          const release = await family.quiesce(result.chats, before.owner as OwnerId);
          // Each try would wait as long again, and this chat with it.
          if (release === null) return unavailable('a chat of the tree cannot be reached');
          releases.push(release);
          break;
        }
        case 'parent_archived':
          return { ok: false, error: errorBody('parent_archived') };
        case 'stale':
        case 'unknown':
          actor.end(result.outcome);
          return 'ended';
        case 'unavailable':
          return unavailable();
      }
    }
    return unavailable('a chat of the tree does not come to rest');
  } finally {
    for (const release of releases) release();
  }
}

function unavailable(detail?: string): ArchiveOutcome {
  return { ok: false, error: errorBody('unavailable', detail, 1_000) };
}
