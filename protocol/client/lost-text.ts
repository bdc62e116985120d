// Text that was shown and is no more, as a client finds it by itself. Where it attaches with its cursor the server says
// what was lost; only of an attach without one nobody can.

import type { PartOrReference } from '../content.ts';
import type { LiveBlock, LiveTurn } from '../events.ts';
import type { ChatState } from './chat-state.ts';

/** `after`, a snapshot that was asked for without the cursor of `before`: what it lacks of the live text is retracted. */
export function withLossTold({ position, turn }: ChatState, after: ChatState): ChatState {
  if (position === null || turn === null || isKept(turn, after)) return after;
  // Where in its epoch the text began nobody knows any more.
  return { ...after, retracted: { epoch: position.epoch, seq: 0 } };
}

/** It is live still, or stands in the message of its step. */
function isKept({ turn, step, blocks }: LiveTurn, { turn: live, messages }: ChatState): boolean {
  const message = messages.find((one) => one.turn === turn && one.step === step);
  const goesOn = live !== null && live.turn === turn && live.step === step;
  return begin(blocks, message?.parts ?? []) || begin(blocks, goesOn ? live.blocks : []);
}

/** Each text is the beginning of one of `kept`, in the same order. What a reference says is not known, so it is none. */
function begin(shown: readonly LiveBlock[], kept: readonly (LiveBlock | PartOrReference)[]): boolean {
  let next = 0;
  return shown.every(({ type, text }) => {
    if (text === '') return true;
    const at = kept.findIndex((one, i) => i >= next && one.type === type && 'text' in one && one.text.startsWith(text));
    next = at + 1;
    return at !== -1;
  });
}
