import { afterEach, describe, expect, test } from 'vitest';
import { runCli } from './run-cli.ts';
import { CHAT_ID, type Script, ScriptedNode, TOKEN } from './scripted-node.ts';

const nodes: ScriptedNode[] = [];

async function start(script?: Script): Promise<string[]> {
  const node = await ScriptedNode.start(script);
  nodes.push(node);
  return ['--url', node.url, '--token', TOKEN];
}

const echo: Script = (node, turn) => {
  node.answer(turn, 'Answer');
  node.end(turn);
};

afterEach(async () => {
  for (const node of nodes.splice(0)) await node.stop();
});

describe('interactive, through a pipe', () => {
  test('[cli] lines are taken one by one, and the end of the input ends it', async () => {
    const { code, out, err } = await runCli(await start(echo), { input: 'one\n\ntwo\n/history\n' });
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toBe(
      [
        `chat ${CHAT_ID} · scripted`,
        '/help lists the commands',
        'Answer',
        '',
        'Answer',
        '#1',
        '› one',
        '#2',
        'Answer',
        '#3',
        '› two',
        '#4',
        'Answer',
        '',
      ].join('\n'),
    );
  });

  test('[cli] commands: list, open, rename, archive, stop, an unknown one, quit', async () => {
    const input = '/open 1\n/list\n/open 1\n/open 7\n/rename x\n/archive\n/stop\n/nope\n/quit\nnever sent\n';
    const { code, out } = await runCli(await start(echo), { input });
    expect(code).toBe(0);
    expect(out).toMatch(/Say \/list first/);
    expect(out).toMatch(new RegExp(`^\\*1 {2}\\(no title\\) .* ${CHAT_ID}$`, 'm'));
    expect(out).toMatch(/The list has no 7\./);
    expect(out).toMatch(/nothing runs/);
    expect(out).toMatch(/There is no command \/nope\.\n\/new/);
    expect(out).not.toMatch(/Answer/);
  });

  test('[cli] an error is one line, and the session goes on', async () => {
    const failing: Script = (node, turn) => node.end(turn, 'error', 'model_silent');
    const { code, out } = await runCli(await start(failing), { input: 'one\n/help\n' });
    expect(code).toBe(0);
    expect(out).toMatch(/^The model provider sent nothing for too long\. \[model_silent\]\n\/new/m);
  });

  test('[cli] --json prints events, what else there is to say goes to standard error', async () => {
    const { code, out, err } = await runCli([...(await start(echo)), '--json'], { input: 'one\n/help\n' });
    expect(code).toBe(0);
    expect(err).toMatch(/\/quit/);
    const lines = out.trimEnd().split('\n');
    expect(lines.length).toBeGreaterThan(8);
    for (const line of lines) expect(JSON.parse(line)).toHaveProperty('position');
  });

  test('[cli] without a terminal there are no colours, and NO_COLOR forbids them', async () => {
    const { out } = await runCli(await start(echo), { input: 'one\n', env: { TERM: 'xterm-256color' } });
    expect(out).not.toContain('\u001b');
  });
});
