// What edits, retries and changes of the queue ask of the machine. Decided from what the chat holds and from what is
// stored of it; nothing is written here.

import { unreachable } from '../../protocol/assert.ts';
import { errorBody, type ErrorBody } from '../../protocol/errors.ts';
import type { CommandId, OwnerId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { TraceParent } from '../../protocol/trace-parent.ts';
import type { ChatStore, ModelDirectory } from '../ports.ts';
import type { EditCommand, QueueCommand } from './commands.ts';
import type { ActorState } from './draft.ts';
import type { EffectInput } from './effects/input.ts';
import type { ChatMachineEvent } from './machine.ts';
import { heldUntil, hold, release, remove, reorder, toFront, type QueueChange } from './queue.ts';

export type Asked =
  | { readonly outcome: 'step'; readonly event: ChatMachineEvent; readonly input: Partial<EffectInput> }
  | { readonly outcome: 'refused'; readonly error: ErrorBody }
  /** Storage could not say: nothing is known. */
  | { readonly outcome: 'unavailable' };

/** Who asks, and under which id. */
export type Asker = { readonly id: CommandId; readonly owner: OwnerId; readonly trace: TraceParent | null };

export type AskedOf = {
  readonly state: ActorState;
  readonly atRest: boolean;
  readonly store: Pick<ChatStore, 'findMessage' | 'isPromptEmpty'>;
  readonly models: ModelDirectory;
};

/** The caller must hold off every other step of the chat until it has made this one: what was read is to hold still. */
export function askForEdit(
  of: AskedOf,
  command: Exclude<EditCommand, { name: 'chat.set_model' }>,
  asker: Asker,
): Promise<Asked> {
  if (of.state.chat.archived) return Promise.resolve(refused('archived'));
  switch (command.name) {
    case 'chat.edit':
      return askForReplacement(of, command, asker);
    case 'chat.retry':
      return askForRetry(of, asker);
    case 'chat.clear':
      return askForClear(of);
    default:
      return unreachable(command);
  }
}

async function askForReplacement(
  { state, store, models }: AskedOf,
  { number, parts, model }: Extract<EditCommand, { name: 'chat.edit' }>,
  { id, owner, trace }: Asker,
): Promise<Asked> {
  if (model !== null && models.find(model) === null) return refused('unknown_model');
  const found = await store.findMessage(state.chat.id, number);
  if (found.outcome === 'unavailable') return found;
  if (found.value === null) return refused('not_found', 'the message');
  if (found.value.role !== 'user') return refused('not_editable');
  const send = { id, parts, sender: owner, model, trace };
  return { outcome: 'step', event: { type: 'edit' }, input: { send, rewindFrom: number } };
}

async function askForRetry({ state, atRest, store }: AskedOf, { id, owner, trace }: Asker): Promise<Asked> {
  const event = { type: 'retry' } as const;
  if (!atRest) return { outcome: 'step', event, input: {} };
  const empty = await store.isPromptEmpty(state.chat.id);
  if (empty.outcome === 'unavailable') return empty;
  const found = await store.findMessage(state.chat.id, 'last user');
  if (found.outcome === 'unavailable') return found;
  // Where the model sees nothing a clear is the last word: what was before it is not asked again.
  if (empty.value || found.value === null) return refused('nothing_to_retry');
  const send = { id, parts: [], sender: owner, model: null, trace };
  return { outcome: 'step', event, input: { send, rewindFrom: found.value.number + 1 } };
}

async function askForClear({ state, atRest, store }: AskedOf): Promise<Asked> {
  const event = { type: 'clear' } as const;
  if (!atRest) return { outcome: 'step', event, input: {} };
  const empty = await store.isPromptEmpty(state.chat.id);
  if (empty.outcome === 'unavailable') return empty;
  return empty.value ? refused('nothing_to_clear') : { outcome: 'step', event, input: {} };
}

/** `mayGoOn`: nobody keeps the chat at rest. */
export function askForQueue(
  state: ActorState,
  command: QueueCommand,
  { nowMs, mayGoOn }: { readonly nowMs: number; readonly mayGoOn: boolean },
): Asked {
  if (state.chat.archived) return refused('archived');
  const changed = changedQueue(state, command, nowMs);
  if (!changed.ok) return { outcome: 'refused', error: changed.error };
  const { queue } = changed;
  const untilMs = command.name === 'queue.edit' && command.hold ? nowMs + LIMITS.queueHoldMs : null;
  const input = { queueChange: { queue, heldUntilMs: untilMs } };
  if (command.name === 'queue.promote') return { outcome: 'step', event: { type: 'promote' }, input };
  // A queue that waits for something else than an edit goes on waiting for that.
  const waited = heldUntil(state.queue, nowMs) !== null;
  const goesOn = mayGoOn && waited && queue.length > 0 && heldUntil(queue, nowMs) === null;
  return { outcome: 'step', event: { type: 'queue', goesOn }, input };
}

function changedQueue({ queue }: ActorState, command: QueueCommand, nowMs: number): QueueChange {
  switch (command.name) {
    case 'queue.edit':
      return command.hold
        ? hold(queue, command.id, nowMs + LIMITS.queueHoldMs)
        : release(queue, command.id, command.parts);
    case 'queue.reorder':
      return reorder(queue, command.ids);
    case 'queue.promote':
      return toFront(queue, command.id);
    case 'queue.delete':
      return remove(queue, command.id);
    default:
      return unreachable(command);
  }
}

function refused(code: ErrorBody['code'], detail?: string): Asked {
  return { outcome: 'refused', error: errorBody(code, detail) };
}
