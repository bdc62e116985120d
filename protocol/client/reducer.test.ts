// What single events do. The properties over whole logs are in test/client/reducer.property.test.ts.

import { describe, expect, test } from 'vitest';
import { at, chatValue, head, piece, TURN, userMessage } from '../../test/client/wire.ts';
import type { ChatEvent, LiveTurn } from '../events.ts';
import type { TurnId } from '../ids.ts';
import { must } from '../assert.ts';
import { errorBody } from '../errors.ts';
import { EMPTY_CHAT_STATE, STATE_MESSAGES_MAX, type ChatState } from './chat-state.ts';
import { applyOlderPage, applyPartText } from './local.ts';
import { applyEvent } from './reducer.ts';
import { applyPiece, applyResumed } from './snapshot.ts';

const OTHER = 'another turn' as TurnId;

const LIVE: LiveTurn = {
  turn: TURN,
  model: 'm',
  step: 2,
  attempt: 1,
  blocks: [{ index: 0, type: 'text', text: 'aß', bytes: 3, ended: false }],
  retry: null,
  usage: null,
  calls: [],
  actions: [],
  compaction: null,
};

function stateAt(changes: Partial<ChatState> = {}): ChatState {
  return { ...EMPTY_CHAT_STATE, position: at(1, 10), chat: chatValue(), turn: LIVE, oldest: 1, ...changes };
}

/** The outcome of the event behind the cursor, or the state that it led to. */
function outcome(state: ChatState, event: ChatEvent, span = 1): string | ChatState {
  const seq = must(state.position, 'the state has a cursor').seq + 1;
  const result = applyEvent(state, { position: at(1, seq), span, event });
  return result.outcome === 'applied' ? result.state : result.outcome;
}

function applied(state: ChatState, event: ChatEvent, span = 1): ChatState {
  const result = outcome(state, event, span);
  if (typeof result === 'string') throw new Error(result);
  return result;
}

function delta(offset: number, text: string): ChatEvent {
  return { kind: 'block', type: 'delta', step: 2, index: 0, offset, text };
}

function blockText(state: ChatState): string | undefined {
  return state.turn?.blocks[0]?.text;
}

describe('[P2] where an event lies decides', () => {
  const rename: ChatEvent = { kind: 'chat', chat: chatValue({ title: 'new' }) };

  test.each([
    ['the next one', at(1, 11), 1, 'applied'],
    ['the last one', at(1, 10), 1, 'duplicate'],
    ['one long before', at(1, 2), 1, 'duplicate'],
    ['one after the next', at(1, 12), 1, 'gap'],
    ['one that reaches back to the last', at(1, 14), 4, 'applied'],
    ['one that reaches back behind the last', at(1, 14), 9, 'applied'],
    ['one that does not reach back far enough', at(1, 14), 3, 'gap'],
    ['one of an epoch that is over', at(0, 99), 1, 'duplicate'],
    ['one of an epoch whose beginning was not seen', at(2, 2), 1, 'gap'],
  ])('[P2] %s', (_, position, span, expected) => {
    expect(applyEvent(stateAt(), { position, span, event: rename }).outcome).toBe(expected);
  });

  test('[P2] without a position nothing fits, not even the beginning of an epoch', () => {
    expect(applyEvent(EMPTY_CHAT_STATE, { position: at(1, 1), span: 1, event: rename }).outcome).toBe('gap');
    const epoch: ChatEvent = { kind: 'epoch', after: null };
    expect(applyEvent(EMPTY_CHAT_STATE, { position: at(1, 1), span: 1, event: epoch }).outcome).toBe('gap');
  });

  test.each([
    ['sealed where the client stands', at(1, 10), 'applied'],
    ['sealed behind the client', at(1, 11), 'gap'],
    ['sealed before the client', at(1, 9), 'gap'],
    ['not sealed', null, 'gap'],
  ])('[P2] a new epoch, the one before %s', (_, after, expected) => {
    const result = applyEvent(stateAt(), { position: at(2, 1), span: 1, event: { kind: 'epoch', after } });
    expect(result.outcome).toBe(expected);
    if (result.outcome === 'applied') expect(result.state).toEqual(stateAt({ position: at(2, 1) }));
  });
});

