// The queue: what is sent while a turn runs, and how it gets its turn.

import { must } from '../../../protocol/assert.ts';
import type { QueuedMessage } from '../../../protocol/content.ts';
import { errorBody } from '../../../protocol/errors.ts';
import { uuidToBytes } from '../../../protocol/ids.ts';
import { LIMITS } from '../../../protocol/limits.ts';
import type { QueuedItem } from '../../ports.ts';
import type { Draft } from '../draft.ts';
import type { EffectName } from '../effect-names.ts';
import { sendOf, setModel, wirePosition, type Effect, type SendInput } from './input.ts';
import { acceptMessage } from './messages.ts';
import { startTurn } from './turn.ts';

export const QUEUE_EFFECTS = {
  enqueue(draft, input) {
    enqueue(draft, sendOf(input), 'last');
  },
  /** In front of what waits for a turn of its own, behind those that steer already. */
  enqueueSteer(draft, input) {
    enqueue(draft, sendOf(input), 'steer');
  },
  enqueueFirst(draft, input) {
    enqueue(draft, sendOf(input), 'first');
  },
  promote(draft) {
    const [head, ...rest] = draft.state.queue;
    const item = must(head, 'only a queue with messages is promoted');
    draft.requireUnarchived = true;
    // Whoever edited it did not come back.
    if (item.held_until !== undefined) draft.limits.push('queueHoldMs');
    draft.change({ queue: rest });
    draft.push({ kind: 'queue', queue: rest });
    acceptMessage(draft, item);
    const message = draft.state.nextNumber - 1;
    startTurn(draft, { id: item.id, trace: item.trace ?? null, message });
  },
  changeQueue(draft, input) {
    const { queue, heldUntilMs } = must(input.queueChange, 'the machine was given a queue');
    draft.requireUnarchived = true;
    draft.change({ queue });
    const position = draft.push({ kind: 'queue', queue });
    draft.reply = { ok: true, result: { position: wirePosition(position), held_until: heldUntilMs } };
  },
  /** Behind `changeQueue`: its first message waits for nothing but the end of what runs. */
  replyNext(draft) {
    const { id } = must(draft.state.queue[0], 'it was put in front');
    const position = draft.lastPosition();
    draft.reply = {
      ok: true,
      result: { outcome: 'queued', turn: uuidToBytes(id), position: wirePosition(position) },
    };
  },
  /** Behind `promote`. */
  replyPromoted(draft) {
    const { number, id, position } = must(draft.messages.at(-1), 'its message was accepted');
    draft.reply = {
      ok: true,
      result: { outcome: 'started', number, turn: uuidToBytes(id), position: wirePosition(position) },
    };
  },
  refuseBusy(draft) {
    draft.reply = { ok: false, error: errorBody('busy') };
  },
  refuseQueueFull(draft) {
    draft.limits.push(draft.state.queue.length >= LIMITS.queuedMessages ? 'queuedMessages' : 'queuedBytes');
    draft.reply = {
      ok: false,
      error: errorBody('queue_full', `at most ${LIMITS.queuedMessages}, or ${LIMITS.queuedBytes} bytes`),
    };
  },
} satisfies Partial<Record<EffectName, Effect>>;

/** Those that steer go into the turn, before its next request. */
export function deliverSteered(draft: Draft): void {
  // One that is being edited waits for its edit.
  const isHeld = (item: QueuedItem): boolean => (item.held_until ?? 0) > draft.atMs;
  const steered = draft.state.queue.filter((item) => item.steer === true && !isHeld(item));
  if (steered.length === 0) return;
  const queue = draft.state.queue.filter((item) => !steered.includes(item));
  draft.change({ queue });
  draft.push({ kind: 'queue', queue });
  for (const item of steered) acceptMessage(draft, item);
}

type Place = 'first' | 'steer' | 'last';

function enqueue(draft: Draft, send: SendInput, place: Place): void {
  const { id, parts, sender, trace } = send;
  const steer = place === 'steer' ? ({ steer: true } as const) : {};
  const message: QueuedMessage = { id, parts, created_by: sender, created_at: draft.atMs, ...steer };
  const item: QueuedItem = trace === null ? message : { ...message, trace };
  draft.requireUnarchived = true;
  setModel(draft, send.model);
  const { queue: before } = draft.state;
  const queue = place === 'last' ? [...before, item] : inFront(before, item);
  draft.change({ queue });
  const position = draft.push({ kind: 'queue', queue });
  const turn = place === 'steer' ? (draft.state.turn?.id ?? send.id) : send.id;
  draft.reply = {
    ok: true,
    result: { outcome: 'queued', turn: uuidToBytes(turn), position: wirePosition(position) },
  };
}

/** In front of what waits; one that steers behind those that steer already. */
function inFront(queue: readonly QueuedItem[], item: QueuedItem): readonly QueuedItem[] {
  const steered = item.steer === true ? queue.filter((one) => one.steer === true) : [];
  return [...steered, item, ...queue.filter((one) => !steered.includes(one))];
}
