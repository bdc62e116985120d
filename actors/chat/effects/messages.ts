// The rows and events of messages: what a user said, what a model answered, notes that only the model sees.

import { must } from '../../../protocol/assert.ts';
import type { Part, QueuedMessage, Usage } from '../../../protocol/content.ts';
import type { MessageEvent } from '../../../protocol/events.ts';
import { uuidV8, type OwnerId } from '../../../protocol/ids.ts';
import type { Position } from '../../../protocol/position.ts';
import { eventParts } from '../../../protocol/references.ts';
import type { NewMessage } from '../../ports.ts';
import type { Draft } from '../draft.ts';
import { nameChat, titleFrom } from '../title.ts';
import { endedOf, turnOf, type EffectInput } from './input.ts';

export function acceptMessage(draft: Draft, item: QueuedMessage): Position {
  const number = draft.state.nextNumber;
  draft.change({ nextNumber: number + 1 });
  const { id, parts, created_by } = item;
  const position = draft.push({
    kind: 'message',
    message: { number, id, role: 'user', parts, created_at: draft.atMs, created_by },
  });
  draft.messages.push({
    ...EMPTY_MESSAGE,
    number,
    id,
    position,
    role: 'user',
    parts,
    createdAtMs: draft.atMs,
    createdBy: created_by as OwnerId,
  });
  if (draft.state.chat.title === null) nameChat(draft, titleFrom(parts), 'fallback');
  return position;
}

export const EMPTY_MESSAGE = {
  visibility: 'both',
  provider: null,
  createdBy: null,
  model: null,
  turn: null,
  step: null,
  interrupted: false,
  usage: null,
  costMicros: null,
} as const;

type Kept = {
  readonly input: EffectInput;
  readonly parts: readonly Part[];
  readonly interrupted: boolean;
  readonly visibility: NewMessage['visibility'];
};

/** The assistant's message of the step; nothing when it said nothing. */
export function keepMessage(draft: Draft, kept: Kept): void {
  const { result, usage, costMicros, dropped } = endedOf(kept.input);
  draft.clearJournal = true;
  if (kept.parts.length === 0) return;
  // What an interrupted step goes into prompts as is fixed here, once: the text that was shown, and none of the
  // provider's blocks, whose reasoning may be unsigned and whose text may reach further than what was shown.
  addReply(draft, {
    parts: kept.parts,
    interrupted: kept.interrupted,
    visibility: kept.visibility,
    provider: kept.interrupted || dropped ? null : result.provider,
    usage,
    costMicros,
  });
}

export type ReplyRow = Pick<NewMessage, 'parts' | 'interrupted' | 'visibility' | 'provider' | 'costMicros'> & {
  readonly usage: Usage;
};

export function addReply(draft: Draft, row: ReplyRow): void {
  const number = draft.state.nextNumber;
  const { id: turn, step, model } = turnOf(draft);
  const attempt = must(draft.state.attempt, 'a reply comes from an attempt');
  draft.change({ nextNumber: number + 1 });
  const position = draft.push({
    kind: 'message',
    message: {
      number,
      id: attempt.id,
      role: 'assistant',
      parts: eventParts(row.parts),
      created_at: draft.atMs,
      model,
      turn,
      step,
      ...(row.interrupted ? { interrupted: true } : {}),
      usage: row.usage,
    },
  });
  draft.messages.push({
    ...row,
    number,
    id: attempt.id,
    position,
    role: 'assistant',
    createdAtMs: draft.atMs,
    createdBy: null,
    model,
    turn,
    step,
  });
}

/** A row that is no answer of a step. One that only the model sees is no event: it stands where the next one does. */
export function addRow(
  draft: Draft,
  row: Partial<NewMessage> & Pick<NewMessage, 'id' | 'role' | 'visibility' | 'parts'>,
): void {
  const number = draft.state.nextNumber;
  draft.change({ nextNumber: number + 1 });
  const whole = { ...EMPTY_MESSAGE, createdAtMs: draft.atMs, ...row, number };
  const position = row.visibility === 'model' ? draft.nextPosition() : draft.push(messageEvent(whole));
  draft.messages.push({ ...whole, position });
}

function messageEvent(row: Omit<NewMessage, 'position'>): MessageEvent {
  const { number, id, role, model, turn, createdAtMs } = row;
  return {
    kind: 'message',
    message: {
      number,
      id,
      role,
      parts: eventParts(row.parts),
      created_at: createdAtMs,
      ...(model === null ? {} : { model }),
      ...(turn === null ? {} : { turn }),
    },
  };
}

/** A note that only the model sees: many models refuse a prompt that ends with their own words. */
export function keepNote(draft: Draft, input: EffectInput, text: string): void {
  addRow(draft, {
    id: uuidV8(draft.atMs, input.random.bytes(10)),
    role: 'user',
    visibility: 'model',
    parts: [{ type: 'text', text }],
    turn: turnOf(draft).id,
  });
}
