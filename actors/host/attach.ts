// Attaching to the log of a chat, an actor's or its mirror's: resumed from the ring, or a snapshot whose memory part is
// taken in the same synchronous step as the place in the log and whose messages are read as of that place.

import { errorBody } from '../../protocol/errors.ts';
import type { Position } from '../../protocol/position.ts';
import type { ChatActor } from '../chat/actor.ts';
import type { AttachAt } from '../chat/actor-deps.ts';
import type { StreamLog } from '../chat/stream-log.ts';
import type { ChatStore, Principal } from '../ports.ts';
import type { Attached, Follower } from './api.ts';
import { newestChanges, snapshotPieces } from './snapshot.ts';

/** Roles that read the chats of others. */
export const SEES_ALL: ReadonlySet<Principal['role']> = new Set(['auditor', 'admin']);

/** A log to attach to, and who keeps it. */
export type AttachSource = {
  readonly log: StreamLog;
  readonly store: Pick<ChatStore, 'changes'>;
  /** Nothing is appended any more: whoever attaches has to ask again. */
  isOver(): boolean;
  /** The place of the cursor and the registration as follower, in one synchronous step. */
  attach(cursor: Position | null, follower: Follower): AttachAt;
  /**
   * A cursor lies above what the log knows: either another owner has a higher epoch, or this is a mirror that is behind,
   * or storage was set back and the place never was. Afterwards the log is over, or has caught up, or the last holds.
   */
  settle(cursor: Position): Promise<void>;
};

export function actorSource(actor: ChatActor): AttachSource {
  return {
    log: actor.streamLog,
    store: actor.deps.store,
    isOver: () => actor.ended !== null,
    attach: (cursor, follower) => actor.attach(cursor, follower),
    settle: () => actor.confirm(),
  };
}

/** It keeps a chat in memory until its caller has the answer: so long it is he who sees to an end of the log. */
const PLACEHOLDER = (): Follower => ({ onAppend: () => undefined, onEnd: () => undefined });

/** `ended`: the log ended under way; try the next one. */
export async function attachTo(
  source: AttachSource,
  cursor: Position | null,
  follower: Follower,
): Promise<Attached | 'ended'> {
  const found = await placeIn(source, cursor, PLACEHOLDER());
  if (found === 'ended') return 'ended';
  const { outcome, detach: release, since } = found;
  const { log, store } = source;
  try {
    if (source.isOver()) return 'ended';
    // Taken here, in one step with what is shown at it: while the promise above was on its way more may have been appended.
    const position = log.top;
    if (outcome === 'resumed') return { outcome, log, position, detach: log.follow(follower) };
    const { chat, queue } = log.view;
    const live = log.view.turn();
    const changes = await store.changes(log.chat, since, position);
    if (source.isOver()) return 'ended';
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

/** Where the cursor lies, with `follower` registered; `since` is the cursor, or null when it was of no place that is. */
export async function placeIn(
  source: AttachSource,
  cursor: Position | null,
  follower: Follower,
): Promise<(Exclude<AttachAt, { outcome: 'ahead' }> & { readonly since: Position | null }) | 'ended'> {
  if (source.isOver()) return 'ended';
  const at = source.attach(cursor, follower);
  if (at.outcome !== 'ahead') return { ...at, since: cursor };
  if (cursor === null) return 'ended';
  await source.settle(cursor);
  if (source.isOver()) return 'ended';
  const settled = source.attach(cursor, follower);
  if (settled.outcome !== 'ahead') return { ...settled, since: cursor };
  const anew = source.attach(null, follower);
  return anew.outcome === 'ahead' ? 'ended' : { ...anew, since: null };
}
