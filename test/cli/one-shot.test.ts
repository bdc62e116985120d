import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { errorBody } from '../../protocol/errors.ts';
import { runCli, startCli } from './run-cli.ts';
import { CHAT_ID, type Script, ScriptedNode, TOKEN } from './scripted-node.ts';

const closers: (() => unknown)[] = [];

async function start(script?: Script): Promise<{ readonly node: ScriptedNode; readonly address: string[] }> {
  const node = await ScriptedNode.start(script);
  closers.push(() => node.stop());
  return { node, address: ['--url', node.url, '--token', TOKEN] };
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'parley-cli-'));
  closers.push(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** An address on which nothing listens: it was free a moment ago. */
async function deadUrl(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return `ws://127.0.0.1:${port}`;
}

const greet: Script = (node, turn) => {
  node.answer(turn, 'Hello ', 'there', '.');
  node.end(turn);
};

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

describe('--message', () => {
  test('[cli] prints the reply, only the reply, and exits 0', async () => {
    const { node, address } = await start(greet);
    expect(await runCli([...address, '--message', 'hello'])).toEqual({ code: 0, out: 'Hello there.\n', err: '' });
    expect(node.commands.map(({ name }) => name)).toEqual(['chats.create', 'chat.send']);
    expect(node.commands[1]?.args['content']).toEqual([{ type: 'text', text: 'hello' }]);
  });

  test('[cli] finds the local node and its token', async () => {
    const { node } = await start(greet);
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'dev-token.json'), JSON.stringify({ url: node.url, token: TOKEN }));
    const byOption = await runCli(['--data-dir', folder, '-m', 'hello']);
    expect(byOption).toEqual({ code: 0, out: 'Hello there.\n', err: '' });
    const env = { PARLEY_URL: node.url, PARLEY_TOKEN: TOKEN };
    expect((await runCli(['-m', 'hello', '--chat', CHAT_ID], { env, cwd: folder })).code).toBe(0);
  });

  test('[cli] what the model says cannot steer the terminal', async () => {
    const { address } = await start((node, turn) => {
      node.answer(turn, 'a\u001b', '[31mb\u001b]0;owned', '\u0007c\u202ed\r\n', '\u009b2Je');
      node.end(turn);
    });
    expect((await runCli([...address, '-m', 'x'])).out).toBe('abcd\ne\n');
  });

  test('[cli] an attempt that was given up leaves nothing on standard output; the retry is told', async () => {
    const { address } = await start((node, turn) => {
      const error = errorBody('model_overloaded');
      node.emit({ kind: 'step', type: 'started', turn, step: 1, attempt: 1 });
      node.emit({ kind: 'block', type: 'start', step: 1, index: 0, block: 'text' });
      node.emit({ kind: 'block', type: 'delta', step: 1, index: 0, offset: 0, text: 'Wrong' });
      node.emit({ kind: 'step', type: 'reset', turn, step: 1, attempt: 1 });
      node.emit({ kind: 'retry', turn, step: 1, attempt: 1, delay_ms: 2000, at: Date.now() + 2000, error });
      greet(node, turn);
    });
    expect(await runCli([...address, '-m', 'x'])).toEqual({
      code: 0,
      out: 'Hello there.\n',
      err: 'the model is overloaded, trying again in 2 s (attempt 2)\n',
    });
  });

  test('[cli] a lost connection is told and survived', async () => {
    const { address } = await start((node, turn) => {
      node.emit({ kind: 'step', type: 'started', turn, step: 1, attempt: 1 });
      node.emit({ kind: 'block', type: 'start', step: 1, index: 0, block: 'text' });
      node.emit({ kind: 'block', type: 'delta', step: 1, index: 0, offset: 0, text: 'Hello' });
      node.cut();
      node.commit(turn, [{ type: 'text', text: 'Hello again' }]);
      node.end(turn);
    });
    const { code, out, err } = await runCli([...address, '-m', 'x']);
    expect({ code, out }).toEqual({ code: 0, out: 'Hello again\n' });
    expect(err).toMatch(/^connection lost, reconnecting in .*\n(?:connected again\n)?$/);
  });
});

