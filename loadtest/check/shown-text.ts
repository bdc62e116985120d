// What became of text that a client has shown (rule d): it stands in the committed message byte for byte, or it was taken
// back in so many words, by a reset of its step or by what a snapshot names as retracted.

import type { ChatState } from '../../protocol/client/chat-state.ts';
import type { Message } from '../../protocol/content.ts';
import type { LiveTurn } from '../../protocol/events.ts';
import { utf8Length } from '../../protocol/text.ts';
import type { Position } from '../../protocol/position.ts';
import type { Cause } from './client-log.ts';
import type { Looked } from './looked.ts';

/** The blocks of one attempt, as they were shown last. */
export type Shown = {
  readonly turn: string;
  readonly step: number;
  readonly attempt: number;
  readonly position: Position;
  readonly blocks: readonly { readonly type: string; readonly text: string }[];
};

/** What happened to the text: nothing yet, or the sentence that says what is wrong, or to be judged by the message itself. */
export type Fate = { readonly outcome: 'fine' } | { readonly outcome: 'fault'; readonly what: string } | Unseen;

/** Its message lies further back than what the client holds. */
export type Unseen = { readonly outcome: 'unseen'; readonly shown: Shown };

const FINE: Fate = { outcome: 'fine' };

/** Judges one move of a client's state. `isReset`: whether anybody saw that attempt taken back in order. */
export function fateOfShown(
  move: { readonly before: ChatState; readonly after: ChatState; readonly cause: Cause },
  isReset: (shown: Shown) => boolean,
  looked: Looked,
): Fate {
  const shown = shownIn(move.before);
  if (shown === null) return FINE;
  const { after, cause } = move;
  if (cause.kind === 'event' && cause.event.kind === 'message' && isMessageOf(cause.event.message, shown)) {
    return fateIn(cause.event.message, shown, { exactly: cause.span === 1 }, looked);
  }
  if (goesOn(shown, after.turn) || isReset(shown)) return FINE;
  if (cause.kind === 'snapshot' && isRetracted(shown, cause.head.retracted)) return FINE;
  const message = after.messages.find((one) => isMessageOf(one, shown));
  if (message !== undefined) return fateIn(message, shown, { exactly: false }, looked);
  const reachesBack = !after.hasOlder || after.messages.some(({ turn }) => turn === shown.turn);
  if (cause.kind === 'snapshot' && !reachesBack) return { outcome: 'unseen', shown };
  return { outcome: 'fault', what: `Text that was shown is gone untold: ${describe(shown)}.` };
}

/** Compares shown text with its message: `exactly` when the client has seen all of it, else as its beginning. */
export function fateIn(
  message: Message,
  shown: Shown,
  { exactly }: { readonly exactly: boolean },
  looked: Looked,
): Fate {
  if (message.parts.some((part) => !('text' in part))) return FINE;
  const kept = message.parts.flatMap((part) => ('text' in part && part.text !== '' ? [part] : []));
  looked.texts += 1;
  for (const { text } of shown.blocks) looked.textBytes += utf8Length(text);
  const isKept = shown.blocks.every(({ type, text }, i) => {
    const part = kept[i];
    if (part === undefined || part.type !== type) return false;
    return exactly ? part.text === text : part.text.startsWith(text);
  });
  if (isKept && (!exactly || kept.length === shown.blocks.length)) return FINE;
  const committed = kept.map(({ text }) => text).join('|');
  return {
    outcome: 'fault',
    what: `Message ${message.number} is not what was streamed: ${describe(shown)}, committed ${excerpt(committed)}.`,
  };
}

export function isMessageOf({ turn, step }: Message, shown: Shown): boolean {
  return turn === shown.turn && step === shown.step;
}

/** Null when no text is shown. */
export function shownIn({ turn, position }: ChatState): Shown | null {
  if (turn === null || position === null) return null;
  const blocks = turn.blocks.filter(({ text }) => text !== '').map(({ type, text }) => ({ type, text }));
  return blocks.length === 0 ? null : { turn: turn.turn, step: turn.step, attempt: turn.attempt, position, blocks };
}

function goesOn(shown: Shown, turn: LiveTurn | null): boolean {
  if (turn === null || turn.turn !== shown.turn || turn.step !== shown.step || turn.attempt !== shown.attempt) {
    return false;
  }
  const texts = turn.blocks.map(({ text }) => text).filter((text) => text !== '');
  return shown.blocks.every(({ text }, i) => texts[i]?.startsWith(text) === true);
}

function isRetracted({ position }: Shown, retracted: Position | null): boolean {
  return retracted !== null && retracted.epoch === position.epoch && retracted.seq < position.seq;
}

function describe({ turn, step, attempt, blocks }: Shown): string {
  return `step ${step}, attempt ${attempt} of turn ${turn} showed ${excerpt(blocks.map(({ text }) => text).join('|'))}`;
}

/** The end tells more than the beginning: that is where texts part. */
function excerpt(text: string): string {
  return `${utf8Length(text)} bytes ending in ${JSON.stringify(text.slice(-40))}`;
}
