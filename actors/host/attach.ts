// Attaching to an actor: resumed from the ring, or a snapshot whose memory part is taken in the same synchronous step
// as the place in the log and whose messages are read as of that place.

import { errorBody } from '../../protocol/errors.ts';
import type { Position } from '../../protocol/position.ts';
import type { ChatActor } from '../chat/actor.ts';
import type { Principal } from '../ports.ts';
import type { Attached, Follower } from './api.ts';
import { newestChanges, snapshotPieces } from './snapshot.ts';

/** Roles that read the chats of others. */
export const SEES_ALL: ReadonlySet<Principal['role']> = new Set(['auditor', 'admin']);

/** `ended`: the actor ended under way; try the next one. */
export async function attachTo(
  actor: ChatActor,
  cursor: Position | null,
  follower: Follower,
): Promise<Attached | 'ended'> {
  if (actor.ended !== null) return 'ended';
  let since = cursor;
  // It keeps the chat here until the caller has its answer: so long it is this function that sees to an end of the log.
  const placeholder: Follower = { onAppend: () => undefined, onEnd: () => undefined };
  let at = actor.attach(cursor, placeholder);
  if (at.outcome === 'ahead') {
    // A cursor above what this actor knows: either another owner has a higher epoch, or storage was set back and the
    // place never was. Only storage can tell.
    await actor.confirm();
    if (actor.ended !== null) return 'ended';
    since = null;
    at = actor.attach(null, placeholder);
  }
  if (at.outcome === 'ahead') return 'ended';
  const { outcome, position, detach: release } = at;
  const log = actor.streamLog;
  if (outcome === 'resumed') {
    release();
    return { outcome, log, position, detach: log.follow(follower) };
  }
  try {
    const { chat, queue } = log.view;
    const live = log.view.turn();
    const changes = await actor.deps.store.changes(actor.chat, since, position);
    if (actor.ended !== null) return 'ended';
    if (changes.outcome === 'unavailable') {
      return { outcome: 'refused', error: errorBody('unavailable', undefined, 1_000) };
    }
    const { dropOlder, messages, removed, hasOlder, retracted } = newestChanges(changes.value);
    const disowned = cursor !== null && since === null;
    const head = { drop_older: dropOlder, disowned, retracted, removed, has_older: hasOlder, chat, queue, live };
    const nextPiece = snapshotPieces(head, messages);
    return { outcome, log, position, nextPiece, detach: log.follow(follower) };
  } finally {
    // Also when the reading threw: a chat with a follower that nobody is would never leave memory.
    release();
  }
}
