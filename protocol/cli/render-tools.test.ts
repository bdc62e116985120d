import { describe, expect, test } from 'vitest';
import {
  answer,
  delta,
  endBlock,
  ended,
  reset,
  Screen,
  start,
  stepStarted,
  TURN,
  turnStarted,
} from '../../test/cli/rendered.ts';
import type { Action, Part, ToolStatus } from '../content.ts';
import type { ChatEvent, LiveTurn } from '../events.ts';
import { waitingFor } from './render.ts';
import { transcript } from './transcript.ts';

const call = (id: string, name: string, text = '{}'): Part => ({ type: 'tool_call', text, call: id, name });
const started = (id: string, name: string): ChatEvent => ({ kind: 'tool', type: 'started', step: 1, call: id, name });
const progress = (id: string, offset: number, text: string): ChatEvent => ({
  kind: 'tool',
  type: 'progress',
  step: 1,
  call: id,
  offset,
  text,
});
const result = (number: number, id: string, text: string, status: ToolStatus = 'ok'): ChatEvent => ({
  kind: 'message',
  message: {
    number,
    id: `m${number}`,
    role: 'tool',
    parts: [{ type: 'tool_result', text, call: id, status }],
    created_at: 301,
    turn: TURN,
    step: 1,
  },
});
const settled = (id: string, status: ToolStatus = 'ok'): ChatEvent => ({
  kind: 'tool',
  type: 'settled',
  step: 1,
  call: id,
  status,
});
const asks = (id: string, name: string, changes: Partial<Action> = {}): Action => ({
  type: 'approval',
  call: id,
  name,
  args: '{}',
  deadline_at: 0,
  hash: 'h',
  ...changes,
});
const waits = (...actions: readonly Action[]): ChatEvent => ({ kind: 'action', actions });
const UNTIL = new Date(0).toTimeString().slice(0, 8);

/** A step has called these. */
function called(...parts: readonly Part[]): Screen {
  const screen = new Screen();
  screen.events(turnStarted, stepStarted(), answer(1, parts));
  return screen;
}

