// What the host of a node is given.

import type { TakenChat } from '../actor-ports.ts';
import type { ChatId, OwnerId } from '../../protocol/ids.ts';
import type { ActorDeps } from '../chat/actor.ts';
import type { HostSettings } from './settings.ts';

export type HostDeps = Omit<ActorDeps, 'onEnded' | 'counts' | 'onTold'> & {
  readonly host: HostSettings;
  /** How long an owner has to wait until another chat is loaded for them, in ms; 0: not at all. Absent: no limit. */
  readonly admitActivation?: (owner: OwnerId) => number;
  /** Among other nodes: which running and due chats are for this one to take up first. Absent: all. */
  readonly isMine?: (chat: ChatId) => boolean;
  /** A chat that somebody follows, or that has to go on, is nobody's now: this node goes down. */
  readonly onGivenUp?: (chat: ChatId) => void;
  /** A chat here has told others something: those that have them should look. */
  readonly onTold?: () => void;
  /** These chats were taken from the nodes that had them: those should hear of it. */
  readonly onTaken?: (chats: readonly TakenChat[]) => void;
  /** Brings a chat of another node to rest for a moment; false, after a bounded time, when that cannot be reached. */
  readonly restElsewhere?: (chat: ChatId, owner: OwnerId) => Promise<boolean>;
};