describe('[P2] deltas lie at byte offsets', () => {
  test('[P2] a delta that begins before the end of its block adds only what is new, cut between code points', () => {
    expect(blockText(applied(stateAt(), delta(3, '🙂')))).toBe('aß🙂');
    expect(blockText(applied(stateAt(), delta(0, 'aß🙂'), 3))).toBe('aß🙂');
    expect(blockText(applied(stateAt(), delta(1, 'ß🙂'), 2))).toBe('aß🙂');
    expect(applied(stateAt(), delta(0, 'aß'), 2).turn).toEqual(LIVE);
    expect(applied(stateAt(), delta(1, ''), 2).turn).toEqual(LIVE);
    expect(applied(stateAt(), delta(3, '🙂')).turn?.blocks[0]?.bytes).toBe(7);
  });

  test('[P5] a delta behind the end, inside a code point, or of a block, step or turn that is not there is a gap', () => {
    expect(outcome(stateAt(), delta(4, 'x'))).toBe('gap');
    expect(outcome(stateAt(), delta(2, '🙂'))).toBe('gap');
    expect(outcome(stateAt(), { ...delta(0, 'x'), index: 1 } as ChatEvent)).toBe('gap');
    expect(outcome(stateAt(), { ...delta(3, 'x'), step: 3 } as ChatEvent)).toBe('gap');
    expect(outcome(stateAt({ turn: null }), delta(0, 'x'))).toBe('gap');
  });

  test('[P5] the end of a block with another length than ours is a gap', () => {
    const end = (bytes: number): ChatEvent => ({ kind: 'block', type: 'end', step: 2, index: 0, bytes });
    expect(outcome(stateAt(), end(4))).toBe('gap');
    expect(applied(stateAt(), end(3)).turn?.blocks[0]).toMatchObject({ ended: true, text: 'aß' });
  });
});

