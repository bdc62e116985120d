// Calls of tools at a terminal that is looked at, and without one, against a scripted server.
import { afterEach, describe, expect, test } from 'vitest';
import { runInteractive } from '../../protocol/cli/interactive.ts';
import { parseOptions } from '../../protocol/cli/options.ts';
import { COLOURED } from '../../protocol/cli/style.ts';
import type { Action } from '../../protocol/content.ts';
import { runCli } from './run-cli.ts';
import { CHAT_ID, type Script, ScriptedNode, TOKEN } from './scripted-node.ts';
import { VirtualTerminal } from './virtual-terminal.ts';

const nodes: ScriptedNode[] = [];

const asks = (call: string, name: string, changes: Partial<Action> = {}): Action => ({
  type: 'approval',
  call,
  name,
  args: '{"to": "x"}',
  deadline_at: Date.now() + 300_000,
  hash: `hash of ${call}`,
  ...changes,
});

/** The model calls `pay`, which asks first; once that is answered it says so. */
const pays: Script = (node, turn) => {
  node.call(turn, [{ call: 'c1', name: 'pay', args: '{"to": "x"}' }], asks('c1', 'pay'));
  node.onAnswer = (_node, { args }) => {
    if (args['allow'] === true) node.emit({ kind: 'action', actions: [] });
    node.settle(turn, 'c1', 'receipt 7', args['allow'] === true ? 'ok' : 'denied');
    node.answer(turn, args['allow'] === true ? 'Paid.' : 'Not paid.');
    node.end(turn);
  };
};

/** The model calls a tool that clients run. */
const asksClient =
  (name: string, args: string): Script =>
  (node, turn) => {
    node.call(turn, [{ call: 'c1', name, args }], asks('c1', name, { type: 'result', args }));
    node.onAnswer = (_node, { args: answer }) => {
      node.settle(turn, 'c1', String(answer['output']), answer['is_error'] === true ? 'error' : 'ok');
      node.answer(turn, `You said: ${String(answer['output'])}`);
      node.end(turn);
    };
  };

async function startNode(script: Script): Promise<ScriptedNode> {
  const node = await ScriptedNode.start(script);
  nodes.push(node);
  return node;
}

async function start(
  script: Script,
  { columns = 100, options = [] }: { readonly columns?: number; readonly options?: readonly string[] } = {},
): Promise<{ readonly node: ScriptedNode; readonly terminal: VirtualTerminal; readonly quit: () => Promise<void> }> {
  const node = await startNode(script);
  const { terminal, quit } = await open(node, columns, options);
  return { node, terminal, quit };
}

async function open(
  node: ScriptedNode,
  columns: number,
  options: readonly string[],
): Promise<{ readonly terminal: VirtualTerminal; readonly quit: () => Promise<void> }> {
  const terminal = new VirtualTerminal(columns);
  const parsed = parseOptions(['--url', node.url, '--token', TOKEN, ...options], {});
  if (parsed.kind !== 'options') throw new Error('these options are good');
  const ended = runInteractive(parsed.options, {
    input: terminal.keyboard as unknown as NodeJS.ReadStream,
    output: terminal as unknown as NodeJS.WriteStream,
    style: COLOURED,
    say: () => {},
  });
  await terminal.shows('› ');
  const quit = async (): Promise<void> => {
    await terminal.keyboard.type('/quit\r');
    await ended;
  };
  return { terminal, quit };
}

afterEach(async () => {
  for (const node of nodes.splice(0)) await node.stop();
});

