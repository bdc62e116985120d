import { afterEach, describe, expect, test } from 'vitest';
import { VirtualTerminal } from '../../test/cli/virtual-terminal.ts';
import type { Action } from './action.ts';
import { Screen } from './screen.ts';
import { COLOURED } from './style.ts';

const stream = (text: string): Action => ({ kind: 'stream', block: 'text', text });
const begin: Action = { kind: 'begin', block: 'text' };
const line = (text: string): Action => ({ kind: 'line', tone: 'dim', text });

type Opened = { readonly terminal: VirtualTerminal; readonly screen: Screen; readonly heard: string[] };

const open: Screen[] = [];

function openScreen(columns = 40): Opened {
  const terminal = new VirtualTerminal(columns);
  const heard: string[] = [];
  const streams = {
    input: terminal.keyboard as unknown as NodeJS.ReadStream,
    output: terminal as unknown as NodeJS.WriteStream,
  };
  const screen = new Screen(streams, COLOURED, {
    onLine: (text) => heard.push(text),
    onInterrupt: (typed) => heard.push(typed ? '^C typed' : '^C'),
    onEnd: () => heard.push('end'),
  });
  open.push(screen);
  return { terminal, screen, heard };
}

afterEach(() => {
  for (const screen of open.splice(0)) screen.close();
});

describe('screen', () => {
  test('[screen] text streams, then the prompt comes on a line of its own', () => {
    const { terminal, screen } = openScreen();
    screen.print([begin, stream('Hello '), stream('there')]);
    screen.prompt();
    expect(terminal.picture).toBe('Hello there\n› |');
  });

  test('[screen] the answer to a second message stands right below it', async () => {
    const { terminal, screen } = openScreen();
    screen.print([begin, stream('One.'), { kind: 'end' }]);
    screen.prompt();
    await terminal.keyboard.type('more\r');
    screen.print([begin, stream('Two.'), { kind: 'end' }, begin, stream('Three.'), { kind: 'end' }]);
    expect(terminal.screen).toEqual(['One.', '› more', 'Two.', '', 'Three.', '']);
  });

  test('[screen] a call takes one row, whatever its arguments and the width', () => {
    const { terminal, screen } = openScreen(24);
    const args = (text: string): Action => ({ kind: 'stream', block: 'tool_call', text });
    screen.print([
      { kind: 'call', label: 'clock' },
      args('{"zone":'),
      args('"Europe/'),
      args('Vienna"}'),
      { kind: 'end' },
    ]);
    screen.print([{ kind: 'call', label: 'slow' }, args('{}')]);
    screen.print([{ kind: 'line', tone: 'dim', fit: true, text: `  slow │ ${'x'.repeat(40)}` }, { kind: 'end' }]);
    expect(terminal.screen).toEqual(['→ clock {"zone":"Europe…', '→ slow {}', '  slow │ xxxxxxxxxxxxxx…', '']);
  });

  test('[screen] a line comes above what is being typed', async () => {
    const { terminal, screen } = openScreen();
    screen.prompt();
    await terminal.keyboard.type('half a sen');
    screen.print([line('connection lost')]);
    expect(terminal.picture).toBe('connection lost\n› half a sen|');
    await terminal.keyboard.type('tence\u001b[D\u001b[D');
    screen.print([line('back')]);
    expect(terminal.picture).toBe('connection lost\nback\n› half a senten|ce');
  });

  test('[screen] a line comes above a prompt of several rows', async () => {
    const { terminal, screen } = openScreen(20);
    screen.prompt();
    await terminal.keyboard.type('a'.repeat(18 + 20 + 5));
    screen.print([line('one'), line('two')]);
    expect(terminal.picture).toBe(`one\ntwo\n› ${'a'.repeat(18)}\n${'a'.repeat(20)}\n${'a'.repeat(5)}|`);
    await terminal.keyboard.type('b');
    screen.print([line('three')]);
    expect(terminal.screen.slice(0, 4)).toEqual(['one', 'two', 'three', `› ${'a'.repeat(18)}`]);
  });

  test('[screen] typing while text streams opens the prompt; text waits for the end of its line', async () => {
    const { terminal, screen, heard } = openScreen();
    screen.print([begin, stream('The answer is')]);
    await terminal.keyboard.type('n');
    expect(terminal.picture).toBe('The answer is\n› n|');
    screen.print([stream(' for')]);
    await terminal.keyboard.type('ext');
    screen.print([stream('ty-two.\nAnd')]);
    expect(terminal.picture).toBe('The answer is\n forty-two.\n› next|');
    await terminal.keyboard.type('\r');
    expect(heard).toEqual(['next']);
    screen.print([stream(' so on')]);
    expect(terminal.picture).toBe('The answer is\n forty-two.\n› next\nAnd so on|');
  });

  test('[screen] the spinner stands alone and leaves no trace', async () => {
    const { terminal, screen } = openScreen();
    screen.wait('waiting for the model');
    expect(terminal.screen).toEqual(['⠋ waiting for the model']);
    screen.wait('thinking');
    expect(terminal.screen[0]).toMatch(/^. thinking$/);
    screen.print([begin, stream('Hi')]);
    expect(terminal.picture).toBe('Hi|');
    screen.wait(null);
    screen.print([{ kind: 'end' }]);
    screen.wait('waiting for the model');
    await terminal.keyboard.type('x');
    expect(terminal.picture).toBe('Hi\n› x|');
  });

  test('[screen] Ctrl-C is heard, with what was typed cleared', async () => {
    const { terminal, screen, heard } = openScreen();
    screen.prompt();
    await terminal.keyboard.type('oops\u0003');
    expect(terminal.picture).toBe('› |');
    await terminal.keyboard.type('\u0003');
    expect(heard).toEqual(['^C typed', '^C']);
  });

  test('[screen] the prompt leaves for text, but not under somebody’s fingers', async () => {
    const { terminal, screen } = openScreen();
    screen.prompt();
    screen.unprompt();
    screen.print([line('from elsewhere')]);
    expect(terminal.picture).toBe('from elsewhere\n|');
    screen.prompt();
    await terminal.keyboard.type('x');
    screen.unprompt();
    expect(terminal.picture).toBe('from elsewhere\n› x|');
  });

  test('[screen] Ctrl-D at an empty prompt ends', async () => {
    const { terminal, screen, heard } = openScreen();
    screen.prompt();
    await terminal.keyboard.type('\u0004');
    expect(heard).toEqual(['end']);
    expect(terminal.screen[0]).toBe('›');
  });
});
