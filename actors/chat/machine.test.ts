import { describe, expect, it } from 'vitest';
import { decide, initialState, lifeState, type ChatMachineEvent, type MachineState } from './machine.ts';

const WAITS = { queueFull: false, waiting: false, pending: false, after: 'next' } as const;
const SEND = { type: 'send', busy: 'queue', ...WAITS } as const;
const STOP = { type: 'stop', current: true } as const;
const ENDED = { type: 'attemptEnded', verdict: 'completed', after: 'end', more: false } as const;

function after(...events: readonly ChatMachineEvent[]): MachineState {
  return events.reduce((state, event) => decide(state, event).state, initialState());
}

function answers(state: MachineState, event: ChatMachineEvent): readonly [string, readonly string[]] {
  const { state: next, effects } = decide(state, event);
  return [lifeState(next), effects];
}

const idle = after({ type: 'loaded', found: 'rest', more: false, after: 'end' });
const running = decide(idle, SEND).state;
const stopping = decide(running, STOP).state;
const backingOff = decide(running, { ...ENDED, verdict: 'retry' }).state;
const failed = decide(running, { ...ENDED, verdict: 'failed' }).state;

describe('the machine of a chat', () => {
  it('[P12] a message at rest starts a turn, after an error behind what waits', () => {
    expect(answers(idle, SEND)).toEqual(['requesting', ['acceptMessage', 'startTurn', 'openAttempt']]);
    expect(answers(failed, SEND)).toEqual(['requesting', ['acceptMessage', 'startTurn', 'openAttempt']]);
    expect(answers(failed, { ...SEND, waiting: true })).toEqual(['requesting', ['enqueue', 'promote', 'openAttempt']]);
  });

  it('[actors 4.7] a message while a turn runs obeys `busy`', () => {
    expect(answers(running, SEND)).toEqual(['requesting', ['enqueue']]);
    expect(answers(running, { ...SEND, busy: 'reject' })).toEqual(['requesting', ['refuseBusy']]);
    expect(answers(running, { ...SEND, queueFull: true })).toEqual(['requesting', ['refuseQueueFull']]);
    expect(answers(running, { ...SEND, busy: 'interrupt' })).toEqual([
      'stopping',
      ['enqueueFirst', 'beginInterrupt', 'applyCalls'],
    ]);
  });

  it('[P6] stop is idempotent and names its turn', () => {
    expect(answers(running, STOP)).toEqual(['stopping', ['beginStop', 'applyCalls', 'replyStopping']]);
    expect(answers(stopping, STOP)).toEqual(['stopping', ['replyStopping']]);
    expect(answers(running, { ...STOP, current: false })).toEqual(['requesting', ['replyNotRunning']]);
    expect(answers(idle, STOP)).toEqual(['idle', ['replyNotRunning']]);
    expect(answers(backingOff, STOP)).toEqual(['stopping', ['beginStop', 'applyCalls', 'replyStopping']]);
  });

  it('[P6] a stopped attempt keeps what was shown, whatever its result, and the queue goes on', () => {
    for (const verdict of ['completed', 'retry', 'failed'] as const) {
      expect(answers(stopping, { ...ENDED, verdict })).toEqual([
        'idle',
        ['keepInterrupted', 'settleAttempt', 'applyCalls', 'endTurnStopped'],
      ]);
    }
    expect(answers(stopping, { type: 'due', more: true, after: 'end' })).toEqual([
      'requesting',
      ['keepInterrupted', 'settleAttempt', 'applyCalls', 'endTurnStopped', 'promote', 'openAttempt'],
    ]);
  });

  it('[P10] each way out of an attempt settles it', () => {
    for (const verdict of ['completed', 'retry', 'failed'] as const) {
      for (const more of [false, true]) {
        expect(decide(running, { ...ENDED, verdict, more }).effects).toContain('settleAttempt');
      }
    }
  });

  it('[P12] a failed attempt backs off and tries again, or ends in error', () => {
    expect(answers(running, { ...ENDED, verdict: 'retry' })).toEqual([
      'backingOff',
      ['settleAttempt', 'scheduleRetry'],
    ]);
    expect(answers(backingOff, { type: 'due', more: false, after: 'end' })).toEqual(['requesting', ['openAttempt']]);
    expect(lifeState(failed)).toBe('failed');
  });

  it('[P12] every way a chat can be found has its state', () => {
    const found = (of: Extract<ChatMachineEvent, { type: 'loaded' }>['found'], more = false) =>
      answers(initialState(), { type: 'loaded', found: of, more, after: 'end' });
    expect(found('rest')).toEqual(['idle', []]);
    expect(found('error')).toEqual(['failed', []]);
    expect(found('backingOff')).toEqual(['backingOff', []]);
    expect(found('lost')).toEqual(['requesting', ['recoverStep', 'openAttempt']]);
    expect(found('waiting', true)).toEqual(['requesting', ['promote', 'openAttempt']]);
    expect(found('waiting')).toEqual(['idle', []]);
    expect(found('gaveUp')).toEqual(['failed', ['recoverText', 'applyCalls', 'giveUp']]);
    expect(found('stopping')).toEqual(['idle', ['recoverText', 'applyCalls', 'endTurnStopped']]);
    expect(found('stopping', true)).toEqual([
      'requesting',
      ['recoverText', 'applyCalls', 'endTurnStopped', 'promote', 'openAttempt'],
    ]);
  });

  it('[actors 4.7] a chat that was kept at rest goes on with its queue', () => {
    expect(answers(idle, { type: 'resume', more: true })).toEqual(['requesting', ['promote', 'openAttempt']]);
    expect(answers(idle, { type: 'resume', more: false })).toEqual(['idle', []]);
    expect(answers(failed, { type: 'resume', more: true })).toEqual(['failed', []]);
  });

  it('[P1] a fenced chat answers nothing', () => {
    const fenced = decide(running, { type: 'fence' }).state;
    expect(lifeState(fenced)).toBe('fenced');
    for (const event of [SEND, STOP, ENDED]) expect(answers(fenced, event)).toEqual(['fenced', []]);
  });
});
