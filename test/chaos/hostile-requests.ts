// Commands and queries with names that exist and args of every type, size and depth, the right ones only by chance.

import fc from 'fast-check';
import { must } from '../../protocol/assert.ts';

export type HostileRequest = { readonly kind: 'command' | 'query'; readonly name: string; readonly args: unknown };

const COMMANDS = [
  ...'chats.create chat.send chat.stop chat.rename chat.set_labels chat.archive chat.unarchive toString'.split(' '),
  '',
  'chat.send ',
];
const QUERIES = ['chats.list', 'chats.get', 'messages', 'messages.part', 'models.list', '', 'constructor'];

const KEYS = [
  ...'chat content busy model title labels parent turn system_prompt owner archived'.split(' '),
  ...'limit after before number part offset constructor toString'.split(' '),
  '',
];

/** With the args it lies 30 levels deep in its frame: the scanner lets it through. */
const DEEP = Array.from({ length: 27 }).reduce<unknown>((inner) => [inner], []);

const numbers = [-1, 0, 1, 1.5, 201, 2 ** 32, 2 ** 53 - 1, 1 - 2 ** 53, Number.MAX_VALUE, 5e-324, Infinity, Number.NaN];
const texts = ['', ' ', 'x', 'interrupt', 'scripted', '\u202e'.repeat(300), '\ufeff', 'x'.repeat(60_000), '../../etc'];
const bytes = [new Uint8Array(0), new Uint8Array(15), new Uint8Array(16), new Uint8Array(60_000)];
const contents = [[{ type: 'text', text: 'hi' }], [{ type: 'text', text: ' ' }], [{ type: 'image' }], [null], [[]]];
const maps = [{}, { a: 'b' }, { a: 1 }, { '': '' }, Object.fromEntries(KEYS.map((key) => [key, key]))];

/** `chats`: ids that they name, of the sender and of others. */
export function hostileRequest(chats: readonly Uint8Array[]): fc.Arbitrary<HostileRequest> {
  const chat = fc.constantFrom(...chats);
  const value = fc.oneof(
    fc.constantFrom<unknown>(null, true, false, DEEP, ...numbers),
    fc.constantFrom<unknown>(...texts, ...bytes),
    fc.constantFrom<unknown>(...contents, ...maps, []),
    fc.array(fc.constantFrom<unknown>(1, 'x', null, new Uint8Array(16)), { maxLength: 300 }),
    chat,
  );
  const args = fc.dictionary(fc.constantFrom(...KEYS), value, { maxKeys: 6, noNullPrototype: true });
  const withChat = fc.tuple(args, chat).map(([args, chat]) => ({ ...args, chat }));
  return fc
    .record({
      kind: fc.constantFrom('command' as const, 'query' as const),
      pick: fc.nat(),
      args: fc.oneof(args, withChat),
    })
    .map(({ kind, pick, args }) => {
      const names = kind === 'command' ? COMMANDS : QUERIES;
      return { kind, name: must(names[pick % names.length], 'there are names'), args };
    });
}
