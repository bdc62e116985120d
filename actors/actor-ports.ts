// Actors that may be none any more, as storage is asked of them and tells of them.

import type { ChatId, Epoch, NodeId } from '../protocol/ids.ts';

export type ActorEpoch = { readonly chat: ChatId; readonly epoch: Epoch };

/** A chat at rest whose actor on another node is fenced from here on: its epoch is over, nobody owns it. */
export type TakenChat = { readonly chat: ChatId; readonly node: NodeId; readonly epoch: Epoch };
