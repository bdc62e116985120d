// The life of a chat: which states there are, which events each one answers, and how.
//
// It runs through XState's pure `transition`: the effects come back as names, `effects.ts` says what each one writes, and
// the actor performs the sum of them as one durable step. There is no `after` and no `invoke` here, because they do
// not survive a restore (statelyai/xstate#5331): deadlines are data of the turn. Deltas never come here (a
// transition takes 7-25 µs): the model adapter writes to the stream log.

import { initialTransition, setup, transition, type SnapshotFrom } from 'xstate';
import type { Busy } from '../../protocol/content.ts';

/** What a transition asks for, in order; all effects of one transition are one commit. */
export type EffectName =
  | 'acceptMessage'
  | 'startTurn'
  | 'openAttempt'
  | 'enqueue'
  | 'enqueueFirst'
  | 'promote'
  | 'refuseBusy'
  | 'refuseQueueFull'
  | 'replyStopping'
  | 'replyNotRunning'
  | 'beginStop'
  | 'beginInterrupt'
  | 'keepReply'
  | 'keepInterrupted'
  | 'settleAttempt'
  | 'scheduleRetry'
  | 'endTurn'
  | 'endTurnStopped'
  | 'endTurnFailed'
  | 'resumeAttempt'
  | 'recoverStep'
  | 'recoverText'
  | 'giveUp'
  | 'endTurnReplaced'
  | 'rewind'
  | 'retryTurn'
  | 'clear'
  | 'changeQueue'
  | 'replyNext'
  | 'replyPromoted'
  | 'leaveError';

/** How the chat was found when its actor loaded it. */
export type Found = 'rest' | 'error' | 'waiting' | 'lost' | 'resumable' | 'stopping' | 'backingOff' | 'gaveUp';

/** How the attempt ended, judged by `verdict.ts`. */
export type Verdict = 'completed' | 'retry' | 'failed';

export type ChatMachineEvent =
  | { readonly type: 'loaded'; readonly found: Found; readonly more: boolean }
  /**
   * `waiting`: the queue is not empty (after an error), so the new message goes behind it. `held`: it waits for an edit of
   * its first message, so the new one waits too.
   */
  | {
      readonly type: 'send';
      readonly busy: Busy;
      readonly queueFull: boolean;
      readonly waiting: boolean;
      readonly held?: boolean;
    }
  /** `current`: the command names the turn that runs. */
  | { readonly type: 'stop'; readonly current: boolean }
  | { readonly type: 'block' }
  /** Another message takes the place of one, and of all behind it. */
  | { readonly type: 'edit' }
  /** The last message of a user is to be answered again. */
  | { readonly type: 'retry' }
  | { readonly type: 'clear' }
  /** `goesOn`: the queue had waited for an edit, and no longer does. */
  | { readonly type: 'queue'; readonly goesOn: boolean }
  /** A message that waits is to have its turn now. */
  | { readonly type: 'promote' }
  /** `more`: a queued message may follow. */
  | { readonly type: 'attemptEnded'; readonly verdict: Verdict; readonly more: boolean }
  | { readonly type: 'due'; readonly more: boolean }
  /** Whoever kept the chat at rest lets it go on; `more`: with the queue. */
  | { readonly type: 'resume'; readonly more: boolean }
  | { readonly type: 'passivate' }
  | { readonly type: 'fence' };

/** Named only: what they do is written down in effects.ts. */
const named = (): void => undefined;

