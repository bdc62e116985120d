import { describe, expect, test } from 'vitest';
import { at, TURN } from '../../test/client/wire.ts';
import type { Message, PartOrReference } from '../content.ts';
import type { LiveBlock, LiveTurn } from '../events.ts';
import type { TurnId } from '../ids.ts';
import { EMPTY_CHAT_STATE, type ChatState } from './chat-state.ts';
import { withLossTold } from './lost-text.ts';

const SHOWN = state({ position: at(1, 9), turn: live(2, ['text', 'Hel'], ['text', ''], ['reasoning', 'hm']) });
const LOST = at(1, 0);

describe('[P5] what a client finds lost by itself', () => {
  test.each([
    ['the block goes on', live(2, ['text', 'Hello'], ['reasoning', 'hmm']), [], null],
    ['a block is gone', live(2, ['text', 'Hello']), [], LOST],
    ['the order is another one', live(2, ['reasoning', 'hmm'], ['text', 'Hello']), [], LOST],
    ['the text is another one', live(2, ['text', 'Hallo'], ['reasoning', 'hmm']), [], LOST],
    ['the text is shorter', live(2, ['text', 'He'], ['reasoning', 'hmm']), [], LOST],
    ['another step', live(3, ['text', 'Hello'], ['reasoning', 'hmm']), [], LOST],
    ['no turn', null, [], LOST],
    ['the message of its step', live(3), [answer(2, text('Hello'), { type: 'reasoning', text: 'hm' })], null],
    ['a message that ends before', null, [answer(2, text('Hel'))], LOST],
    ['the message of another step', null, [answer(1, text('Hello'), { type: 'reasoning', text: 'hm' })], LOST],
    ['a part whose text is not there', null, [answer(2, { type: 'text', bytes: 99_999 })], LOST],
  ] as const)('[P5] %s', (_title, turn, messages, retracted) => {
    expect(withLossTold(SHOWN, state({ position: at(2, 3), turn, messages })).retracted).toEqual(retracted);
  });

  test('[P5] a turn without text, no turn or no place: nothing was shown that could be lost', () => {
    const after = state({ position: at(2, 3) });
    expect(withLossTold({ ...SHOWN, turn: live(2, ['text', '']) }, after)).toBe(after);
    expect(withLossTold({ ...SHOWN, turn: null }, after)).toBe(after);
    expect(withLossTold(EMPTY_CHAT_STATE, after)).toBe(after);
  });

  test('[P5] the blocks of another turn are not those that were shown', () => {
    const turn = { ...live(2, ['text', 'Hello'], ['reasoning', 'hmm']), turn: 'another turn' as TurnId };
    expect(withLossTold(SHOWN, state({ position: at(2, 3), turn })).retracted).toEqual(LOST);
  });
});

function state(changes: Partial<ChatState>): ChatState {
  return { ...EMPTY_CHAT_STATE, ...changes };
}

function live(step: number, ...texts: readonly (readonly [LiveBlock['type'], string])[]): LiveTurn {
  const blocks = texts.map(([type, shown], index) => ({ index, type, text: shown, bytes: shown.length, ended: false }));
  const nothing = { retry: null, usage: null, calls: [], actions: [], compaction: null };
  return { turn: TURN, model: 'm', step, attempt: 1, blocks, ...nothing };
}

function text(value: string): PartOrReference {
  return { type: 'text', text: value };
}

function answer(step: number, ...parts: readonly PartOrReference[]): Message {
  return { number: 4, id: 'a', role: 'assistant', parts, created_at: 1, turn: TURN, step };
}
