// What may be done to the messages that wait. Pure: each function gives the queue as it is from then on, or says why not.

import type { TextPart } from '../../protocol/content.ts';
import { errorBody, type ErrorBody } from '../../protocol/errors.ts';
import type { CommandId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { utf8Length } from '../../protocol/text.ts';
import type { CommitIntent, QueuedItem } from '../ports.ts';

export type Queue = readonly QueuedItem[];

export type QueueChange =
  | { readonly ok: true; readonly queue: Queue }
  | { readonly ok: false; readonly error: ErrorBody };

/** Until when the queue waits for whoever edits its head; null: it may go on. */
export function heldUntil(queue: Queue, nowMs: number): number | null {
  const until = queue[0]?.held_until;
  return until !== undefined && until > nowMs ? until : null;
}

/** Somebody edits the message: it keeps its place, and nothing passes it until then. A hold that is there begins anew. */
export function hold(queue: Queue, id: CommandId, untilMs: number): QueueChange {
  return change(queue, id, (item) => ({ ...item, held_until: untilMs }));
}

/** The end of an edit, with what the message is from now on; null: as it was. */
export function release(queue: Queue, id: CommandId, parts: readonly TextPart[] | null): QueueChange {
  const others = queue.filter((item) => item.id !== id);
  // The one rule of sending, here too: the last one in may pass the bound, and nothing comes on top of that.
  if (parts !== null && bytesOf(others) >= LIMITS.queuedBytes) return { ok: false, error: errorBody('queue_full') };
  return change(queue, id, (item) => (parts === null ? unheld(item) : { ...unheld(item), parts }));
}

/** `ids` name each message that waits, once: else somebody has another queue in mind. */
export function reorder(queue: Queue, ids: readonly CommandId[]): QueueChange {
  const ordered = ids.flatMap((id) => queue.filter((item) => item.id === id));
  const isSame = ids.length === queue.length && new Set(ids).size === ids.length && ordered.length === ids.length;
  return isSame ? { ok: true, queue: ordered } : { ok: false, error: errorBody('queue_changed') };
}

export function remove(queue: Queue, id: CommandId): QueueChange {
  const rest = queue.filter((item) => item.id !== id);
  return rest.length < queue.length ? { ok: true, queue: rest } : NOT_QUEUED;
}

/** It is taken next, whoever may have held it. */
export function toFront(queue: Queue, id: CommandId): QueueChange {
  const item = queue.find((one) => one.id === id);
  if (item === undefined) return NOT_QUEUED;
  return { ok: true, queue: [unheld(item), ...queue.filter((one) => one !== item)] };
}

/** The whole queue is in one event, and in the first piece of a snapshot. */
export function isFull(queue: Queue): boolean {
  return queue.length >= LIMITS.queuedMessages || bytesOf(queue) >= LIMITS.queuedBytes;
}

/** The rows to take out of the stored queue, then to put in front and behind of what is left of it. */
export type QueueRows = Pick<CommitIntent, 'dequeue' | 'enqueueFirst' | 'enqueue'>;

/** What makes the stored queue another one. Rows have no places in between: what stands behind a change there goes anew. */
export function queueRows(before: Queue, after: Queue): QueueRows {
  const kept = before.filter((item) => after.includes(item));
  const [head] = kept;
  const start = head === undefined ? 0 : after.indexOf(head);
  const run = kept.findIndex((item, i) => item !== after[start + i]);
  const stays = run === -1 ? kept : kept.slice(0, run);
  return {
    dequeue: before.filter((item) => !stays.includes(item)).map(({ id }) => id),
    enqueueFirst: after.slice(0, start),
    enqueue: after.slice(start + stays.length),
  };
}

const NOT_QUEUED: QueueChange = { ok: false, error: errorBody('not_queued') };

function change(queue: Queue, id: CommandId, by: (item: QueuedItem) => QueuedItem): QueueChange {
  const at = queue.findIndex((item) => item.id === id);
  const item = queue[at];
  return item === undefined ? NOT_QUEUED : { ok: true, queue: queue.with(at, by(item)) };
}

function unheld(item: QueuedItem): QueuedItem {
  const { held_until: until, ...free } = item;
  return until === undefined ? item : free;
}

function bytesOf(queue: Queue): number {
  return queue.flatMap(({ parts }) => parts).reduce((sum, { text }) => sum + utf8Length(text), 0);
}
