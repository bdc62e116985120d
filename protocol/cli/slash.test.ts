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
  ['/edit hello  there', { kind: 'edit', number: null, text: 'hello  there' }],
  ['/edit #12 hello', { kind: 'edit', number: 12, text: 'hello' }],
  ['/fork', { kind: 'fork', number: null }],
  ['/fork #3', { kind: 'fork', number: 3 }],
  ['/retry', { kind: 'retry' }],
  ['/clear', { kind: 'clear' }],
  ['/model', { kind: 'model', model: null }],
  ['/model claude', { kind: 'model', model: 'claude' }],
  ['/queue', { kind: 'queue', what: { do: 'show' } }],
  ['/queue hold 2', { kind: 'queue', what: { do: 'hold', at: 2 } }],
  ['/queue release 1', { kind: 'queue', what: { do: 'release', at: 1 } }],
  ['/queue delete 20', { kind: 'queue', what: { do: 'delete', at: 20 } }],
  ['/queue send 1', { kind: 'queue', what: { do: 'send', at: 1 } }],
  ['/queue edit 1 not  that', { kind: 'queue', what: { do: 'edit', at: 1, text: 'not  that' } }],
  ['/queue order 2 1 3', { kind: 'queue', what: { do: 'order', places: [2, 1, 3] } }],
  ['/approve', { kind: 'approve', place: null, always: false }],
  ['/approve 2', { kind: 'approve', place: 2, always: false }],
  ['/approve always', { kind: 'approve', place: null, always: true }],
  ['/approve 12  always', { kind: 'approve', place: 12, always: true }],
  ['/deny', { kind: 'deny', place: null }],
  ['/deny 3', { kind: 'deny', place: 3 }],
  ['/steer in  French', { kind: 'steer', text: 'in  French' }],
];

describe('input', () => {
  for (const [line, input] of CASES) {
    test(`[input] ${JSON.stringify(line)}`, () => expect(parseInput(line)).toEqual(input));
  }

  const WRONG = ['/', '/nope', '/open', '/rename', '/history x', '/history 0', '/history 201', '/quit now'];
  const WRONG_EDITS = ['/edit', '/edit #3', '/fork 3', '/retry it', '/queue up', '/queue hold', '/queue hold x'];
  const WRONG_QUEUES = ['/queue hold 1 2', '/queue edit 1', '/queue edit x y', '/queue order', '/queue order 1 x'];
  const WRONG_TOOLS = ['/approve it', '/approve 2 now', '/approve 2always', '/deny all', '/steer'];
  for (const line of [...WRONG, ...WRONG_EDITS, ...WRONG_QUEUES, ...WRONG_TOOLS]) {
    test(`[input] ${line} is refused with a sentence`, () => {
      const input = parseInput(line);
      expect(input.kind).toBe('wrong');
      expect(input.kind === 'wrong' && input.why).toMatch(/^.+\.$/);
    });
  }
});