describe('[P2] messages and turns', () => {
  test('[P2] the message of the live step takes the place of its blocks, any other one does not', () => {
    const reply = { ...userMessage(4), role: 'assistant' as const, turn: TURN, step: 2 };
    expect(applied(stateAt(), { kind: 'message', message: reply }).turn).toEqual({ ...LIVE, blocks: [] });
    for (const other of [userMessage(4), { ...reply, step: 1 }, { ...reply, turn: OTHER }]) {
      const state = applied(stateAt(), { kind: 'message', message: other });
      expect(state.turn).toBe(LIVE);
      expect(state.messages).toEqual([other]);
    }
  });

  test('[P9] a part that comes as a reference has the text that streamed, where all of it did', () => {
    const blocks = ['one', 'two', 'four'].map((text, index) => {
      return { index, type: 'text' as const, text, bytes: text.length, ended: true };
    });
    const parts = [3, 3, 5].map((bytes) => ({ type: 'text' as const, bytes }));
    const message = { ...userMessage(4), role: 'assistant' as const, turn: TURN, step: 2, parts };
    const state = applied(stateAt({ turn: { ...LIVE, blocks } }), { kind: 'message', message });
    const [one, two] = ['one', 'two'].map((text) => ({ type: 'text', text }));
    expect(state.messages[0]?.parts).toEqual([one, two, { type: 'text', bytes: 5 }]);
    expect(state.turn?.blocks).toEqual([]);
  });

  test('[P2] a message of a number that is there replaces it', () => {
    const messages = [userMessage(1), userMessage(2), userMessage(3)];
    const changed = userMessage(2, 'changed');
    expect(applied(stateAt({ messages }), { kind: 'message', message: changed }).messages).toEqual([
      userMessage(1),
      changed,
      userMessage(3),
    ]);
  });

  test('[P2] a rewind takes a closed range out', () => {
    const messages = [1, 2, 3, 4, 5].map((number) => userMessage(number));
    const state = applied(stateAt({ messages }), { kind: 'rewind', from: 2, to: 4 });
    expect(state.messages.map(({ number }) => number)).toEqual([1, 5]);
    expect(state.history).toBe(1);
  });

  test('[P2] steps, retries and usage of a turn; those of a turn that is not there are a gap or nothing', () => {
    const retry = { attempt: 1, delay_ms: 5, at: 9, error: errorBody('model_overloaded') };
    const waiting = applied(stateAt(), { kind: 'retry', turn: TURN, step: 2, ...retry });
    expect(waiting.turn).toEqual({ ...LIVE, retry });
    const reset = applied(waiting, { kind: 'step', type: 'reset', turn: TURN, step: 2, attempt: 1 });
    expect(reset.turn).toEqual({ ...LIVE, blocks: [], retry: null });
    const next = applied(waiting, { kind: 'step', type: 'started', turn: TURN, step: 3, attempt: 2 });
    expect(next.turn).toEqual({ ...LIVE, step: 3, attempt: 2, blocks: [], retry: null });
    expect(outcome(stateAt(), { kind: 'step', type: 'started', turn: OTHER, step: 3, attempt: 1 })).toBe('gap');
    expect(outcome(stateAt(), { kind: 'retry', turn: OTHER, step: 3, ...retry })).toBe('gap');
    const usage = { input_tokens: 1, output_tokens: 2, cache_read_tokens: 3, cache_write_tokens: 4, estimated: true };
    const used: ChatEvent = { kind: 'usage', turn: TURN, step: 2, attempt: 1, usage };
    expect(applied(stateAt(), used).turn?.usage).toEqual(usage);
    expect(applied(stateAt({ turn: null }), used)).toEqual(stateAt({ turn: null, position: at(1, 11) }));
  });

  test('[P6] an ended turn leaves how it ended; a started one begins empty and takes the notice away', () => {
    const ended = applied(stateAt(), { kind: 'turn', type: 'ended', turn: TURN, outcome: 'stopped', error: null });
    expect(ended).toMatchObject({ turn: null, lastTurn: { turn: TURN, outcome: 'stopped', error: null } });
    const event: ChatEvent = { kind: 'turn', type: 'started', turn: OTHER, model: 'n' };
    expect(applied(stateAt({ retracted: at(1, 3) }), event)).toMatchObject({
      turn: { turn: OTHER, model: 'n', step: 0, attempt: 0, blocks: [], retry: null, usage: null },
      retracted: null,
    });
  });
});

