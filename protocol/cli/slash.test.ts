import { describe, expect, test } from 'vitest';
import { HISTORY_DEFAULT, type Input, parseInput } from './slash.ts';

const CASES: readonly (readonly [line: string, input: Input])[] = [
  ['  ', { kind: 'nothing' }],
  [' hello /new ', { kind: 'message', text: 'hello /new' }],
  ['//etc', { kind: 'message', text: '/etc' }],
  ['/script words=3', { kind: 'message', text: '/script words=3' }],
  ['/new', { kind: 'new', title: null }],
  ['/new My  trip', { kind: 'new', title: 'My  trip' }],
  ['/list', { kind: 'list', archived: false }],
  ['/list archived', { kind: 'list', archived: true }],
  ['/open 2', { kind: 'open', which: '2' }],
  ['/history', { kind: 'history', count: HISTORY_DEFAULT }],
  ['/history 3', { kind: 'history', count: 3 }],
  ['/rename a b', { kind: 'rename', title: 'a b' }],
  ['/read', { kind: 'read' }],
  ['/archive', { kind: 'archive' }],
  ['/unarchive', { kind: 'unarchive' }],
  ['/stop', { kind: 'stop' }],
  ['/help', { kind: 'help' }],
  ['/quit', { kind: 'quit' }],
  ['/exit', { kind: 'quit' }],
];

describe('input', () => {
  for (const [line, input] of CASES) {
    test(`[input] ${JSON.stringify(line)}`, () => expect(parseInput(line)).toEqual(input));
  }

  for (const line of ['/', '/nope', '/open', '/rename', '/history x', '/history 0', '/history 201', '/quit now']) {
    test(`[input] ${line} is refused with a sentence`, () => {
      const input = parseInput(line);
      expect(input.kind).toBe('wrong');
      expect(input.kind === 'wrong' && input.why).toMatch(/^.+\.$/);
    });
  }
});
