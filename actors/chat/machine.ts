// The life of a chat: which states there are, which events each one answers, and how.
//
// It runs through XState's pure `transition`: the effects come back as names, `effects.ts` says what each one writes, and
// the actor performs the sum of them as one durable step. There is no `after` and no `invoke` here, because they do
// not survive a restore (statelyai/xstate#5331): deadlines are data of the turn. Deltas never come here (a
// transition takes 7-25 µs): the model adapter writes to the stream log.

import { initialTransition, setup, transition, type SnapshotFrom } from 'xstate';
import { assert } from '../../protocol/assert.ts';
import { NAMED_EFFECTS, type EffectName } from './effect-names.ts';
import type { Busy } from '../../protocol/content.ts';
import type { AfterCalls } from './tool-calls.ts';
import type { CompactionVerdict } from './compaction/record.ts';

/** How the chat was found when its actor loaded it. */
export type Found =
  | 'rest'
  | 'error'
  | 'waiting'
  | 'lost'
  | 'resumable'
  | 'calls'
  | 'between'
  | 'stopping'
  | 'backingOff'
  | 'gaveUp';

/** Where the turn goes from here: with runs of calls, waiting for somebody, with its next request, or to its end. */
export type After = AfterCalls | 'end';

/** How the attempt ended, judged by `verdict.ts`. */
/** `overflow`: it did not fit into the window, and something can be done about that. */
export type Verdict = 'completed' | 'retry' | 'overflow' | 'failed';

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
  /** `nothing`: there is nothing to compact. */
  | { readonly type: 'compact'; readonly nothing: boolean }
  /** `isAlone`: the turn is nothing but this. */
  | {
      readonly type: 'compactionEnded';
      readonly verdict: CompactionVerdict;
      readonly isAlone: boolean;
      readonly more: boolean;
    }
  /** Whoever kept the chat at rest lets it go on; `more`: with the queue. */
  | { readonly type: 'resume'; readonly more: boolean }
  | { readonly type: 'passivate' }
  | { readonly type: 'fence' };

/** What a compaction makes of an event: see `compaction/due.ts`. */
export type Ahead = {
  /** Where the event would ask a step, the chat is compacted first. */
  readonly compacts: boolean;
  /** A turn that completes is followed by the compaction that was asked for in it. */
  readonly requested: boolean;
  /** The node goes down: no step is asked any more, the turn is for whoever has the chat next. */
  readonly leaves: boolean;
};
type DecidedEvent = ChatMachineEvent & Ahead;

const NOTHING_AHEAD: Ahead = { compacts: false, requested: false, leaves: false };

const chatMachine = setup({
  types: { events: {} as DecidedEvent },
  actions: NAMED_EFFECTS,
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
    foundBetween: ({ event }) => event.type === 'loaded' && event.found === 'between',
    foundBackingOff: ({ event }) => event.type === 'loaded' && event.found === 'backingOff',
    foundGaveUp: ({ event }) => event.type === 'loaded' && event.found === 'gaveUp',
    leaves: ({ event }) => event.leaves,
    compacts: ({ event }) => event.compacts,
    completedRequested: ({ event }) =>
      event.type === 'attemptEnded' && event.verdict === 'completed' && event.after === 'end' && event.requested,
    nothing: ({ event }) => event.type === 'compact' && event.nothing,
    overflows: ({ event }) => event.type === 'attemptEnded' && event.verdict === 'overflow',
    compacted: ({ event }) => event.type === 'compactionEnded' && event.verdict === 'done',
    compactedAlone: ({ event }) => event.type === 'compactionEnded' && event.verdict === 'done' && event.isAlone,
    compactsAgain: ({ event }) => event.type === 'compactionEnded' && event.verdict === 'again',
    compactsLater: ({ event }) => event.type === 'compactionEnded' && event.verdict === 'later',
    cuts: ({ event }) => event.type === 'compactionEnded' && event.verdict === 'cut',
    skips: ({ event }) => event.type === 'compactionEnded' && event.verdict === 'skipped',
    skipsAlone: ({ event }) => event.type === 'compactionEnded' && event.verdict === 'skipped' && event.isAlone,
    completedMore: ({ event }) => event.type === 'attemptEnded' && event.verdict === 'completed' && event.more,
  },
});

/** Wherever a step is to be asked: it is, or the chat is compacted first. */
const OPENING = '#chat.running.opening';

