// Every pair of a state and an event has a decided answer: the table below, which the compiler completes. Whoever adds a state
// adds its row, whoever adds an event its column; the machine is held to it for every form that an event can have.

import { describe, expect, it } from 'vitest';
import { must } from '../../protocol/assert.ts';
import {
  decide,
  initialState,
  lifeState,
  type ChatMachineEvent,
  type LifeState,
  type MachineState,
} from './machine.ts';

type EventType = ChatMachineEvent['type'];
type Row = Readonly<Record<EventType, readonly LifeState[]>>;

const ANEW = { edit: ['requesting'], retry: ['requesting'], promote: ['requesting'] } as const;

/** Where an event may lead, over all of its forms; none: it is ignored, it comes too late or cannot come. */
const TABLE: Readonly<Record<LifeState, Row>> = {
  hydrating: {
    ...ignoring(),
    loaded: ['awaitingAction', 'backingOff', 'failed', 'idle', 'requesting', 'tools'],
  },
  idle: {
    ...ignoring(),
    ...ANEW,
    clear: ['idle'],
    queue: ['idle', 'requesting'],
    due: ['idle', 'requesting'],
    send: ['idle', 'requesting'],
    stop: ['idle'],
    resume: ['idle', 'requesting'],
    compact: ['compacting', 'idle'],
    passivate: ['passivating'],
  },
  failed: {
    ...ignoring(),
    ...ANEW,
    clear: ['failed'],
    queue: ['failed'],
    send: ['failed', 'idle', 'requesting'],
    stop: ['failed'],
    compact: ['compacting', 'failed'],
    passivate: ['passivating'],
  },
  requesting: {
    ...ignoring(),
    ...inTurn('requesting'),
    promote: ['stopping'],
    send: ['requesting', 'stopping'],
    stop: ['requesting', 'stopping'],
    block: ['streaming'],
    attemptEnded: ['awaitingAction', 'backingOff', 'compacting', 'failed', 'idle', 'requesting', 'tools'],
  },
  streaming: {
    ...ignoring(),
    ...inTurn('streaming'),
    promote: ['stopping'],
    send: ['requesting', 'stopping', 'streaming'],
    stop: ['stopping', 'streaming'],
    attemptEnded: ['awaitingAction', 'backingOff', 'compacting', 'failed', 'idle', 'requesting', 'tools'],
  },
  tools: {
    ...ignoring(),
    ...inTurn('tools'),
    promote: ['stopping'],
    send: ['requesting', 'stopping', 'tools'],
    stop: ['stopping', 'tools'],
    callsEnded: ['awaitingAction', 'requesting', 'tools'],
    answer: ['awaitingAction', 'requesting', 'tools'],
    due: ['awaitingAction', 'requesting', 'tools'],
  },
  awaitingAction: {
    ...ignoring(),
    ...inTurn('awaitingAction'),
    promote: ['stopping'],
    send: ['awaitingAction', 'requesting', 'stopping'],
    stop: ['awaitingAction', 'stopping'],
    answer: ['awaitingAction', 'requesting', 'tools'],
    due: ['awaitingAction', 'requesting', 'tools'],
  },
  compacting: {
    ...ignoring(),
    ...inTurn('compacting'),
    promote: ['stopping'],
    send: ['compacting', 'requesting', 'stopping'],
    stop: ['compacting', 'stopping'],
    compactionEnded: ['backingOff', 'compacting', 'failed', 'idle', 'requesting'],
  },
  backingOff: {
    ...ignoring(),
    ...inTurn('backingOff'),
    promote: ['stopping'],
    send: ['backingOff', 'requesting', 'stopping'],
    stop: ['backingOff', 'stopping'],
    due: ['requesting'],
  },
  between: {
    ...ignoring(),
    ...inTurn('between'),
    promote: ['stopping'],
    send: ['between', 'requesting', 'stopping'],
    stop: ['between', 'stopping'],
  },
  stopping: {
    ...ignoring(),
    ...inTurn('stopping'),
    promote: ['stopping'],
    send: ['stopping'],
    stop: ['stopping'],
    attemptEnded: ['idle', 'requesting'],
    callsEnded: ['idle', 'requesting', 'stopping'],
    due: ['idle', 'requesting'],
  },
  passivating: ignoring(),
  fenced: { ...ignoring(), fence: [] },
};

/** An edit ends what runs; what is asked again has to wait for its end, a compaction for the next step. */
function inTurn(life: LifeState): Pick<Row, 'edit' | 'retry' | 'clear' | 'queue' | 'compact'> {
  return { edit: ['requesting'], retry: [life], clear: [life], queue: [life], compact: [life] };
}

/** Nothing but the end of the epoch, which comes from anywhere. */
function ignoring(): Row {
  return {
    loaded: [],
    send: [],
    stop: [],
    block: [],
    attemptEnded: [],
    callsEnded: [],
    answer: [],
    due: [],
    edit: [],
    retry: [],
    clear: [],
    queue: [],
    promote: [],
    resume: [],
    passivate: [],
    compact: [],
    compactionEnded: [],
    fence: ['fenced'],
  };
}

const FLAG = [false, true] as const;
const AFTER = ['tools', 'action', 'next', 'end'] as const;
const BUSY = ['queue', 'interrupt', 'steer', 'reject'] as const;
const VERDICTS = ['completed', 'retry', 'overflow', 'failed'] as const;
const COMPACTIONS = ['done', 'again', 'later', 'cut', 'skipped', 'failed'] as const;
const FOUND = [
  'rest',
  'error',
  'waiting',
  'lost',
  'resumable',
  'calls',
  'between',
  'stopping',
  'backingOff',
  'gaveUp',
] as const;