describe('--message that fails', () => {
  test('[cli] no node: one line that says what to do', async () => {
    const url = await deadUrl();
    const { code, out, err } = await runCli(['--url', url, '--token', TOKEN, '-m', 'x']);
    expect({ code, out, err }).toEqual({
      code: 1,
      out: '',
      err: `No Parley node answers at ${url}/v1/ws. Start one with: npm start\n`,
    });
  });

  test('[cli] no address: one line that says what to do', async () => {
    const folder = temporaryFolder();
    const { code, out, err } = await runCli(['-m', 'x'], { cwd: folder });
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(/^No Parley node has left its address in .*dev-token\.json\. Start one with: npm start.*\n$/);
    writeFileSync(join(folder, 'dev-token.json'), '{"url": 1}');
    expect((await runCli(['-m', 'x', '--data-dir', folder])).err).toMatch(/is not what a node writes/);
  });

  test('[cli] a wrong token', async () => {
    const { node } = await start(greet);
    const { code, out, err } = await runCli(['--url', node.url, '--token', 'wrong', '-m', 'x']);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(/^The server does not accept the credential\..*\n$/);
  });

  test('[cli] an error of the model', async () => {
    const { address } = await start((node, turn) => node.end(turn, 'error', 'model_unauthorized'));
    const { code, out, err } = await runCli([...address, '-m', 'x']);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(/^The model provider refuses the key\..* \[model_unauthorized\]\n$/);
  });

  test('[cli] an answer that is cut off is printed, and not called complete', async () => {
    const { address } = await start((node, turn) => {
      node.answer(turn, 'Half');
      node.end(turn, 'max_tokens');
    });
    const { code, out, err } = await runCli([...address, '-m', 'x']);
    expect({ code, out }).toEqual({ code: 1, out: 'Half\n' });
    expect(err).toMatch(/cut off at the limit of tokens/);
  });

  test('[cli] an archived chat, and one that is not there', async () => {
    const { node, address } = await start(greet);
    node.refusals.set('chat.send', 'archived');
    const archived = await runCli([...address, '--chat', CHAT_ID, '-m', 'x']);
    expect(archived).toEqual({ code: 1, out: '', err: 'The chat is archived. Unarchive it first. [archived]\n' });
    const other = CHAT_ID.replace(/1$/, '2');
    const gone = await runCli([...address, '--chat', other, '-m', 'x']);
    expect(gone).toEqual({ code: 1, out: '', err: 'There is no such chat, or it is not yours.\n' });
  });

  test('[cli] Ctrl-C stops the turn and exits 130', async () => {
    const { node, address } = await start();
    const cli = startCli([...address, '-m', 'x'], { input: '' });
    await node.received('chat.send');
    cli.child.kill('SIGINT');
    await node.received('chat.stop');
    expect(await cli.ended).toEqual({ code: 130, out: '', err: 'Interrupted.\n' });
  });

  test('[cli] a credential that is revoked ends it', async () => {
    const { address } = await start((node) => node.close('revoked'));
    const { code, out, err } = await runCli([...address, '-m', 'x']);
    expect({ code, out, err }).toEqual({ code: 1, out: '', err: 'The credential was revoked.\n' });
  });

  test('[cli] --timeout gives up waiting and leaves the turn alone', async () => {
    const { node, address } = await start();
    const { code, out, err } = await runCli([...address, '-m', 'x', '--timeout', '0.5']);
    expect({ code, out }).toEqual({ code: 124, out: '' });
    expect(err).toMatch(/^No complete reply within 0\.5 s; the turn goes on .*\n$/);
    expect(node.commands.map(({ name }) => name)).not.toContain('chat.stop');
  });

  test('[cli] bad options exit 2, --help exits 0', async () => {
    const bad = await runCli(['--nope']);
    expect({ code: bad.code, out: bad.out }).toEqual({ code: 2, out: '' });
    expect(bad.err).toMatch(/--nope/);
    const help = await runCli(['--help']);
    expect({ code: help.code, err: help.err }).toEqual({ code: 0, err: '' });
    expect(help.out).toMatch(/--message/);
  });
});

type JsonLine = {
  readonly chat: string;
  readonly position: readonly [number, number];
  readonly span?: number;
  readonly event?: { readonly kind: string };
  readonly snapshot?: object;
};

describe('--json', () => {
  test('[cli] one event per line, each in its place', async () => {
    const { address } = await start(greet);
    const { code, out, err } = await runCli([...address, '-m', 'hello', '--json']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const lines = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as JsonLine);
    expect(lines.every(({ chat }) => chat === CHAT_ID)).toBe(true);
    expect(lines[0]).toMatchObject({ position: [1, 0], snapshot: { drop_older: true, messages: [] } });
    expect(lines.slice(1).map(({ position }) => position)).toEqual(lines.slice(1).map((_, index) => [1, index + 1]));
    const kinds = lines.slice(1).map(({ event }) => event?.kind);
    expect(kinds).toEqual(['message', 'turn', 'step', ...Array.from({ length: 5 }, () => 'block'), 'message', 'turn']);
    expect(lines.at(-1)).toMatchObject({ span: 1, event: { type: 'ended', outcome: 'completed', error: null } });
  });

  test('[cli] errors stay on standard error, with the exit code', async () => {
    const { address } = await start((node, turn) => node.end(turn, 'error', 'model_overloaded'));
    const { code, out, err } = await runCli([...address, '-m', 'hello', '--json']);
    expect(code).toBe(1);
    expect(err).toMatch(/\[model_overloaded\]\n$/);
    for (const line of out.trimEnd().split('\n')) expect(() => JSON.parse(line) as unknown).not.toThrow();
  });
});