/** A message in a state of rest starts a turn; behind a queue that an error left it waits for its place. */
const sendAtRest = [
  // It would stand in front of the one that is edited: nothing keeps it waiting.
  {
    guard: 'heldInterrupts',
    target: OPENING,
    actions: ['acceptMessage', 'startTurn'],
  },
  { guard: 'heldRejects', actions: 'refuseBusy' },
  { guard: 'heldFull', actions: 'refuseQueueFull' },
  { guard: 'held', target: '#chat.idle', actions: ['enqueue', 'leaveError'] },
  { guard: 'waiting', target: OPENING, actions: ['enqueue', 'promote'] },
  { target: OPENING, actions: ['acceptMessage', 'startTurn'] },
] as const;

/** What rests has nothing to give up: what is asked anew begins at once. */
const anewAtRest = {
  edit: { target: OPENING, actions: ['rewind', 'acceptMessage', 'startTurn'] },
  retry: { target: OPENING, actions: ['retryTurn'] },
  clear: { actions: 'clear' },
  promote: {
    target: OPENING,
    actions: ['changeQueue', 'promote', 'replyPromoted'],
  },
} as const;

/** An edit waits for nothing: the turn ends with it, and nothing of the step that runs is kept. */
const anewInTurn = {
  edit: {
    target: OPENING,
    actions: ['settleAttempt', 'dropCalls', 'endTurnReplaced', 'rewind', 'acceptMessage', 'startTurn'],
  },
  retry: { actions: 'refuseBusy' },
  clear: { actions: 'refuseBusy' },
  queue: { actions: 'changeQueue' },
} as const;

/** The text that was shown is kept, every call settled; then the next queued message has its turn. */
const afterStop = [
  {
    guard: 'more',
    target: OPENING,
    actions: ['keepInterrupted', 'settleAttempt', 'applyCalls', 'endTurnStopped', 'promote'],
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
    target: OPENING,
    actions: ['keepReply', 'settleAttempt', 'applyCalls', 'nextStep'],
  },
  {
    guard: 'completedRequested',
    target: '#chat.running.compacting',
    actions: ['keepReply', 'settleAttempt', 'applyCalls', 'endTurn', 'startRequestedCompaction', 'openCompaction'],
  },
  {
    guard: 'completedMore',
    target: OPENING,
    actions: ['keepReply', 'settleAttempt', 'applyCalls', 'endTurn', 'promote'],
  },
  { guard: 'completed', target: '#chat.idle', actions: ['keepReply', 'settleAttempt', 'applyCalls', 'endTurn'] },
  {
    guard: 'overflows',
    target: '#chat.running.compacting',
    actions: ['settleAttempt', 'resetStep', 'openOverflowCompaction'],
  },
  { guard: 'retries', target: '#chat.running.backingOff', actions: ['settleAttempt', 'scheduleRetry'] },
  { target: '#chat.failed', actions: ['keepInterrupted', 'settleAttempt', 'applyCalls', 'endTurnFailed'] },
] as const;

/** Some calls were settled, or may run from here on. */
const callsMoved = [
  { guard: 'tools', target: '#chat.running.tools', actions: ['applyCalls'] },
  { guard: 'action', target: '#chat.awaitingAction', actions: ['applyCalls'] },
  { target: OPENING, actions: ['applyCalls', 'nextStep'] },
] as const;

