// The interactive client at a terminal that is looked at, against a scripted server.
import { afterEach, describe, expect, test } from 'vitest';
import { runInteractive } from '../../protocol/cli/interactive.ts';
import { COLOURED } from '../../protocol/cli/style.ts';
import { parseOptions } from '../../protocol/cli/options.ts';
import type { TurnId } from '../../protocol/ids.ts';
import { CHAT_ID, type Script, ScriptedNode, TOKEN } from './scripted-node.ts';
import { VirtualTerminal } from './virtual-terminal.ts';

type Running = { readonly node: ScriptedNode; readonly terminal: VirtualTerminal; readonly ended: Promise<void> };

const nodes: ScriptedNode[] = [];

async function start(script: Script): Promise<Running> {
  const node = await ScriptedNode.start(script);
  nodes.push(node);
  const terminal = new VirtualTerminal(100);
  const parsed = parseOptions(['--url', node.url, '--token', TOKEN], {});
  if (parsed.kind !== 'options') throw new Error('these options are good');
  const ended = runInteractive(parsed.options, {
    input: terminal.keyboard as unknown as NodeJS.ReadStream,
    output: terminal as unknown as NodeJS.WriteStream,
    style: COLOURED,
    say: () => {},
  });
  await terminal.shows('› ');
  return { node, terminal, ended };
}

async function quit({ terminal, ended }: Running): Promise<void> {
  await terminal.keyboard.type('/quit\r');
  await ended;
}

function begin(node: ScriptedNode, turn: TurnId, text: string): void {
  node.emit({ kind: 'step', type: 'started', turn, step: 1, attempt: 1 });
  node.emit({ kind: 'block', type: 'start', step: 1, index: 0, block: 'text' });
  node.emit({ kind: 'block', type: 'delta', step: 1, index: 0, offset: 0, text });
}

afterEach(async () => {
  for (const node of nodes.splice(0)) await node.stop();
});

describe('session at a terminal', () => {
  test('[cli] a message, its answer, and the prompt again', async () => {
    const running = await start((node, turn) => {
      node.answer(turn, 'Hello ', 'there.');
      node.end(turn);
    });
    const { terminal } = running;
    await terminal.keyboard.type('hi\r');
    await terminal.shows('Hello there.');
    await quit(running);
    expect(terminal.screen.slice(0, 5)).toEqual([
      `chat ${CHAT_ID} · scripted`,
      '/help lists the commands',
      '› hi',
      'Hello there.',
      '› /quit',
    ]);
  });

  test('[cli] Ctrl-C stops the turn and not the program; twice at the prompt leaves', async () => {
    const { node, terminal, ended } = await start((one, turn) => begin(one, turn, 'For ever'));
    await terminal.keyboard.type('hi\r');
    await terminal.shows('For ever');
    await terminal.keyboard.type('\u0003');
    await node.received('chat.stop');
    await terminal.shows('stopped');
    await terminal.keyboard.type('\u0003');
    await terminal.shows('Ctrl-C again, or /quit, to leave');
    await terminal.keyboard.type('\u0003');
    await ended;
  });

  test('[cli] what is typed while a turn runs is queued, and that is said', async () => {
    const running = await start((node, turn) => begin(node, turn, 'Long answer'));
    const { node, terminal } = running;
    await terminal.keyboard.type('one\r');
    await terminal.shows('Long answer');
    await terminal.keyboard.type('two\r');
    await terminal.shows('queued: it goes to the model after this turn');
    expect(node.commands.filter(({ name }) => name === 'chat.send')).toHaveLength(2);
    await quit(running);
    expect(terminal.screen.at(-2)).toBe(`the turn goes on; come back with: npm run chat -- --chat ${CHAT_ID}`);
  });

  test('[cli] a lost connection is said once, and text that is no more is withdrawn', async () => {
    const running = await start((node, turn) => {
      begin(node, turn, 'Once upon');
    });
    const { node, terminal } = running;
    await terminal.keyboard.type('hi\r');
    await terminal.shows('Once upon');
    node.refusedConnections = 2;
    node.cut();
    await terminal.shows('connection lost, reconnecting');
    await terminal.shows('connected again');
    const turn = (await node.received('chat.send')).id as string as TurnId;
    node.emit({ kind: 'step', type: 'reset', turn, step: 1, attempt: 1 });
    await terminal.shows('withdrawn: the text above from “Once upon…” on was lost');
    node.answer(turn, 'There was');
    node.end(turn);
    await terminal.shows('There was');
    await quit(running);
    expect(terminal.screen.filter((line) => line.startsWith('connection lost'))).toHaveLength(1);
  });

  test('[cli] an error of the model is one line, and the prompt comes back', async () => {
    const running = await start((node, turn) => node.end(turn, 'error', 'model_unauthorized'));
    const { terminal } = running;
    await terminal.keyboard.type('hi\r');
    await terminal.shows('[model_unauthorized]');
    await quit(running);
    expect(terminal.screen[3]).toMatch(/^The model provider refuses the key\..* \[model_unauthorized\]$/);
    expect(terminal.screen[4]).toBe('› /quit');
  });
});
