// Defects that the fuzz must find: each is laid around the real parts, and a run with it has to go red.

import { Draft } from '../../actors/chat/draft.ts';
import type { ChatStore, CommitIntent } from '../../actors/ports.ts';
import type { ChatEvent } from '../../protocol/events.ts';
import type { Position } from '../../protocol/position.ts';
import { override } from '../sim/audit.ts';
import { withoutEpochCheck } from '../sim/plants.ts';

export type Plant = {
  /** Laid around the store of every node. */
  readonly store?: (store: ChatStore) => ChatStore;
  /** Changes the real parts; gives the way back. */
  readonly patch?: () => () => void;
};

export const PLANTS = {
  /** Results of calls are not written. */
  lostResult: { store: committing((intent) => ({ messages: intent.messages.filter(({ role }) => role !== 'tool') })) },
  /** The ledger of calls forgets that they were settled. */
  unsettledCall: {
    store: committing(({ calls = [] }) => ({ calls: calls.filter(({ state }) => state !== 'settled') })),
  },
  /** What was streamed before a stop is thrown away. */
  lostText: {
    store: committing(({ messages }) => ({ messages: messages.filter(({ interrupted }) => !interrupted) })),
  },
  /** A message is answered with ok, and is not in the queue. */
  lostMessage: { store: committing(() => ({ enqueue: [] })) },
  /** The prompt becomes another one, and the log does not say so. */
  silentFork: { patch: swallowForks },
  /** A prompt that is loaded again is not the same. */
  shiftedPrompt: { store: shiftPrompts },
  /** A prompt that is loaded again lacks the results of its calls. */
  unpairedPrompt: { store: unpairPrompts },
  /** Nobody is woken for what waits when its node has died. */
  forgottenDeadline: { store: forgetWakeUps },
  /** The database takes the commits of epochs that are over. */
  staleEpoch: { store: withoutEpochCheck },
} as const satisfies Record<string, Plant>;

export type PlantName = keyof typeof PLANTS;

export const PLANT_NAMES = Object.keys(PLANTS) as readonly PlantName[];

function committing(change: (intent: CommitIntent) => Partial<CommitIntent>): NonNullable<Plant['store']> {
  return (store) => override(store, { commit: (intent) => store.commit({ ...intent, ...change(intent) }) });
}

function forgetWakeUps(store: ChatStore): ChatStore {
  return override(store, { due: () => Promise.resolve({ outcome: 'read', value: { chats: [], told: [] } }) });
}

function shiftPrompts(store: ChatStore): ChatStore {
  let loads = 0;
  return override(store, {
    prompt: async (chat) => {
      const read = await store.prompt(chat);
      if (read.outcome !== 'read' || ++loads % 2 === 1) return read;
      return { ...read, value: read.value.map((item, i) => (i === 0 ? { ...item, parts: [] } : item)) };
    },
  });
}

function unpairPrompts(store: ChatStore): ChatStore {
  return override(store, {
    prompt: async (chat) => {
      const read = await store.prompt(chat);
      return read.outcome === 'read' ? { ...read, value: read.value.filter(({ role }) => role !== 'tool') } : read;
    },
  });
}

function swallowForks(): () => void {
  // eslint-disable-next-line typescript/unbound-method -- it is called with its draft as `this`
  const push = Draft.prototype.push;
  Draft.prototype.push = function swallowing(this: Draft, event: ChatEvent): Position {
    return event.kind === 'fork' ? this.nextPosition() : push.call(this, event);
  };
  return () => {
    Draft.prototype.push = push;
  };
}