const answered = [
  { guard: 'tools', target: '#chat.running.tools', actions: ['allowAlways', 'applyCalls', 'replyAnswered'] },
  { guard: 'action', target: '#chat.awaitingAction', actions: ['allowAlways', 'applyCalls', 'replyAnswered'] },
  {
    target: OPENING,
    actions: ['allowAlways', 'applyCalls', 'replyAnswered', 'nextStep'],
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
    target: OPENING,
    actions: ['enqueueSteer', 'applyCalls', 'nextStep'],
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

/** A chat at rest is compacted in a turn of its own. */
const compactAtRest = [
  { guard: 'nothing', actions: 'refuseNothingToCompact' },
  { target: '#chat.running.compacting', actions: ['startCompactionTurn', 'openCompaction'] },
] as const;

const afterCompaction = [
  {
    guard: 'compactedAlone',
    target: '#chat.settling',
    actions: ['settleAttempt', 'keepCompaction', 'endTurnCompacted'],
  },
  { guard: 'compacted', target: OPENING, actions: ['settleAttempt', 'keepCompaction'] },
  { guard: 'skipsAlone', target: '#chat.settling', actions: ['settleAttempt', 'skipCompaction', 'endTurnCompacted'] },
  { guard: 'skips', target: OPENING, actions: ['settleAttempt', 'skipCompaction'] },
  {
    guard: 'compactsAgain',
    target: '#chat.running.compacting',
    actions: ['settleAttempt', 'compactAgain', 'openCompaction'],
  },
  {
    guard: 'compactsLater',
    target: '#chat.running.backingOff',
    actions: ['settleAttempt', 'compactAgain', 'scheduleRetry'],
  },
  { guard: 'cuts', target: '#chat.running.compacting', actions: ['settleAttempt', 'cutInstead', 'openCompaction'] },
  { target: '#chat.failed', actions: ['settleAttempt', 'endTurnUncompacted'] },
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
            target: OPENING,
            actions: ['recoverText', 'applyCalls', 'endTurnStopped', 'promote'],
          },
          { guard: 'foundStopping', target: 'idle', actions: ['recoverText', 'applyCalls', 'endTurnStopped'] },
          { guard: 'foundBackingOff', target: 'running.backingOff' },
          { guard: 'foundBetween', target: OPENING, actions: ['resumeTurn'] },
          { guard: 'foundResumable', target: 'running.requesting', actions: ['resumeAttempt'] },
          { guard: 'foundLost', target: OPENING, actions: ['recoverStep'] },
          { guard: 'foundTools', target: 'running.tools', actions: ['recoverCalls'] },
          { guard: 'foundAction', target: 'awaitingAction', actions: ['recoverCalls'] },
          {
            guard: 'foundNext',
            target: OPENING,
            actions: ['recoverCalls', 'nextStep'],
          },
          { guard: 'foundWaitingMore', target: OPENING, actions: ['promote'] },
          { guard: 'foundError', target: 'failed' },
          { target: 'idle' },
        ],
      },
    },
    idle: {
      on: {
        send: sendAtRest,
        compact: compactAtRest,
        resume: { guard: 'more', target: OPENING, actions: ['promote'] },
        stop: { actions: 'replyNotRunning' },
        passivate: 'passivating',
        ...anewAtRest,
        // The edit of the first message that waits is over, or took too long.
        queue: [{ guard: 'goesOn', target: OPENING, actions: ['changeQueue', 'promote'] }, { actions: 'changeQueue' }],
        due: { guard: 'more', target: OPENING, actions: ['promote'] },
      },
    },
    failed: {
      on: {
        send: sendAtRest,
        compact: compactAtRest,
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
        compact: { actions: 'requestCompaction' },
        ...anewInTurn,
        promote: promoteWhileRunning,
      },
      states: {
        /** Passed through only. */
        opening: {
          always: [
            { guard: 'leaves', target: 'between' },
            { guard: 'compacts', target: 'compacting', actions: 'openCompaction' },
            { target: 'requesting', actions: 'openAttempt' },
          ],
        },
        requesting: { on: { block: 'streaming', attemptEnded } },
        streaming: { on: { attemptEnded } },
        tools: { on: { callsEnded: callsMoved, answer: answered, due: callsMoved } },
        compacting: {
          on: {
            compact: { actions: 'replyCompacting' },
            compactionEnded: afterCompaction,
          },
        },
        backingOff: {
          on: {
            due: OPENING,
          },
        },
        /** Everything of the step before is settled, nothing of the next one has begun. */
        between: {},
      },
    },
    awaitingAction: {
      on: {
        answer: answered,
        due: callsMoved,
        compact: { actions: 'requestCompaction' },
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
        compact: { actions: 'refuseBusy' },
        send: [
          { guard: 'rejects', actions: 'refuseBusy' },
          { guard: 'queueFull', actions: 'refuseQueueFull' },
          { guard: 'interrupts', actions: 'enqueueFirst' },
          { actions: 'enqueue' },
        ],
      },
    },
    /** A turn without a message is over: the next of the queue has its turn. Passed through only. */
    settling: { always: [{ guard: 'more', target: OPENING, actions: 'promote' }, { target: 'idle' }] },
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
  | 'compacting'
  | 'backingOff'
  | 'between'
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
  ahead = NOTHING_AHEAD,
): { readonly state: MachineState; readonly effects: readonly EffectName[] } {
  const [next, actions] = transition(machine, state, { ...event, ...ahead });
  return { state: next, effects: actions.map((action) => action.type as EffectName) };
}

/** The innermost state by its name. */
export function lifeState(state: MachineState): LifeState {
  const { value } = state;
  const name = typeof value === 'string' ? value : value.running;
  assert(name !== 'opening' && name !== 'settling', 'what is passed through only is left at once');
  return name;
}
