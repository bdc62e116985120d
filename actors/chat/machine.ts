// The life of a chat: which states there are, which events each one answers, and how.
//
// It runs through XState's pure `transition`: the effects come back as names, `effects.ts` says what each one writes, and
// the actor performs the sum of them as one durable step. There is no `after` and no `invoke` here, because they do
// not survive a restore (statelyai/xstate#5331): deadlines are data of the turn. Deltas never come here (a
// transition takes 7-25 µs): the model adapter writes to the stream log.

import { initialTransition, setup, transition, type SnapshotFrom } from 'xstate';
import type { Busy } from '../../protocol/content.ts';
import type { AfterCalls } from './tool-calls.ts';

/** What a transition asks for, in order; all effects of one transition are one commit. */
export type EffectName =
  | 'acceptMessage'
  | 'startTurn'
  | 'openAttempt'
  | 'enqueue'
  | 'enqueueSteer'
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
  | 'applyCalls'
  | 'nextStep'
  | 'allowAlways'
  | 'replyAnswered'
  | 'recoverCalls'
  | 'dropCalls'
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
export type Found =
  | 'rest'
  | 'error'
  | 'waiting'
  | 'lost'
  | 'resumable'
  | 'calls'
  | 'stopping'
  | 'backingOff'
  | 'gaveUp';

/** Where the turn goes from here: with runs of calls, waiting for somebody, with its next request, or to its end. */
export type After = AfterCalls | 'end';

/** How the attempt ended, judged by `verdict.ts`. */
export type Verdict = 'completed' | 'retry' | 'failed';

export type ChatMachineEvent =
  | { readonly type: 'loaded'; readonly found: Found; readonly more: boolean; readonly after: After }
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
      /** Calls wait for somebody: the message denies them. `after` it then. */
      readonly pending: boolean;
      readonly after: After;
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
  | { readonly type: 'attemptEnded'; readonly verdict: Verdict; readonly after: After; readonly more: boolean }
  | { readonly type: 'due'; readonly after: After; readonly more: boolean }
  /** Runs of calls have ended. */
  | { readonly type: 'callsEnded'; readonly after: After; readonly more: boolean }
  /** Somebody answered a call that waited: with its result, or with the leave to run or not. */
  | { readonly type: 'answer'; readonly after: After }
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
    enqueueSteer: named,
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
    applyCalls: named,
    nextStep: named,
    allowAlways: named,
    replyAnswered: named,
    recoverCalls: named,
    dropCalls: named,
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
    tools: ({ event }) => 'after' in event && event.after === 'tools',
    action: ({ event }) => 'after' in event && event.after === 'action',
    next: ({ event }) => 'after' in event && event.after === 'next',
    steers: ({ event }) => event.type === 'send' && event.busy === 'steer',
    pendingTools: ({ event }) => event.type === 'send' && event.pending && event.after === 'tools',
    pending: ({ event }) => event.type === 'send' && event.pending,
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
    completedTools: ({ event }) =>
      event.type === 'attemptEnded' && event.verdict === 'completed' && event.after === 'tools',
    completedAction: ({ event }) =>
      event.type === 'attemptEnded' && event.verdict === 'completed' && event.after === 'action',
    completedNext: ({ event }) =>
      event.type === 'attemptEnded' && event.verdict === 'completed' && event.after === 'next',
    foundTools: ({ event }) => event.type === 'loaded' && event.found === 'calls' && event.after === 'tools',
    foundAction: ({ event }) => event.type === 'loaded' && event.found === 'calls' && event.after === 'action',
    foundNext: ({ event }) => event.type === 'loaded' && event.found === 'calls',
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
    actions: ['settleAttempt', 'dropCalls', 'endTurnReplaced', 'rewind', 'acceptMessage', 'startTurn', 'openAttempt'],
  },
  retry: { actions: 'refuseBusy' },
  clear: { actions: 'refuseBusy' },
  queue: { actions: 'changeQueue' },
} as const;

/** The text that was shown is kept, every call settled; then the next queued message has its turn. */
const afterStop = [
  {
    guard: 'more',
    target: '#chat.running.requesting',
    actions: ['keepInterrupted', 'settleAttempt', 'applyCalls', 'endTurnStopped', 'promote', 'openAttempt'],
  },
  { target: '#chat.idle', actions: ['keepInterrupted', 'settleAttempt', 'applyCalls', 'endTurnStopped'] },
] as const;