describe('calls of tools', () => {
  test('[render] a call shows its name, then its arguments as they stream, on one row', () => {
    const screen = new Screen();
    screen.events(turnStarted, stepStarted());
    const which = { call: 'c1', name: 'clock' };
    expect(screen.event(start(0, 'tool_call', which))).toEqual(['<call clock>']);
    expect(screen.event(delta(0, 0, '{"zo'))).toEqual(['{"zo']);
    expect(screen.event(delta(0, 4, 'ne":\n\n 1}\u001b[2J'))).toEqual(['ne": 1}']);
    expect(screen.event(endBlock(0, 17))).toEqual(['<end>']);
    expect(screen.event(answer(1, [call('c1', 'clock', '{"zone":\n\n 1}\u001b[2J')]))).toEqual([]);
    expect(waitingFor(screen.state)).toBe('waiting for the model');
  });

  test('[render] a call without arguments is shown, and withdrawn by its name', () => {
    const screen = new Screen();
    screen.events(turnStarted, stepStarted());
    expect(screen.event(start(0, 'tool_call', { call: 'c1', name: 'clock' }))).toEqual(['<call clock>']);
    expect(screen.event(reset)).toEqual([
      '<end>',
      'note: withdrawn: the call of clock above was lost and is no part of the chat',
    ]);
  });

  test('[render] what calls give comes in whole lines under their labels, then how they ended', () => {
    const screen = called(call('a', 'slow'), call('b', 'slow'));
    expect(screen.events(started('a', 'slow'), started('b', 'slow'))).toEqual([]);
    expect(waitingFor(screen.state)).toBe('running slow, slow#2');
    expect(screen.event(progress('a', 0, 'one\ntw'))).toEqual(['dim:   slow │ one']);
    expect(screen.event(progress('b', 0, '\u001b[31mred\n'))).toEqual(['dim:   slow#2 │ red']);
    expect(screen.event(progress('a', 6, 'o\n'))).toEqual(['dim:   slow │ two']);
    expect(screen.events(result(2, 'a', 'one\ntwo\nthree'), settled('a'))).toEqual([
      'dim:   slow │ three',
      'dim: ✓ slow · 0.3 s',
    ]);
    expect(waitingFor(screen.state)).toBe('running slow#2');
    expect(screen.events(result(3, 'b', 'broken', 'error'), settled('b', 'error'))).toEqual([
      'dim:   slow#2 │ broken',
      'note: ✗ slow#2 failed · 0.3 s',
    ]);
    expect(screen.event(ended('completed'))).toEqual([]);
  });

  test('[render] of a long output the first lines are shown, and that there is more', () => {
    const screen = called(call('a', 'slow'));
    screen.event(started('a', 'slow'));
    const lines = Array.from({ length: 40 }, (_, n) => `line ${n}\n`).join('');
    const printed = screen.event(progress('a', 0, lines));
    expect(printed).toHaveLength(13);
    expect(printed.at(-1)).toBe('dim:   slow │ …');
    expect(screen.event(progress('a', lines.length, 'more\n'))).toEqual([]);
    expect(screen.events(result(2, 'a', `${lines}more\nend`), settled('a'))).toEqual(['dim: ✓ slow · 0.3 s']);
  });

  test('[render] every status is said', () => {
    const statuses = ['denied', 'timeout', 'interrupted', 'unknown'] as const;
    const said = statuses.map((status) => called(call('a', 'pay')).event(result(2, 'a', 'for the model', status)));
    expect(said).toEqual([
      ['note: ✗ pay was denied · 0.3 s'],
      ['note: ✗ pay timed out · 0.3 s'],
      ['note: ✗ pay was interrupted · 0.3 s'],
      ['note: ✗ pay was lost with its node: it may have run · 0.3 s'],
    ]);
  });

  test('[render] an approval shows all of the arguments, nothing of them hidden', () => {
    const screen = called(call('a', 'pay\u001b[2J'));
    screen.event(started('a', 'pay'));
    const args = '{"to":\n"\u202eevil\u001b[1A","x":"\u200b"}';
    expect(screen.event(waits(asks('a', 'pay', { args })))).toEqual([
      `note: ? pay asks for your approval, until ${UNTIL}:`,
      'plain:   {"to": "\\u202eevil\\u001b[1A","x":"\\u200b"}',
      'dim:   /approve · /approve always (in this chat) · /deny · a message instead denies it',
    ]);
    expect(waitingFor(screen.state)).toBeNull();
    expect(screen.event(waits())).toEqual(['dim: pay was approved']);
    expect(waitingFor(screen.state)).toBe('running pay');
  });

  test('[render] of several approvals each says its number, and too long arguments how much is missing', () => {
    const screen = called(call('a', 'clock'), call('b', 'pay'), call('c', 'pay'));
    const args = `"${'x'.repeat(5_000)}"`;
    const printed = screen.event(waits(asks('b', 'pay', { args }), asks('c', 'pay')));
    expect(printed.map((line) => line.slice(0, 40))).toEqual(
      [
        'note: ? pay asks for your approval, until',
        `plain:   "${'x'.repeat(30)}`,
        'note:   … 1002 characters more',
        'dim:   /approve 2 · /approve 2 always (i',
        'note: ? pay#2 asks for your approval, until',
        'plain:   {}',
        'dim:   /approve 3 · /approve 3 always (i',
      ].map((line) => line.slice(0, 40)),
    );
  });

  test('[render] a tool of another client is waited for, one of this client is not announced', () => {
    const screen = called(call('a', 'camera'), call('b', 'ask_user'));
    screen.tools.add('ask_user');
    screen.events(started('a', 'camera'), started('b', 'ask_user'));
    const actions = [asks('a', 'camera', { type: 'result' }), asks('b', 'ask_user', { type: 'result' })];
    expect(screen.event(waits(...actions))).toEqual([`dim: camera waits for the client that runs it, until ${UNTIL}`]);
    expect(screen.event(waits(...actions.slice(1)))).toEqual([]);
    expect(waitingFor(screen.state)).toBe('running camera');
  });

  test('[render] whoever comes in the middle sees the calls, what they gave, and what is asked', () => {
    const early = called(call('a', 'slow', '{"ms": 1}'), call('b', 'pay'));
    early.events(started('a', 'slow'), started('b', 'pay'), progress('a', 0, 'one\n'), waits(asks('b', 'pay')));
    const late = new Screen(early.state);
    expect(transcript(early.state.messages).map((action) => ('label' in action ? action.label : action.kind))).toEqual([
      'slow',
      'stream',
      'end',
      'pay',
      'stream',
      'end',
    ]);
    expect(late.show(early.state)).toEqual([
      'dim:   slow │ one',
      `note: ? pay asks for your approval, until ${UNTIL}:`,
      'plain:   {}',
      'dim:   /approve · /approve always (in this chat) · /deny · a message instead denies it',
    ]);
    // A snapshot later on the same screen repeats nothing.
    const turn: LiveTurn | null = structuredClone(early.state.turn);
    expect(late.show({ ...early.state, turn, history: 1 })).toEqual([]);
  });

  test('[render] a history shows calls and results by their names', () => {
    const screen = called(call('a', 'clock'));
    screen.events(started('a', 'clock'), result(2, 'a', 'noon'), settled('a'));
    const { messages } = screen.state;
    expect(transcript(messages.slice(1), messages)).toEqual([
      { kind: 'line', fit: true, tone: 'dim', text: '  clock │ noon' },
      { kind: 'line', fit: true, tone: 'dim', text: '✓ clock · 0.3 s' },
    ]);
  });

  test('[render] a steered message is announced as one', () => {
    const screen = called();
    screen.typed.add('s1');
    const steered = { id: 's1', parts: [], created_by: 'o', created_at: 1, steer: true } as const;
    const queue = { kind: 'queue', queue: [steered] } as unknown as ChatEvent;
    expect(screen.event(queue)).toEqual(['dim: steering: it goes to the model at its next step']);
  });
});
