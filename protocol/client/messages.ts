// Operations on the ascending list of messages; none changes its input.

import type { Message } from '../content.ts';

/** A closed range of message numbers. */
export type NumberRange = readonly [number, number];

/** `message` in its place; one of the same number is replaced. Appending, the usual case, compares once. */
export function withMessage(messages: readonly Message[], message: Message): readonly Message[] {
  const last = messages.at(-1);
  if (last === undefined || last.number < message.number) return [...messages, message];
  const at = lowerBound(messages, message.number);
  const replaced = messages[at]?.number === message.number ? 1 : 0;
  return messages.toSpliced(at, replaced, message);
}

/** Both lists in one; of two messages with one number that of `newer` stays. Both ascend. */
export function mergeMessages(older: readonly Message[], newer: readonly Message[]): readonly Message[] {
  const first = newer[0];
  if (first === undefined) return older;
  const last = older.at(-1);
  if (last === undefined || last.number < first.number) return [...older, ...newer];
  const byNumber = new Map(older.map((message) => [message.number, message]));
  for (const message of newer) byNumber.set(message.number, message);
  return [...byNumber.values()].toSorted((a, b) => a.number - b.number);
}

/** `messages` without the numbers in `ranges`; the same list when none of it lies in them. */
export function withoutRanges(messages: readonly Message[], ranges: readonly NumberRange[]): readonly Message[] {
  if (ranges.length === 0) return messages;
  const kept = messages.filter(({ number }) => !ranges.some(([from, to]) => number >= from && number <= to));
  return kept.length === messages.length ? messages : kept;
}

/** The index of the first message numbered `number` or above. */
export function lowerBound(messages: readonly Message[], number: number): number {
  let low = 0;
  let high = messages.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const at = messages[middle];
    if (at !== undefined && at.number < number) low = middle + 1;
    else high = middle;
  }
  return low;
}