describe('approvals at a terminal', () => {
  test('[cli] a call that asks first is shown with its arguments; /approve lets it run', async () => {
    const { node, terminal, quit } = await start(pays);
    await terminal.keyboard.type('pay x\r');
    await terminal.shows('/approve always (in this chat)');
    await terminal.keyboard.type('/approve\r');
    await terminal.shows('Paid.');
    await quit();
    const { args } = await node.received('tool.approve');
    expect(args).toMatchObject({ call: 'c1', hash: 'hash of c1', allow: true, always: false });
    expect(terminal.screen.slice(2, -1).map((line) => line.replace(/\d\d:\d\d:\d\d/, 'TIME'))).toEqual([
      '› pay x',
      '→ pay {"to": "x"}',
      '? pay asks for your approval, until TIME:',
      '  {"to": "x"}',
      '  /approve · /approve always (in this chat) · /deny · a message instead denies it',
      '› /approve',
      'pay was approved',
      '  pay │ receipt 7',
      '✓ pay · 0 s',
      'Paid.',
      '› /quit',
    ]);
  });

  test('[cli] /approve always and /deny say so to the node; without anything to answer both say so here', async () => {
    const always = await start(pays);
    await always.terminal.keyboard.type('/approve\r');
    await always.terminal.shows('Nothing asks for it.');
    await always.terminal.keyboard.type('pay x\r');
    await always.terminal.shows('asks for your approval');
    await always.terminal.keyboard.type('/approve 7\r');
    await always.terminal.shows('No call 7 asks for it.');
    await always.terminal.keyboard.type('/approve 1 always\r');
    await always.terminal.shows('Paid.');
    expect((await always.node.received('tool.approve')).args).toMatchObject({ allow: true, always: true });
    await always.quit();

    const denied = await start(pays);
    await denied.terminal.keyboard.type('pay x\r');
    await denied.terminal.shows('asks for your approval');
    await denied.terminal.keyboard.type('/deny\r');
    await denied.terminal.shows('✗ pay was denied');
    await denied.terminal.shows('Not paid.');
    expect((await denied.node.received('tool.approve')).args).toMatchObject({ allow: false });
    await denied.quit();
  });

  test('[cli] of two that ask one is named by its number', async () => {
    const { node, terminal, quit } = await start((one, turn) => {
      const calls = ['c1', 'c2'].map((call) => ({ call, name: 'pay' }));
      one.call(turn, calls, asks('c1', 'pay'), asks('c2', 'pay'));
      one.onAnswer = () => one.emit({ kind: 'action', actions: [asks('c1', 'pay')] });
    });
    await terminal.keyboard.type('pay both\r');
    await terminal.shows('/approve 2');
    await terminal.keyboard.type('/approve\r');
    await terminal.shows('Say which: 1 or 2.');
    await terminal.keyboard.type('/approve 2\r');
    await terminal.shows('pay#2 was approved');
    expect((await node.received('tool.approve')).args).toMatchObject({ call: 'c2', hash: 'hash of c2' });
    await quit();
  });

  test('[cli] whoever attaches later is asked too; on a narrow terminal each row is cut to it', async () => {
    const { node, terminal, quit } = await start((one, turn) => {
      const args = `{"to": "${'x'.repeat(60)}"}`;
      one.call(
        turn,
        [
          { call: 'c1', name: 'slow', args },
          { call: 'c2', name: 'pay' },
        ],
        asks('c2', 'pay'),
      );
      one.emit({ kind: 'tool', type: 'progress', step: 1, call: 'c1', offset: 0, text: `${'.'.repeat(60)}\n` });
    });
    await terminal.keyboard.type('go\r');
    await terminal.shows('slow │');
    const late = await open(node, 30, ['--chat', CHAT_ID]);
    await late.terminal.shows('asks for your approval');
    const rows = late.terminal.screen;
    expect(rows).toContain('→ slow {"to": "xxxxxxxxxxxxxx…');
    expect(rows).toContain('  slow │ ....................…');
    expect(rows).toContain('  {"to": "x"}');
    await late.quit();
    await quit();
  });
});

