// Who may read a chat. In statements the same rule stands as SQL: see list.ts and activate.ts.

import type { OwnerId } from '../protocol/ids.ts';
import type { Principal } from '../actors/ports.ts';

/** Null: the node itself. Members read their own chats, auditors and admins those of everybody. */
export function mayRead(viewer: Principal | null, owner: OwnerId): boolean {
  return viewer === null || viewer.role !== 'member' || viewer.owner === owner;
}
