// A position: the place of an event in its chat's log.
//
// It is per chat, because a chat has one writer and so one order; an order over all chats would need a sequencer that
// every node waits for. `epoch` counts the activations of the chat, `seq` starts at 1 in each epoch. A cursor is the
// position up to which a client has applied; seq 0 is the place before the first event of an epoch.

import type { Epoch } from './ids.ts';

export type Position = { readonly epoch: Epoch; readonly seq: number };

/** Below 0 when `a` comes first, above 0 when `b` does, 0 when they are the same place. */
export function comparePositions(a: Position, b: Position): number {
  return a.epoch === b.epoch ? a.seq - b.seq : a.epoch - b.epoch;
}

/** `epoch.seq`, for logs and people. */
export function formatPosition(position: Position): string {
  return `${position.epoch}.${position.seq}`;
}

/** A position from its wire form `[epoch, seq]`; null when it is none. */
export function parsePosition(value: unknown): Position | null {
  if (!Array.isArray(value) || value.length < 2) return null;
  const [epoch, seq] = value as unknown[];
  if (!Number.isSafeInteger(epoch) || !Number.isSafeInteger(seq)) return null;
  if ((epoch as number) < 0 || (seq as number) < 0) return null;
  return { epoch: epoch as Epoch, seq: seq as number };
}
