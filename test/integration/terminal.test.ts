// The README's session at a terminal, typed line by line at a real node with the scripted model.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { must } from '../../protocol/assert.ts';
import { runInteractive } from '../../protocol/cli/interactive.ts';
import { parseOptions } from '../../protocol/cli/options.ts';
import { PLAIN } from '../../protocol/cli/style.ts';
import { VirtualTerminal } from '../cli/virtual-terminal.ts';
import { NodeProcess } from '../support/node-process.ts';

const COLUMNS = 112;
const nodes: NodeProcess[] = [];

/** What is typed, and what shows that its effect is there: the next line comes then. Null: the prompt at rest. */
const TYPED: readonly (readonly [line: string, shows: string | null])[] = [
  ['/script tool=clock tool=calculator:{"expression":"6*7"} say="So it is."', null],
  ['/script tool=risky:{"what":"the release"} say="As you like."', '/approve always'],
  ['/approve', null],
  ['/script tool=slow:{"ms":4000,"text":"many words ","repeat":2000}', '│ waiting'],
  ['/script say="This came behind it."', 'queued:'],
  ['/steer /script say="Shorter, then: done."', 'steering:'],
  ['', null],
  ['/compact', 'from here on it sees a summary'],
  ['', null],
];
/** The prompt with nothing typed, which is there when nothing runs. */
const AT_REST = '\n› |';

afterAll(async () => {
  for (const node of nodes) await node.stop();
});

type Session = { readonly terminal: VirtualTerminal; readonly type: (typed: Typed) => Promise<void> };
type Typed = readonly (readonly [line: string, shows: string | null])[];

/** A person at a terminal, in a new chat of a node of their own; `/quit` is the last line they type. */
async function atTerminal(session: (session: Session) => Promise<void>): Promise<string> {
  const node = await NodeProcess.start();
  nodes.push(node);
  const terminal = new VirtualTerminal(COLUMNS);
  const parsed = parseOptions(['--url', node.url, '--token', node.token], {});
  if (parsed.kind !== 'options') throw new Error(`good options: ${JSON.stringify(parsed)}`);
  const ended = runInteractive(parsed.options, {
    input: terminal.keyboard as unknown as NodeJS.ReadStream,
    output: terminal as unknown as NodeJS.WriteStream,
    style: PLAIN,
    say: () => {},
  });
  await terminal.shows('/help');
  const type = async (typed: Typed): Promise<void> => {
    for (const [line, shows] of typed) {
      if (line !== '') await terminal.keyboard.type(`${line}\r`);
      if (shows === null) await terminal.until(() => terminal.picture.endsWith(AT_REST));
      else await terminal.shows(shows);
    }
  };
  await session({ terminal, type });
  await terminal.keyboard.type('/quit\r');
  await ended;
  return terminal.screen.join('\n');
}

test('[readme] the session at the terminal is what a person sees who types it', async () => {
  const screen = await atTerminal(({ type }) => type(TYPED));
  const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');
  const [, shown] = must(/```text\n(chat .*?)```/s.exec(readme), 'the README shows a session');
  expect(timeless(screen)).toBe(timeless(must(shown, 'the block has a text')));
});

test('[cli] what waits is held, ordered, changed, deleted and sent now; what was said is edited, retried, forked and cleared', async () => {
  const screen = await atTerminal(({ type }) =>
    type([
      ['/script deltas=20000 text=w pace=5ms', 'w w w'],
      ['the one', 'queued:'],
      ['the other', '2 are waiting'],
      ['/queue hold 1', 'held: “the one”'],
      ['/queue order 2 1', '2  the one (held'],
      ['/queue edit 1 /script say="sent now" pace=0', '1  /script say="sent now"'],
      ['/queue delete 2', 'w w w'],
      ['/queue hold 9', 'Nothing waits at place 9'],
      ['/queue send 1', 'interrupted by a newer message'],
      ['', null],
      ['/edit /script say="edited" pace=0', 'the chat was edited'],
      ['', null],
      ['/retry', null],
      ['/model nope', '[unknown_model]'],
      ['/edit #99 nothing', '[not_found]'],
      ['/fork', '“/script deltas=20000'],
      ['/clear', 'cleared: from here on'],
      ['/nonsense', 'There is no command /nonsense'],
      ['', null],
    ]),
  );
  const order = [
    'held: “the one”',
    'interrupted by a newer message',
    '\nsent now\n',
    'the chat was edited',
    '\nedited\n',
    'cleared: from here on',
  ];
  const places = order.map((text) => screen.indexOf(text));
  expect(places).toEqual(places.toSorted((a, b) => a - b));
  expect(places).not.toContain(-1);
  // Typed, and then deleted: it never had its turn.
  expect(screen.match(/^› the one$/gm)).toHaveLength(1);
});

/** Without what is another on each run: ids, times of day, and how long things take. */
function timeless(text: string): string {
  return text
    .replaceAll(/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/g, 'ID')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replaceAll(/\d\d:\d\d:\d\d/g, 'TIME')
    .replaceAll(/· [\d.]+ s/g, '· N s')
    .trim();
}