const chatMachine = setup({
  types: { events: {} as ChatMachineEvent },
  actions: {
    acceptMessage: named,
    startTurn: named,
    openAttempt: named,
    enqueue: named,
    enqueueFirst: named,
    promote: named,
    refuseBusy: named,
    refuseQueueFull: named,
    replyStopping: named,
    replyNotRunning: named,
    beginStop: named,
    beginInterrupt: named,
    keepReply: named,
    keepInterrupted: named,
    settleAttempt: named,
    scheduleRetry: named,
    endTurn: named,
    endTurnStopped: named,
    endTurnFailed: named,
    resumeAttempt: named,
    recoverStep: named,
    recoverText: named,
    giveUp: named,
    endTurnReplaced: named,
    rewind: named,
    retryTurn: named,
    clear: named,
    changeQueue: named,
    replyNext: named,
    replyPromoted: named,
    leaveError: named,
  } satisfies Record<EffectName, () => void>,
  guards: {
    more: ({ event }) => 'more' in event && event.more,
    waiting: ({ event }) => event.type === 'send' && event.waiting,
    held: ({ event }) => event.type === 'send' && event.held === true,
    heldInterrupts: ({ event }) => event.type === 'send' && event.held === true && event.busy === 'interrupt',
    heldRejects: ({ event }) => event.type === 'send' && event.held === true && event.busy === 'reject',
    heldFull: ({ event }) => event.type === 'send' && event.held === true && event.queueFull,
    goesOn: ({ event }) => event.type === 'queue' && event.goesOn,
    queueFull: ({ event }) => event.type === 'send' && event.queueFull,
    rejects: ({ event }) => event.type === 'send' && event.busy === 'reject',
    interrupts: ({ event }) => event.type === 'send' && event.busy === 'interrupt',
    current: ({ event }) => event.type === 'stop' && event.current,
    completed: ({ event }) => event.type === 'attemptEnded' && event.verdict === 'completed',
    retries: ({ event }) => event.type === 'attemptEnded' && event.verdict === 'retry',
    foundError: ({ event }) => event.type === 'loaded' && event.found === 'error',
    foundLost: ({ event }) => event.type === 'loaded' && event.found === 'lost',
    foundResumable: ({ event }) => event.type === 'loaded' && event.found === 'resumable',
    foundStopping: ({ event }) => event.type === 'loaded' && event.found === 'stopping',
    foundStoppingMore: ({ event }) => event.type === 'loaded' && event.found === 'stopping' && event.more,
    foundWaitingMore: ({ event }) => event.type === 'loaded' && event.found === 'waiting' && event.more,
    foundBackingOff: ({ event }) => event.type === 'loaded' && event.found === 'backingOff',
    foundGaveUp: ({ event }) => event.type === 'loaded' && event.found === 'gaveUp',
    completedMore: ({ event }) => event.type === 'attemptEnded' && event.verdict === 'completed' && event.more,
  },
});

/** A message in a state of rest starts a turn; behind a queue that an error left it waits for its place. */
const sendAtRest = [
  // It would stand in front of the one that is edited: nothing keeps it waiting.
  {
    guard: 'heldInterrupts',
    target: '#chat.running.requesting',
    actions: ['acceptMessage', 'startTurn', 'openAttempt'],
  },
  { guard: 'heldRejects', actions: 'refuseBusy' },
  { guard: 'heldFull', actions: 'refuseQueueFull' },
  { guard: 'held', target: '#chat.idle', actions: ['enqueue', 'leaveError'] },
  { guard: 'waiting', target: '#chat.running.requesting', actions: ['enqueue', 'promote', 'openAttempt'] },
  { target: '#chat.running.requesting', actions: ['acceptMessage', 'startTurn', 'openAttempt'] },
] as const;

/** What rests has nothing to give up: what is asked anew begins at once. */
const anewAtRest = {
  edit: { target: '#chat.running.requesting', actions: ['rewind', 'acceptMessage', 'startTurn', 'openAttempt'] },
  retry: { target: '#chat.running.requesting', actions: ['retryTurn', 'openAttempt'] },
  clear: { actions: 'clear' },
  promote: {
    target: '#chat.running.requesting',
    actions: ['changeQueue', 'promote', 'replyPromoted', 'openAttempt'],
  },
} as const;

/** An edit waits for nothing: the turn ends with it, and nothing of the step that runs is kept. */
const anewInTurn = {
  edit: {
    target: '#chat.running.requesting',
    actions: ['settleAttempt', 'endTurnReplaced', 'rewind', 'acceptMessage', 'startTurn', 'openAttempt'],
  },
  retry: { actions: 'refuseBusy' },
  clear: { actions: 'refuseBusy' },
  queue: { actions: 'changeQueue' },
} as const;

/** The text that was shown is kept; then the next queued message has its turn. */
const afterStop = [
  {
    guard: 'more',
    target: '#chat.running.requesting',
    actions: ['keepInterrupted', 'settleAttempt', 'endTurnStopped', 'promote', 'openAttempt'],
  },
  { target: '#chat.idle', actions: ['keepInterrupted', 'settleAttempt', 'endTurnStopped'] },
] as const;

