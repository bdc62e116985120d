import { describe, expect, it } from 'vitest';
import { errorBody } from '../../protocol/errors.ts';
import type { AttemptId, Epoch, TurnId } from '../../protocol/ids.ts';
import type { ChatRecord } from '../ports.ts';
import type { AttemptOpening, JournalPack, TurnRecord } from '../turn-ports.ts';
import { foundIn, recoveredFrom } from './recovery.ts';
import { CHAT_LIMITS } from './settings.ts';
import { EXAMPLE_CHAT } from '../../protocol/vectors/example.ts';

const ID = '01890a5d-ac96-774b-bcce-b302099a8057';
const TURN: TurnRecord = {
  id: ID as TurnId,
  model: 'scripted',
  step: 2,
  attempt: 1,
  stopping: null,
  retry: null,
  recoveries: 0,
};
const OPEN: AttemptOpening = {
  id: ID as AttemptId,
  turn: TURN.id,
  step: 2,
  attempt: 1,
  provider: 'scripted',
  model: 'scripted',
  startedAtMs: 1,
};

function record(change: Partial<ChatRecord>): ChatRecord {
  return {
    chat: EXAMPLE_CHAT,
    systemPrompt: null,
    fixedSystem: null,
    clientTools: [],
    allowed: [],
    toolsHash: null,
    calls: [],
    epoch: 4 as Epoch,
    sealed: null,
    readNumber: 0,
    titleSource: null,
    contextTokens: null,
    promptModel: null,
    reasoningFrom: 0,
    nextNumber: 1,
    turn: TURN,
    queue: [],
    openAttempts: [OPEN],
    journal: [],
    commands: [],
    commandsComplete: true,
    wakeAtMs: null,
    ...change,
  };
}

function pack(number: number, change: Partial<JournalPack>): JournalPack {
  const position = { epoch: 3 as Epoch, seq: number * 10 };
  return { turn: TURN.id, step: 2, attempt: 1, pack: number, position, entries: [], ...change };
}

describe('foundIn', () => {
  it('[P12] tells each way a chat can be found', () => {
    const retry = { error: errorBody('model_overloaded'), atMs: 9, delayMs: 1 };
    expect(foundIn(record({ turn: null }), false, null)).toBe('rest');
    expect(foundIn(record({ turn: null, chat: { ...EXAMPLE_CHAT, status: 'error' } }), false, null)).toBe('error');
    expect(foundIn(record({}), false, null)).toBe('lost');
    expect(foundIn(record({ openAttempts: [] }), false, null)).toBe('lost');
    expect(foundIn(record({ turn: { ...TURN, stopping: 'stopped' } }), false, null)).toBe('stopping');
    expect(foundIn(record({ turn: { ...TURN, retry }, openAttempts: [] }), false, null)).toBe('backingOff');
  });

  it('[P12] a turn that was taken up too often, or whose actors crash, is given up', () => {
    expect(foundIn(record({}), true, null)).toBe('gaveUp');
    expect(foundIn(record({ turn: { ...TURN, recoveries: CHAT_LIMITS.recoveriesMax } }), false, null)).toBe('gaveUp');
    expect(foundIn(record({ turn: null }), true, null)).toBe('rest');
  });

  it('[P6] a stop that was acknowledged ends as one, also in a turn that was taken up too often', () => {
    const stopping = { ...TURN, stopping: 'stopped', recoveries: CHAT_LIMITS.recoveriesMax } as const;
    expect(foundIn(record({ turn: stopping }), false, null)).toBe('stopping');
    expect(foundIn(record({ turn: stopping }), true, null)).toBe('gaveUp');
  });
});

describe('recoveredFrom', () => {
  it('[P10] what runs at a provider is taken up where its model is set up, else it is lost', () => {
    const running = record({ openAttempts: [{ ...OPEN, providerRef: 'run-1' }] });
    const { resume } = recoveredFrom(running, { cost: () => 0n });
    expect(resume).toEqual({ ref: 'run-1', cursor: null, blocks: [] });
    expect(foundIn(running, false, resume)).toBe('resumable');
    expect(recoveredFrom(running, null).resume).toBeNull();
  });

  it('[P5] joins the packs of the open attempt and voids what came after the last of them', () => {
    const text = (index: number, offset: number, value: string) =>
      ({ index, type: index === 0 ? 'reasoning' : 'text', offset, text: value, ended: false }) as const;
    const journal = [
      pack(1, { entries: [text(0, 0, 'hm'), text(1, 0, 'Grü')] }),
      pack(2, { entries: [text(1, 4, 'ße')] }),
    ];
    const recovered = recoveredFrom(record({ journal }), { cost: () => 7n });
    expect(recovered.parts).toEqual([
      { type: 'reasoning', text: 'hm' },
      { type: 'text', text: 'Grüße' },
    ]);
    expect(recovered.retract).toEqual({ epoch: 3, seq: 20 });
    expect(recovered.usage).toMatchObject({ output_tokens: 3, estimated: true });
    expect(recovered.costMicros).toBe(7n);
  });

  it('[P5] packs of an earlier attempt or step say nothing', () => {
    const entries = [{ index: 0, type: 'text', offset: 0, text: 'old', ended: false }] as const;
    const journal = [pack(1, { entries, attempt: 0 }), pack(2, { entries, step: 1 })];
    expect(recoveredFrom(record({ journal }), null).parts).toEqual([]);
  });

  it('[P5] without a pack everything of the epoch before is void', () => {
    expect(recoveredFrom(record({}), null).retract).toEqual({ epoch: 3, seq: 0 });
  });

  it('[P5] nothing is void where all was saved before it was shown, unless a node that does not know of that went on', () => {
    const openedAt = { epoch: 3 as Epoch, seq: 5 };
    const turn = { ...TURN, openedAt };
    const saved = recoveredFrom(
      record({ turn: { ...turn, shownFrom: { ...openedAt } }, journal: [pack(1, {})] }),
      null,
    );
    expect(saved.retract).toBeNull();
    const before = { epoch: 3 as Epoch, seq: 2 };
    const wentOn = recoveredFrom(record({ turn: { ...turn, shownFrom: before }, journal: [pack(1, {})] }), null);
    expect(wentOn.retract).toEqual({ epoch: 3, seq: 10 });
    expect(recoveredFrom(record({ turn: { ...turn, shownFrom: before } }), null).retract).toEqual({ epoch: 3, seq: 6 });
  });
});