const attemptEnded = [
  {
    guard: 'completedTools',
    target: '#chat.running.tools',
    actions: ['keepReply', 'settleAttempt', 'applyCalls'],
  },
  {
    guard: 'completedAction',
    target: '#chat.awaitingAction',
    actions: ['keepReply', 'settleAttempt', 'applyCalls'],
  },
  {
    guard: 'completedNext',
    target: '#chat.running.requesting',
    actions: ['keepReply', 'settleAttempt', 'applyCalls', 'nextStep', 'openAttempt'],
  },
  {
    guard: 'completedMore',
    target: '#chat.running.requesting',
    actions: ['keepReply', 'settleAttempt', 'applyCalls', 'endTurn', 'promote', 'openAttempt'],
  },
  { guard: 'completed', target: '#chat.idle', actions: ['keepReply', 'settleAttempt', 'applyCalls', 'endTurn'] },
  { guard: 'retries', target: '#chat.running.backingOff', actions: ['settleAttempt', 'scheduleRetry'] },
  { target: '#chat.failed', actions: ['keepInterrupted', 'settleAttempt', 'applyCalls', 'endTurnFailed'] },
] as const;

/** Some calls were settled, or may run from here on. */
const callsMoved = [
  { guard: 'tools', target: '#chat.running.tools', actions: ['applyCalls'] },
  { guard: 'action', target: '#chat.awaitingAction', actions: ['applyCalls'] },
  { target: '#chat.running.requesting', actions: ['applyCalls', 'nextStep', 'openAttempt'] },
] as const;

const answered = [
  { guard: 'tools', target: '#chat.running.tools', actions: ['allowAlways', 'applyCalls', 'replyAnswered'] },
  { guard: 'action', target: '#chat.awaitingAction', actions: ['allowAlways', 'applyCalls', 'replyAnswered'] },
  {
    target: '#chat.running.requesting',
    actions: ['allowAlways', 'applyCalls', 'replyAnswered', 'nextStep', 'openAttempt'],
  },
] as const;

/** While a turn runs. A message instead of what calls wait for denies them, and goes into the turn. */
const sendWhileRunning = [
  { guard: 'rejects', actions: 'refuseBusy' },
  { guard: 'queueFull', actions: 'refuseQueueFull' },
  { guard: 'interrupts', target: '#chat.stopping', actions: ['enqueueFirst', 'beginInterrupt', 'applyCalls'] },
  { guard: 'pendingTools', actions: ['enqueueSteer', 'applyCalls'] },
  {
    guard: 'pending',
    target: '#chat.running.requesting',
    actions: ['enqueueSteer', 'applyCalls', 'nextStep', 'openAttempt'],
  },
  { guard: 'steers', actions: 'enqueueSteer' },
  { actions: 'enqueue' },
] as const;

const promoteWhileRunning = {
  target: '#chat.stopping',
  actions: ['changeQueue', 'replyNext', 'beginInterrupt', 'applyCalls'],
} as const;

const stopWhileRunning = [
  { guard: 'current', target: '#chat.stopping', actions: ['beginStop', 'applyCalls', 'replyStopping'] },
  { actions: 'replyNotRunning' },
] as const;

const machine = chatMachine.createMachine({
  id: 'chat',
  initial: 'hydrating',
  on: { fence: '.fenced' },
  states: {
    hydrating: {
      on: {
        loaded: [
          { guard: 'foundGaveUp', target: 'failed', actions: ['recoverText', 'applyCalls', 'giveUp'] },
          {
            guard: 'foundStoppingMore',
            target: 'running.requesting',
            actions: ['recoverText', 'applyCalls', 'endTurnStopped', 'promote', 'openAttempt'],
          },
          { guard: 'foundStopping', target: 'idle', actions: ['recoverText', 'applyCalls', 'endTurnStopped'] },
          { guard: 'foundBackingOff', target: 'running.backingOff' },
          { guard: 'foundResumable', target: 'running.requesting', actions: ['resumeAttempt'] },
          { guard: 'foundLost', target: 'running.requesting', actions: ['recoverStep', 'openAttempt'] },
          { guard: 'foundTools', target: 'running.tools', actions: ['recoverCalls'] },
          { guard: 'foundAction', target: 'awaitingAction', actions: ['recoverCalls'] },
          {
            guard: 'foundNext',
            target: 'running.requesting',
            actions: ['recoverCalls', 'nextStep', 'openAttempt'],
          },
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
        send: sendWhileRunning,
        stop: stopWhileRunning,
        ...anewInTurn,
        promote: promoteWhileRunning,
      },
      states: {
        requesting: { on: { block: 'streaming', attemptEnded } },
        streaming: { on: { attemptEnded } },
        tools: { on: { callsEnded: callsMoved, answer: answered, due: callsMoved } },
        backingOff: {
          on: {
            due: { target: 'requesting', actions: 'openAttempt' },
          },
        },
      },
    },
    awaitingAction: {
      on: {
        answer: answered,
        due: callsMoved,
        send: sendWhileRunning,
        stop: stopWhileRunning,
        ...anewInTurn,
        promote: promoteWhileRunning,
      },
    },
    stopping: {
      on: {
        attemptEnded: afterStop,
        callsEnded: [{ guard: 'tools', actions: 'applyCalls' }, ...afterStop],
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
  | 'tools'
  | 'awaitingAction'
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