describe('[P4] snapshots', () => {
  const messages = [1, 2, 3].map((number) => userMessage(number));

  test('[P4] keeps the cache, without what left, and adds what changed', () => {
    const state = stateAt({ messages, hasOlder: true, turn: null });
    const changes = { head: head({ drop_older: false, removed: [[2, 3]] }), messages: [userMessage(4)] };
    const result = applyPiece(state, at(2, 6), piece(changes));
    expect(result).toMatchObject({ outcome: 'applied', state: { position: at(2, 6), hasOlder: true, history: 1 } });
    expect(result.outcome === 'applied' && result.state.messages.map(({ number }) => number)).toEqual([1, 4]);
  });

  test('[P4] drops the cache when the server says so', () => {
    const dropped = piece({ head: head({ drop_older: true, has_older: true }), messages: [userMessage(9)] });
    const result = applyPiece(stateAt({ messages }), at(2, 6), dropped);
    expect(result).toMatchObject({ state: { messages: [userMessage(9)], hasOlder: true, oldest: 9, turn: null } });
  });

  test('[P4] pieces without their beginning, of another snapshot, or with a hole in a text are refused', () => {
    expect(applyPiece(stateAt(), at(1, 11), piece({ head: null })).outcome).toBe('gap');
    const begun = applyPiece(stateAt(), at(1, 11), piece({ last: false }));
    const state = begun.outcome === 'applied' ? begun.state : stateAt();
    expect(applyPiece(state, at(1, 12), piece({ head: null })).outcome).toBe('gap');
    expect(applyPiece(stateAt(), at(1, 11), piece({ live: [[0, 0, 'x']] })).outcome).toBe('gap');
    const live = { ...LIVE, blocks: LIVE.blocks.map((block) => ({ ...block, text: '', bytes: 0 })) };
    expect(applyPiece(stateAt(), at(1, 11), piece({ head: head({ live }), live: [[0, 1, 'x']] })).outcome).toBe('gap');
  });

  test('[P4] positions never go back, but for a cursor that the server disowns', () => {
    expect(applyPiece(stateAt(), at(1, 9), piece()).outcome).toBe('stale');
    expect(applyPiece(stateAt(), at(0, 99), piece()).outcome).toBe('stale');
    expect(applyPiece(stateAt(), at(0, 99), piece({ head: head({ disowned: true }) })).outcome).toBe('applied');
    expect(applyResumed(stateAt(), at(1, 9)).outcome).toBe('stale');
    expect(applyResumed(stateAt(), at(1, 10)).outcome).toBe('applied');
    expect(applyResumed(EMPTY_CHAT_STATE, at(1, 10)).outcome).toBe('gap');
  });

  test('[P4] resumed and a new snapshot discard the pieces of the one before', () => {
    const begun = applyPiece(stateAt(), at(1, 11), piece({ last: false, messages }));
    const state = begun.outcome === 'applied' ? begun.state : stateAt();
    expect(applyResumed(state, at(1, 10))).toEqual({ outcome: 'applied', state: stateAt() });
    const result = applyPiece(state, at(1, 12), piece({ messages: [userMessage(7)] }));
    expect(result).toMatchObject({ state: { messages: [userMessage(7)], staging: null } });
  });
});

describe('[client] pages and parts', () => {
  test('[client] a page that was asked for before a rewind is dropped', () => {
    const state = stateAt({ messages: [userMessage(5)], oldest: 5, hasOlder: true });
    const page = { history: state.history, messages: [userMessage(4)], hasMore: false };
    expect(applyOlderPage(state, page)).toMatchObject({ hasOlder: false, oldest: 4 });
    const rewound = applied(state, { kind: 'rewind', from: 3, to: 5 });
    expect(applyOlderPage(rewound, page)).toBe(rewound);
  });

  test('[client] the text of a part stands where its reference was; anything else leaves the state alone', () => {
    const message = { ...userMessage(5), parts: [{ type: 'reasoning' as const, bytes: 9 }] };
    const state = stateAt({ messages: [message] });
    const loaded = applyPartText(state, { number: 5, index: 0, text: 'long' });
    expect(loaded.messages[0]?.parts).toEqual([{ type: 'reasoning', text: 'long' }]);
    for (const [number, index] of [
      [4, 0],
      [5, 1],
      [6, 0],
    ] as const) {
      expect(applyPartText(state, { number, index, text: 'long' })).toBe(state);
    }
    expect(applyPartText(loaded, { number: 5, index: 0, text: 'again' })).toBe(loaded);
  });

  test('[P11] the list of messages is bounded: the oldest leave and can be paged in again', () => {
    const messages = Array.from({ length: STATE_MESSAGES_MAX }, (_, n) => userMessage(n + 1));
    const state = applied(stateAt({ messages }), { kind: 'message', message: userMessage(STATE_MESSAGES_MAX + 1) });
    expect(state.messages).toHaveLength(STATE_MESSAGES_MAX * 0.9 + 1);
    expect(state).toMatchObject({ hasOlder: true, oldest: must(state.messages[0], 'there are messages').number });
  });
});
