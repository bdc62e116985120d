import { describe, expect, test } from 'vitest';
import {
  CHAT,
  Screen,
  TURN,
  turnStarted,
  stepStarted,
  reset,
  start,
  delta,
  endBlock,
  ended,
  answer,
  asked,
  text,
} from '../../test/cli/rendered.ts';
import type { Part, QueuedMessage } from '../content.ts';
import { errorBody } from '../errors.ts';
import type { ChatEvent, LiveTurn } from '../events.ts';
import type { CommandId } from '../ids.ts';
import { waitingFor } from './render.ts';

describe('render', () => {
  test('[render] text is streamed once and its message adds nothing', () => {
    const screen = new Screen();
    expect(screen.events(turnStarted, stepStarted(), start(0))).toEqual([]);
    expect(screen.event(delta(0, 0, 'Hel'))).toEqual(['<text>', 'Hel']);
    expect(screen.event(delta(0, 3, 'lo'))).toEqual(['lo']);
    expect(screen.event(endBlock(0, 5))).toEqual(['<end>']);
    expect(screen.events(answer(1, [text('Hello')]), ended('completed'))).toEqual([]);
  });

  test('[render] a message says what its deltas did not', () => {
    const screen = new Screen();
    screen.events(turnStarted, stepStarted(), start(0), delta(0, 0, 'Hel'));
    expect(screen.event(answer(1, [text('Hello')]))).toEqual(['lo', '<end>']);
  });

  test('[render] reasoning and text are blocks of their own, an empty reasoning none', () => {
    const screen = new Screen();
    screen.events(turnStarted, stepStarted());
    expect(screen.events(start(0, 'reasoning'), delta(0, 0, 'hm'), endBlock(0, 2))).toEqual([
      '<reasoning>',
      'hm',
      '<end>',
    ]);
    expect(screen.events(start(1, 'reasoning'), endBlock(1, 0), start(2), delta(2, 0, 'Yes'))).toEqual([
      '<text>',
      'Yes',
    ]);
    const parts: Part[] = [{ type: 'reasoning', text: 'hm' }, { type: 'reasoning', text: '' }, text('Yes')];
    expect(screen.event(answer(1, parts))).toEqual(['<end>']);
  });

  test('[render] control sequences split over deltas are stripped', () => {
    const screen = new Screen();
    screen.events(turnStarted, stepStarted(), start(0));
    const printed = screen.events(delta(0, 0, 'a\u001b[3'), delta(0, 4, '1mb\u001b]0;x'), delta(0, 12, '\u0007c'));
    expect(printed.join('')).toBe('<text>abc');
  });

  test('[render] text that a reset drops is withdrawn in words, then the next attempt is shown', () => {
    const screen = new Screen();
    screen.events(turnStarted, stepStarted(), start(0), delta(0, 0, 'Once upon'));
    expect(screen.event(reset)).toEqual([
      '<end>',
      'note: withdrawn: the text above from “Once upon…” on was lost and is no part of the chat',
    ]);
    expect(screen.events(stepStarted(2), start(0), delta(0, 0, 'There was'))).toEqual(['<text>', 'There was']);
  });

  test('[render] what a crash cut off is withdrawn, what stayed is not printed twice', () => {
    const screen = new Screen();
    screen.events(turnStarted, stepStarted(), start(0), delta(0, 0, 'Once upon a time'));
    expect(screen.event(answer(1, [text('Once upon')], { interrupted: true }))).toEqual([
      '<end>',
      'note: withdrawn: the text above from “a time…” on was lost and is no part of the chat',
      '<end>',
      'dim: interrupted here; the answer goes on',
    ]);
    expect(screen.event({ ...stepStarted(1, 2) })).toEqual([]);
  });

  test('[render] a snapshot in the middle of a step goes on where the screen is', () => {
    const screen = new Screen();
    screen.events(turnStarted, stepStarted(), start(0), delta(0, 0, 'One '));
    const block = { index: 0, type: 'text', text: 'One two', bytes: 7, ended: false } as const;
    const turn = { ...(screen.state.turn as LiveTurn), blocks: [block] };
    expect(screen.show({ ...screen.state, turn, history: 1 })).toEqual(['two']);
  });

  test('[render] a snapshot behind the end of a turn shows the rest', () => {
    const screen = new Screen();
    screen.events(turnStarted, stepStarted(), start(0), delta(0, 0, 'One '));
    const event = answer(1, [text('One two')]);
    const messages = event.kind === 'message' ? [event.message] : [];
    expect(screen.show({ ...screen.state, turn: null, messages, oldest: 1, history: 1 })).toEqual(['two', '<end>']);
  });

  test('[render] shown text without a message behind it is withdrawn when the turn is over', () => {
    const screen = new Screen();
    screen.events(turnStarted, stepStarted(), start(0), delta(0, 0, 'One'));
    expect(screen.event(ended('error', 'model_overloaded'))).toEqual([
      '<end>',
      'note: withdrawn: the text above from “One…” on was lost and is no part of the chat',
      'error: The model provider is overloaded. [model_overloaded]',
    ]);
  });

  test('[render] an error that only the chat remembers is shown', () => {
    const screen = new Screen();
    screen.events(turnStarted);
    const chat = { ...CHAT, status: 'error' as const, last_error: errorBody('model_unauthorized') };
    const printed = screen.show({ ...screen.state, chat, turn: null, lastTurn: null });
    expect(printed.join()).toMatch(/^error: The model provider refuses the key.* \[model_unauthorized\]$/);
  });

  test('[render] a retry is announced once', () => {
    const screen = new Screen();
    screen.events(turnStarted, stepStarted());
    const error = errorBody('model_overloaded');
    const retry: ChatEvent = { kind: 'retry', turn: TURN, step: 1, attempt: 1, delay_ms: 2000, at: 5, error };
    expect(screen.event(retry)).toEqual(['dim: the model is overloaded, trying again in 2 s (attempt 2)']);
    expect(screen.event({ kind: 'chat', chat: CHAT })).toEqual([]);
    expect(waitingFor(screen.state)).toBe('waiting to try again');
  });

  test('[render] what was typed here is not echoed, what came from elsewhere is', () => {
    const screen = new Screen();
    screen.typed.add('u1');
    expect(screen.event(asked(1, 'mine'))).toEqual([]);
    expect(screen.event(asked(2, 'theirs\u001b[31m'))).toEqual(['user: theirs']);
  });

  test('[render] a queued message is announced, and shown when its turn comes', () => {
    const screen = new Screen();
    screen.typed.add('q1');
    const queued = {
      id: 'q1' as CommandId,
      parts: [text('later') as { type: 'text'; text: string }],
      created_by: 'o',
      created_at: 1,
    };
    expect(screen.event({ kind: 'queue', queue: [queued] })).toEqual([
      'dim: queued: it goes to the model after this turn',
    ]);
    expect(screen.event(asked(3, 'later', 'q1'))).toEqual(['user: later']);
    expect(screen.event({ kind: 'queue', queue: [] })).toEqual([]);
  });

  test('[render] what somebody edits in the queue is marked until it goes on', () => {
    const screen = new Screen();
    const item = (id: string, held?: number): QueuedMessage => ({
      id: id as CommandId,
      parts: [{ type: 'text', text: `${id} \u001b[31m${'x'.repeat(60)}` }],
      created_by: 'o',
      created_at: 1,
      ...(held === undefined ? {} : { held_until: held }),
    });
    const queue = (...items: readonly QueuedMessage[]): ChatEvent => ({ kind: 'queue', queue: items });
    expect(screen.events(queue(item('a'), item('b')))).toEqual([
      'dim: queued from elsewhere: 2 are waiting',
      'dim: queued from elsewhere: 2 are waiting',
    ]);
    expect(screen.event(queue(item('a', 9), item('b')))).toEqual([`dim: held: “a ${'x'.repeat(38)}…”`]);
    expect(screen.event(queue(item('a'), item('b')))).toEqual([`dim: goes on: “a ${'x'.repeat(38)}…”`]);
    expect(screen.event(queue(item('b')))).toEqual([]);
  });

  test('[render] a stopped turn, a title, an archived chat and a rewind are said', () => {
    const screen = new Screen();
    screen.events(turnStarted);
    expect(screen.event(ended('stopped'))).toEqual(['dim: stopped']);
    expect(screen.event({ kind: 'chat', chat: { ...CHAT, title: 'first' } })).toEqual([]);
    expect(screen.event({ kind: 'chat', chat: { ...CHAT, title: 'A\nb' } })).toEqual(['dim: title: A b']);
    expect(screen.event({ kind: 'chat', chat: { ...CHAT, title: 'A\nb', archived: true } })).toEqual([
      'dim: this chat is archived now',
    ]);
    screen.events(asked(1, 'a'), asked(2, 'b'), asked(3, 'c'));
    expect(screen.event({ kind: 'rewind', from: 2, to: 3 })).toEqual([
      'note: messages 2 to 3 above have left the chat',
    ]);
  });

  test('[render] opening a chat in the middle of a turn prints its text from the start', () => {
    const running = new Screen();
    running.events(turnStarted, stepStarted(), start(0), delta(0, 0, 'Hello'));
    const screen = new Screen(running.state);
    expect(screen.show(running.state)).toEqual(['<text>', 'Hello']);
  });

  test('[render] the spinner says what is waited for', () => {
    const screen = new Screen();
    expect(waitingFor(screen.state)).toBeNull();
    screen.events(turnStarted, stepStarted());
    expect(waitingFor(screen.state)).toBe('waiting for the model');
    screen.event(start(0, 'reasoning'));
    expect(waitingFor(screen.state)).toBe('thinking');
    screen.event(delta(0, 0, 'x'));
    expect(waitingFor(screen.state)).toBeNull();
  });
});