const machine = chatMachine.createMachine({
  id: 'chat',
  initial: 'hydrating',
  on: { fence: '.fenced' },
  states: {
    hydrating: {
      on: {
        loaded: [
          { guard: 'foundGaveUp', target: 'failed', actions: ['recoverText', 'giveUp'] },
          {
            guard: 'foundStoppingMore',
            target: 'running.requesting',
            actions: ['recoverText', 'endTurnStopped', 'promote', 'openAttempt'],
          },
          { guard: 'foundStopping', target: 'idle', actions: ['recoverText', 'endTurnStopped'] },
          { guard: 'foundBackingOff', target: 'running.backingOff' },
          { guard: 'foundResumable', target: 'running.requesting', actions: ['resumeAttempt'] },
          { guard: 'foundLost', target: 'running.requesting', actions: ['recoverStep', 'openAttempt'] },
          { guard: 'foundWaitingMore', target: 'running.requesting', actions: ['promote', 'openAttempt'] },
          { guard: 'foundError', target: 'failed' },
          { target: 'idle' },
        ],
      },
    },
    idle: {
      on: {
        send: sendAtRest,
        resume: { guard: 'more', target: 'running.requesting', actions: ['promote', 'openAttempt'] },
        stop: { actions: 'replyNotRunning' },
        passivate: 'passivating',
        ...anewAtRest,
        // The edit of the first message that waits is over, or took too long.
        queue: [
          { guard: 'goesOn', target: 'running.requesting', actions: ['changeQueue', 'promote', 'openAttempt'] },
          { actions: 'changeQueue' },
        ],
        due: { guard: 'more', target: 'running.requesting', actions: ['promote', 'openAttempt'] },
      },
    },
    failed: {
      on: {
        send: sendAtRest,
        stop: { actions: 'replyNotRunning' },
        passivate: 'passivating',
        ...anewAtRest,
        queue: { actions: 'changeQueue' },
      },
    },
    running: {
      initial: 'requesting',
      on: {
        send: [
          { guard: 'rejects', actions: 'refuseBusy' },
          { guard: 'queueFull', actions: 'refuseQueueFull' },
          { guard: 'interrupts', target: 'stopping', actions: ['enqueueFirst', 'beginInterrupt'] },
          { actions: 'enqueue' },
        ],
        stop: [
          { guard: 'current', target: 'stopping', actions: ['beginStop', 'replyStopping'] },
          { actions: 'replyNotRunning' },
        ],
        attemptEnded: [
          {
            guard: 'completedMore',
            target: '.requesting',
            actions: ['keepReply', 'settleAttempt', 'endTurn', 'promote', 'openAttempt'],
          },
          { guard: 'completed', target: 'idle', actions: ['keepReply', 'settleAttempt', 'endTurn'] },
          { guard: 'retries', target: '.backingOff', actions: ['settleAttempt', 'scheduleRetry'] },
          { target: 'failed', actions: ['keepInterrupted', 'settleAttempt', 'endTurnFailed'] },
        ],
        ...anewInTurn,
        promote: { target: 'stopping', actions: ['changeQueue', 'replyNext', 'beginInterrupt'] },
      },
      states: {
        requesting: { on: { block: 'streaming' } },
        streaming: {},
        backingOff: {
          on: {
            due: { target: 'requesting', actions: 'openAttempt' },
          },
        },
      },
    },
    stopping: {
      on: {
        attemptEnded: afterStop,
        // The grace is over: the turn is settled without the provider's last word.
        due: afterStop,
        ...anewInTurn,
        promote: { actions: ['changeQueue', 'replyNext'] },
        stop: [{ guard: 'current', actions: 'replyStopping' }, { actions: 'replyNotRunning' }],
        send: [
          { guard: 'rejects', actions: 'refuseBusy' },
          { guard: 'queueFull', actions: 'refuseQueueFull' },
          { guard: 'interrupts', actions: 'enqueueFirst' },
          { actions: 'enqueue' },
        ],
      },
    },
    passivating: { type: 'final' },
    fenced: { type: 'final' },
  },
});

export type MachineState = SnapshotFrom<typeof machine>;
export type LifeState =
  | 'hydrating'
  | 'idle'
  | 'failed'
  | 'requesting'
  | 'streaming'
  | 'backingOff'
  | 'stopping'
  | 'passivating'
  | 'fenced';

export function initialState(): MachineState {
  return initialTransition(machine)[0];
}

/** The state after `event` and the effects that it asks for, in order. Pure. */
export function decide(
  state: MachineState,
  event: ChatMachineEvent,
): { readonly state: MachineState; readonly effects: readonly EffectName[] } {
  const [next, actions] = transition(machine, state, event);
  return { state: next, effects: actions.map((action) => action.type as EffectName) };
}

/** The innermost state by its name. */
export function lifeState(state: MachineState): LifeState {
  const { value } = state;
  return typeof value === 'string' ? value : value.running;
}
