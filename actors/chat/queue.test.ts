import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { must } from '../../protocol/assert.ts';
import type { CommandId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { QueuedItem } from '../ports.ts';
import {
  heldUntil,
  hold,
  isFull,
  queueRows,
  release,
  remove,
  reorder,
  toFront,
  type Queue,
  type QueueChange,
} from './queue.ts';

const NOW_MS = 1_000_000;

function idOf(number: number): CommandId {
  return `00000000-0000-7000-8000-${String(number).padStart(12, '0')}` as CommandId;
}

function item(number: number, text = `message ${number}`): QueuedItem {
  return { id: idOf(number), parts: [{ type: 'text', text }], created_by: 'ada', created_at: NOW_MS };
}

function queueOf(change: QueueChange): Queue {
  expect(change).toMatchObject({ ok: true });
  return change.ok ? change.queue : [];
}

const QUEUE = [item(1), item(2), item(3)];
const NOT_QUEUED = { ok: false, error: { code: 'not_queued' } };

describe('queue', () => {
  it('[P12] a hold keeps the place, ends by itself, and begins anew from any device', () => {
    const held = queueOf(hold(QUEUE, idOf(1), NOW_MS + 50));
    expect(held.map(({ id }) => id)).toEqual(QUEUE.map(({ id }) => id));
    expect(heldUntil(held, NOW_MS)).toBe(NOW_MS + 50);
    expect(heldUntil(held, NOW_MS + 50)).toBe(null);
    expect(heldUntil(queueOf(hold(held, idOf(1), NOW_MS + 90)), NOW_MS + 50)).toBe(NOW_MS + 90);
    expect(hold(QUEUE, idOf(9), NOW_MS)).toMatchObject(NOT_QUEUED);
  });

  it('[P12] only the head holds the queue up', () => {
    expect(heldUntil(queueOf(hold(QUEUE, idOf(2), NOW_MS + 50)), NOW_MS)).toBe(null);
    expect(heldUntil([], NOW_MS)).toBe(null);
  });

  it('[queue] the end of an edit gives the message what it is from now on, or leaves it as it was', () => {
    const held = queueOf(hold(QUEUE, idOf(2), NOW_MS + 50));
    expect(queueOf(release(held, idOf(2), null))).toEqual(QUEUE);
    const edited = queueOf(release(held, idOf(2), [{ type: 'text', text: 'better' }]));
    expect(edited).toEqual([item(1), item(2, 'better'), item(3)]);
    expect(release(held, idOf(9), null)).toMatchObject(NOT_QUEUED);
  });

  it('[P11] an edit takes no more room than a message that is sent', () => {
    const full = [item(1), item(2, 'x'.repeat(LIMITS.queuedBytes))];
    const grown = [{ type: 'text', text: 'y'.repeat(LIMITS.queuedBytes) }] as const;
    expect(release(full, idOf(1), grown)).toMatchObject({ ok: false, error: { code: 'queue_full' } });
    expect(release(full, idOf(2), grown)).toMatchObject({ ok: true });
    expect(isFull(full)).toBe(true);
    expect(isFull(QUEUE)).toBe(false);
  });

  it('[queue] an order names every message that waits once, or is one of another queue', () => {
    const order = [3, 1, 2].map(idOf);
    expect(queueOf(reorder(QUEUE, order)).map(({ id }) => id)).toEqual(order);
    const wrong = [[1, 2], [1, 2, 2], [1, 2, 9], [1, 2, 3, 3], []].map((ids) => ids.map(idOf));
    for (const ids of wrong) {
      expect(reorder(QUEUE, ids)).toMatchObject({ ok: false, error: { code: 'queue_changed' } });
    }
    expect(reorder([], [])).toEqual({ ok: true, queue: [] });
  });

  it('[queue] one is taken out or put in front, whoever holds it', () => {
    expect(queueOf(remove(QUEUE, idOf(2)))).toEqual([item(1), item(3)]);
    expect(remove(QUEUE, idOf(9))).toMatchObject(NOT_QUEUED);
    const held = queueOf(hold(QUEUE, idOf(3), NOW_MS + 50));
    expect(queueOf(toFront(held, idOf(3)))).toEqual([item(3), item(1), item(2)]);
    expect(toFront(QUEUE, idOf(9))).toMatchObject(NOT_QUEUED);
  });

  it('[storage] what is sent, sent first or taken touches no other row', () => {
    const [a, b, c] = QUEUE as [QueuedItem, QueuedItem, QueuedItem];
    expect(queueRows([a, b], [a, b, c])).toEqual({ dequeue: [], enqueueFirst: [], enqueue: [c] });
    expect(queueRows([a, b], [c, a, b])).toEqual({ dequeue: [], enqueueFirst: [c], enqueue: [] });
    expect(queueRows([a, b, c], [b, c])).toEqual({ dequeue: [a.id], enqueueFirst: [], enqueue: [] });
    expect(queueRows([a, b, c], [a, c])).toEqual({ dequeue: [b.id], enqueueFirst: [], enqueue: [] });
  });

  it('[P3] the rows of a change make the stored queue the new one', () => {
    const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 6 });
    const items = Array.from({ length: 10 }, (_, i) => item(i));
    const pick = (ids: readonly number[]): Queue => ids.map((i) => must(items[i], 'there are ten'));
    fc.assert(
      fc.property(numbers, numbers, (before, after) => {
        const rows = queueRows(pick(before), pick(after));
        const stored = pick(before).filter(({ id }) => !rows.dequeue.includes(id));
        expect([...rows.enqueueFirst, ...stored, ...rows.enqueue]).toEqual(pick(after));
      }),
    );
  });
});