/** All forms of each event. */
const FORMS: { readonly [T in EventType]: readonly Extract<ChatMachineEvent, { type: T }>[] } = {
  loaded: FOUND.flatMap((found) =>
    FLAG.flatMap((more) => AFTER.map((after) => ({ type: 'loaded', found, more, after }) as const)),
  ),
  send: BUSY.flatMap((busy) =>
    FLAG.flatMap((queueFull) =>
      FLAG.flatMap((waiting) =>
        FLAG.flatMap((pending) =>
          FLAG.flatMap((held) =>
            AFTER.map((after) => ({ type: 'send', busy, queueFull, waiting, pending, held, after }) as const),
          ),
        ),
      ),
    ),
  ),
  stop: FLAG.map((current) => ({ type: 'stop', current })),
  block: [{ type: 'block' }],
  attemptEnded: VERDICTS.flatMap((verdict) =>
    AFTER.flatMap((after) => FLAG.map((more) => ({ type: 'attemptEnded', verdict, after, more }) as const)),
  ),
  callsEnded: AFTER.flatMap((after) => FLAG.map((more) => ({ type: 'callsEnded', after, more }) as const)),
  answer: AFTER.map((after) => ({ type: 'answer', after })),
  due: AFTER.flatMap((after) => FLAG.map((more) => ({ type: 'due', after, more }) as const)),
  edit: [{ type: 'edit' }],
  retry: [{ type: 'retry' }],
  clear: [{ type: 'clear' }],
  queue: FLAG.map((goesOn) => ({ type: 'queue', goesOn })),
  promote: [{ type: 'promote' }],
  resume: FLAG.map((more) => ({ type: 'resume', more })),
  compact: FLAG.map((nothing) => ({ type: 'compact', nothing })),
  compactionEnded: COMPACTIONS.flatMap((verdict) =>
    FLAG.flatMap((isAlone) => FLAG.map((more) => ({ type: 'compactionEnded', verdict, isAlone, more }) as const)),
  ),
  passivate: [{ type: 'passivate' }],
  fence: [{ type: 'fence' }],
};

/** The node goes down, and the chat has to be compacted. */
const LEAVING = { compacts: true, requested: false, leaves: true };

/** One machine in each state, found by walking from the first one. */
function states(): ReadonlyMap<LifeState, MachineState> {
  const found = new Map<LifeState, MachineState>([['hydrating', initialState()]]);
  for (const state of found.values()) {
    for (const event of Object.values(FORMS).flat()) {
      for (const next of [decide(state, event).state, decide(state, event, LEAVING).state]) {
        if (!found.has(lifeState(next))) found.set(lifeState(next), next);
      }
    }
  }
  return found;
}

describe('every pair of a state and an event', () => {
  const all = states();

  it('[P12] every state of the table can be reached, and no other', () => {
    expect([...all.keys()].sort()).toEqual(Object.keys(TABLE).sort());
  });

  for (const [life, row] of Object.entries(TABLE) as [LifeState, Row][]) {
    for (const [type, wanted] of Object.entries(row) as [EventType, readonly LifeState[]][]) {
      it(`[P12] ${life} × ${type}: ${wanted.length === 0 ? 'ignored' : wanted.join(', ')}`, () => {
        const state = must(all.get(life), 'the state can be reached');
        const answers = FORMS[type].map((event) => decide(state, event));
        const moved = answers.filter((answer) => lifeState(answer.state) !== life || answer.effects.length > 0);
        if (wanted.length === 0) expect(moved).toEqual([]);
        else expect([...new Set(answers.map((answer) => lifeState(answer.state)))].sort()).toEqual(wanted);
      });
    }
  }

  it('[P7] no request is opened while a call is open, no turn ends without its calls', () => {
    for (const [life, state] of all) {
      for (const event of Object.values(FORMS).flat()) {
        const { effects } = decide(state, event);
        const applied = effects.findIndex((effect) => ['applyCalls', 'recoverCalls', 'dropCalls'].includes(effect));
        const first = effects.findIndex((effect) => /^(nextStep|endTurn|giveUp)/.test(effect));
        // A compaction comes between steps: all calls are settled by then.
        const isBetween = event.type === 'compactionEnded';
        const isExempt = first === -1 || life === 'idle' || life === 'failed' || isBetween;
        if (!isExempt)
          expect({ life, event, effects, ok: applied >= 0 && applied < first }).toMatchObject({ ok: true });
      }
    }
  });

  it('[compaction] wherever a step is to be asked, a compaction that is due comes first', () => {
    let opened = 0;
    for (const state of all.values()) {
      for (const event of Object.values(FORMS).flat()) {
        const plain = decide(state, event);
        const ahead = decide(state, event, { ...LEAVING, leaves: false });
        if (plain.effects.at(-1) !== 'openAttempt') {
          expect(ahead.effects).toEqual(plain.effects);
          continue;
        }
        opened += 1;
        expect(ahead.effects).toEqual([...plain.effects.slice(0, -1), 'openCompaction']);
        expect(lifeState(ahead.state)).toBe('compacting');
      }
    }
    expect(opened).toBeGreaterThan(100);
  });

  it('[actors 4.23] where a node that goes down would ask a step, the turn is left between two', () => {
    let left = 0;
    for (const state of all.values()) {
      for (const event of Object.values(FORMS).flat()) {
        const plain = decide(state, event);
        const leaving = decide(state, event, LEAVING);
        if (plain.effects.at(-1) !== 'openAttempt') continue;
        left += 1;
        expect(leaving.effects).toEqual(plain.effects.slice(0, -1));
        expect(lifeState(leaving.state)).toBe('between');
      }
    }
    expect(left).toBeGreaterThan(100);
  });
});