describe('tools of the terminal', () => {
  test('[cli] --tools declares them; a question of the model is answered by the next line', async () => {
    const { node, terminal, quit } = await start(asksClient('ask_user', '{"question": "Which\\u001b[31m colour?"}'), {
      options: ['--tools'],
    });
    const { args } = await node.received('chats.create');
    expect((args['tools'] as { name: string }[]).map(({ name }) => name)).toEqual(['ask_user', 'local_time']);
    await terminal.keyboard.type('paint it\r');
    await terminal.shows('? Which colour?');
    await terminal.keyboard.type('green\r');
    await terminal.shows('You said: green');
    await quit();
    const sent = node.commands.filter(({ name }) => name === 'chat.send');
    expect(sent).toHaveLength(1);
    expect((await node.received('tool.result')).args).toMatchObject({ call: 'c1', output: 'green', is_error: false });
  });

  test('[cli] /deny leaves a question unanswered, and one that was answered elsewhere is taken back', async () => {
    const denied = await start(asksClient('ask_user', '{"question": "Which?"}'), { options: ['--tools'] });
    await denied.terminal.keyboard.type('go\r');
    await denied.terminal.shows('? Which?');
    await denied.terminal.keyboard.type('/deny\r');
    await denied.terminal.shows('You said: The user did not answer.');
    await denied.quit();

    const elsewhere = await start(asksClient('ask_user', '{"question": "Which?"}'), { options: ['--tools'] });
    await elsewhere.terminal.keyboard.type('go\r');
    await elsewhere.terminal.shows('? Which?');
    elsewhere.node.emit({ kind: 'action', actions: [] });
    await elsewhere.terminal.shows('not asked any more: Which?');
    await elsewhere.quit();
    expect(elsewhere.node.commands.map(({ name }) => name)).not.toContain('tool.result');
  });

  test('[cli] /steer sends for the turn that runs', async () => {
    const { node, terminal, quit } = await start((one, turn) => one.call(turn, [{ call: 'c1', name: 'slow' }]));
    await terminal.keyboard.type('go\r');
    await terminal.shows('→ slow {}');
    await terminal.keyboard.type('/steer in French\r');
    await terminal.shows('queued');
    expect(node.commands.at(-1)?.args).toMatchObject({ busy: 'steer', content: [{ text: 'in French' }] });
    await quit();
  });
});

describe('tools through a pipe', () => {
  const address = (node: ScriptedNode): string[] => ['--url', node.url, '--token', TOKEN];

  test('[cli] one line after the other: what is asked is answered by the next one', async () => {
    const node = await startNode(pays);
    const { code, out, err } = await runCli(address(node), { input: 'pay x\n/approve\n' });
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain('asks for your approval');
    expect(out.trimEnd().endsWith('Paid.')).toBe(true);
  });

  test('[cli] --message: an approval that nobody can give is one clear line and exit code 3', async () => {
    const node = await startNode(pays);
    const { code, out, err } = await runCli([...address(node), '--message', 'pay x']);
    expect([code, out]).toEqual([3, '']);
    expect(err).toBe(
      'A call asks for an approval that nobody here can give: pay {"to": "x"}. It waits: answer it with ' +
        `npm run chat -- --chat ${CHAT_ID}, or give --approve all or --approve none.\n`,
    );
    expect(node.commands.map(({ name }) => name)).not.toContain('tool.approve');
  });

  test('[cli] --approve all and none answer every approval, and say so', async () => {
    const all = await runCli([...address(await startNode(pays)), '--message', 'pay x', '--approve', 'all']);
    expect(all).toEqual({ code: 0, out: 'Paid.\n', err: 'approved: pay {"to": "x"}\n' });
    const none = await runCli([...address(await startNode(pays)), '--message', 'pay x', '--approve', 'none']);
    expect(none).toEqual({ code: 0, out: 'Not paid.\n', err: 'denied: pay {"to": "x"}\n' });
  });

  test('[cli] --message --tools answers what needs no person; --json has every event', async () => {
    const node = await startNode(asksClient('local_time', '{}'));
    const { code, out } = await runCli([...address(node), '--message', 'when?', '--tools', '--json']);
    expect(code).toBe(0);
    const declared = (await node.received('chats.create')).args['tools'] as { name: string }[];
    expect(declared.map(({ name }) => name)).toEqual(['local_time']);
    const kinds = out
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { event?: { kind: string } }).event?.kind);
    expect(kinds).toEqual(expect.arrayContaining(['tool', 'action', 'message']));
    expect((await node.received('tool.result')).args['output']).toMatch(/GMT/);
  });

  test('[cli] --message says which client a call waits for', async () => {
    const node = await startNode((one, turn) => {
      asksClient('camera', '{}')(one, turn);
      one.settle(turn, 'c1', 'a picture');
      one.answer(turn, 'Nice.');
      one.end(turn);
    });
    const { code, out, err } = await runCli([...address(node), '--message', 'look']);
    expect([code, out]).toEqual([0, 'Nice.\n']);
    expect(err).toMatch(/^(camera waits for the client that runs it, until .*\n)?$/);
  });
});
