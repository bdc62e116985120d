// What is asked anew: messages that leave the chat, turns that are asked again, prompts that begin again.

import { must } from '../../../protocol/assert.ts';
import { uuidToBytes, uuidV8 } from '../../../protocol/ids.ts';
import type { Draft } from '../draft.ts';
import type { EffectName } from '../effect-names.ts';
import { sendOf, wirePosition, type Effect } from './input.ts';
import { EMPTY_MESSAGE } from './messages.ts';
import { endTurn, startTurn } from './turn.ts';

const CLEARED = 'Cleared. The model sees nothing of what is above.';

export const EDIT_EFFECTS = {
  /** What the turn has shown of its running step leaves with everything else: nothing of it is kept. */
  endTurnReplaced(draft) {
    endTurn(draft, 'interrupted', null);
  },
  rewind(draft, input) {
    rewind(draft, must(input.rewindFrom, 'the machine was given where the chat is to end'));
  },
  retryTurn(draft, input) {
    const { id, trace } = sendOf(input);
    const from = must(input.rewindFrom, 'the machine was given the message that is answered again');
    draft.requireUnarchived = true;
    rewind(draft, from);
    const position = draft.nextPosition();
    startTurn(draft, { id, trace, message: from - 1 });
    const result = { outcome: 'started', number: from - 1, turn: uuidToBytes(id), position: wirePosition(position) };
    draft.reply = { ok: true, result };
  },
  clear(draft, input) {
    const number = draft.state.nextNumber;
    const parts = [{ type: 'text', text: CLEARED }] as const;
    const id = uuidV8(draft.atMs, input.random.bytes(10));
    draft.requireUnarchived = true;
    draft.change({ nextNumber: number + 1, contextTokens: null });
    const message = { number, id, role: 'system', parts, created_at: draft.atMs } as const;
    const position = draft.push({ kind: 'message', message });
    draft.messages.push({
      ...EMPTY_MESSAGE,
      number,
      id,
      position,
      role: 'system',
      visibility: 'user',
      parts,
      createdAtMs: draft.atMs,
      startsPrompt: true,
    });
    draft.push({ kind: 'fork', reason: 'clear' });
    draft.reply = { ok: true, result: { number, position: wirePosition(position) } };
  },
  /** The chat waits for something else now than for whoever sees the error. */
  leaveError(draft) {
    draft.changeChat({ status: 'waiting', last_error: null });
  },
} satisfies Partial<Record<EffectName, Effect>>;

/** Everything from that number on leaves; nothing happens where nothing is there. */
function rewind(draft: Draft, from: number): void {
  const to = draft.state.nextNumber - 1;
  if (from > to) return;
  const position = draft.push({ kind: 'rewind', from, to });
  draft.rewind = { from, position };
  draft.change({ contextTokens: heldBelow(draft, from) });
  draft.push({ kind: 'fork', reason: 'edit' });
}

/** What is left of the prompt, by the share of the messages: nobody has counted it, the next request tells. */
function heldBelow({ state }: Draft, from: number): number | null {
  const share = (from - 1) / (state.nextNumber - 1);
  return state.contextTokens === null ? null : Math.floor(state.contextTokens * share) || null;
}
